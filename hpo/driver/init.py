"""`init`: a project of one's own that runs at once, to be changed bit by bit."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from hpo.core.errors import OutputRefused, UsageError
from hpo.core.files import sync

STARTER = Path(__file__).parent / "starter"
"""The files as they are written, but for names that begin with a dot: those would act on this repository too."""

DOTTED = ("gitignore",)

BORNE = (".git",)
"""What a folder may have in it and still count as empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InitOutcome:
    """A project that was written.

    Attributes:
        folder: of the project.
        files: written there, relative to it, sorted.
        study: name of the new study.
    """

    folder: Path
    files: tuple[Path, ...]
    study: str


def init(folder: Path) -> InitOutcome:
    """Writes a project: a study, its trainable and a test. It is there whole, or nothing is.

    Args:
        folder: an empty one, or a new one.

    Raises:
        UsageError: if it has something in it, or is none.
        OutputRefused: if it cannot be written.
    """
    folder = Path(os.path.abspath(folder))
    try:
        _refuse_taken(folder)
        with tempfile.TemporaryDirectory(prefix=".hpo-init-", dir=_nearest(folder)) as spare:
            files = _copy(Path(spare) / "project")
            _put(Path(spare) / "project", folder)
    except OSError as error:
        raise OutputRefused(
            f"cannot write a project to {folder}: {error.strerror or error}; choose another folder"
        ) from error
    [study] = (path for path in files if path.suffix == ".toml")
    return InitOutcome(folder=folder, files=files, study=study.stem)


def _refuse_taken(folder: Path) -> None:
    if folder.is_dir():
        found = sorted(name for name in os.listdir(folder) if name not in BORNE)
        if found:
            more = f" and {len(found) - 1} more" if len(found) > 1 else ""
            raise UsageError(
                f"expected an empty folder or a new one, but {folder} has {found[0]!r}{more} in it; "
                "nothing was written. Choose another folder"
            )
    elif os.path.lexists(folder):
        raise UsageError(f"expected an empty folder or a new one, but {folder} is none; choose another name")


def _nearest(folder: Path) -> Path:
    """Returns the folder itself, or the nearest one above that there is: on its disk files are moved and not copied."""
    while not folder.is_dir() and folder != folder.parent:
        folder = folder.parent
    return folder


def _copy(project: Path) -> tuple[Path, ...]:
    """Writes the files with the permissions of new ones, whatever those of the installed package are."""
    written = []
    for path in sorted(STARTER.rglob("*")):
        if path.is_dir() or "__pycache__" in path.parts:  # installers compile whatever ends with .py
            continue
        file = path.relative_to(STARTER)
        file = file.with_name(f".{file.name}") if file.name in DOTTED else file
        (project / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, project / file)
        sync(project / file)
        written.append(file)
    return tuple(sorted(written))


def _put(project: Path, folder: Path) -> None:
    """Gives a project its place; a folder that is there stays the one that people's shells are in."""
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        project.rename(folder)
        return
    done: list[Path] = []
    try:
        for path in sorted(project.iterdir()):
            path.rename(folder / path.name)
            done.append(path)
    except OSError:
        for path in done:
            (folder / path.name).rename(path)
        raise
