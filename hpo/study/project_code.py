"""Which files of a user's project a trainable is made of, and what is in them.

The module of the trainable is read, and what it imports, and what that imports, as far as the files belong to the
project: they lie below its root, or in the trainable's own package, and were not installed. Imports are read from the
text, so those inside functions count as well. Comments, docstrings, blank lines and layout do not count, as the digest
of a file is taken of what Python reads in it; a file that it cannot read counts byte by byte. So do small files of
settings and scripts of a shell that are named in a text, `"conf/base.yaml"`; JSON only where the module that names it
writes no files, which might be this one. Data are not code: files of other kinds do not count.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import re
import sys
import sysconfig
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.machinery import EXTENSION_SUFFIXES, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

from hpo.core.code import UNKNOWN, Code
from hpo.core.records import digest

LARGEST = 2_000_000
"""Bytes; a longer file, which a program has written, counts byte by byte and is not searched for imports."""

LONGEST = 300
"""Characters of a text that may be the path of a file."""

SETTINGS = (".toml", ".yaml", ".yml", ".ini", ".cfg", ".conf", ".inc", ".sh", ".bash")
"""Suffixes of files other than Python's that count as code where a text names them."""

LARGEST_SETTINGS = 200_000
"""Bytes; a longer file of this kind is data."""

MOST_FOLDERS = 200
"""Texts of a file that are tried as folders of others that it names."""

DIGITS = 16
"""Hexadecimal digits of a file's digest that are kept: enough to notice a change, short enough for every record."""

_OWN = Path(__file__).resolve().parents[1]  # this package, whose version is recorded
_NAME = re.compile(r"\.*[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*\.?")
_INSTALLED = ("site-packages", "dist-packages")
_IMPORTERS = ("import_module", "__import__", "find_loader", "resolve_name", "load_object", "locate", "run_module")
_WRITERS = ("dump", "write", "writelines", "write_text", "write_bytes", "to_json")
_FOLDER = re.compile(r"[\w.-]+(/[\w.-]+)*/?")


@dataclass(slots=True)
class _File:
    """A file of the project as it was read.

    Attributes:
        digest: of what is in it.
        imports: dotted names that it imports; one that ends with a dot means all modules of that package.
        files: other Python files, settings and scripts that it names in a text, as they are written there.
        folders: texts that may be folders of these.
        state: what the module system and the disk knew of it when it was read.
    """

    digest: str
    imports: tuple[str, ...]
    files: tuple[str, ...]
    folders: tuple[str, ...]
    state: _State


@dataclass(frozen=True, slots=True)
class _State:
    """What changes when a module is imported anew, and when its file is edited.

    Attributes:
        module: that is imported; None: it is not. After a reload it is another object.
        size: of the file, in bytes; -1: it is gone.
        time: of its last change, in nanoseconds.
    """

    module: object
    size: int
    time: int

    @classmethod
    def of(cls, name: str, path: Path) -> _State:
        """Returns how it stands now."""
        module = sys.modules.get(name)
        try:
            found = path.stat()
        except OSError:
            return cls(module, -1, -1)
        return cls(getattr(module, "__spec__", None) or module, found.st_size, found.st_mtime_ns)

    def holds(self, now: _State) -> bool:
        """Whether what was read then is what this process runs now."""
        if self.module is not None and now.module is not None:
            return self.module is now.module  # imported before: an edit since does not reach it
        return (self.size, self.time) == (now.size, now.time)


_FILES: dict[tuple[str, Path], _File] = {}
_PROJECTS: dict[tuple[str, str], tuple[Code, tuple[tuple[str, Path], ...]]] = {}


def code_of(module: ModuleType, root: str | Path) -> Code:
    """Returns the code that a trainable's module and all that it imports from its project are made of.

    A module that is imported keeps what was read of its file before, whatever became of the file since: that is what
    this process runs. After an `importlib.reload` the file is read again.

    Args:
        module: of the trainable, imported.
        root: the project's folder.
    """
    key = module.__name__, str(root)
    known = _PROJECTS.get(key)
    if known is not None and all(_is_current(*file) for file in known[1]):
        return known[0]
    walk = _Walk(module.__name__.partition(".")[0], Path(root).resolve())
    files = walk.walked(module)
    code = Code(files, digest(files)) if files else UNKNOWN
    _PROJECTS[key] = code, tuple(walk.read)
    return code


