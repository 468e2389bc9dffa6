"""The options that commands share: one name, one help text and one default each."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

StudyName = Annotated[
    str, typer.Option("--study", "-s", help="Name of a study, or path to its .toml.", show_default=False)
]
Folders = Annotated[
    list[Path] | None,
    typer.Option(
        "--studies", help="Folder of study files (repeatable). [env: HPO_STUDIES; ./studies]", show_default=False
    ),
]
Storage = Annotated[
    str | None,
    typer.Option(
        envvar="HPO_STORAGE",
        help="Database URL, SQLite or Postgres. [sqlite:///hpo.db]",
        show_default=False,
        show_envvar=True,
    ),
]
Outputs = Annotated[Path, typer.Option(envvar="HPO_OUTPUTS", help="Folder that gets <study>/results_N.")]
Work = Annotated[
    Path | None,
    typer.Option(
        "--workdir",
        envvar="HPO_WORKDIR",
        help="Folder for checkpoints; on a cluster a shared one. [<outputs>/.work]",
        show_default=False,
    ),
]
BackendName = Annotated[
    Literal["ray", "local"], typer.Option("--backend", help="Ray Tune's workers, or one training after the other here.")
]
Concurrency = Annotated[int | None, typer.Option(help="Trainings at a time. [as many as fit]", show_default=False)]
Cpus = Annotated[
    int | None,
    typer.Option("--cpus-per-trial", help="Cores and threads of one training. [the study's]", show_default=False),
]
Gpus = Annotated[
    float | None,
    typer.Option("--gpus-per-trial", help="GPUs of one training; 0.5 shares one. [the study's]", show_default=False),
]
RayAddress = Annotated[
    str | None, typer.Option(envvar="RAY_ADDRESS", help="A running Ray to join. [one of our own]", show_default=False)
]
Trials = Annotated[int | None, typer.Option(help="Trials to have in the end. [the study's]", show_default=False)]
Promote = Annotated[bool, typer.Option("--promote", help="Promote the best trials afterwards.")]
Top = Annotated[int | None, typer.Option(help="Candidates to retrain. [the study's]", show_default=False)]
Lambda = Annotated[
    float | None, typer.Option("--lambda", help="Weight of sigma in the score. [the study's]", show_default=False)
]
Ddof = Annotated[
    int | None, typer.Option(help="Of sigma: 0 divides by n, 1 by n - 1. [the study's]", show_default=False)
]
First = Annotated[int, typer.Option(help="Number of the first results folder; taken ones are passed over.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
