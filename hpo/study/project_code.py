"""Finds the files of a user's project that a trainable consists of, with a digest of each.

It follows the imports of the trainable's module to files of the project: below its root or in the trainable's own
package, and not installed. Imports are read from the source, so those inside functions count too. Comments, docstrings,
blank lines and layout do not count, because the digest is over the syntax tree; a file that Python cannot parse is
compared byte by byte. So are small settings files and shell scripts that a string names, e.g. `"conf/base.yaml"`, and
JSON files if the module writes no files, because it might write this one. Other files are data and do not count.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import os
import re
import sys
import sysconfig
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.machinery import EXTENSION_SUFFIXES, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

from hpo.core.code import UNKNOWN, Code
from hpo.core.records import digest
from hpo.study.python_source import DIGITS, LONGEST, digest_of_tree, imports_of, paths_in, texts_in

LARGEST = 2_000_000
"""Maximum bytes; a larger file was generated, is compared byte by byte, and is not searched for imports."""

LARGEST_SETTINGS = 200_000
"""Maximum bytes of a settings file; a larger one is data."""

MOST_FOLDERS = 200
"""Maximum strings of a file that are tried as folders."""

_OWN = Path(__file__).resolve().parents[1]  # this package, whose version is recorded
_INSTALLED = ("site-packages", "dist-packages")
_FOLDER = re.compile(r"[\w.-]+(/[\w.-]+)*/?")


@dataclass(slots=True)
class _File:
    """A file of the project, as read.

    Attributes:
        digest: digest of its content.
        imports: dotted names that it imports; one that ends with a dot means all modules of that package.
        files: other files that its strings name.
        folders: strings that may be folders of such files.
        state: state of module and file when the file was read.
    """

    digest: str
    imports: tuple[str, ...]
    files: tuple[str, ...]
    folders: tuple[str, ...]
    state: _State


@dataclass(frozen=True, slots=True)
class _State:
    """A state that changes when a module is reloaded or its file is edited.

    Attributes:
        module: the imported module's spec, another object after a reload; None: not imported.
        size: size of the file in bytes; -1: missing.
        time: modification time of the file in nanoseconds.
    """

    module: object
    size: int
    time: int

    @classmethod
    def of(cls, name: str, path: Path) -> _State:
        """Returns the current state."""
        module = sys.modules.get(name)
        try:
            found = path.stat()
        except OSError:
            return cls(module, -1, -1)
        return cls(getattr(module, "__spec__", None) or module, found.st_size, found.st_mtime_ns)

    def holds(self, now: _State) -> bool:
        """Whether this process still runs the content that was read in this state."""
        if self.module is not None and now.module is not None:
            return self.module is now.module  # imported before: later edits have no effect
        return (self.size, self.time) == (now.size, now.time)


_FILES: dict[tuple[str, Path], _File] = {}
_PROJECTS: dict[tuple[str, str], tuple[Code, tuple[tuple[str, Path], ...]]] = {}


def code_of(module: ModuleType, root: str | Path) -> Code:
    """Returns the code of a trainable's module and of everything that it imports from its project.

    An imported module keeps the content that was read first, even if its file has changed: that is what this process
    runs. After an `importlib.reload` the file is read again.

    Args:
        module: imported module of the trainable.
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
    """Returns the digests of the project's files that the named modules consist of, by path.

    Args:
        names: dotted names of modules; other names are ignored.
        root: the project's folder, with symbolic links resolved.
    """
    return _Walk("", root).named(names)


def code_of_files(paths: Iterable[Path], modules: Iterable[str], root: str | Path) -> Code:
    """Returns the code of a command: the files of the project that it names, and what these import.

    A large file that is neither Python nor executable is data and does not count.

    Args:
        paths: paths of existing files in the project.
        modules: names of modules that the command runs with `python -m`; other names are ignored.
        root: the project's folder.
    """
    below, named = Path(root).resolve(), [path.resolve() for path in paths]
    walk = _Walk("", below, [str(one) for one in dict.fromkeys([*(path.parent for path in named), below])])
    waiting = [("", path) for path in named if os.access(path, os.X_OK) or _counts(path)]
    waiting += [one for module in modules for one in walk.of_module(module)]
    files = walk.followed(waiting)
    return Code(files, digest(files)) if files else UNKNOWN


def _is_current(name: str, path: Path) -> bool:
    """Whether the content of a file is still current; updates its state if the module was imported since."""
    file, now = _FILES[name, path], _State.of(name, path)
    if not file.state.holds(now):
        return False
    if file.state.module is None:
        file.state = now
    return True


