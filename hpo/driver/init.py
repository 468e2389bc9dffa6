"""`init`: writes a new project that runs at once, as a starting point."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hpo.core.errors import OutputRefused, UsageError
from hpo.core.files import sync
from hpo.core.installed import install_line
from hpo.core.optional_torch import has_torch

STARTER = Path(__file__).parent / "starter"
"""The files to write; names that begin with a dot are stored without it, so that they do not act on this repository."""

DOT_FILES = ("gitignore",)

IGNORED_NAMES = (".git",)
"""Entries that a folder may contain and still count as empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InitOutcome:
    """The project that was written, or its study file alone.

    Attributes:
        folder: absolute path of the project.
        files: paths of the written files, relative to the folder, sorted.
        study: name of its study.
        remarks: sentences about what another tool's study does not say or hpo does otherwise, and about a missing
            package.
        importances: importance of each param in the old study that it is like; empty: unknown, or there is none.
    """

    folder: Path
    files: tuple[Path, ...]
    study: str
    remarks: tuple[str, ...] = ()
    importances: Mapping[str, float] = field(default_factory=dict)


def init(folder: Path) -> InitOutcome:
    """Writes a project: a study, its trainable and a test. If anything fails, nothing is left behind.

    Args:
        folder: an empty folder, or one that does not exist yet.

    Raises:
        UsageError: if it is not empty, or not a folder.
        OutputRefused: if it cannot be written.
    """
    folder = Path(os.path.abspath(folder))
    try:
        _require_empty(folder)
        with tempfile.TemporaryDirectory(prefix=".hpo-init-", dir=_existing_ancestor(folder)) as temporary:
            files = _copy(Path(temporary) / "project")
            _move_into_place(Path(temporary) / "project", folder)
    except OSError as error:
        raise OutputRefused(
            f"cannot write a project to {folder}: {error.strerror or error}; choose another folder"
        ) from error
    [study] = (path for path in files if path.suffix == ".toml")
    remarks = () if has_torch() else (f"its network needs torch, which is not installed: {install_line('torch')}",)
    return InitOutcome(folder=folder, files=files, study=study.stem, remarks=remarks)


def _require_empty(folder: Path) -> None:
    if folder.is_dir():
        found = sorted(name for name in os.listdir(folder) if name not in IGNORED_NAMES)
        if found:
            more = f" and {len(found) - 1} more" if len(found) > 1 else ""
            raise UsageError(
                f"expected an empty folder or a new one, but {folder} contains {found[0]!r}{more}; "
                "nothing was written. Choose another folder"
            )
    elif os.path.lexists(folder):
        raise UsageError(f"expected an empty folder or a new one, but {folder} is not a folder; choose another name")


def _existing_ancestor(folder: Path) -> Path:
    """Returns the nearest existing folder at or above a path; on the same disk, files can be moved without a copy."""
    while not folder.is_dir() and folder != folder.parent:
        folder = folder.parent
    return folder


def _copy(project: Path) -> tuple[Path, ...]:
    """Writes the files with default permissions, not those of the installed package."""
    written = []
    for path in sorted(STARTER.rglob("*")):
        if path.is_dir() or "__pycache__" in path.parts:  # installers compile every .py file
            continue
        file = path.relative_to(STARTER)
        file = file.with_name(f".{file.name}") if file.name in DOT_FILES else file
        (project / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, project / file)
        sync(project / file)
        written.append(file)
    return tuple(sorted(written))


def _move_into_place(project: Path, folder: Path) -> None:
    """Moves a project to its folder; an existing folder is kept, because a shell may be in it."""
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
