"""Finds study files in folders and installed packages, without reading them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path

from hpo.core.arguments import require_type
from hpo.core.errors import StudyNotFound, did_you_mean

FOLDER = Path("studies")
"""The default folder of study files."""

GROUP = "hpo.studies"
"""Entry points of this group name packages that contain study files."""


def find(name: str, folders: Iterable[Path] | None = None) -> Path:
    """Returns the file of a study: `name` itself if it is a path to a .toml, otherwise `name`.toml in the folders or
    packages.

    Args:
        name: name of the study, or path of its file.
        folders: folders to search; None: `HPO_STUDIES` (separated as in PATH), or ./studies.

    Raises:
        StudyNotFound: if there is none; the message lists the known studies.
    """
    require_type("study", name, (str, Path), "the name of a study, or the path of its file")
    name = str(name)
    if name.endswith(".toml") and os.path.isfile(name):
        return _whole(name)
    files = {path.stem: path for path in reversed(list(listed(folders)))}  # the first folder wins
    if name in files:
        return files[name]
    where = " or ".join(shown(folder) for folder in _folders(folders))
    found = (
        f"Found: {', '.join(sorted(files))}." if files else "There are no .toml files; name a folder with --studies."
    )
    missing = f"no study file {name!r}, and none of that name" if name.endswith(".toml") else f"no study named {name!r}"
    raise StudyNotFound(f"{missing} in {where}. {found}{did_you_mean(Path(name.removesuffix('.toml')).name, files)}")


def listed(folders: Iterable[Path] | None = None, *, installed: bool = True) -> Iterator[Path]:
    """Yields the study files of all folders, sorted by name within each.

    Args:
        folders: folders to search; None: `HPO_STUDIES`, or ./studies.
        installed: whether installed packages are searched too, which imports them.
    """
    for folder in [*_folders(folders), *(_installed() if installed else ())]:
        if os.path.isdir(folder):  # unlike Path.is_dir, False for a folder without permission
            files = (path for path in folder.glob("*.toml") if not path.name.startswith(".") and os.path.isfile(path))
            yield from sorted(map(_whole, files))


def _folders(folders: Iterable[Path] | None) -> list[Path]:
    if folders is not None:
        return [Path(folder) for folder in folders]
    named = os.environ.get("HPO_STUDIES", "")
    return [Path(folder) for folder in named.split(os.pathsep) if folder] or [FOLDER]


def _installed() -> Iterator[Path]:
    for entry in entry_points(group=GROUP):
        yield from map(Path, import_module(entry.value).__path__)


def _whole(path: str | Path) -> Path:
    """Returns an absolute path without `..`, so that a project's path is the same from everywhere."""
    return Path(os.path.abspath(path))


def shown(path: Path) -> str:
    """Returns a path as the user would type it."""
    path = path.absolute()
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
