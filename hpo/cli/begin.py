"""The commands for those who are new: init, doctor."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Annotated

import typer

from hpo.cli.options import Json
from hpo.cli.output import print_json, print_text


def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="An empty folder, or a new one.", show_default=False)],
    as_json: Json = False,
) -> None:
    """Write a project that runs at once: a study, its trainable on a small real task, and a test."""
    from hpo import api

    written = api.init(folder)
    commands = [f"hpo {verb} --study {written.study}" for verb in ("check", "run", "promote")]
    if as_json:
        files = [str(path) for path in written.files]
        print_json({"folder": str(written.folder), "files": files, "study": written.study, "next": commands})
        return
    there = os.path.relpath(written.folder)
    enter = [] if there == os.curdir else [f"cd {shlex.quote(there)}"]
    listed = ", ".join(str(path) for path in written.files)
    print_text("\n".join([f"Written to {written.folder}: {listed}", "Go on with:", *_indented([*enter, *commands])]))


def _indented(lines: list[str]) -> list[str]:
    return [f"  {line}" for line in lines]
