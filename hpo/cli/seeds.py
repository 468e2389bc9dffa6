"""`hpo seeds decompose` and `hpo seeds replay`."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from typing import Annotated, Any

import typer
from rich.console import Console

from hpo.cli.bundles import with_place
from hpo.cli.options import (
    Folders,
    Json,
    StudyName,
)
from hpo.cli.output import print_json, print_text
from hpo.place import Place

app = typer.Typer(
    help="What randomness does to a result: source by source, and where no seed accounts for it.",
    no_args_is_help=True,
)

Trial = Annotated[int, typer.Option(help="Number of the configuration.", show_default=False)]
Replays = Annotated[int, typer.Option(help="Trainings of one job with nothing drawn anew.")]


@app.command()
@with_place
def decompose(
    place: Place,
    study: StudyName,
    trial: Trial,
    n: Annotated[int, typer.Option("--n", help="Draws; each takes a training, and one more for each source.")] = 10,
    replays: Replays = 3,
    sources: Annotated[
        str | None,
        typer.Option(help="Streams to tell apart. [split,init,order,augment,dropout]", show_default=False),
    ] = None,
    seed: Annotated[int, typer.Option(help="That all draws are derived from.")] = 0,
    studies: Folders = None,
    as_json: Json = False,
) -> None:
    """Tell split, initial weights, order, augmentation and dropout apart: n * (sources + 1) + replays trainings."""
    from hpo import api
    from hpo.cli import effects
    from hpo.cli.progress import Progress
    from hpo.cli.stopping import StopSignal

    loaded = api.load_study(study, studies)
    named = [name.strip() for name in sources.split(",")] if sources else []
    said: dict[str, Any] = {"draws": n, "replays": replays, "sources": named, "seed": seed}
    with StopSignal(f"hpo seeds decompose --study {study} --trial {trial}").armed() as stop:
        progress = Progress(loaded, Console(stderr=True), stop, verb="Decomposing")
        with progress.shown(), redirect_stdout(sys.stderr):
            found = api.decompose(loaded, trial, place, **said, observers=[progress], stop=stop)
    if found.folder is None:
        print_text(f"Stopped. Go on with: hpo seeds decompose --study {study} --trial {trial}")
    elif as_json:
        print_json(effects.decomposition_values(found))
    else:
        print_text(effects.decomposition_table(found))
        print_text(effects.decomposition_text(found))
    raise typer.Exit(stop.exit_status or 0)


@app.command()
@with_place
def replay(
    place: Place,
    study: StudyName,
    trial: Trial,
    seed: Annotated[int | None, typer.Option(help="Of the training. [the search's]", show_default=False)] = None,
    replays: Replays = 3,
    studies: Folders = None,
    as_json: Json = False,
) -> None:
    """Train one job several times: are the bits the same, and if not, how much of the noise over seeds is that?"""
    from hpo import api
    from hpo.cli import effects
    from hpo.cli.progress import Progress
    from hpo.cli.stopping import StopSignal

    loaded = api.load_study(study, studies)
    with StopSignal(f"hpo seeds replay --study {study} --trial {trial}").armed() as stop:
        progress = Progress(loaded, Console(stderr=True), stop, verb="Replaying")
        with progress.shown(), redirect_stdout(sys.stderr):
            found = api.replay(loaded, trial, place, seed=seed, replays=replays, observers=[progress], stop=stop)
    if found is None:
        print_text(f"Stopped. Go on with: hpo seeds replay --study {study} --trial {trial}")
        raise typer.Exit(stop.exit_status)
    if as_json:
        print_json(effects.replayed_values(found))
    else:
        print_text(effects.replayed_text(found))
    raise typer.Exit(stop.exit_status or (0 if found.is_identical else 1))
