"""The commands that steer a study from another terminal, or a cluster: submit, logs, pause, resume, stop."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from hpo.cli.options import Folders, JobsAddress, Json, Stored, StudyName, with_options
from hpo.cli.output import print_json, print_text
from hpo.core.run_config import JOBS_ADDRESS

if TYPE_CHECKING:
    from hpo import api

StoredName = Annotated[str, typer.Option("--study", "-s", help="Name of a stored study.", show_default=False)]


@with_options
def submit(
    study: StudyName,
    options: Annotated[
        list[str] | None, typer.Argument(metavar="[OPTIONS OF HPO RUN]...", help="See hpo run --help.")
    ] = None,
    studies: Folders = None,
    jobs_address: JobsAddress = JOBS_ADDRESS,
    *,
    config: Stored,
    as_json: Json = False,
) -> None:
    """Let a Ray cluster drive a study: hpo run there, with the same options, e.g. --promote."""
    from hpo import api
    from hpo.cli.main import refuse_options

    said = options or []
    refuse_options("run", ["--study", study, *said])
    found = api.submit(study, config, said, folders=studies, jobs_address=jobs_address)
    if as_json:
        print_json(asdict(found))
    else:
        print_text(
            f"{found.study} is submitted as job {found.job}.\nWatch it with: hpo logs --study {found.study} --follow"
        )


@with_options
def logs(
    study: StoredName,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the job ends.")] = False,
    jobs_address: JobsAddress = JOBS_ADDRESS,
    *,
    config: Stored,
) -> None:
    """Print what a submitted study's newest job has printed."""
    from hpo import api

    for piece in api.logs(study, config, follow=follow, jobs_address=jobs_address):
        sys.stdout.write(piece)
        sys.stdout.flush()


@with_options
def pause(study: StoredName, config: Stored, as_json: Json = False) -> None:
    """Let nothing new begin in a study until it is resumed; what runs goes to its end, and its driver waits."""
    from hpo import api

    found = api.pause(study, config)
    already = "" if found.changed else " already"
    driver = (
        f"What runs goes to its end; the driver ({found.driver}) waits."
        if found.driver
        else "Nobody drives it, and hpo run is refused."
    )
    _show(found, f"{study} is paused{already}. {driver}\nLet it go on with: hpo resume --study {study}", as_json)


@with_options
def resume(study: StoredName, config: Stored, as_json: Json = False) -> None:
    """Let a paused study go on: at once if its driver waits, else with the next hpo run."""
    from hpo import api

    found = api.resume(study, config)
    said = f"{study} is no longer paused." if found.changed else f"{study} is not paused."
    driver = f"Its driver goes on: {found.driver}." if found.driver else f"Go on with: hpo run --study {study}"
    _show(found, f"{said} {driver}", as_json)


@with_options
def stop(
    study: StoredName,
    now: Annotated[
        bool, typer.Option("--now", help="End it at once, after 3 s by force; the epochs in flight are lost.")
    ] = False,
    jobs_address: JobsAddress = JOBS_ADDRESS,
    *,
    config: Stored,
    as_json: Json = False,
) -> None:
    """End a study's driver, wherever it runs: nothing new begins, what runs ends its epoch and is checkpointed."""
    from hpo import api

    found = api.stop(study, config, now=now, jobs_address=jobs_address)
    _show(found, _stopped(found), as_json)


def _stopped(found: api.ControlOutcome) -> str:
    goes_on = f"hpo {'resume' if found.paused else 'run'} --study {found.study}"
    if found.driver is None:
        said = f"{found.study} is stopped." if found.changed else f"Nobody drives {found.study}."
        return f"{said} Go on with: {goes_on}"
    asked = "is asked" if found.changed else "has been asked already"
    return (
        f"The driver of {found.study} ({found.driver}) {asked} to stop: what runs ends its epoch and is checkpointed.\n"
        f"Watch it with: hpo status --study {found.study}"
    )


def _show(found: api.ControlOutcome, text: str, as_json: bool) -> None:
    if as_json:
        print_json(asdict(found))
    else:
        print_text(text)
