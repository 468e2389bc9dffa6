"""Trainables given as function objects: their paths, and the code of functions that exist only in this session.

A function that can be imported by its name is stored as `module:function`, as in a study file. A function of a
notebook, of the running script, or inside another function exists only in this session: Ray ships it to its workers,
and it is not written to disk.
"""

from __future__ import annotations

import ast
import dataclasses
import dis
import hashlib
import inspect
import sys
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any

from hpo.core.code import Code
from hpo.core.errors import UsageError
from hpo.core.records import digest
from hpo.study.annotations import hints_of
from hpo.study.defaults import plain
from hpo.study.project_code import files_of
from hpo.study.python_source import DIGITS, digest_of_tree, imports_of

if TYPE_CHECKING:
    from hpo.study.schema import Study

MAIN = "__main__"


@dataclass(frozen=True, slots=True)
class Found:
    """The location of a trainable that was given as a function object.

    Attributes:
        path: path `module:function`, including enclosing functions.
        root: the project's folder, from which the function's module is imported.
        function: the function itself if it exists only in this session; None: it is imported by its name.
    """

    path: str
    root: Path
    function: Callable[..., Any] | None


def find_function(given: Any) -> Found:
    """Returns the location of a trainable.

    Args:
        given: the object that a study got as its trainable.

    Raises:
        UsageError: if it is not a plain function, but e.g. a class, a method or a `functools.partial`.
    """
    if not isinstance(given, FunctionType):
        raise UsageError(
            f"trainable must be a function or its path 'module:function', not {_kind(given)}; "
            "wrap it in a function: def train(params, ctx)"
        )
    name, module = given.__module__ or MAIN, sys.modules.get(given.__module__ or MAIN)
    file = getattr(module, "__file__", None)
    by_name = name != MAIN and file is not None and getattr(module, given.__qualname__, None) is given
    if not by_name:
        session_code(given, _root(name, file))  # read now, because the file may be edited during the session
    return Found(f"{name}:{given.__qualname__}", _root(name, file), None if by_name else given)


def describe_session(name: str, path: str) -> str:
    """Returns a sentence on how a study with a function of this session can be resumed.

    Args:
        name: name of the study.
        path: path of its trainable.
    """
    return (
        f"study {name!r} trains a function of this session: it can only be resumed from a session that defines "
        f"{path.rpartition('.')[2].rpartition(':')[2]} again, under the same name"
    )


def again(verb: str, study: Study) -> str:
    """Returns how to continue: the command, or a call of the function if the study has no file.

    Args:
        verb: name of the command, and of the Python function.
        study: the study that the command ran on.
    """
    if not is_of_session(study.trainable):
        return f"hpo {verb} --study {study.name}"
    name = study.trainable.rpartition(".")[2].rpartition(":")[2]
    return f"hpo.{verb}(study), in this session or in one that defines {name} again"


def prepare_to_ship(function: Callable[..., Any]) -> None:
    """Evaluates the annotations of a function and its classes, because workers cannot: they lack the session.

    Args:
        function: function of a session; its annotations change from texts to types.
    """
    waiting: list[Any] = [function]
    for one in waiting:
        hints = _hints(one)
        if any(isinstance(hint, str) for hint in vars(one).get("__annotations__", one.__annotations__).values()):
            one.__annotations__ = {name: hints[name] for name in one.__annotations__ if name in hints}
        waiting += [
            hint
            for hint in hints.values()
            if isinstance(hint, type) and _is_of_session(hint) and not any(hint is known for known in waiting)
        ]


def is_of_session(path: str) -> bool:
    """Whether no other process can import a trainable's path, e.g. `__main__:train`, `mine:make.<locals>.train`."""
    return path.startswith(f"{MAIN}:") or "<" in path


def session_code(function: Callable[..., Any], root: str | Path) -> Code:
    """Returns the code of a function of this session and of everything that it uses, as digests by name.

    This covers the functions, classes and values of the session that it reaches by name, and the files of the project
    that it imports.

    Args:
        function: the trainable itself.
        root: the project's folder.
    """
    walk = _Walk(Path(root).resolve())
    walk.add(function.__qualname__, function)
    found = dict(sorted((walk.digests | files_of(walk.imports, walk.root)).items()))
    return Code(found, digest(found))


