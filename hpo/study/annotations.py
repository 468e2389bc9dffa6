"""Reads annotations, including names that are imported only for type checkers."""

from __future__ import annotations

import ast
import importlib
import inspect
import sys
import typing
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any


def hints_of(thing: type[object] | Callable[..., object]) -> dict[str, Any]:
    """Returns the annotations of a class's fields, or of a function's arguments, as types by name.

    Names that the module imports under `if TYPE_CHECKING:` are imported now. Names that cannot be imported, and other
    definitions in that block, count as `Any`.

    Args:
        thing: the class or function with the annotations.

    Raises:
        Exception: the error of an annotation that is invalid for another reason.
    """
    try:
        return typing.get_type_hints(thing)
    except NameError:
        names = dict(_for_type_checkers(sys.modules.get(thing.__module__)))
        return typing.get_type_hints(thing, localns=names)


def _for_type_checkers(module: ModuleType | None) -> Iterator[tuple[str, Any]]:
    """Yields the names that a module defines under `if TYPE_CHECKING:`, each with its object or `Any`."""
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
        for one in ast.walk(statement):
            if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store):
                yield one.id, Any
            elif isinstance(one, ast.ClassDef):
                yield one.name, Any
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
        except Exception:  # any error: the module is not needed for training
            yield alias.asname or alias.name.partition(".")[0], Any
