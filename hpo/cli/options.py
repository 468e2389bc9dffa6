"""The options that commands share: one name, one help text and one default each."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from hpo.cli.hiding import refuse_secret
from hpo.core.records import LARGEST_SEED
from hpo.core.records import MAX_TRIALS as MOST

if TYPE_CHECKING:
    from hpo.core.run_config import RunConfig


def study_names(context: typer.Context, incomplete: str) -> list[str]:
    """Returns the studies whose names begin so, for the shell. Where nothing begins so, it completes a path."""
    from hpo.core.study_files import listed

    folders = context.params.get("studies") or None
    try:
        names = [path.stem for path in listed(folders, installed=False)]
        return [name for name in dict.fromkeys(names) if name.startswith(incomplete)]
    except OSError:  # a folder that cannot be read is an error of the command's, which says so when it is run
        return []


StudyName = Annotated[
    str,
    typer.Option(
        "--study",
        "-s",
        help="Name of a study, or path to its .toml.",
        autocompletion=study_names,
        show_default=False,
    ),
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
        callback=refuse_secret,
        help="Database URL, SQLite or Postgres, here without a password. [sqlite:///hpo.db]",
        show_default=False,
        show_envvar=True,
    ),
]
Outputs = Annotated[Path, typer.Option(envvar="HPO_OUTPUTS", help="Folder that gets <study>/results_N.")]
Work = Annotated[
    str | None,
    typer.Option(
        "--workdir",
        envvar="HPO_WORKDIR",
        help="Folder for checkpoints, on a cluster a shared one, or a URL such as s3://... [<outputs>/.work]",
        show_default=False,
    ),
]
BackendName = Annotated[
    Literal["ray", "local"], typer.Option("--backend", help="Ray Tune's workers, or one training after the other here.")
]
Concurrency = Annotated[
    int | None, typer.Option(min=1, max=MOST, help="Trainings at a time. [as many as fit]", show_default=False)
]
Cpus = Annotated[
    int | None,
    typer.Option(
        "--cpus-per-trial", min=1, max=MOST, help="Cores and threads of one training. [the study's]", show_default=False
    ),
]
Gpus = Annotated[
    float | None,
    typer.Option(
        "--gpus-per-trial",
        min=0,
        max=MOST,
        help="GPUs of one training; 0.5 shares one. [the study's]",
        show_default=False,
    ),
]
RayAddress = Annotated[
    str | None,
    typer.Option(
        envvar="RAY_ADDRESS",
        callback=refuse_secret,
        help="A running Ray to join. [one of our own]",
        show_default=False,
    ),
]
JobsAddress = Annotated[
    str,
    typer.Option(
        "--jobs-address",
        envvar="RAY_API_SERVER_ADDRESS",
        callback=refuse_secret,
        help="Dashboard of the cluster that takes jobs.",
        show_envvar=True,
    ),
]
StorageWait = Annotated[
    float,
    typer.Option(
        "--storage-wait", min=0.0, help="Seconds to wait for a database that has gone away; trainings go on meanwhile."
    ),
]
StopWait = Annotated[
    float,
    typer.Option(
        "--stop-wait",
        min=0.0,
        help="Seconds to end an epoch after a stop, or two epochs if longer; then a training is ended.",
    ),
]
TrialNumber = Annotated[int, typer.Option("--trial", min=0, max=MOST, help="Number of the trial.", show_default=False)]
Trials = Annotated[
    int | None, typer.Option(min=1, max=MOST, help="Trials to have in the end. [the study's]", show_default=False)
]
Trainings = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=MOST,
        help="Trainings in all, of the search and of a race that promotes; they are split.",
        show_default=False,
    ),
]
Time = Annotated[
    float | None,
    typer.Option(
        parser=lambda text: seconds_of(text),
        metavar="<time>",
        help="Wall time of the search, e.g. 90s, 30m, 1h30m, 1d; what runs then goes on next time.",
        show_default=False,
    ),
]
Until = Annotated[
    float | None, typer.Option(help="End the search when this value is reached. [the study's]", show_default=False)
]
Patience = Annotated[
    int | None,
    typer.Option(
        min=1, max=MOST, help="End it after so many trials without a better one. [the study's]", show_default=False
    ),
]
Enqueue = Annotated[
    Path | None,
    typer.Option(help="JSON file: params, or a list of them, to try first. Enqueued once.", show_default=False),
]
From = Annotated[
    str,
    typer.Option(
        "--from",
        envvar="HPO_FROM",
        callback=refuse_secret,
        help="URL of an Optuna storage, SQLite or Postgres, or path of a journal; only read. Here without a password.",
        show_default=False,
        show_envvar=True,
    ),
]
FromStudy = Annotated[
    str | None, typer.Option("--from-study", help="Name of the study there. [the only one]", show_default=False)
]
RetryFailed = Annotated[
    bool, typer.Option("--retry-failed", help="Train failed trials again, with the same numbers and params.")
]
Promote = Annotated[bool, typer.Option("--promote", help="Promote the best trials afterwards.")]
TensorBoard = Annotated[
    bool,
    typer.Option("--tensorboard", help="Write event files: curves, histograms, params; needs the extra tensorboard."),
]
Top = Annotated[
    int | None, typer.Option(min=1, max=MOST, help="Candidates to retrain. [the study's]", show_default=False)
]
Lambda = Annotated[
    float | None, typer.Option("--lambda", help="Weight of sigma in the score. [the study's]", show_default=False)
]
Rule = Annotated[
    Literal["mean-std", "mean", "min", "median", "lcb"] | None,
    typer.Option(
        help="What ranks candidates; lcb is the lower end of the 95 % interval. [the study's]", show_default=False
    ),
]
Ddof = Annotated[
    Any,  # typer takes no union of numbers and words
    typer.Option(
        parser=lambda text: _ddof_of(text),
        metavar="<0|1|unbiased>",
        help="Of sigma: 0 divides by n, 1 by n - 1. [the study's]",
        show_default=False,
    ),
]
Curtail = Annotated[
    bool, typer.Option("--curtail", help="Leave out replicates that cannot change the winner; it is the same one.")
]
Race = Annotated[
    bool, typer.Option("--race", help="Many candidates under one seed, then ever fewer under 2, 4, 8, 12 of them.")
]
Rungs = Annotated[
    Any,
    typer.Option(
        parser=lambda text: _numbers_of(text),
        metavar="<n,n,...>",
        help="Seeds that the race's survivors have after each rung. [1,2,4 or 1,2,4,8,12]",
        show_default=False,
    ),
]
Widths = Annotated[
    Any,
    typer.Option(
        parser=lambda text: _numbers_of(text),
        metavar="<n,n,...>",
        help="Candidates of each rung. [by the trainings]",
        show_default=False,
    ),
]
ConfirmSeeds = Annotated[
    Any,
    typer.Option(
        "--confirm-seeds",
        parser=lambda text: _numbers_of(text),
        metavar="<seed,seed,...>",
        help="Train the winner under these too, for an unbiased estimate.",
        show_default=False,
    ),
]
Seeds = Annotated[
    Any,
    typer.Option(
        "--seeds",
        parser=lambda text: _numbers_of(text),
        metavar="<seed,seed,...>",
        help="Of its replicates. [all]",
        show_default=False,
    ),
]
First = Annotated[
    int, typer.Option(min=0, max=MOST, help="Number of the first results folder; taken ones are passed over.")
]
AllowIgnoredSeed = Annotated[
    bool,
    typer.Option(
        "--allow-ignored-seed",
        help="Rank candidates whose replicates are bit-identical under different seeds as they are; end with 0.",
    ),
]
AcceptCodeChange = Annotated[
    bool,
    typer.Option(
        "--accept-code-change", help="Go on although the code was changed; what is of other code is marked as such."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]


def _numbers_of(text: str) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",")]
    if not all(re.fullmatch(r"\d{1,19}", part) and int(part) <= LARGEST_SEED for part in parts):
        raise typer.BadParameter(f"expected whole numbers of 0 to {LARGEST_SEED} such as 45,46,47, got {text[:100]!r}")
    return tuple(map(int, parts))


def _ddof_of(text: str) -> object:
    from hpo.stats.names import ddof_of

    try:
        return ddof_of(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def config_of(storage: str | None, **said: Any) -> RunConfig:
    """Returns the place that the options name."""
    from hpo.core.run_config import RunConfig, default_storage

    return RunConfig(storage=storage or default_storage(), **said)


_UNITS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0}


def seconds_of(text: str) -> float:
    """Returns a length of time in seconds: `90s`, `30m`, `2h`, `1h30m`, `1d`.

    Raises:
        typer.BadParameter: if it is none.
    """
    parts = re.fullmatch("".join(rf"(?:(\d+(?:\.\d+)?){unit})?" for unit in _UNITS), text.strip())
    numbers = parts.groups(default="0") if parts else ()
    seconds = sum(float(number) * unit for number, unit in zip(numbers, _UNITS.values(), strict=False))
    if seconds <= 0:
        raise typer.BadParameter(f"expected a length of time such as 90s, 30m, 1h30m or 1d, got {text!r}")
    return seconds
