"""Resolves relative paths of a study's params in the project's folder, wherever a training runs."""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

from hpo.study.params import fields_of

MOST_CAUSES = 10
"""Maximum exceptions of a chain, which may contain a cycle."""


def located(params: Mapping[str, object], of: Any, hints: Mapping[str, Any], project: Path) -> dict[str, object]:
    """Returns the params, including defaults, with relative paths made absolute.

    A value is a path if its field is annotated as one, or if it is a string with a `/` or a suffix and the project has
    such a file or folder.

    Args:
        params: the params by name.
        of: the type that holds the params, or the trainable itself; see `hpo.study.params.Arguments`.
        hints: types of the params by name.
        project: the project's folder.
    """
    found = dict(params)
    defaults = {name: field.default for name, field in fields_of(of).items()}
    for name, value in {**defaults, **params}.items():
        if not isinstance(value, str | PurePath) or PurePath(value).is_absolute():
            continue
        if _is_path(hints.get(name)):
            found[name] = project / value
        elif isinstance(value, str) and _names_file(value) and _exists(project / value):
            found[name] = str(project / value)
    return found


def hint(error: BaseException, project: Path) -> str | None:
    """Returns a hint if an error is due to a relative path that is not in the training's working directory.

    Args:
        error: exception of the trainable.
        project: the project's folder.
    """
    for name in _named(error):
        if _exists(project / name) and not _exists(Path(name)):
            return (
                f"{name} is in the project's folder {project}, but each training runs in its own folder, so that "
                f"trainings cannot disturb each other's files. Read it as ctx.project / {name!r}, or give it to the "
                "trainable as a param whose type is pathlib.Path. Give it to a command as the argument "
                f'{{project}}/{name}, or set cwd = "project" in [command].'
            )
    return None


def _named(error: BaseException) -> list[str]:
    """Returns texts of an exception and its causes that may be relative paths."""
    files: list[str] = []
    names: list[str] = []
    seen: BaseException | None = error
    for _ in range(MOST_CAUSES):
        if seen is None:
            break
        for name in (getattr(seen, "filename", None), getattr(seen, "filename2", None)):
            if isinstance(name, str | PurePath):
                files.append(str(name))
        text = str(seen)[:2000]
        names += re.findall(r"""['"`]([^'"`\n]+)['"`]""", text)
        names += [word.strip(".,:;()[]<>") for word in text.split()]
        seen = seen.__cause__ or seen.__context__
    files += [name for name in names if _names_file(name)]
    return [name for name in dict.fromkeys(files) if not PurePath(name).is_absolute()]


def _is_path(hint: Any) -> bool:
    if isinstance(hint, type):
        return issubclass(hint, PurePath)
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return any(_is_path(one) for one in typing.get_args(hint))
    return False


def _names_file(text: str) -> bool:
    return bool(text.strip("./")) and ("/" in text or PurePath(text).suffix != "")


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # too long, or not a valid path
        return False
