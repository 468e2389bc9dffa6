"""The commands of `hpo data`: audit a study's data, compute embeddings of it, or write synthetic data."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from hpo.cli.command import HpoCommand, HpoGroup, StudyCommand
from hpo.cli.options import Folders, Json, StudyName, Written, study_names, with_options
from hpo.cli.output import print_json, print_text
from hpo.driver.options import AuditOptions, EmbedOptions, PhantomOptions

app = typer.Typer(
    cls=HpoGroup, no_args_is_help=True, help="Audit a study's data, compute embeddings of it, or write synthetic data."
)

REASONS = 10
"""Number of reasons shown, the most frequent first; the manifest lists all."""


@app.command(cls=StudyCommand)
@with_options
def audit(
    study: StudyName,
    options: AuditOptions,
    studies: Folders = None,
    *,
    config: Written,
    as_json: Json = False,
) -> None:
    """Read all data of the trainings: number of images per class, what is left out and why."""
    from rich.console import Console

    from hpo import api
    from hpo.cli.progress import Phases  # takes half a second to import, and --help does not need it

    with redirect_stdout(sys.stderr), Phases(Console(stderr=True)) as tell:
        named = api.load_study(study, studies, to_train=False)  # its own data may be the problem
        found = api.audit(named, config, replace(options, tell=tell))
    if as_json:
        print_json(dict(found))
    else:
        print_text(_text(found))


@app.command(cls=HpoCommand)
@with_options
def phantoms(
    out: Annotated[Path, typer.Option(help="An empty folder, or a new one.", show_default=False)],
    options: PhantomOptions,
    study: Annotated[
        str | None,
        typer.Option(
            "--study",
            "-s",
            help="Study whose trainable writes them; default: any.",
            autocompletion=study_names,
            show_default=False,
        ),
    ] = None,
    studies: Folders = None,
    as_json: Json = False,
) -> None:
    """Write synthetic images, so that the path from DICOM files to results can be tried by anyone."""
    from rich.console import Console

    from hpo import api
    from hpo.cli.progress import Phases  # takes half a second to import, and --help does not need it

    with redirect_stdout(sys.stderr), Phases(Console(stderr=True)) as tell:
        named = api.write_phantoms(out, options, study=study, folders=studies, tell=tell)
    if as_json:
        print_json({"data": str(named)})
    else:
        print_text(f'Written: {named}\nUse it in a study: [fixed] data = "{named}"')


@app.command(cls=StudyCommand)
@with_options
def embed(
    study: StudyName,
    out: Annotated[Path, typer.Option(help="An empty folder, or a new one.", show_default=False)],
    options: EmbedOptions,
    studies: Folders = None,
    *,
    config: Written,
    as_json: Json = False,
) -> None:
    """Compute a vector of each image with a frozen backbone, as further input of a study's trainings."""
    from rich.console import Console

    from hpo import api
    from hpo.cli.progress import Phases  # takes half a second to import, and --help does not need it

    with redirect_stdout(sys.stderr), Phases(Console(stderr=True)) as tell:
        named = api.load_study(study, studies, to_train=False)
        found = api.write_embeddings(named, config, out, replace(options, tell=tell))
    if as_json:
        print_json({"embeddings_dir": str(found)})
    else:
        print_text(f'Written: {found}\nUse it in a study: [fixed] embeddings_dir = "{found}"')


def _text(found: Mapping[str, Any]) -> str:
    counts = found.get("class_histogram", {})
    lines = [f"{found.get('images', '-')} images: {', '.join(f'{count} {name}' for name, count in counts.items())}"]
    for key, words in (
        ("total_csv_entries", "rows or files listed"),
        ("total_accessions", "examinations"),
        ("total_dicom_files", "DICOM files"),
        ("total_readable_files", "files read"),
    ):
        if key in found:
            lines.append(f"{found[key]:>8} {words}")
    for words, key in (("Left out", "left_out"), ("Read with a remark", "remarks")):
        if not (listed := found.get(key)):
            continue
        lines.append(f"{words}: {len(listed)}.")
        reasons = Counter(_kind(one["reason"]) for one in listed)
        for reason, count in reasons.most_common(REASONS):
            first = next(one for one in listed if _kind(one["reason"]) == reason)
            lines.append(f"{count:>8} {first['what']}: {first['reason']}" + (", ..." if count > 1 else ""))
    if unlisted := found.get("dirs_missing_csv"):
        lines.append(f"{len(unlisted):>8} folders of the archive that no row names: {', '.join(unlisted[:5])}")
    if digest := found.get("digest"):
        lines.append(f"Digest: {digest}")
    return "\n".join(lines)


def _kind(reason: str) -> str:
    """Returns a reason without the details of one row or file."""
    return " ".join(word for word in reason.split() if word.isalpha())
