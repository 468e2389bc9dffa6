"""`hpo seeds decompose` and `hpo seeds replay`."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from typing import Annotated, Any

import typer
from rich.console import Console

from hpo.cli.options import (
    BackendName,
    Concurrency,
    Cpus,
    Folders,
    Gpus,
    Json,
    Outputs,
    RayAddress,
    Storage,
    StorageWait,
    StudyName,
    Work,
    place_of,
)
from hpo.cli.output import print_json, print_text
from hpo.place import OUTPUTS, STORAGE_WAIT

app = typer.Typer(
    help="What randomness does to a result: source by source, and where no seed accounts for it.",
    no_args_is_help=True,
)

Trial = Annotated[int, typer.Option(help="Number of the configuration.", show_default=False)]
Replays = Annotated[int, typer.Option(help="Trainings of one job with nothing drawn anew.")]


@app.command()
def decompose(
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
    storage: Storage = None,
    outputs: Outputs = OUTPUTS,
    workdir: Work = None,
    backend: BackendName = "ray",
    concurrency: Concurrency = None,
    cpus_per_trial: Cpus = None,
    gpus_per_trial: Gpus = None,
    ray_address: RayAddress = None,
    storage_wait: StorageWait = STORAGE_WAIT,
    as_json: Json = False,
) -> None:
    """Tell split, initial weights, order, augmentation and dropout apart: n * (sources + 1) + replays trainings."""
    from hpo import api
    from hpo.cli import effects
    from hpo.cli.progress import Progress
    from hpo.cli.stopping import StopSignal

    place = place_of(
        storage,
        outputs=outputs,
        work=workdir,
        backend=backend,
        concurrency=concurrency,
        ray_address=ray_address,
        cpus_per_trial=cpus_per_trial,
        gpus_per_trial=gpus_per_trial,
        storage_wait=storage_wait,
    )
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
def replay(
    study: StudyName,
    trial: Trial,
    seed: Annotated[int | None, typer.Option(help="Of the training. [the search's]", show_default=False)] = None,
    replays: Replays = 3,
    studies: Folders = None,
    storage: Storage = None,
    outputs: Outputs = OUTPUTS,
    workdir: Work = None,
    backend: BackendName = "ray",
    concurrency: Concurrency = None,
    cpus_per_trial: Cpus = None,
    gpus_per_trial: Gpus = None,
    ray_address: RayAddress = None,
    storage_wait: StorageWait = STORAGE_WAIT,
    as_json: Json = False,
) -> None:
    """Train one job several times: are the bits the same, and if not, how much of the noise over seeds is that?"""
    from hpo import api
    from hpo.cli import effects
    from hpo.cli.progress import Progress
    from hpo.cli.stopping import StopSignal

    place = place_of(
        storage,
        outputs=outputs,
        work=workdir,
        backend=backend,
        concurrency=concurrency,
        ray_address=ray_address,
        cpus_per_trial=cpus_per_trial,
        gpus_per_trial=gpus_per_trial,
        storage_wait=storage_wait,
    )
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
