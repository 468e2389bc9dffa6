"""The command line. Each command is one call of `hpo.api`, which is imported when it runs, so that help is fast."""

from __future__ import annotations

import os
import sys
import threading
from contextlib import AbstractContextManager, redirect_stdout
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from rich.console import Console

from hpo.analysis.options import VerifyOptions
from hpo.cli import begin, data, look, manage, seeds, showing, steering
from hpo.cli.again import given_command, next_command
from hpo.cli.command import HpoCommand, HpoGroup, StudyCommand
from hpo.cli.fitting import wrapped
from hpo.cli.hiding import hide_in_tracebacks
from hpo.cli.options import (
    Config,
    Enqueue,
    EpochsTotal,
    Folders,
    Json,
    Promote,
    Stored,
    StudyName,
    Trainings,
    Verbose,
    all_but,
    with_options,
)
from hpo.cli.output import keep_stdout_for_data, print_json, print_text
from hpo.cli.stopping import tell_of_threads
from hpo.core.errors import HpoError, StudyInvalid, UsageError
from hpo.core.options import declared
from hpo.core.redaction import known_secrets, without
from hpo.core.run_config import RunConfig
from hpo.promotion.options import PromotionOptions
from hpo.search.options import ImportOptions, SearchOptions, SourceOptions

if TYPE_CHECKING:
    from hpo import api
    from hpo.cli.stopping import StopSignal
    from hpo.study import Study

SEARCH, PROMOTION, ROBUSTNESS = "Search", "Promotion", "Robustness"
STUDIES, SETUP, CLUSTER = "Studies", "Setup and pages", "Cluster"
"""Headings of `hpo --help`."""

OWN_SEARCH = all_but(PromotionOptions, "source", *(one.name for one in declared(SourceOptions)))
"""The options of a promotion that follows a search: it has its own candidates."""

