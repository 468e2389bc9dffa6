"""Reads Python source: its digest, the modules that it imports, and the files that it names."""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Iterator

LONGEST = 300
"""Maximum characters of a string that may be a path."""

SETTINGS = (".toml", ".yaml", ".yml", ".ini", ".cfg", ".conf", ".inc", ".sh", ".bash")
"""Suffixes of non-Python files that count as code if a string names them."""

DIGITS = 16
"""Hexadecimal digits of a stored digest: enough to detect a change, short enough for every record."""

_NAME = re.compile(r"\.*[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*\.?")
_IMPORTERS = ("import_module", "__import__", "find_loader", "resolve_name", "load_object", "locate", "run_module")
_WRITERS = ("dump", "write", "writelines", "write_text", "write_bytes", "to_json")


def digest_of_tree(tree: ast.AST, *, docstrings: bool = False) -> str:
    """Returns the digest of Python source; comments and layout do not count.

    Args:
        tree: syntax tree of the source; its docstrings are removed unless they count.
        docstrings: whether the docstrings count.
    """
    if not docstrings:
        _without_docstrings(tree)
    return hashlib.sha256("\0".join(_dumped(tree)).encode("utf-8", "backslashreplace")).hexdigest()[:DIGITS]


def _without_docstrings(tree: ast.AST) -> None:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(getattr(first.value, "value", None), str):
                node.body[:1] = [] if len(node.body) > 1 else [ast.Pass()]


def _dumped(value: object) -> Iterator[str]:
    """Yields a syntax tree in pieces without empty fields, so that newer Python versions give the same."""
    stack: list[object] = [value]
    while stack:
        one = stack.pop()
        if isinstance(one, str):
            yield one
        elif isinstance(one, ast.AST):
            parts: list[object] = [f"({type(one).__name__}"]
            for key, child in ast.iter_fields(one):
                is_value = isinstance(one, ast.Constant) and key == "value"  # which may be None
                if not is_value and (child is None or child == [] or key in ("ctx", "kind", "type_comment")):
                    continue
                if isinstance(child, list):
                    parts += [f"{key}[", *(item if isinstance(item, ast.AST) else repr(item) for item in child), "]"]
                else:
                    parts += [f"{key}=", child if isinstance(child, ast.AST) else f"{type(child).__name__} {child!r}"]
            parts.append(")")
            stack.extend(reversed(parts))
        else:
            yield repr(one)


def imports_of(tree: ast.AST, package: str = "") -> Iterator[str]:
    """Yields names that may be modules: for `from a import b` both a and a.b."""
    dynamic = False
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _absolute("." * node.level + (node.module or ""), package)
            if base is not None:
                yield base
                # A star imports the submodules that the package's __all__ names: take them all.
                yield from (f"{base}." if alias.name == "*" else f"{base}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and _called(node.func) in _IMPORTERS:
            dynamic = True
            yield from _package_of_call(node, package)
    if dynamic or "-m" in texts_in(tree):  # a module that is imported by name appears as a string in the file
        names = [_absolute(text, package) for text in texts_in(tree) if _NAME.fullmatch(text)]
        yield from (name for name in names if name is not None)


def _package_of_call(node: ast.Call, package: str) -> Iterator[str]:
    """Yields the package of this file if one of its modules is imported by `f"{__name__}.{name}"` or `"." + name`."""
    for part in ast.walk(node):
        if isinstance(part, ast.Name) and part.id in ("__name__", "__package__") and package:
            yield f"{package}."


def _absolute(name: str, package: str) -> str | None:
    level = len(name) - len(name.lstrip("."))
    if not level:
        return name
    parts = package.split(".") if package else []
    if level - 1 > len(parts) or not parts:
        return None
    return ".".join([*parts[: len(parts) - level + 1], *([name[level:]] if name[level:] else [])]) or None


def _called(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def paths_in(tree: ast.AST) -> Iterator[str]:
    """Yields the strings that may be paths of code or settings files."""
    writes = any(isinstance(node, ast.Call) and _called(node.func) in _WRITERS for node in ast.walk(tree))
    kinds = (".py", *SETTINGS) if writes else (".py", *SETTINGS, ".json")
    yield from (text for text in texts_in(tree) if text.endswith(kinds) and len(text) < LONGEST and "\0" not in text)


def texts_in(tree: ast.AST) -> Iterator[str]:
    """Yields all strings in a syntax tree."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
