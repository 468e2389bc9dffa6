"""Options of the commands: declared once, as fields of a dataclass; the command line and the API take them from there.

A field's description in its class's docstring is the help text of the option too.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_type_hints

from hpo.core.arguments import require_int, require_number, require_type
from hpo.core.records import LARGEST_SEED, MAX_TRIALS

_ENTRY = re.compile(r"^ {4}(\w+): (.*)$")

WINNER = "winner"
"""The trial that keeps its files by default; its replicates become results folders."""

_UNITS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """How a field is written on the command line, and what it may be.

    Attributes:
        name: of the option; None: the field's own, `--storage-wait` for `storage_wait`.
        short: one letter that may be written instead, `-f`; None: there is none.
        low: smallest number that is allowed; None: any.
        high: largest number that is allowed; None: any.
        parse: makes the value of a text, and raises ValueError where it is none; None: the field's type does.
        metavar: how the help shows what is to be written; None: by the type.
        envvar: environment variable that counts where the option is not given; None: there is none.
        kind: what the command line takes where the field takes several types; None: the field's type.
        is_secret: whether it may hold a password, so that only the environment may name it then.
        called: how a message about the API's keyword calls it; None: as the field.
    """

    name: str | None = None
    short: str | None = None
    low: float | None = None
    high: float | None = None
    parse: Callable[[str], object] | None = None
    metavar: str | None = None
    envvar: str | None = None
    kind: Any = None
    is_secret: bool = False
    called: str | None = None


def flag(**said: Any) -> dict[str, Flag]:
    """Returns the metadata of a field that is an option of the command line, see `Flag`."""
    return {"flag": Flag(**said)}


def count(low: int = 1) -> dict[str, Flag]:
    """Returns the metadata of a field that counts something, `low` or more of it."""
    return flag(low=low, high=MAX_TRIALS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """A field that is an option of the command line.

    Attributes:
        name: of the field, and of the API's keyword.
        flag: how it is written on the command line.
        annotation: type of the field, evaluated.
        default: of the field; `dataclasses.MISSING`: it has to be given; None also where a function makes it.
        help: what it is, as a sentence.
    """

    name: str
    flag: Flag
    annotation: Any
    default: Any
    help: str


@functools.lru_cache
def declared(kind: type) -> tuple[Declared, ...]:
    """Returns the fields of a dataclass that are options of the command line, the bases' first."""
    return tuple(_declared(kind))


def _declared(kind: type) -> Iterator[Declared]:
    homes = {name: base for base in reversed(kind.__mro__) for name in vars(base).get("__annotations__", ())}
    texts: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        texts |= _described(base)
    for one in dataclasses.fields(kind):
        if "flag" in one.metadata:
            text, home = texts.get(one.name, ""), vars(sys.modules[homes[one.name].__module__])
            alone = SimpleNamespace(__annotations__={"it": one.type})  # other fields' types may be for mypy alone
            yield Declared(
                name=one.name,
                flag=one.metadata["flag"],
                annotation=get_type_hints(alone, home)["it"],
                default=None if one.default_factory is not dataclasses.MISSING else one.default,
                help=text[:1].upper() + text[1:],
            )


def _described(kind: type) -> dict[str, str]:
    """Returns what a class's docstring says of its attributes, by name."""
    _, _, section = inspect.cleandoc(vars(kind).get("__doc__") or "").partition("\nAttributes:\n")
    found: dict[str, str] = {}
    name = ""
    for line in section.splitlines():
        if match := _ENTRY.match(line):
            name, found[match[1]] = match.groups()
        elif name:
            found[name] += f" {line.strip()}"
    return found


def check_options(options: Any) -> None:
    """Raises where an option has another type than its field's, or is outside its range.

    Raises:
        UsageError: if one is; the message names it.
    """
    for one in dataclasses.fields(options):
        own, value = one.metadata.get("flag"), getattr(options, one.name)
        if own is None or (value is None and one.default is None):
            continue
        called, kind = own.called or one.name, str(one.type)
        if kind == "bool":
            require_type(called, value, bool, "True or False")
        elif kind.startswith("Path"):
            require_type(called, value, (str, Path), "a path")
        elif kind.startswith("str"):
            require_type(called, value, str, "a text")
        elif kind.startswith("int"):
            require_int(called, value, own.low, own.high)
        elif kind.startswith("float"):
            require_number(called, value, *[own.low] * (own.low is not None))
        elif own.parse is numbers_of:
            require_type(called, value, (list, tuple), "a list of whole numbers")
            for number in value:
                require_int(f"a number in {called}", number)


def numbers_of(text: str) -> tuple[int, ...]:
    """Returns whole numbers: `45,46,47`.

    Raises:
        ValueError: if there is something else.
    """
    parts = [part.strip() for part in text.split(",")]
    if not all(re.fullmatch(r"\d{1,19}", part) and int(part) <= LARGEST_SEED for part in parts):
        raise ValueError(f"expected whole numbers of 0 to {LARGEST_SEED} such as 45,46,47, got {text[:100]!r}")
    return tuple(map(int, parts))


def names_of(text: str) -> tuple[str, ...]:
    """Returns names that commas separate."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def columns_of(text: str) -> dict[str, str]:
    """Returns the columns of params: `lr=rate,depth=`.

    Raises:
        ValueError: if there is something else.
    """
    pairs = [part.partition("=") for part in text.split(",")]
    if not all(name.strip() and equals for name, equals, _ in pairs):
        raise ValueError(f"expected param=column,param=column, got {text[:100]!r}")
    return {name.strip(): column.strip() for name, _, column in pairs}


def keep_of(text: str) -> str:
    """Returns which trials keep their files, as it is written in a study: `winner`, `all`, `best:5`.

    Raises:
        ValueError: if the text is none of these.
    """
    if not re.fullmatch(r"winner|all|best:[1-9][0-9]{0,6}", text):
        raise ValueError(f"expected 'winner', 'all' or 'best:N' with an N of 1 or more, e.g. 'best:5', got {text!r}")
    return text


def seconds_of(text: str) -> float:
    """Returns a length of time in seconds: `90s`, `30m`, `2h`, `1h30m`, `1d`.

    Raises:
        ValueError: if it is none.
    """
    parts = re.fullmatch("".join(rf"(?:(\d+(?:\.\d+)?){unit})?" for unit in _UNITS), text.strip())
    numbers = parts.groups(default="0") if parts else ()
    seconds = sum(float(number) * unit for number, unit in zip(numbers, _UNITS.values(), strict=False))
    if seconds <= 0:
        raise ValueError(f"expected a length of time such as 90s, 30m, 1h30m or 1d, got {text!r}")
    return seconds


def deadline_of(text: str) -> datetime:
    """Returns a moment in the future: `2026-12-01T08:00`, which is local time, or `2026-12-01T08:00+01:00`.

    Raises:
        ValueError: if it is no date with a time, or is over.
    """
    try:
        when = datetime.fromisoformat(text.strip())
        when = when if when.tzinfo else when.astimezone()
        is_over = when <= datetime.now(UTC)
    except (ValueError, OverflowError, OSError):
        when, is_over = None, False
    if when is None or ":" not in text:
        raise ValueError(
            "expected a date with a time such as 2026-12-01T08:00, local time, or 2026-12-01T08:00+01:00, "
            f"got {text[:40]!r}"
        )
    if is_over:
        raise ValueError(f"the deadline is in the past: {when.isoformat(' ', 'seconds')}")
    return when
