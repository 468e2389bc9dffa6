"""Files of the project that a training looks for in its own folder, where they are not.

A file that is opened there fails the training with a hint. One that is only looked for, by `Path.exists`, `glob` or
`os.walk`, would silently be taken for missing, so the functions of `os` that all of these call are watched, and what a
pattern finds. Patterns over all folders, `**`, are not tried in the project, which may hold a whole data set.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

WATCHED = ("stat", "lstat", "scandir", "listdir")
"""Functions of `os` that say whether something is there."""

CODE = (".py", ".pyc", ".so")
"""Suffixes that Python itself looks for."""

MOST = 20
"""Names that are kept."""


class Lookups:
    """Notes what is looked for by a relative path, is not there, and is in the project.

    Args:
        project: folder of the project.
        folder: the training's working directory.
    """

    def __init__(self, project: Path, folder: Path) -> None:
        self._project = project
        self._folder = folder
        self._missed: dict[str, None] = {}

    @contextmanager
    def noticed(self) -> Iterator[None]:
        """Watches until the block ends."""
        watched = {name: _Watched(getattr(os, name), self._missing) for name in WATCHED}
        for name, function in watched.items():
            setattr(os, name, function)
        patterns, paths = glob.iglob, Path.glob
        glob.iglob, Path.glob = self._of_patterns(patterns), self._of_paths(paths)  # type: ignore[assignment,method-assign]
        try:
            yield
        finally:
            glob.iglob, Path.glob = patterns, paths  # type: ignore[method-assign]
            for name, function in watched.items():
                if getattr(os, name) is function:  # else user code has replaced it, which is put back elsewhere
                    setattr(os, name, function.function)

    def _of_patterns(self, found: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
        def iglob(pathname: Any, **options: Any) -> Iterator[Any]:
            empty = True
            for one in found(pathname, **options):
                empty = False
                yield one
            if empty and not any(options.get(name) for name in ("root_dir", "dir_fd", "recursive")):
                self._unmatched(pathname)

        return iglob

    def _of_paths(self, found: Callable[..., Iterator[Path]]) -> Callable[..., Iterator[Path]]:
        def of_path(path: Path, pattern: str, **options: Any) -> Iterator[Path]:
            empty = True
            for one in found(path, pattern, **options):
                empty = False
                yield one
            if empty and not path.is_absolute():
                self._unmatched(path / pattern)

        return of_path

    def _unmatched(self, pattern: object) -> None:
        """Notes a pattern that matches nothing here, and something in the project."""
        text = os.fsdecode(pattern) if isinstance(pattern, str | bytes | Path) else ""
        if not text or "**" in text or os.path.isabs(text) or not self._is_here():
            return
        if next(glob.iglob(os.path.join(glob.escape(str(self._project)), text)), None) is not None:
            self._missed[os.path.normpath(text)] = None

    def _is_here(self) -> bool:
        """Whether relative paths mean the training's working directory now."""
        try:
            return os.path.samefile(os.curdir, self._folder)
        except OSError:
            return False

    def said(self) -> str | None:
        """Returns what was looked for in vain, as a sentence; None if nothing was."""
        if not self._missed:
            return None
        names = ", ".join(list(self._missed)[:5]) + (", ..." if len(self._missed) > 5 else "")
        return (
            f"looked for {names} by a relative path, which is not in its own working directory but is in the project's "
            f"folder; read it as ctx.project / {next(iter(self._missed))!r}, if that was meant"
        )

    def _missing(self, path: object) -> None:
        """Notes a path that is not there."""
        try:
            text = os.fspath(path)  # type: ignore[call-overload]  # a TypeError is one of those below
            name = os.fsdecode(text)
            if os.path.isabs(name) or name.endswith(CODE) or len(self._missed) >= MOST:
                return
            if (
                name.strip("./")
                and ".." not in Path(name).parts
                and self._is_here()
                and (self._project / name).exists()
            ):
                self._missed[os.path.normpath(name)] = None
        except (OSError, TypeError, ValueError):  # a descriptor, or no path at all
            return


class _Watched:
    """A function of `os` that tells of what it does not find. It counts as the function itself in `os.supports_fd`."""

    def __init__(self, function: Callable[..., Any], missing: Callable[..., None]) -> None:
        self.function = function
        self._missing = missing
        self.__name__ = function.__name__
        self.__doc__ = function.__doc__

    def __call__(self, *args: Any, **options: Any) -> Any:
        try:
            return self.function(*args, **options)
        except FileNotFoundError:
            if options.get("dir_fd") is None:
                self._missing(args[0] if args else options.get("path"))
            raise

    def __eq__(self, other: object) -> bool:
        return other is self or other == self.function

    def __hash__(self) -> int:
        return hash(self.function)