def files_of(names: Iterable[str], root: Path) -> dict[str, str]:
    """Returns the digests of the project's files that modules of these names are made of, by their paths.

    Args:
        names: dotted names of modules, and others, which are passed over.
        root: the project's folder, without links.
    """
    return _Walk("", root).named(names)


def _is_current(name: str, path: Path) -> bool:
    """Whether what was read of a file still holds; notes it where the module has been imported since."""
    file, now = _FILES[name, path], _State.of(name, path)
    if not file.state.holds(now):
        return False
    if file.state.module is None:
        file.state = now
    return True


class _Walk:
    """Follows the imports of one trainable through its project.

    Args:
        top: name of the trainable's module, or of the package that it is in; empty: it is in none.
        root: the project's folder, without links.
    """

    def __init__(self, top: str, root: Path) -> None:
        self._root = root
        self._top = top
        self._stems = {Path(one).resolve() for one in _stdlib()}
        self._folders_named: list[Path] = []
        self.read: list[tuple[str, Path]] = []

    def walked(self, module: ModuleType) -> dict[str, str]:
        """Returns the digest of each file that a module is made of, by its path."""
        name, file = module.__name__, getattr(module, "__file__", None)
        if file is None:
            return {}
        return self.followed([*self._parents(name), (name, Path(file).resolve())])

    def named(self, names: Iterable[str]) -> dict[str, str]:
        """Returns the digest of each file that the modules of these names are made of, by its path."""
        return self.followed([one for name in names for one in self._named(name)])

    def followed(self, waiting: list[tuple[str, Path]]) -> dict[str, str]:
        """Returns the digests of files and of what they import, by their paths.

        Args:
            waiting: names of modules, each with its file.
        """
        found: dict[str, str] = {}
        seen: set[Path] = set()
        while waiting:
            name, path = waiting.pop()
            if path in seen or not self._belongs(name, path):
                continue
            seen.add(path)
            read = _read(name, path)
            self.read.append((name, path))
            found[self._said(path)] = read.digest
            self._note_folders(read.folders, path.parent)
            for imported in read.imports:
                waiting += self._named(imported)
            for text in read.files:
                waiting += self._written(text, path.parent)
        return dict(sorted(found.items()))

    def _belongs(self, name: str, path: Path) -> bool:
        if path.is_relative_to(_OWN) or any(path.is_relative_to(one) for one in self._stems):
            return False
        if name.partition(".")[0] == self._top:
            return True
        below = path.relative_to(self._root).parts if path.is_relative_to(self._root) else ()
        return bool(below) and not any(part in _INSTALLED for part in below)

    def _said(self, path: Path) -> str:
        if path.is_relative_to(self._root):
            return path.relative_to(self._root).as_posix()
        parts = path.parts
        below = parts[len(parts) - 1 - parts[::-1].index(self._top) :] if self._top in parts else parts[-1:]
        return "/".join(below)

    def _named(self, name: str) -> Iterator[tuple[str, Path]]:
        """Yields the file of a module, and those of the packages that it is in; nothing of what is no module."""
        if name.endswith("."):
            for folder in self._folders(name[:-1]):
                for one in sorted(Path(folder).glob("*.py")):
                    yield f"{name}{one.stem}", one.resolve()
            name = name[:-1]
        yield from self._parents(name)
        if (path := self._origin(name)) is not None:
            yield name, path

    def _parents(self, name: str) -> list[tuple[str, Path]]:
        parts = name.split(".")
        names = [".".join(parts[:count]) for count in range(1, len(parts))]
        return [(one, path) for one in names if (path := self._origin(one)) is not None]

    def _origin(self, name: str) -> Path | None:
        spec = self._spec(name)
        origin = getattr(spec, "origin", None)
        if not isinstance(origin, str) or not origin.endswith((".py", *EXTENSION_SUFFIXES)):
            return None
        return Path(origin).resolve()

    def _folders(self, name: str) -> list[str]:
        return list(getattr(self._spec(name), "submodule_search_locations", None) or ())

    def _spec(self, name: str) -> Any:
        """Returns where a module is, without importing it or the packages that it is in."""
        top, _, rest = name.partition(".")
        try:
            spec = importlib.util.find_spec(top) or PathFinder.find_spec(top, list(map(str, self._folders_named)))
            at = top
            for part in rest.split(".") if rest else ():
                at = f"{at}.{part}"
                folders = getattr(spec, "submodule_search_locations", None)
                spec = None if folders is None else PathFinder.find_spec(at, list(folders))
        except (ImportError, ValueError, AttributeError, TypeError, OSError):
            return None  # a finder of the user's own, or a module that was put together by hand
        return spec

    def _note_folders(self, texts: Iterable[str], folder: Path) -> None:
        """Notes the folders of the project that code names in texts: `"conf" / "base.yaml"`, or for `sys.path`."""
        for base in (folder, self._root):
            for text in texts:
                path = base / text
                if path not in self._folders_named and path.is_dir() and path.resolve().is_relative_to(self._root):
                    self._folders_named.append(path)

    def _written(self, text: str, folder: Path) -> Iterator[tuple[str, Path]]:
        """Yields a file that code names in a text: to run it by its path, or to read what it says."""
        for base in (folder, self._root, *self._folders_named):
            try:
                path = (base / text).resolve()
                if path.is_file() and path.is_relative_to(self._root) and _counts(path):
                    yield "", path
            except (OSError, ValueError):
                continue


