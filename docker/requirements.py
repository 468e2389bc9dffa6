"""Prints what hpo requires, by pyproject.toml: an image installs it before the sources, and one leaves some out."""

from __future__ import annotations

import argparse
import re
import tomllib
from pathlib import Path


def requirements(project: Path, extras: list[str], without: list[str]) -> list[str]:
    """Returns the dependencies with those of some extras, less some packages.

    Args:
        project: a pyproject.toml.
        extras: names of its optional dependencies.
        without: names of packages to leave out.

    Raises:
        SystemExit: if there is no such extra, or nothing of that name to leave out.
    """
    table = tomllib.loads(project.read_text())["project"]
    known = table["optional-dependencies"]
    if unknown := sorted(set(extras) - set(known)):
        raise SystemExit(f"error: no extra {', '.join(unknown)} in {project}; there are {', '.join(sorted(known))}")
    wanted = [*table["dependencies"], *(one for extra in extras for one in known[extra])]
    names = [re.split(r"[^\w.-]", one, maxsplit=1)[0].lower() for one in wanted]
    if unknown := sorted(set(without) - set(names)):
        raise SystemExit(f"error: {', '.join(unknown)} is no dependency in {project}")
    return [one for name, one in zip(names, wanted, strict=True) if name not in without]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--project", type=Path, default=Path("pyproject.toml"))
    parser.add_argument("--extra", action="append", default=[])
    parser.add_argument("--without", action="append", default=[])
    options = parser.parse_args()
    print("\n".join(requirements(options.project, options.extra, options.without)))
