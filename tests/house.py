"""Figures of the code's shape, and limits for them: `python -m tests.house` prints them and fails above a limit.

It counts lines of modules, parameters of functions, public names of classes, and descriptions of arguments and
attributes that have fewer than three words. Only `hpo` and `models` are looked at, migrations excepted.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]

LIMITS = {"lines": 420, "parameters": 12, "public names": 32, "terse descriptions": 0}
"""The largest that is allowed: of one module, one function, one class, and of all together."""

SECTION = re.compile(r"^(Args|Attributes|Returns|Raises|Yields|Example|Examples|Note):$")
ENTRY = re.compile(r"^ {4}(\w+): (.*)$")


@dataclass(frozen=True, slots=True, order=True)
class Measured:
    """One figure.

    Attributes:
        size: the figure itself, in what the list it stands in counts.
        where: the module, with a name in it where the figure belongs to a function or a class.
    """

    size: int
    where: str


def modules() -> Iterator[tuple[str, ast.Module, int]]:
    """Yields each module's path below the root, its syntax tree, and how many lines it has."""
    for folder in ("hpo", "models"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            if "migrations" not in path.parts:
                text = path.read_text(encoding="utf-8")
                yield str(path.relative_to(ROOT)), ast.parse(text), len(text.splitlines())


def lines() -> list[Measured]:
    """Returns the modules by their number of lines, the longest first."""
    return sorted((Measured(count, name) for name, _, count in modules()), reverse=True)


def parameters() -> list[Measured]:
    """Returns the functions by their number of parameters, `self` not counted; the commands of `hpo.cli` are none."""
    found = []
    for name, tree, _ in modules():
        if name.startswith("hpo/cli/"):  # an option of a command is a parameter there
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                own = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
                count = len([one for one in own if one.arg not in {"self", "cls"}])
                found.append(Measured(count, f"{name}:{node.name}"))
    return sorted(found, reverse=True)


def public_names() -> list[Measured]:
    """Returns the classes by their number of public methods and attributes, those of dataclasses included."""
    found = []
    for name, tree, _ in modules():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                found.append(Measured(len(_public(node)), f"{name}:{node.name}"))
    return sorted(found, reverse=True)


def _public(node: ast.ClassDef) -> set[str]:
    names = {one.name for one in node.body if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)}
    names |= {one.target.id for one in node.body if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name)}
    for one in ast.walk(node):
        if isinstance(one, ast.Attribute) and isinstance(one.ctx, ast.Store) and isinstance(one.value, ast.Name):
            names |= {one.attr} if one.value.id == "self" else set()
    return {name for name in names if not name.startswith("_")}


def terse() -> list[Measured]:
    """Returns the descriptions of arguments and attributes that have fewer than three words, with their words."""
    found = []
    for name, tree, _ in modules():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and (
                text := ast.get_docstring(node)
            ):
                for entry, said in _entries(text):
                    if len(said.split()) < 3:
                        found.append(Measured(len(said.split()), f"{name}:{node.name}({entry}): {said}"))
    return sorted(found)


def _entries(text: str) -> Iterator[tuple[str, str]]:
    """Yields names and descriptions of a docstring's sections Args and Attributes."""
    section, entry, said = "", "", ""
    for line in [*text.splitlines(), "End:"]:
        if SECTION.match(line) or not line.startswith(" "):
            if entry:
                yield entry, said
            entry = ""
            section = line.rstrip(":") if SECTION.match(line) else section if not line else ""
        elif section in {"Args", "Attributes"}:
            if match := ENTRY.match(line):
                if entry:
                    yield entry, said
                entry, said = match.groups()
            else:
                said += " " + line.strip()


def main() -> int:
    """Prints the figures; returns 1 where one is above its limit."""
    above = []
    for title, found, shown in (
        ("lines", lines(), 10),
        ("parameters", parameters(), 10),
        ("public names", public_names(), 10),
    ):
        print(f"{title}, the most (limit {LIMITS[title]})")
        print(*(f"  {one.size:4}  {one.where}" for one in found[:shown]), sep="\n")
        above += [f"{one.where} has {one.size} {title}" for one in found if one.size > LIMITS[title]]
    short = terse()
    print(f"descriptions of fewer than three words: {len(short)} (limit {LIMITS['terse descriptions']})")
    print(*(f"  {one.where}" for one in short[:10]), sep="\n")
    if len(short) > LIMITS["terse descriptions"]:
        above.append(f"{len(short)} descriptions have fewer than three words")
    print(*(f"above a limit: {one}" for one in above), sep="\n")
    return bool(above)


if __name__ == "__main__":
    sys.exit(main())
