"""The requirements of this package, and whether they are installed."""

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
"""The name on a package index, where `hpo` is another project; the import name is `hpo`."""

DEVELOPMENT = ("bench", "dev", "docs")
"""Extras for the development of this package only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirements:
    """The requirements of this package.

    Attributes:
        python: allowed Python versions, e.g. `>=3.11`.
        packages: packages that are always required.
        extras: additional packages by extra.
        installed: whether this package is installed; if not, the requirements come from its pyproject.toml.
    """

    python: str
    packages: tuple[Requirement, ...]
    extras: Mapping[str, tuple[Requirement, ...]]
    installed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledPackage:
    """A required package and its installed version.

    Attributes:
        requirement: the requirement as declared.
        found: installed version, None if it is not installed.
    """

    requirement: Requirement
    found: str | None

    @property
    def fits(self) -> bool:
        """Whether it is installed in an allowed version; a local version such as 2.13.0+cpu counts as 2.13.0."""
        return self.found is not None and self.requirement.specifier.contains(self.found, prereleases=True)

    def __str__(self) -> str:
        if self.found is None:
            return f"{self.requirement.name} (not installed, wanted {self.requirement.specifier or 'any'})"
        return f"{self.requirement.name} {self.found}" + (
            "" if self.fits else f" (wanted {self.requirement.specifier})"
        )


def declared_requirements() -> Requirements | None:
    """Returns the requirements, None if there is neither an installed package nor a pyproject.toml beside it."""
    try:
        found = metadata(DISTRIBUTION)
    except PackageNotFoundError:
        return _from_project(Path(__file__).parents[2] / "pyproject.toml")
    wanted = [Requirement(one) for one in found.get_all("Requires-Dist", ())]
    extras = {
        extra: tuple(one for one in wanted if not _applies(one) and _applies(one, extra))
        for extra in found.get_all("Provides-Extra", ())
    }
    return Requirements(
        python=found["Requires-Python"],
        packages=tuple(filter(_applies, wanted)),
        extras=_useful(extras),
        installed=True,
    )


def install_line(extra: str) -> str:
    """Returns the command that adds an extra to this installation: `pip install 'hpo-robust[web]'`.

    An installation from a folder is installed from there again.
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
    """Returns the extra that installs a package of this name, the one of the same name first; None if there is none."""
    found = declared_requirements()
    extras = found.extras.items() if found else ()
    names = [extra for extra, wanted in extras if module in {one.name for one in wanted}]
    return module if module in names else next(iter(names), None)


def installed_packages(wanted: Iterable[Requirement]) -> list[InstalledPackage]:
    """Looks up the installed version of each requirement."""
    return [InstalledPackage(requirement=one, found=version_of(one.name)) for one in wanted]


def python_fits(wanted: str, found: str) -> bool:
    """Whether a Python version is allowed."""
    return SpecifierSet(wanted).contains(found, prereleases=True)


def _from_project(path: Path) -> Requirements | None:
    if not path.is_file():
        return None
    project = tomllib.loads(path.read_text(encoding="utf-8")).get("project", {})
    if project.get("name") != DISTRIBUTION:
        return None
    return Requirements(
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
    """Returns the version of an installed distribution, None if it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None
