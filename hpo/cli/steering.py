"""The commands that control a study from another terminal or on a cluster: submit, logs, pause, resume, stop."""

from __future__ import annotations

import sys
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated

import typer

from hpo.cli.options import Folders, Json, Stored, StoredAndWork, StoredName, StudyName, stored_name, with_options
from hpo.cli.output import print_json, print_text
from hpo.driver.options import LogsOptions, StopOptions, SubmitOptions

if TYPE_CHECKING:
    from hpo import api


@with_options
def submit(
    study: StudyName,
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="[OPTIONS OF HPO RUN]...", help="See hpo run --help.")
    ] = None,
    studies: Folders = None,
    *,
    options: SubmitOptions,
    config: Stored,
    as_json: Json = False,
) -> None:
    """Let a Ray cluster drive a study: runs hpo run there, with the same options, e.g. --promote."""
    from hpo import api
    from hpo.cli.main import check_command_line

    check_command_line("run", ["--study", study, *(arguments or [])])
    found = api.submit(study, config, replace(options, arguments=arguments or (), folders=studies))
    if as_json:
        print_json(asdict(found))
    else:
        print_text(
            f"{found.study} was submitted as job {found.job}.\nWatch it with: hpo logs --study {found.study} --follow"
        )


@with_options
def logs(
    study: StoredName,
    *,
    options: LogsOptions,
    config: StoredAndWork,
) -> None:
    """Print the logs of a trial's trainings (--trial 4), or the output of a submitted study's newest job."""
    from hpo import api

    for piece in api.logs(stored_name(study), config, options):
        sys.stdout.write(piece)
        sys.stdout.flush()


@with_options
def pause(study: StoredName, config: Stored, as_json: Json = False) -> None:
    """Pause a study: no new training starts until it is resumed; running ones finish, and its driver waits."""
    from hpo import api

    found = api.pause(study, config)
    already = "" if found.changed else "already "
    driver = (
        f"Running trainings finish; the driver ({found.driver}) waits."
        if found.driver
        else "No driver is running, and hpo run is refused."
    )
    _show(found, f"{study} is {already}paused. {driver}\nResume it with: hpo resume --study {study}", as_json)


@with_options
def resume(study: StoredName, config: Stored, as_json: Json = False) -> None:
    """Resume a paused study: at once if its driver waits, else with the next hpo run."""
    from hpo import api

    found = api.resume(study, config)
    state = f"{study} is no longer paused." if found.changed else f"{study} is not paused."
    driver = f"Its driver continues: {found.driver}." if found.driver else f"Continue with: hpo run --study {study}"
    _show(found, f"{state} {driver}", as_json)


@with_options
def stop(
    study: StoredName,
    *,
    options: StopOptions,
    config: Stored,
    as_json: Json = False,
) -> None:
    """Stop a study's driver, wherever it runs: running trainings finish their epoch and are checkpointed."""
    from hpo import api

    found = api.stop(study, config, options)
    _show(found, _stopped(found), as_json)


def _stopped(found: api.ControlOutcome) -> str:
    goes_on = f"hpo {'resume' if found.paused else 'run'} --study {found.study}"
    if found.driver is None:
        state = f"{found.study} is stopped." if found.changed else f"{found.study} has no running driver."
        return f"{state} Continue with: {goes_on}"
    asked = "was asked" if found.changed else "was already asked"
    return (
        f"The driver of {found.study} ({found.driver}) {asked} to stop: running trainings finish their epoch and are "
        f"checkpointed.\nWatch it with: hpo status --study {found.study}"
    )


def _show(found: api.ControlOutcome, text: str, as_json: bool) -> None:
    if as_json:
        print_json(asdict(found))
    else:
        print_text(text)
