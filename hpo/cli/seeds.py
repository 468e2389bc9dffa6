"""The commands of `hpo seeds`: how randomness affects one trial."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from dataclasses import replace
from typing import Any

import typer

from hpo.analysis.options import DecomposeOptions, ReplayOptions
from hpo.cli.again import given_command
from hpo.cli.command import HpoGroup, StudyCommand
from hpo.cli.options import Config, Folders, Json, StudyName, with_options
from hpo.cli.output import print_json, print_text
from hpo.driver.options import RecordOptions

app = typer.Typer(
    cls=HpoGroup,
    no_args_is_help=True,
    help="Which source of randomness affects a result most, and whether one job gives the same bits again.",
)


@app.command(cls=StudyCommand)
@with_options
def decompose(
    study: StudyName, options: DecomposeOptions, config: Config, studies: Folders = None, as_json: Json = False
) -> None:
    """Measure how much each source of randomness affects a trial: split, init, order, augment, dropout, or none."""
    _go("decompose", f"Decomposing trial {options.trial}", study, studies, config, options, as_json=as_json)


@app.command(cls=StudyCommand)
@with_options
def replay(
    study: StudyName, options: ReplayOptions, config: Config, studies: Folders = None, as_json: Json = False
) -> None:
    """Train one job several times: whether the bits are the same, and nondeterminism in percent of seed noise."""
    _go("replay", f"Replaying trial {options.trial}", study, studies, config, options, as_json=as_json)


def _go(verb: str, head: str, study: str, studies: Any, config: Any, options: RecordOptions, *, as_json: bool) -> None:
    from rich.console import Console

    from hpo import api
    from hpo.cli.progress import Progress
    from hpo.cli.stopping import StopSignal

    loaded = api.load_study(study, studies)
    with StopSignal(given_command()).armed() as stop:
        progress = Progress(loaded, Console(stderr=True), stop, verb=head)
        with progress.shown(), redirect_stdout(sys.stderr):  # a trainable may print, and stdout is for data
            found = getattr(api, verb)(loaded, config, replace(options, observers=[progress], stop=stop))
    if as_json:
        print_json(found.plain())
    elif found.stopped:
        print_text(f"Stopped. Continue with: {given_command()}")
    else:
        print_text(found.page())
    raise typer.Exit(stop.exit_status or (0 if found.says_something else 1))
