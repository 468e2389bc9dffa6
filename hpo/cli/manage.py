"""The commands for whole studies: delete, rename, copy."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from hpo.cli.options import Json, Stored, StoredAndWork, with_options
from hpo.cli.output import print_json, print_text
from hpo.cli.steering import StoredName
from hpo.driver.options import DeleteOptions

if TYPE_CHECKING:
    from hpo import api

NewName = Annotated[str, typer.Option("--to", help="New name, which no study has yet.", show_default=False)]


@with_options
def delete(
    study: StoredName,
    options: DeleteOptions,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    *,
    config: StoredAndWork,
    as_json: Json = False,
) -> None:
    """Delete a study from the database: its trials, records and promotions; files are kept unless asked for."""
    from hpo import api

    if not yes:
        found = api.summarize_study(study, config)
        lost = f"{_counted(found.trials, 'trial')} and {_counted(found.evaluations, 'recorded training')}"
        typer.confirm(f"Delete study {study} with {lost} for good?", abort=True, err=True)
    _show(api.delete(study, config, options), as_json, "deleted")


@with_options
def rename(
    study: StoredName,
    to: NewName,
    *,
    config: StoredAndWork,
    as_json: Json = False,
) -> None:
    """Rename a stored study and its folder of results; edit the study file yourself."""
    from hpo import api

    found = api.rename(study, to, config)
    _show(found, as_json, f"the new name of {study}; change its study file too: name = {found.study!r}")


@with_options
def copy(
    study: StoredName,
    to: NewName,
    *,
    config: Stored,
    as_json: Json = False,
) -> None:
    """Copy a study's trials and recorded trainings to a new study; promotions and results are not copied."""
    from hpo import api

    found = api.copy(study, to, config)
    _show(found, as_json, f"a copy of {study}; to continue it, write a study file with that name")


def _show(found: api.StudySummary, as_json: bool, what: str) -> None:
    if as_json:
        print_json(asdict(found))
        return
    counts = f"{_counted(found.trials, 'trial')}, {_counted(found.evaluations, 'recorded training')}"
    moved = "".join(f"\n  {folder}" for folder in found.folders)
    print_text(f"{found.study} is {what}: {counts}." + (f"\nWith it:{moved}" if moved else ""))


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