def _counts(path: Path) -> bool:
    """Whether a file that is named in a text is code: not a study, which is digested itself, and not large."""
    if path.suffix == ".py":
        return True
    return path.stat().st_size <= LARGEST_SETTINGS and not (path.suffix == ".toml" and path.parent.name == "studies")


def _stdlib() -> Iterator[str]:
    for key in ("stdlib", "platstdlib"):
        yield sysconfig.get_path(key)


def _read(name: str, path: Path) -> _File:
    """Returns what is in a file; of a module that is imported, what was in it when it was first read."""
    if (name, path) in _FILES and _is_current(name, path):
        return _FILES[name, path]
    state = _State.of(name, path)
    try:
        content = path.read_bytes()
    except OSError:
        content = b""
    _FILES[name, path] = made = _parsed(name, path, content, state)
    return made


def _parsed(name: str, path: Path, content: bytes, state: _State) -> _File:
    raw = _File(hashlib.sha256(content).hexdigest()[:DIGITS], (), (), (), state)
    if path.suffix != ".py" or len(content) > LARGEST:
        return raw
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(content)
        said = digest_of_tree(tree, docstrings=b"__doc__" in content or b"getdoc" in content)
        package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        files = tuple(dict.fromkeys(_paths(tree)))
        folders = dict.fromkeys(text for text in _texts(tree) if len(text) < LONGEST and _FOLDER.fullmatch(text))
        imports = tuple(dict.fromkeys(imports_of(tree, package)))
        return _File(said, imports, files, tuple(folders)[:MOST_FOLDERS], state)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return raw


def digest_of_tree(tree: ast.AST, *, docstrings: bool = False) -> str:
    """Returns the digest of what Python reads in a text; neither comments nor layout count.

    Args:
        tree: syntax tree of the text; its docstrings are taken out unless they count.
        docstrings: whether docstrings count.
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
    """Yields a syntax tree in pieces; what is empty is left out, so that Python's later versions say the same."""
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
    """Yields the names that may be modules: of a `from a import b` both a and a.b."""
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
    if dynamic or "-m" in _texts(tree):  # what is imported by its name stands in a text somewhere in the file
        names = [_absolute(text, package) for text in _texts(tree) if _NAME.fullmatch(text)]
        yield from (name for name in names if name is not None)


def _package_of_call(node: ast.Call, package: str) -> Iterator[str]:
    """Yields the own package where a module of it is imported by `f"{__name__}.{name}"` or `"." + name`."""
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


def _paths(tree: ast.AST) -> Iterator[str]:
    writes = any(isinstance(node, ast.Call) and _called(node.func) in _WRITERS for node in ast.walk(tree))
    kinds = (".py", *SETTINGS) if writes else (".py", *SETTINGS, ".json")
    yield from (text for text in _texts(tree) if text.endswith(kinds) and len(text) < LONGEST and "\0" not in text)


def _texts(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
