"""Texts from outside, made fit for both databases, UTF-8 files, terminals and pages."""

from __future__ import annotations

import re
import reprlib

LONGEST = 20_000
"""Characters of one text that are kept; a traceback is shorter, a message that holds a whole array is not."""

# NUL and lone surrogates cannot be stored, control characters and ANSI codes act on a terminal, and marks of writing
# direction show a text in another order than it has. Tabs and line breaks stay.
_UNFIT = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def cleaned(text: str, longest: int = LONGEST) -> str:
    r"""Returns a text with every unfit character written as an escape: `\x00`, `\udcff`, `\x1b`.

    Args:
        text: any text, with lone surrogates too.
        longest: number of characters to keep; a longer text loses its middle, and says how many characters that are.
    """
    if len(text) > longest:
        head, tail = longest // 2, longest - longest // 2
        text = f"{text[:head]}\n... ({len(text) - longest} characters left out) ...\n{text[-tail:]}"
    return _UNFIT.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text.replace("\r\n", "\n"))


def is_clean(text: str) -> bool:
    """Whether a text is fit as it is."""
    return _UNFIT.search(text) is None


def shown(value: object) -> str:
    """Returns how a value looks in a message: its `repr`, cut to a line; its type where that cannot be had."""
    short = reprlib.Repr()
    short.maxstring = short.maxother = short.maxlong = 80
    try:
        return cleaned(short.repr(value), 200).replace("\n", " ")
    except Exception:  # whatever a value's own __repr__ raises; and whole numbers of over 4300 digits
        return f"a value of type {type_name(value)}"


def type_name(value: object) -> str:
    """Returns the name of a value's type, whatever that type says of itself."""
    return cleaned(str(type.__dict__["__name__"].__get__(type(value))), 80)
