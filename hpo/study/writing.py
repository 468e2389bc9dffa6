"""Writes a study as a TOML file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from hpo.core.errors import UsageError
from hpo.core.files import explain_write_errors, write_text
from hpo.study.functions import is_of_session
from hpo.study.schema import Study
from hpo.study.table import dotted


def text_of(study: Study) -> str:
    """Returns a study as TOML without the values that equal their defaults.

    Args:
        study: the study to be written.

    Raises:
        UsageError: if its trainable is a function of a session, to which a file cannot refer.
    """
    if is_of_session(study.trainable):
        raise UsageError(
            f"study {study.name!r} trains a function of a session, {study.trainable}, which a file cannot name; put "
            "it into a module of the project, e.g. train.py, and use that function"
        )
    content = study.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude_none=True)
    if study.objective.others:  # in the form that people write
        objective = {key: value for key, value in content["objective"].items() if key not in ("metric", "direction")}
        content["objective"] = objective | {"metrics": dict(study.objective_.metrics)}
        content["promotion"] = {"top": study.promotion.top, **content.get("promotion", {})}
    content["search"] = {"trials": study.search.trials, **content["search"]}
    return "\n".join(_table(content)).strip() + "\n"


def write_study(study: Study, path: str | Path, *, replace: bool = False) -> str:
    """Writes a study file and returns its text.

    Args:
        study: the study to be written.
        path: the folder of study files, or the file, whose name must be that of the study.
        replace: whether a file with different content is overwritten.

    Raises:
        UsageError: if the file has the wrong name, or has different content and `replace` is False.
        OutputRefused: if it cannot be written.
    """
    text, path = text_of(study), Path(path)
    if path.suffix != ".toml" or path.is_dir():
        path /= f"{study.name}.toml"
    if path.name != f"{study.name}.toml":
        raise UsageError(f"the file of study {study.name!r} must be called {study.name}.toml, not {path.name}")
    with explain_write_errors(path):
        if path.exists() and not replace and path.read_bytes() != text.encode():
            raise UsageError(
                f"{path} contains another study, or this one in another form; overwrite it with "
                "to_toml(..., replace=True)"
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, text)
    return text


def _table(content: Mapping[str, object], *above: str) -> Iterator[str]:
    """Yields the lines of a table: first its values, then the tables in it."""
    inner = {key: value for key, value in content.items() if isinstance(value, dict) and not _is_inline(above, key)}
    for key, value in content.items():
        if key not in inner:
            yield f"{dotted(key)} = {_value(value)}"
    for key, value in inner.items():
        if value:
            yield ""
            yield f"[{dotted(*above, key)}]"
            yield from _table(value, *above, key)


def _is_inline(above: tuple[str, ...], key: str) -> bool:
    """Whether a table is written on one line, e.g. a dimension."""
    inline = (("promotion", "race"), ("promotion", "prefer"), ("objective", "metrics"), ("objective", "label"))
    return above == ("space",) or key == "wrapped_options" or (*above, key) in inline


def _value(value: object) -> str:
    match value:
        case bool():
            return str(value).lower()
        case str():
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        case dict():
            return "{ " + ", ".join(f"{dotted(key)} = {_value(one)}" for key, one in value.items()) + " }"
        case list():
            return "[" + ", ".join(map(_value, value)) + "]"
        case _:
            return repr(value)