app = typer.Typer(
    cls=HpoGroup,
    help="Hyperparameter optimization whose winners hold on another seed.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from hpo.core.installed import DISTRIBUTION, version_of

        sys.stdout.write(f"hpo {version_of(DISTRIBUTION) or '(not installed, it runs from its folder)'}\n")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Hyperparameter optimization whose winners hold on another seed."""


@app.command(cls=StudyCommand, rich_help_panel=SEARCH)
@with_options
def run(
    study: StudyName,
    *,
    options: SearchOptions,
    trainings: Trainings = None,
    epochs_total: EpochsTotal = None,
    enqueue: Enqueue = None,
    promote: Promote = False,
    promotion: Annotated[PromotionOptions, OWN_SEARCH],
    config: RunConfig,
    studies: Folders = None,
    verbose: Verbose = False,
    as_json: Json = False,
) -> None:
    """Search: train trials until the study has enough of them. It can be stopped and run again at any time."""
    from hpo import api
    from hpo.cli import tables
    from hpo.cli.stopping import StopSignal

    loaded = api.load_study(study, studies)
    if enqueue:
        options = replace(options, enqueue=api.read_configurations(loaded, enqueue))
    if len([one for one in (trainings, epochs_total, options.trials) if one is not None]) > 1:
        raise UsageError(
            "give --trainings or --epochs-total for search and promotion together, or --trials for the search; not both"
        )
    if epochs_total is not None:
        promotion, epochs = api.epochs_of_search(loaded, replace(promotion, race=True), epochs_total)
        promote, options = True, replace(options, epochs=epochs)
    if trainings is not None:
        promote, promotion = True, replace(promotion, race=True, trainings=trainings)
        options = replace(options, configurations=api.split_of(loaded, promotion))
    if promote:
        api.check_promotion(loaded, config, promotion)
        trials = options.trials or loaded.search.trials
        options = replace(options, reserve=api.trainings_of_promotion(loaded, promotion, trials))
    with StopSignal(given_command()).armed() as stop, api.Workers() as workers:
        searched = _search(loaded, config, replace(options, stop=stop, workers=workers), stop, verbose=verbose)
        if not as_json:
            from hpo.search.shown import search_text

            more = {"larger": given_command(limited=False), "promote": next_command("promote", study)}
            print_text(search_text(searched, promotes=promote, commands={"run": given_command(), **more}))
        if searched.stopped or not promote:
            if as_json:
                print_json(tables.search_values(searched))
            raise typer.Exit(stop.exit_status or _search_status(searched))
        promotion = replace(promotion, accept_code_change=False)  # the search has checked it
        if searched.share is not None:
            promotion = replace(promotion, share=searched.share)
        promoted = _promote(loaded, config, replace(promotion, stop=stop, workers=workers), stop, verbose=verbose)
        if as_json:
            print_json({"search": tables.search_values(searched), "promotion": _promotion_values(promoted)})
        else:
            _show_promotion(promoted)
        raise typer.Exit(stop.exit_status or _search_status(searched) or _promotion_status(promoted))


@app.command(cls=StudyCommand, rich_help_panel=PROMOTION)
@with_options
def promote(
    study: StudyName,
    options: PromotionOptions,
    config: RunConfig,
    studies: Folders = None,
    verbose: Verbose = False,
    as_json: Json = False,
) -> None:
    """Retrain the best trials under the promotion's seeds, rank by mean - lambda * sigma, write results_7 and on."""
    from hpo import api
    from hpo.cli.stopping import StopSignal

    loaded = api.load_study(study, studies)
    with StopSignal(given_command()).armed() as stop, api.Workers() as workers:
        outcome = _promote(loaded, config, replace(options, stop=stop, workers=workers), stop, verbose=verbose)
        if as_json:
            print_json(_promotion_values(outcome))
        else:
            _show_promotion(outcome)
        raise typer.Exit(stop.exit_status or _promotion_status(outcome))


@app.command(cls=StudyCommand, rich_help_panel=ROBUSTNESS)
@with_options
def verify(
    study: StudyName, options: VerifyOptions, config: Config, studies: Folders = None, as_json: Json = False
) -> None:
    """Repeat recorded trainings and compare them bit by bit; records nothing."""
    from hpo import api
    from hpo.cli import tables
    from hpo.cli.progress import Progress
    from hpo.cli.stopping import StopSignal

    loaded = api.load_study(study, studies)
    with StopSignal(given_command()).armed() as stop:
        progress = Progress(loaded, _stderr(), stop, verb="Verifying")
        with progress.shown(), _stdout_for_data():
            found = api.verify(loaded, config, replace(options, observers=[progress], stop=stop))
    if as_json:
        print_json([tables.verified_values(one) for one in found])
    else:
        print_text(found.page())
    raise typer.Exit(stop.exit_status or (0 if all(one.is_identical for one in found) else 1))


@app.command("import", cls=StudyCommand, rich_help_panel=SEARCH)
@with_options
def import_(
    study: StudyName,
    options: ImportOptions,
    config: Stored,
    studies: Folders = None,
    as_json: Json = False,
) -> None:
    """Start a study from another tool's results: its finished trials inform the search."""
    from hpo import api
    from hpo.cli import tables
    from hpo.cli.progress import Progress

    loaded = api.load_study(study, studies)
    lines = Progress(loaded, _stderr(), threading.Event(), verb=None)
    outcome = api.import_trials(loaded, config, replace(options, observers=[lines]))
    if as_json:
        print_json(tables.import_values(outcome))
    else:
        print_text(tables.import_text(outcome))


for panel, commands in (
    (SEARCH, (look.status, look.trials, look.show, steering.pause, steering.resume, steering.stop)),
    (PROMOTION, (look.rank, showing.report, look.assets)),
    (ROBUSTNESS, (look.compare, look.diagnose, look.instability)),
    (STUDIES, (look.studies, look.check, manage.delete, manage.rename, manage.copy, manage.clean)),
    (SETUP, (begin.init, begin.doctor, showing.serve)),
    (CLUSTER, (steering.logs,)),
):
    for command in commands:
        app.command(cls=HpoCommand if command is begin.init else StudyCommand, rich_help_panel=panel)(command)
app.command(cls=StudyCommand, rich_help_panel=CLUSTER, context_settings={"ignore_unknown_options": True})(
    steering.submit
)
app.add_typer(seeds.app, name="seeds", rich_help_panel=ROBUSTNESS)
app.add_typer(data.app, name="data", rich_help_panel="Data")


def main() -> NoReturn:
    """Runs the command line. Exit status 0: done; 1: failed; 2: invalid arguments; 128 + n: ended by signal n."""
    hide_in_tracebacks()
    keep_stdout_for_data()
    try:
        typer.main.get_command(app)()  # app() itself would replace our excepthook
    except UsageError as error:
        _fail(error, 2)
    except HpoError as error:
        _fail(error, 1)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # the reader has closed the pipe: `hpo status | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    finally:
        tell_of_threads()
    sys.exit(0)


def check_command_line(command: str, arguments: list[str]) -> None:
    """Raises the error that a command would raise for its options, without running it.

    Raises:
        typer.BadParameter: or another of typer's errors, if the options are invalid.
    """
    group: Any = typer.main.get_command(app)
    group.commands[command].make_context(f"hpo {command}", arguments)


def _search(
    study: Study, config: RunConfig, options: SearchOptions, stop: StopSignal, *, verbose: bool
) -> api.SearchOutcome:
    from hpo import api
    from hpo.cli.progress import Progress, header
    from hpo.core.formatting import counted
    from hpo.core.redaction import masked

    errors = _stderr()
    split = options.configurations
    if isinstance(split, api.Split):
        wanted = f"{split.noisy} or {split.smooth} trials"
    else:
        wanted = counted(split or options.trials or study.search.trials, "trial")
    if options.epochs is not None:
        wanted = f"{counted(options.epochs, 'epoch')} in all"
    head = header(study, masked(config.storage), wanted)
    shown = wrapped(head, errors.width) if errors.is_terminal else head
    errors.print(shown, highlight=False, markup=False, soft_wrap=True)
    with Progress(study, errors, stop, verb=None, verbose=verbose).shown() as progress, _stdout_for_data():
        return api.run(study, config, replace(options, observers=[progress]))


def _promote(
    study: Study, config: RunConfig, options: PromotionOptions, stop: StopSignal, *, verbose: bool
) -> api.PromotionOutcome:
    from hpo import api
    from hpo.cli.progress import Progress

    seeds = " ".join(map(str, api.with_seeds(study, options).promotion.seeds))
    verb = f"Racing, seed {seeds.split()[0]} first" if api.races(study, options) else f"Promoting under seeds {seeds}"
    with Progress(study, _stderr(), stop, verb=verb, verbose=verbose).shown() as progress, _stdout_for_data():
        return api.promote(study, config, replace(options, observers=[progress]))


def _search_status(outcome: api.SearchOutcome) -> int:
    """Returns the exit status of a search: 1 if a trial is open, or if trials ended and none can be promoted.

    A search that ends because of `hpo stop` has status 0.
    """
    if outcome.stopped:
        return 0
    has_best = outcome.incumbent is not None or outcome.front
    return 1 if outcome.open or (outcome.own and not has_best and not (outcome.timed_out or outcome.limit)) else 0


def _promotion_status(outcome: api.PromotionOutcome) -> int:
    """Returns the exit status of a promotion.

    It is 1 if a trial of the search is open, no candidate is complete, or one ignores its seeds and that was not
    allowed; 0 if the promotion was stopped by `hpo stop`.
    """
    if outcome.stopped:
        return 0
    return 1 if outcome.open or outcome.report.winner is None or outcome.ignores_seeds else 0


def _stdout_for_data() -> AbstractContextManager[object]:
    """Sends the output of user code to stderr; with the local backend a trainable runs in this process."""
    return redirect_stdout(sys.stderr)


def _promotion_values(outcome: api.PromotionOutcome) -> dict[str, object]:

    extra = {"trained": outcome.trained, "stopped": outcome.stopped, "results": [str(path) for path in outcome.results]}
    if outcome.costs is not None:
        extra |= {"limit": outcome.costs.limit, "spent": outcome.costs.spent.plain()}
    if outcome.report.external:
        extra["recognized"] = list(outcome.recognized)
        extra["left_out"] = [asdict(one) for one in outcome.left_out]
    return {**outcome.report.plain(), **extra}


def _show_promotion(outcome: api.PromotionOutcome) -> None:
    from hpo.promotion.shown import promotion_page

    print_text(promotion_page(outcome, given_command()))


def _stderr() -> Console:
    return Console(stderr=True)


def _fail(error: HpoError, exit_status: int) -> NoReturn:
    text = str(error) if isinstance(error, StudyInvalid) else f"error: {error}"
    sys.stderr.write(without(f"{text}\n", known_secrets(arguments=sys.argv[1:])))
    sys.exit(exit_status)
