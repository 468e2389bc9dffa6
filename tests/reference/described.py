"""What docstrings say."""

from __future__ import annotations

import inspect
import re

ENTRY = re.compile(r"^ {4}(\w+): (.*)$")


def attributes(kind: type) -> dict[str, str]:
    """Returns the descriptions of a class's attributes by name, as sentences."""
    section = inspect.cleandoc(kind.__doc__ or "").partition("\nAttributes:\n")[2]
    found: dict[str, str] = {}
    name = ""
    for line in section.splitlines():
        if match := ENTRY.match(line):
            name, found[match[1]] = match.groups()
        elif not line.startswith(" "):
            break
        else:
            found[name] += f" {line.strip()}"
    return {one: f"{text[:1].upper()}{text[1:]}" for one, text in found.items()}


def first_sentence(thing: object) -> str:
    """Returns the first sentence of a docstring."""
    text = " ".join(inspect.cleandoc(thing.__doc__ or "").partition("\n\n")[0].split())
    return re.split(r"(?<=[.:]) (?=[A-Z])", text)[0]
