"""The base class of all tables of a study file."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

Finite = Annotated[float, Field(allow_inf_nan=False)]


class Table(BaseModel):
    """A strict table: no type conversion, no unknown keys; dumped with the key names of the file."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, populate_by_name=False, serialize_by_alias=True)


def dotted(*parts: str | int) -> str:
    """Returns a key path as in TOML: `space.lr`, `space."the rate"`."""
    return ".".join(
        text if re.fullmatch(r"[A-Za-z0-9_-]+", text) else json.dumps(text, ensure_ascii=not text.isprintable())
        for text in map(str, parts)
    )


def exactly(*wanted: bool | int | str) -> BeforeValidator:
    """Returns a check that distinguishes 0, false and 0.0, which pydantic's Literal does not."""

    def check(given: object) -> object:
        if not any(type(given) is type(one) and given == one for one in wanted):
            *others, last = (str(one).lower() for one in wanted)
            shown = f"{', '.join(others)} or {last}" if others else last
            raise ValueError(f"expected {shown}, got {str(given).lower() if isinstance(given, bool) else repr(given)}")
        return given

    return BeforeValidator(check)


def each_once(names: tuple[str, ...]) -> tuple[str, ...]:
    """Returns names; raises ValueError if one is given twice."""
    for index, name in enumerate(names):
        if name in names[:index]:
            raise ValueError(f"{name!r} is given twice")
    return names


def parsed_by(parse: Callable[[str], object]) -> AfterValidator:
    """Returns a check that a text can be parsed; the text itself is kept.

    Args:
        parse: parses the text; raises a ValueError that names what was expected.
    """

    def check(text: str) -> str:
        parse(text)
        return text

    return AfterValidator(check)
