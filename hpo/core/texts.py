"""Cleans external texts for both databases, UTF-8 files, terminals and pages."""

from __future__ import annotations

import re
import reprlib

LONGEST = 20_000
"""Maximum characters of one text; a traceback is shorter, a message with a whole array is not."""

# NUL and lone surrogates cannot be stored, control characters and ANSI codes affect a terminal, and bidirectional
# marks change the visible order of a text. Tabs and line breaks stay.
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def cleaned(text: str, longest: int = LONGEST) -> str:
    r"""Returns a text with unsafe characters escaped: `\x00`, `\udcff`, `\x1b`.

    Args:
        text: any text, also with lone surrogates.
        longest: number of characters to keep; the middle of a longer text is replaced by a note.
    """
    if len(text) > longest:
        head, tail = longest // 2, longest - longest // 2
        text = f"{text[:head]}\n... ({len(text) - longest} characters left out) ...\n{text[-tail:]}"
    return _UNSAFE.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text.replace("\r\n", "\n"))


def is_clean(text: str) -> bool:
    """Whether a text needs no cleaning."""
    return _UNSAFE.search(text) is None


def shown(value: object) -> str:
    """Returns a value for a message: its `repr` shortened to one line, or its type if that fails."""
    short = reprlib.Repr()
    short.maxstring = short.maxother = short.maxlong = 80
    try:
        return cleaned(short.repr(value), 200).replace("\n", " ")
    except Exception:  # __repr__ may raise anything; integers of over 4300 digits do
        return f"a value of type {type_name(value)}"


def type_name(value: object) -> str:
    """Returns the name of a value's type, even if the type overrides its name."""
    return cleaned(str(type.__dict__["__name__"].__get__(type(value))), 80)


def as_identifier(name: str) -> str:
    """Returns a name as a Python identifier: `learning-rate` as `learning_rate`, `2d` as `_2d`.

    Args:
        name: any name, such as another tool's name of a param.
    """
    own = "".join(one if one.isalnum() or one == "_" else "_" for one in name)
    return f"_{own}" if own[:1].isdigit() else own


def study_name(text: str) -> str:
    """Returns a text as a study's name: small letters, digits, dots, hyphens and underscores.

    Args:
        text: any name or title.
    """
    return re.sub(r"[^a-z0-9._-]+", "-", text.lower()).strip("-._")[:64] or "study"
