"""The defaults of a trainable's params that the study does not set but results depend on."""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
import math
import re
from collections.abc import Callable, Collection, Mapping, Set
from enum import Enum
from pathlib import Path
from typing import Any

from hpo.core.texts import cleaned
from hpo.study.params import Field, fields_of

LONGEST = 300
"""Maximum characters of a stored default; a longer one is stored as its sha256."""


def defaults_of(params: Any, given: Collection[str], root: str | Path = "") -> dict[str, object]:
    """Returns the defaults that apply if only `given` is set, as JSON values by name.

    Args:
        params: the type of the trainable's params, or the trainable itself; see `hpo.study.params.Arguments`.
        given: names that the space or the fixed params set.
        root: the project's folder; default paths below it become relative to it, so that the project can be moved.
    """
    fields = fields_of(params)
    if isinstance(params, type) and dataclasses.is_dataclass(params):  # its __init__ may take more than its fields
        for name, parameter in inspect.signature(params).parameters.items():
            if name not in fields and parameter.default is not parameter.empty:
                fields[name] = Field(parameter.default)
    found: dict[str, object] = {}
    for name, field in fields.items():
        if name not in given and not field.is_required:
            factory, base = field.factory, Path(root)
            found[name] = plain(field.default, base) if factory is None else _made(factory, base)
    return found


def plain(value: object, root: Path) -> object:
    """Returns a default as a JSON value that is the same in every process.

    Args:
        value: default of a param.
        root: the project's folder.
    """
    if isinstance(value, Enum):
        return f"{type(value).__qualname__}.{value.name}"
    if isinstance(value, str):
        whole = cleaned(value, max(LONGEST, len(value)))
        return whole if len(value) <= LONGEST else _digested(value, whole.encode())
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else repr(value)
    if isinstance(value, Path):
        below = root.is_absolute() and value.is_relative_to(root)
        return cleaned((value.relative_to(root) if below else value).as_posix())
    if isinstance(value, Mapping):
        return {str(key): plain(one, root) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one, root) for one in value]
    if isinstance(value, Set):
        return sorted((plain(one, root) for one in value), key=repr)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: plain(getattr(value, field.name, None), root) for field in dataclasses.fields(value)}
        return {"": type(value).__qualname__, **fields}
    return _object_text(value)


def _made(factory: Callable[[], object], root: Path) -> object:
    """Returns the value of a factory, or the factory's name if the value differs each time, e.g. a date or an id."""
    try:
        first, second = plain(factory(), root), plain(factory(), root)
    except Exception:  # user code: the training itself reports the error
        return _object_text(factory)
    return first if first == second else _object_text(factory)


def _object_text(value: Any) -> str:
    """Returns the text of an object without its memory address, which differs between processes."""
    module, name = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    if isinstance(module, str) and isinstance(name, str):  # a class or a function
        return f"{module}.{name}"
    try:
        if callable(content := getattr(value, "tobytes", None)):  # an array
            return _digested(value, content())
        text = re.sub(r" at 0x[0-9a-fA-F]+", "", repr(value))
    except Exception:  # user code
        return type(value).__qualname__
    return text if len(text) <= LONGEST else _digested(value, text.encode())


def _digested(value: object, content: bytes) -> str:
    return f"{type(value).__qualname__} of sha256 {hashlib.sha256(content).hexdigest()}"