class _Walk:
    """Follows the names that functions of a session use.

    Args:
        root: the project's folder, with symbolic links resolved.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.digests: dict[str, str] = {}
        self.imports: dict[str, None] = {}
        self._seen: set[int] = set()

    def add(self, name: str, value: Any) -> None:
        """Adds a value under the name by which it is used, and everything that it uses."""
        if id(value) in self._seen and not isinstance(value, bool | int | float | str | None):
            return
        self._seen.add(id(value))
        if isinstance(value, ModuleType):
            self.imports[value.__name__] = None
        elif isinstance(value, partial):
            self.add(f"{name}.func", value.func)
            self._note(name, [value.args, value.keywords])
        elif isinstance(value, MethodType):
            self.add(f"{name}.__self__", value.__self__)
        elif isinstance(value, FunctionType | type):
            if not _is_of_session(value):
                self.imports[value.__module__] = None
            elif isinstance(value, type):
                self._add_class(value)
            else:
                self._add_function(value)
        elif (wrapped := getattr(value, "__wrapped__", None)) is not None and callable(value):
            self.add(name, wrapped)  # functools.cache
        else:
            self._note(name, value)
            self.add(type(value).__qualname__, type(value))

    def _note(self, name: str, value: object) -> None:
        try:
            self.digests[name] = digest(plain(value, self.root))[:DIGITS]
        except Exception:  # user code, or a list that contains itself
            self.digests[name] = type(value).__qualname__

    def _add_function(self, function: FunctionType) -> None:
        name = function.__qualname__.replace("<locals>.", "")
        text, imports = _read(function.__code__)
        self.digests[name] = text
        for one in imports:
            self.imports[one] = None
        for index, default in enumerate((*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values())):
            self.add(f"default {index + 1} of {name}", default)
        cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
        for free, cell in cells:
            try:
                self.add(f"{name}.{free}", cell.cell_contents)
            except ValueError:  # the variable has no value yet
                continue
        for used in _operands(function.__code__, "LOAD_GLOBAL", "LOAD_NAME"):
            if used in function.__globals__:
                self.add(used, function.__globals__[used])
        for hint in _hints(function).values():
            if isinstance(hint, type) and _is_of_session(hint):
                self.add(hint.__qualname__, hint)

    def _add_class(self, cls: type) -> None:
        name = cls.__qualname__.replace("<locals>.", "")
        values: dict[str, object] = {"": [base.__qualname__ for base in cls.__bases__]}
        values["annotations"] = {one: str(hint) for one, hint in _hints(cls).items()}
        for base in cls.__bases__:
            self.add(base.__qualname__, base)
        for field in dataclasses.fields(cls) if dataclasses.is_dataclass(cls) else ():
            for kind, value in (("default", field.default), ("factory", field.default_factory)):
                if value is not dataclasses.MISSING:
                    self.add(f"{kind} of {name}.{field.name}", value)
        for key, value in vars(cls).items():
            inner = getattr(value, "__func__", getattr(value, "fget", value))
            if isinstance(inner, FunctionType):
                if not (dataclasses.is_dataclass(cls) and _is_generated(key, inner)):
                    self.add(f"{name}.{key}", inner)
            elif not key.startswith("__"):
                values[key] = value
        self._note(name, values)


def _root(module: str, file: str | None) -> Path:
    """Returns the folder that a module is imported from; the working directory if it is installed or has no file."""
    if file is None:
        return Path.cwd()
    path = Path(file).absolute()
    depth = 0 if module == MAIN else module.count(".") + (path.name == "__init__.py")
    root = path.parents[depth]
    return Path.cwd() if {"site-packages", "dist-packages"} & set(root.parts) or not root.is_dir() else root


def _kind(given: Any) -> str:
    if isinstance(given, type):
        return f"the class {given.__name__}"
    return f"a {type(given).__name__}" if callable(given) else repr(given)


def _is_of_session(value: Any) -> bool:
    """Whether this function or class exists only in this session, so that workers cannot import it."""
    name, qualname = getattr(value, "__module__", None) or MAIN, getattr(value, "__qualname__", "")
    return name == MAIN or "<" in qualname or name not in sys.modules


def _hints(thing: Any) -> dict[str, Any]:
    """Returns the annotations of a function or a class as types; empty if they cannot be read."""
    try:
        return hints_of(thing)
    except Exception:  # reported when the study is checked
        return {}


def _is_generated(name: str, method: FunctionType) -> bool:
    """Whether a method was generated by `dataclass`."""
    return name.startswith("__") and method.__code__.co_filename in ("<string>", dataclasses.__file__)


def _operands(code: CodeType, *names: str) -> Iterator[str]:
    """Yields the operands of the named instructions in a function and its inner functions."""
    for one in _nested(code):
        for instruction in dis.get_instructions(one):
            if instruction.opname in names:
                yield str(instruction.argval)


def _nested(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _nested(constant)


@lru_cache(maxsize=10_000)
def _read(code: CodeType) -> tuple[str, tuple[str, ...]]:
    """Returns the digest of a function's source, or of its bytecode if there is no source, and its imports.

    The result is cached, because the file of a script may be edited during the session.
    """
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(code)))
        if not any(isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) for node in tree.body):
            raise SyntaxError("a lambda, whose source is that of its line")
    except (OSError, TypeError, SyntaxError, ValueError, RecursionError):
        imports = tuple(_operands(code, "IMPORT_NAME"))
        return hashlib.sha256(repr(_constants(code)).encode()).hexdigest()[:DIGITS], imports
    return digest_of_tree(tree), tuple(imports_of(tree))


def _constants(code: CodeType) -> list[object]:
    """Returns a code object as plain values that are the same in every process of one Python version."""
    constants = [
        _constants(one)
        if isinstance(one, CodeType)
        else repr(sorted(map(repr, one)) if isinstance(one, frozenset) else one)
        for one in code.co_consts
    ]
    return [code.co_code.hex(), constants, code.co_names, code.co_varnames, code.co_freevars, code.co_argcount]
