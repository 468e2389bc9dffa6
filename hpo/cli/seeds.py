"""The commands of `hpo seeds`: what randomness does to one trial."""

from __future__ import annotations

import shlex
import sys
from contextlib import redirect_stdout
from typing import Annotated, Any

import typer

from hpo.cli.bundles import with_place
from hpo.cli.options import (
    AcceptCodeChange,
    Folders,
    Json,
    StudyName,
    TrialNumber,
)
from hpo.cli.output import print_json, print_text
from hpo.core.records import LARGEST_SEED
from hpo.core.records import MAX_TRIALS as MOST
from hpo.core.run_config import RunConfig

app = typer.Typer(
    no_args_is_help=True,
    help="Which source of randomness moves a result, and whether one job gives the same bits again.",
)


@app.command()
@with_place
def decompose(
    config: RunConfig,
    study: StudyName,
    trial: TrialNumber,
    n: Annotated[
        int, typer.Option("--n", min=1, max=MOST, help="Draws with everything at random, each again for each source.")
    ] = 10,
    replays: Annotated[int, typer.Option(min=0, max=MOST, help="How often one job is trained again as it is.")] = 3,
    sources: Annotated[
        Any,
        typer.Option(
            parser=lambda text: tuple(part.strip() for part in text.split(",") if part.strip()),
            metavar="<name,name,...>",
            help="Of split, init, order, augment, dropout. [all that the study does not fix]",
            show_default=False,
        ),
    ] = None,
    metric: Annotated[str | None, typer.Option(help="What is decomposed. [the objective]", show_default=False)] = None,
    accept_code_change: AcceptCodeChange = False,
    studies: Folders = None,
    as_json: Json = False,
) -> None:
    """Say how much each source of randomness moves a trial: split, init, order, augment, dropout, and none of them."""
    wanted: dict[str, Any] = {"trial": trial, "n": n, "replays": replays, "sources": sources, "metric": metric}
    said = {"--n": n, "--replays": replays, "--sources": ",".join(sources or ()), "--metric": metric}
    wanted["accept_code_change"] = accept_code_change
    again = _command("decompose", study, trial, said)
    _go("decompose", f"Decomposing trial {trial}", again, study, studies, config, wanted, as_json=as_json)


@app.command()
@with_place
def replay(
    config: RunConfig,
    study: StudyName,
    trial: TrialNumber,
    seed: Annotated[
        int | None,
        typer.Option(min=0, max=LARGEST_SEED, help="Under which. [the first of the promotion]", show_default=False),
    ] = None,
    r: Annotated[int, typer.Option("--r", min=1, max=MOST, help="How many trainings of the same job.")] = 3,
    accept_code_change: AcceptCodeChange = False,
    studies: Folders = None,
    as_json: Json = False,
) -> None:
    """Train one job several times: the same bits or not, and nondeterminism in per cent of seed noise."""
    wanted: dict[str, Any] = {"trial": trial, "seed": seed, "r": r}
    wanted["accept_code_change"] = accept_code_change
    again = _command("replay", study, trial, {"--seed": seed, "--r": r})
    _go("replay", f"Replaying trial {trial}", again, study, studies, config, wanted, as_json=as_json)


def _command(verb: str, study: str, trial: int, said: dict[str, Any]) -> str:
    words = [word for name, value in said.items() if value not in (None, "") for word in (name, str(value))]
    return shlex.join(["hpo", "seeds", verb, "--study", study, "--trial", str(trial), *words])


def _go(
    verb: str, head: str, again: str, study: str, studies: Any, config: Any, wanted: dict[str, Any], *, as_json: bool
) -> None:
    from rich.console import Console

    from hpo import api
    from hpo.cli import drawn
    from hpo.cli.progress import Progress
    from hpo.cli.stopping import StopSignal

    loaded = api.load_study(study, studies)
    with StopSignal(again).armed() as stop:
        progress = Progress(loaded, Console(stderr=True), stop, verb=head)
        with progress.shown(), redirect_stdout(sys.stderr):  # a trainable may print, and stdout is for data
            found = getattr(api, verb)(loaded, config, **wanted, observers=[progress], stop=stop)
    if as_json:
        print_json(found.plain())
    elif found.stopped:
        print_text(f"Stopped. Go on with: {again}")
    else:
        print_text(drawn.decomposition_text(found) if verb == "decompose" else drawn.replay_text(found))
    raise typer.Exit(stop.exit_status or (0 if found.says_something else 1))
