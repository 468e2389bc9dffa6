"""Reads annotations, those included whose names are imported for type checkers alone."""

from __future__ import annotations

import ast
import builtins
import importlib
import inspect
import sys
import typing
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any


def hints_of(thing: type[object] | Callable[..., object]) -> dict[str, Any]:
    """Returns the annotations of a class's fields, or of a function's arguments, as types by name.

    Names that the module imports under `if TYPE_CHECKING:` are imported for this. One that cannot be found at all
    counts as `Any`.

    Args:
        thing: the class or the function.

    Raises:
        Exception: what an annotation raises that is wrong for another reason.
    """
    try:
        return typing.get_type_hints(thing)
    except NameError:
        module = sys.modules.get(thing.__module__)
        return typing.get_type_hints(thing, localns=_Names(module))


class _Names(dict[str, Any]):
    """Names of a module for type checkers. What is not known anywhere is `Any`."""

    def __init__(self, module: ModuleType | None) -> None:
        super().__init__()
        self._known = vars(module) if module is not None else {}
        for name, value in _for_type_checkers(module):
            self.setdefault(name, value)

    def __missing__(self, name: str) -> Any:
        if name in self._known or hasattr(builtins, name):
            raise KeyError(name)  # then it is looked for there
        return Any


def _for_type_checkers(module: ModuleType | None) -> Iterator[tuple[str, Any]]:
    """Yields what a module imports under `if TYPE_CHECKING:`, as far as it can be imported."""
    try:
        tree = ast.parse(inspect.getsource(module)) if module is not None else ast.Module([], [])
    except (OSError, TypeError, SyntaxError):  # no source, e.g. typed into a console
        return
    for block in ast.walk(tree):
        if isinstance(block, ast.If) and ast.unparse(block.test).rpartition(".")[2] == "TYPE_CHECKING":
            for statement in block.body:
                yield from _imported(statement, getattr(module, "__package__", None))


def _imported(statement: ast.stmt, package: str | None) -> Iterator[tuple[str, Any]]:
    if not isinstance(statement, ast.Import | ast.ImportFrom):
        return
    for alias in statement.names:
        try:
            if isinstance(statement, ast.ImportFrom):
                source = importlib.import_module("." * statement.level + (statement.module or ""), package)
                yield alias.asname or alias.name, getattr(source, alias.name)
            else:
                found = importlib.import_module(alias.name)
                top = found if alias.asname else sys.modules[alias.name.partition(".")[0]]
                yield alias.asname or alias.name.partition(".")[0], top
        except Exception:  # whatever the import of a module for type checkers raises: it is not needed to train
            continue
