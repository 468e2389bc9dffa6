"""The page on installing: extras, ranges and tested versions are those of the project's files."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "install.md").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = {name: [Requirement(one) for one in lines] for name, lines in PROJECT["optional-dependencies"].items()}
CORE = [Requirement(one) for one in PROJECT["dependencies"]]


def pins(path):
    found = re.findall(r"^([\w.-]+)==(\S+)", (ROOT / path).read_text(), re.MULTILINE)
    return {name.lower(): version for name, version in found}


def rows(head):
    """Returns the cells of a table of the page."""
    table = PAGE.partition(f"{head}\n")[2].partition("\n\n")[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[1:]]


def lower_bound(requirement):
    [found] = [one.version for one in requirement.specifier if one.operator in (">=", "==")]
    return Version(found)


def test_lower_bounds_are_the_tested_ones():
    oldest = pins(".ci/oldest.txt")
    assert {*oldest} == {one.name.lower() for one in CORE} | {"torch"}
    for one in [*CORE, *EXTRAS["torch"]]:
        assert lower_bound(one) == Version(oldest[one.name.lower()]), one


def test_ranges_have_the_newest_tested_ones():
    newest = pins("constraints.txt")
    for one in [*CORE, *EXTRAS["torch"]]:
        assert one.specifier.contains(newest[one.name.lower()]), one


def test_the_page_lists_the_versions():
    oldest, newest = pins(".ci/oldest.txt"), pins("constraints.txt")
    listed = {name.lower(): versions for name, *versions in rows("| package | oldest | newest |")}
    assert listed == {name: [oldest[name], newest[name]] for name in oldest}


def test_the_page_lists_the_extras():
    listed = {name: torch for names, _, torch in rows("| extra | adds | needs torch |") for name in names.split(", ")}
    needed = {
        f"`{name}`": "yes" if any(one.name == "torch" for one in wanted) else "no" for name, wanted in EXTRAS.items()
    }
    assert listed == {name: needed[name] for name in needed if name not in ("`bench`", "`dev`", "`docs`")}


def test_pins_are_in_one_file():
    assert [one.name for one in CORE if any(each.operator == "==" for each in one.specifier)] == []


def test_the_core_has_no_torch():
    assert "torch" not in {one.name for one in CORE}


@pytest.mark.parametrize("line", re.findall(r"^(?:uv )?(?:pip install|uv add|add) .*$", PAGE, re.MULTILINE))
def test_lines_name_extras_that_exist(line):
    assert "hpo-robust" in line
    for extras in re.findall(r"hpo-robust\[([a-z,]+)\]", line):
        assert {*extras.split(",")} <= {*EXTRAS}
