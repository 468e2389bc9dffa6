"""The commands to get started: init, doctor."""

from __future__ import annotations

import os
import shlex
import sys
from contextlib import redirect_stdout
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from hpo.cli.options import Config, Folders, Json, Stored, study_names, with_options
from hpo.cli.output import print_json, print_text
from hpo.core.errors import HpoError, UsageError


@with_options
def init(
    folder: Annotated[
        Path | None,
        typer.Argument(
            metavar="[DIR]",
            help="An empty folder, or a new one; with --from-... or --like, the project's folder (.).",
            show_default=False,
        ),
    ] = None,
    from_optuna: Annotated[
        str | None,
        typer.Option(
            "--from-optuna",
            metavar="MODULE:FUNCTION",
            help="Write the study of an Optuna objective, by calling it with random values until its first report.",
            show_default=False,
        ),
    ] = None,
    from_ray: Annotated[
        str | None,
        typer.Option(
            "--from-ray",
            metavar="MODULE:NAME",
            help="Write the study of a Ray Tune function, or of a search space, with the other one in its module.",
            show_default=False,
        ),
    ] = None,
    from_wandb: Annotated[
        Path | None,
        typer.Option("--from-wandb", metavar="FILE", help="Write the study of a W&B sweep file.", show_default=False),
    ] = None,
    like: Annotated[
        str | None,
        typer.Option(
            "--like",
            metavar="STUDY",
            help="Write a study with the space and objective of a stored one, which it starts from.",
            show_default=False,
        ),
    ] = None,
    study: Annotated[
        str | None,
        typer.Option("--study", "-s", help="With --from-... or --like: the study's name.", show_default=False),
    ] = None,
    *,
    config: Stored,
    as_json: Json = False,
) -> None:
    """Write a project that runs at once: a study, its trainable on a small real task, and a test.

    With --from-..., write the study of what another tool has into a project's studies folder; with --like, one that
    starts from a stored study.
    """
    from hpo import api

    sources = {"from-optuna": from_optuna, "from-ray": from_ray, "from-wandb": from_wandb, "like": like}
    given = [name for name, value in sources.items() if value is not None]
    if len(given) > 1:
        raise UsageError(f"--{given[0]} and --{given[1]} exclude each other; give one of them")
    if not given and (folder is None or study is not None):
        raise UsageError(
            "--study belongs to --from-... or --like" if folder else "name the folder of the new project: hpo init DIR"
        )
    if from_optuna is not None:
        written = api.init_from_optuna(from_optuna, folder or Path(), study)
    elif from_ray is not None:
        written = api.init_from_ray(from_ray, folder or Path(), study)
    elif from_wandb is not None:
        written = api.init_from_wandb(from_wandb, folder or Path(), study)
    elif like is not None:
        written = api.init_like(like, folder or Path(), study, config)
    else:
        written = api.init(folder or Path())
    commands = [f"hpo {verb} --study {written.study}" for verb in ("check", "run", "promote")]
    if as_json:
        files, remarks = [str(path) for path in written.files], list(written.remarks)
        said = {"folder": str(written.folder), "files": files, "study": written.study, "next": commands}
        importances = {"importances": dict(written.importances)} if written.importances else {}
        print_json(said | ({"remarks": remarks} if remarks else {}) | importances)
        return
    there = os.path.relpath(written.folder)
    enter = [] if there == os.curdir else [f"cd {shlex.quote(there)}"]
    listed = ", ".join(str(path) for path in written.files)
    lines = [f"Written to {written.folder}: {listed}", *(f"- {remark}" for remark in written.remarks)]
    print_text("\n".join([*lines, "Continue with:", *_indented([*enter, *commands])]))


@with_options
def doctor(
    study: Annotated[
        str | None,
        typer.Option(
            "--study",
            "-s",
            help="Check this study too, and the resources that it asks for.",
            autocompletion=study_names,
            show_default=False,
        ),
    ] = None,
    *,
    config: Config,
    studies: Folders = None,
    as_json: Json = False,
) -> None:
    """Check packages, graphics card, Ray, storage and disks. Exit status 1 if anything essential is missing."""
    try:
        from hpo import api
    except ImportError as error:
        raise HpoError(_unimportable(error)) from error
    with Console(stderr=True).status("") as shown, redirect_stdout(sys.stderr):  # a trainable may print
        found = api.doctor(study, config, folders=studies, tell=lambda what: shown.update(f"Checking {what}"))
    fatal = [one.what for one in found if one.is_fatal]
    if as_json:
        print_json({"sound": not fatal, "findings": [asdict(one) for one in found]})
    else:
        wide = max(len(one.what) for one in found)
        for one in found:
            print_text(f"{one.state:<9}  {one.what:<{wide}}  {one.found}")
            if one.advice:
                print_text(f"{'':<9}  {'':<{wide}}  -> {one.advice}")
        print_text(f"Missing and essential: {', '.join(fatal)}." if fatal else _sound(study))
    raise typer.Exit(1 if fatal else 0)


def _unimportable(error: ImportError) -> str:
    """Returns what is wrong with the packages if hpo cannot even be imported."""
    from hpo.core.installed import declared_requirements, installed_packages

    wanted = declared_requirements()
    wrong = [str(one) for one in installed_packages(wanted.packages) if not one.fits] if wanted else []
    found = f" Missing or of another version: {', '.join(wrong)}." if wrong else ""
    return f"hpo cannot be started: {error}.{found} Install it again with pip"


def _sound(study: str | None) -> str:
    return f"Nothing essential is missing. Continue with: hpo run --study {shlex.quote(study or 'NAME')}"


def _indented(lines: list[str]) -> list[str]:
    return [f"  {line}" for line in lines]
