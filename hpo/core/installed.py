"""What this package says it needs, and what of it is installed."""

from __future__ import annotations

import json
import shlex
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution, metadata, version
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

DISTRIBUTION = "hpo-robust"
"""Of this distribution on a package index, where the name `hpo` is another project's; what is imported is `hpo`."""

DEVELOPMENT = ("bench", "dev")
"""Extras that are of no use but to those who change this package."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """What is needed.

    Attributes:
        python: versions of Python, `>=3.11`.
        packages: packages that are always needed.
        extras: what each extra adds.
        installed: whether the package was installed; else all this is read from the pyproject.toml beside it.
    """

    python: str
    packages: tuple[Requirement, ...]
    extras: Mapping[str, tuple[Requirement, ...]]
    installed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A package and whether it will do.

    Attributes:
        requirement: as it was declared.
        found: its version, None if it is not installed.
    """

    requirement: Requirement
    found: str | None

    @property
    def fits(self) -> bool:
        """Whether it is installed and in its range; a version for one kind of machine, 2.13.0+cpu, counts as 2.13.0."""
        return self.found is not None and self.requirement.specifier.contains(self.found, prereleases=True)

    def __str__(self) -> str:
        if self.found is None:
            return f"{self.requirement.name} (not installed, wanted {self.requirement.specifier or 'any'})"
        return f"{self.requirement.name} {self.found}" + (
            "" if self.fits else f" (wanted {self.requirement.specifier})"
        )


def declared() -> Declared | None:
    """Returns what is declared, None where neither the installed package says it nor a pyproject.toml beside it."""
    try:
        found = metadata(DISTRIBUTION)
    except PackageNotFoundError:
        return _from_project(Path(__file__).parents[2] / "pyproject.toml")
    wanted = [Requirement(one) for one in found.get_all("Requires-Dist", ())]
    extras = {
        extra: tuple(one for one in wanted if not _applies(one) and _applies(one, extra))
        for extra in found.get_all("Provides-Extra", ())
    }
    return Declared(
        python=found["Requires-Python"],
        packages=tuple(filter(_applies, wanted)),
        extras=_useful(extras),
        installed=True,
    )


def install_line(extra: str) -> str:
    """Returns the command that adds an extra to the installation that is running: `pip install 'hpo-robust[web]'`.

    One that was installed from a folder is installed from there again.
    """
    try:
        origin = json.loads(distribution(DISTRIBUTION).read_text("direct_url.json") or "{}")
    except PackageNotFoundError:
        origin = {"url": Path(__file__).parents[2].as_uri(), "dir_info": {"editable": True}}
    if not isinstance(origin.get("dir_info"), dict):
        return f"pip install '{DISTRIBUTION}[{extra}]'"
    folder = url2pathname(urlsplit(str(origin.get("url"))).path)
    editable = "--editable " if origin["dir_info"].get("editable") else ""
    return f"pip install {editable}{shlex.quote(f'{folder}[{extra}]')}"


def extra_with(module: str) -> str | None:
    """Returns the extra that installs a package of this name, None where none does."""
    found = declared()
    extras = found.extras.items() if found else ()
    return next((extra for extra, wanted in extras if module in {one.name for one in wanted}), None)


def judged(wanted: Iterable[Requirement]) -> list[Judged]:
    """Looks up the version of each."""
    return [Judged(requirement=one, found=version_of(one.name)) for one in wanted]


def python_fits(wanted: str, found: str) -> bool:
    """Whether a version of Python is among those wanted."""
    return SpecifierSet(wanted).contains(found, prereleases=True)


def _from_project(path: Path) -> Declared | None:
    if not path.is_file():
        return None
    project = tomllib.loads(path.read_text(encoding="utf-8")).get("project", {})
    if project.get("name") != DISTRIBUTION:
        return None
    return Declared(
        python=project["requires-python"],
        packages=_parsed(project["dependencies"]),
        extras=_useful({name: _parsed(lines) for name, lines in project["optional-dependencies"].items()}),
        installed=False,
    )


def _parsed(lines: Iterable[str]) -> tuple[Requirement, ...]:
    return tuple(filter(_applies, map(Requirement, lines)))


def _useful(extras: Mapping[str, tuple[Requirement, ...]]) -> dict[str, tuple[Requirement, ...]]:
    return {name: extras[name] for name in sorted(extras) if name not in DEVELOPMENT}


def _applies(requirement: Requirement, extra: str = "") -> bool:
    return requirement.marker is None or requirement.marker.evaluate({"extra": extra})


def version_of(name: str) -> str | None:
    """Returns the version of an installed distribution, None where it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None