class _Walk:
    """Follows the imports of one trainable through its project.

    Args:
        top: name of the trainable's module, or of its top-level package; empty: none.
        root: the project's folder, with symbolic links resolved.
        folders: folders that are searched first for modules, as Python searches the folder of a script.
    """

    def __init__(self, top: str, root: Path, folders: Sequence[str] = ()) -> None:
        self._root = root
        self._top = top
        self._first = folders
        self._stems = {Path(one).resolve() for one in _stdlib()}
        self._folders_named: list[Path] = []
        self.read: list[tuple[str, Path]] = []

    def walked(self, module: ModuleType) -> dict[str, str]:
        """Returns the digest of each file that a module consists of, by path."""
        name, file = module.__name__, getattr(module, "__file__", None)
        if file is None:
            return {}
        return self.followed([*self._parents(name), (name, Path(file).resolve())])

    def named(self, names: Iterable[str]) -> dict[str, str]:
        """Returns the digest of each file that the named modules consist of, by path."""
        return self.followed([one for name in names for one in self._named(name)])

    def of_module(self, name: str) -> list[tuple[str, Path]]:
        """Returns the files of a module that is run; for a package, its `__init__` and `__main__`."""
        return [*self._named(name), *self._named(f"{name}.__main__")]

    def followed(self, waiting: list[tuple[str, Path]]) -> dict[str, str]:
        """Returns the digests of files and of their imports, by path.

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
            found[self._key(path)] = read.digest
            self._note_folders(read.folders, path.parent)
            for imported in read.imports:
                waiting += self._named(imported)
            for text in read.files:
                waiting += self._written(text, path.parent)
        return dict(sorted(found.items()))

    def _belongs(self, name: str, path: Path) -> bool:
        if path.is_relative_to(_OWN) or any(path.is_relative_to(one) for one in self._stems):
            return False
        if self._top and name.partition(".")[0] == self._top:
            return True
        below = path.relative_to(self._root).parts if path.is_relative_to(self._root) else ()
        return bool(below) and not any(part in _INSTALLED for part in below)

    def _key(self, path: Path) -> str:
        if path.is_relative_to(self._root):
            return path.relative_to(self._root).as_posix()
        parts = path.parts
        below = parts[len(parts) - 1 - parts[::-1].index(self._top) :] if self._top in parts else parts[-1:]
        return "/".join(below)

    def _named(self, name: str) -> Iterator[tuple[str, Path]]:
        """Yields the file of a module and of its parent packages; nothing if the name is not a module."""
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
        """Returns the spec of a module without importing it or its parent packages."""
        top, _, rest = name.partition(".")
        try:
            spec = PathFinder.find_spec(top, list(self._first)) if self._first else None
            spec = (
                spec or importlib.util.find_spec(top) or PathFinder.find_spec(top, list(map(str, self._folders_named)))
            )
            at = top
            for part in rest.split(".") if rest else ():
                at = f"{at}.{part}"
                folders = getattr(spec, "submodule_search_locations", None)
                spec = None if folders is None else PathFinder.find_spec(at, list(folders))
        except (ImportError, ValueError, AttributeError, TypeError, OSError):
            return None  # a custom finder, or a module created at runtime
        return spec

    def _note_folders(self, texts: Iterable[str], folder: Path) -> None:
        """Records the project folders that strings name, as in `"conf" / "base.yaml"` or for `sys.path`."""
        for base in (folder, self._root):
            for text in texts:
                path = base / text
                if path not in self._folders_named and path.is_dir() and path.resolve().is_relative_to(self._root):
                    self._folders_named.append(path)

    def _written(self, text: str, folder: Path) -> Iterator[tuple[str, Path]]:
        """Yields a file that a string names."""
        for base in (folder, self._root, *self._folders_named):
            try:
                path = (base / text).resolve()
                if path.is_file() and path.is_relative_to(self._root) and _counts(path):
                    yield "", path
            except (OSError, ValueError):
                continue


def _counts(path: Path) -> bool:
    """Whether a file named in a string is code: not large, and not a study, which has its own digest."""
    if path.suffix == ".py":
        return True
    return path.stat().st_size <= LARGEST_SETTINGS and not (path.suffix == ".toml" and path.parent.name == "studies")


def _stdlib() -> Iterator[str]:
    for key in ("stdlib", "platstdlib"):
        yield sysconfig.get_path(key)


def _read(name: str, path: Path) -> _File:
    """Returns the content of a file; for an imported module, its content when first read."""
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
        found = digest_of_tree(tree, docstrings=b"__doc__" in content or b"getdoc" in content)
        package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        files = tuple(dict.fromkeys(paths_in(tree)))
        folders = dict.fromkeys(text for text in texts_in(tree) if len(text) < LONGEST and _FOLDER.fullmatch(text))
        imports = tuple(dict.fromkeys(imports_of(tree, package)))
        return _File(found, imports, files, tuple(folders)[:MOST_FOLDERS], state)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return raw
