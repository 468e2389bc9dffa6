"""The commands that only read: rank, compare, show, trials, studies, check, status."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import Annotated, Literal

import typer

from hpo.analysis.options import DiagnoseOptions
from hpo.cli.options import (
    Folders,
    Json,
    Stored,
    StoredAndWritten,
    StoredName,
    StudyName,
    stored_name,
    study_names,
    with_options,
)
from hpo.cli.output import print_json, print_text
from hpo.core.errors import StudyInvalid, UsageError
from hpo.core.records import LAST_TRIAL
from hpo.promotion.options import AssetsOptions, RuleOptions


@with_options
def rank(
    study: StudyName,
    options: RuleOptions,
    studies: Folders = None,
    *,
    config: Stored,
    format_: Annotated[
        Literal["csv", "markdown", "latex"] | None,
        typer.Option("--format", help="Print a table for a file, a page or a paper instead.", show_default=False),
    ] = None,
    as_json: Json = False,
) -> None:
    """Rank the newest promotion's candidates again, under another rule, lambda or ddof; trains and writes nothing."""
    from hpo import api
    from hpo.results import table_text

    loaded = api.load_study(study, studies, to_train=False)
    report = api.rank_stored(loaded, config, options)
    if as_json:
        print_json(report.plain())
    elif format_ == "csv":
        sys.stdout.write(table_text(report.rows()))
    elif format_ is not None:
        sys.stdout.write(report.markdown() if format_ == "markdown" else report.latex())
    else:
        print_text(report.page())


@with_options
def assets(
    study: StudyName,
    options: AssetsOptions,
    config: StoredAndWritten,
    studies: Folders = None,
    as_json: Json = False,
) -> None:
    """Write what a report needs about the winner: pictures per seed, tables with mean ± sigma, a text for them."""
    from hpo import api
    from hpo.core.formatting import near

    loaded = api.load_study(study, studies, to_train=False)
    written = api.assets(loaded, config, options)
    if as_json:
        print_json([str(path) for path in written])
    else:
        print_text("\n".join(["Written:", *(f"  {near(path.absolute())}" for path in written)]))


@with_options
def diagnose(
    study: StudyName,
    options: DiagnoseOptions,
    *,
    config: StoredAndWritten,
    as_json: Json = False,
) -> None:
    """Find why a trial's replicates differ: where their curves diverge, their alerts, what usually helps."""
    from hpo import api

    name = stored_name(study)
    found = api.diagnose(name, config, options)
    if as_json:
        print_json(found.plain())
    else:
        print_text(found.page())


@with_options
def instability(
    study: StudyName,
    *,
    config: StoredAndWritten,
    as_json: Json = False,
) -> None:
    """Find which params are associated with a large sigma over seeds, and which with the value; trains nothing."""
    from hpo import api

    found = api.instability(stored_name(study), config)
    if as_json:
        print_json(found.plain())
    else:
        print_text(found.page())


@with_options
def compare(
    first: Annotated[str, typer.Argument(help="A trial, a folder of results, or a CSV of seed and value.")],
    second: Annotated[str, typer.Argument(help="Likewise.")],
    study: Annotated[
        str | None,
        typer.Option(
            "--study",
            "-s",
            help="Study of the trials.",
            autocompletion=study_names,
            show_default=False,
        ),
    ] = None,
    minimize: Annotated[bool, typer.Option("--minimize", help="Lower is better, if there is no study.")] = False,
    studies: Folders = None,
    *,
    config: Stored,
    as_json: Json = False,
) -> None:
    """Compare two configurations over their common seeds: P(A > B), and whether there are enough seeds to decide."""
    from hpo import api

    loaded = api.load_study(study, studies, to_train=False) if study else None
    found = api.compare(first, second, loaded, config, minimize=minimize)
    if as_json:
        print_json({**asdict(found), "verdict": found.verdict})
    else:
        print_text(found.page())


@with_options
def show(
    study: StudyName,
    trial: Annotated[int, typer.Argument(min=0, max=LAST_TRIAL, help="Number of the trial.", show_default=False)],
    studies: Folders = None,
    *,
    config: Stored,
    as_json: Json = False,
) -> None:
    """Show one trial: its params, its trainings under every seed, and why any failed."""
    from hpo import api
    from hpo.cli import tables

    loaded = api.load_study(study, studies, to_train=False)
    found, evaluations = api.show(loaded, trial, config)
    if as_json:
        print_json(tables.trial_values(found, evaluations))
    else:
        now = api.status(loaded.name, config)[0]
        if now.since:
            print_text(f"! The promotion of trial {now.promoted} is not the newest: {tables.describe_since(now)}.")
        print_text(tables.trial_text(found, evaluations, loaded.objective))


@with_options
def trials(
    study: StoredName,
    csv: Annotated[bool, typer.Option("--csv", help="Print the table as CSV, with exact params.")] = False,
    *,
    config: Stored,
    as_json: Json = False,
) -> None:
    """List all trials of a stored study: params, states, values, seconds, seeds."""
    from hpo import api
    from hpo.results import table_text

    if csv and as_json:
        raise UsageError("give --csv or --json, not both: the output has one format")
    found = api.trials(stored_name(study), config)
    if as_json:
        print_json(found.rows())
    elif csv:
        sys.stdout.write(table_text(found.rows()))
    else:
        print_text(found.page())


def studies(
    studies: Folders = None,
    schema: Annotated[
        bool, typer.Option("--schema", help="Print the JSON schema of study files, for editors.")
    ] = False,
    as_json: Json = False,
) -> None:
    """List the study files that can be found."""
    from hpo import api
    from hpo.cli import tables

    if schema:
        print_json(api.json_schema())
        return
    found = api.studies(studies)
    if as_json:
        print_json([tables.study_values(one) for one in found])
    elif found:
        print_text(tables.studies_table(found))
    else:
        print_text("No study files found. Put them in ./studies, or name their folder with --studies or HPO_STUDIES.")


def check(study: StudyName, studies: Folders = None, as_json: Json = False) -> None:
    """Check a study file against its trainable and list all problems; trains and writes nothing."""
    from hpo import api
    from hpo.cli import tables
    from hpo.core.formatting import near

    found = api.check(study, studies)
    if as_json:
        print_json(tables.study_values(found))
    elif found.study is not None:
        for note in api.notes(found.study):
            print_text(f"note: {note.key}  {note.message}")
        print_text(f"{found.study.name}: no problems. Search it with: hpo run --study {found.study.name}")
    if found.problems:
        if as_json:
            raise typer.Exit(2)
        raise StudyInvalid(near(found.path), found.problems)


@with_options
def status(
    study: Annotated[
        str | None,
        typer.Option(
            "--study",
            "-s",
            help="Name of a stored study; default: all.",
            autocompletion=study_names,
            show_default=False,
        ),
    ] = None,
    *,
    config: Stored,
    as_json: Json = False,
) -> None:
    """Show the status of stored studies: trials by state, incumbent, winner, driver."""
    from hpo import api
    from hpo.cli import tables

    found = api.status(study, config)
    if as_json:
        print_json([one.plain() for one in found])
    elif found:
        print_text(tables.progress_table(found))
    else:
        print_text("No studies in this storage yet. Start with: hpo run --study NAME")
