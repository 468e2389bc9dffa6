"""Notices project files that a training looks up in its own working directory, where they do not exist.

Opening such a file fails the training with a hint. A mere lookup, by `Path.exists`, `glob` or `os.walk`, would silently
find nothing, so the underlying functions of `os` are wrapped, and patterns too. Recursive patterns, `**`, are not tried
in the project, which may contain a whole data set.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

WRAPPED = ("stat", "lstat", "scandir", "listdir")
"""Functions of `os` that tell whether a path exists."""

CODE = (".py", ".pyc", ".so")
"""Suffixes that Python itself looks up."""

MAX_NAMES = 20
"""Maximum number of names kept."""


class Lookups:
    """Records relative paths that do not exist in the working directory, but do in the project.

    Args:
        project: folder of the project.
        folder: the training's working directory.
    """

    def __init__(self, project: Path, folder: Path) -> None:
        self._project = project
        self._folder = folder
        self._missed: dict[str, None] = {}

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Records lookups within the block."""
        wrapped = {name: _Wrapped(getattr(os, name), self._missing) for name in WRAPPED}
        for name, function in wrapped.items():
            setattr(os, name, function)
        patterns, paths = glob.iglob, Path.glob
        glob.iglob, Path.glob = self._of_patterns(patterns), self._of_paths(paths)  # type: ignore[assignment,method-assign]
        try:
            yield
        finally:
            glob.iglob, Path.glob = patterns, paths  # type: ignore[method-assign]
            for name, function in wrapped.items():
                if getattr(os, name) is function:  # otherwise user code replaced it, which is restored elsewhere
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
        """Records a pattern that matches nothing here, but something in the project."""
        text = os.fsdecode(pattern) if isinstance(pattern, str | bytes | Path) else ""
        if not text or "**" in text or os.path.isabs(text) or not self._is_here():
            return
        if next(glob.iglob(os.path.join(glob.escape(str(self._project)), text)), None) is not None:
            self._missed[os.path.normpath(text)] = None

    def _is_here(self) -> bool:
        """Whether the current directory is the training's working directory."""
        try:
            return os.path.samefile(os.curdir, self._folder)
        except OSError:
            return False

    def remark(self) -> str | None:
        """Returns a sentence on the missed files; None if there are none."""
        if not self._missed:
            return None
        names = ", ".join(list(self._missed)[:5]) + (", ..." if len(self._missed) > 5 else "")
        return (
            f"looked for {names} by a relative path, which is not in its working directory but in the project's "
            f"folder; to read it from there, use ctx.project / {next(iter(self._missed))!r}"
        )

    def _missing(self, path: object) -> None:
        """Records a path that does not exist."""
        try:
            text = os.fspath(path)  # type: ignore[call-overload]  # a TypeError is handled below
            name = os.fsdecode(text)
            if os.path.isabs(name) or name.endswith(CODE) or len(self._missed) >= MAX_NAMES:
                return
            if (
                name.strip("./")
                and ".." not in Path(name).parts
                and self._is_here()
                and (self._project / name).exists()
            ):
                self._missed[os.path.normpath(name)] = None
        except (OSError, TypeError, ValueError):  # a descriptor, or not a path
            return


class _Wrapped:
    """Wraps a function of `os` to record missing paths. It equals the function itself for `os.supports_fd`."""

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
