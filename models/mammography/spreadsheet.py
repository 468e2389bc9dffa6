"""Reads a CSV file from a spreadsheet as texts: leading zeros are kept, nothing becomes a number or a date."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from hpo import UsageError

LARGEST = 500_000_000
"""Maximum bytes; a larger file is not a list of examinations."""

SEPARATORS = ",;\t|"

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark is its prefix
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

_GUESSES = ("utf-8", "cp1252", "latin-1")
"""Encodings to try for a file without a mark; the last one accepts anything."""

_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?[ ,;\t]*\n', re.IGNORECASE)
"""The line that tells Excel the separator."""

_SHOWN = 12
"""Maximum columns of a header in a message."""


@dataclass(frozen=True, slots=True)
class Table:
    """The rows of a file.

    Attributes:
        rows: texts by row number as in a spreadsheet, from 1 including the header.
        ragged: numbers of rows with more fields than the header.
    """

    rows: pd.DataFrame
    ragged: tuple[int, ...]


def read_table(file: Path) -> Table:
    """Reads a CSV file with any encoding, separator and line ends of spreadsheets; empty rows are dropped.

    Raises:
        UsageError: if it cannot be read, or is not such a table.
    """
    text = _text(file)
    if text.count('"') % 2:
        raise UsageError(f"{file} is not a CSV table: a quotation mark is never closed")
    before = text[: len(text) - len(text.lstrip("\n"))]
    separator, skipped = None, len(before)
    if found := _SEPARATOR_LINE.match(text, len(before)):
        separator, skipped = found[1], len(before) + 1
    body = text[found.end() if found else len(before) :]
    separator = separator or max(SEPARATORS, key=re.sub(r'"[^"]*"', "", body.partition("\n")[0]).count)
    try:
        with _fields_of_any_length(len(body)):
            records = list(csv.reader(io.StringIO(body, newline=""), delimiter=separator, skipinitialspace=True))
    except csv.Error as error:
        raise UsageError(f"{file} is not a CSV table: {error}") from error
    if not records:
        raise UsageError(f"{file} is not a CSV table: it is empty")
    return _table(file, records, skipped)


def columns_shown(columns: list[str]) -> str:
    """Returns a header for a message, shortened to one line."""
    names = [name if len(name) <= 40 else f"{name[:40]}..." for name in columns[:_SHOWN]]
    return ", ".join(names) + (f" and {len(columns) - _SHOWN} more" if len(columns) > _SHOWN else "")


def _table(file: Path, records: list[list[str]], skipped: int) -> Table:
    header = [name.strip() for name in records[0]]
    while header and not header[-1]:  # separators at the ends of all lines
        header.pop()
    width = len(header)
    rows: dict[int, list[str]] = {}
    ragged = []
    for number, record in enumerate(records[1:], start=skipped + 2):
        fields = [field.strip() for field in record]
        if not any(fields):
            continue
        if any(fields[width:]):
            ragged.append(number)
        else:
            rows[number] = (fields + [""] * width)[:width]
    if not rows and not ragged:
        raise UsageError(f"{file} has no rows; its columns are {columns_shown(header)}")
    twice = [name for name, count in Counter(header).items() if name and count > 1]
    if twice:
        raise UsageError(f"{file}: duplicate column names: {columns_shown(twice)}")
    return Table(pd.DataFrame(rows.values(), index=list(rows), columns=header, dtype=str), tuple(ragged))


def _text(file: Path) -> str:
    """Returns the text of a file with LF line ends."""
    try:
        if (size := file.stat().st_size) > LARGEST:
            raise UsageError(f"{file} has {size / 1e6:.0f} MB, too large for a list of examinations")
        content = file.read_bytes()
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror or error}") from error
    mark, encoding = next((pair for pair in _MARKS if content.startswith(pair[0])), (b"", _without_mark(content)))
    for guess in (encoding,) if encoding else _GUESSES:
        try:
            text = content.decode(guess).removeprefix("\ufeff")
        except UnicodeDecodeError:
            continue
        return text.replace("\r\n", "\n").replace("\r", "\n")
    name = str(encoding).upper()
    how = "starts" if mark else "looks"
    raise UsageError(f"{file} {how} like {name}, but is not valid; save it as UTF-8")


def _without_mark(content: bytes) -> str | None:
    """Detects UTF-16 without a mark; returns None for other encodings."""
    start = content[:2000]
    if b"\0" not in start:
        return None
    if start[1::2].count(0) > len(start) // 4 > start[0::2].count(0):
        return "utf-16-le"
    if start[0::2].count(0) > len(start) // 4 > start[1::2].count(0):
        return "utf-16-be"
    return None


@contextmanager
def _fields_of_any_length(longest: int) -> Iterator[None]:
    before = csv.field_size_limit(max(longest, 1))
    try:
        yield
    finally:
        csv.field_size_limit(before)
