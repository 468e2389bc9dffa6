"""The commands for whole studies: delete, rename, copy, clean."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from hpo.cli.options import Json, Stored, StoredAndWork, StoredName, study_names, with_options
from hpo.cli.output import print_json, print_text
from hpo.core.formatting import counted, near, size
from hpo.driver.options import CleanOptions, DeleteOptions

if TYPE_CHECKING:
    from hpo import api

SHOWN = 10
"""Maximum leftovers that are listed by name."""

StoredNameOrAll = Annotated[
    str | None,
    typer.Option(
        "--study",
        "-s",
        help="Name of a stored study; default: all.",
        autocompletion=study_names,
        show_default=False,
    ),
]
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
        lost = f"{counted(found.trials, 'trial')} and {counted(found.evaluations, 'recorded training')}"
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


@with_options
def clean(
    study: StoredNameOrAll = None,
    *,
    options: CleanOptions,
    config: StoredAndWork,
    as_json: Json = False,
) -> None:
    """Remove the folders of kept trials, and what killed commands left; never results_N or records."""
    from hpo import api

    found = api.clean(study, config, options)
    if as_json:
        print_json([{**asdict(one), "bytes": one.size} for one in found])
        return
    print_text("\n".join(_cleaned(one, "would remove" if options.dry_run else "removed") for one in found))


def _cleaned(one: api.CleanedStudy, verb: str) -> str:
    if one.busy:
        return f"{one.study}: left as it is: {one.busy}"
    parts = []
    if one.trials:
        parts.append(f"{counted(len(one.trials), 'kept trial')} ({size(one.trials_bytes)})")
    if one.trainings:
        of = counted(one.trainings, "training")
        parts.append(f"the files of {of} of the search in the work folder ({size(one.trainings_bytes)})")
    if one.leftovers:
        parts.append(f"{counted(len(one.leftovers), 'leftover')} of killed commands ({size(one.leftovers_bytes)})")
    if not parts:
        return f"{one.study}: nothing to remove"
    more = [f"  and {len(one.leftovers) - SHOWN} more"] if len(one.leftovers) > SHOWN else []
    paths = [f"  {near(path)}" for path in one.leftovers[:SHOWN]] + more
    return "\n".join([f"{one.study}: {verb} {', '.join(parts)}: {size(one.size)} in all", *paths])


def _show(found: api.StudySummary, as_json: bool, what: str) -> None:
    if as_json:
        print_json(asdict(found))
        return
    counts = f"{counted(found.trials, 'trial')}, {counted(found.evaluations, 'recorded training')}"
    moved = "".join(f"\n  {folder}" for folder in found.folders)
    print_text(f"{found.study} is {what}: {counts}." + (f"\nWith it:{moved}" if moved else ""))
