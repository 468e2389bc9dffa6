"""The page of the public Python API: a table to read anywhere, and directives for mkdocstrings."""

from __future__ import annotations

from collections.abc import Iterator
from inspect import isfunction

import hpo
from hpo import api
from tests.reference.described import first_sentence
from tests.reference.markdown import cell, mark, table

BEGIN = """# Python

The public names of `hpo`, for looking up: everything that `import hpo` offers. [From Python](../python.md) shows
how they work together. Names that are not on this page may change at any time.
"""

OPTIONS = ("SearchOptions", "PromotionOptions", "VerifyOptions")
"""Classes of `hpo.api` that hold the options of a command; `hpo.run` and others take their fields as keywords."""


def groups() -> dict[str, list[str]]:
    """Returns the public names by what they are."""
    found: dict[str, list[str]] = {"Functions": [], "Classes": [], "Values and types": []}
    for name in hpo.__all__:
        thing = getattr(hpo, name)
        kind = "Classes" if isinstance(thing, type) else "Functions" if isfunction(thing) else "Values and types"
        found[kind].append(name)
    return found


def public_names() -> str:
    """Returns the page."""
    return "\n".join([mark(), BEGIN, *_lines()]).rstrip() + "\n"


def _lines() -> Iterator[str]:
    found = groups()
    for title in ("Functions", "Classes"):
        yield f"## {title}\n"
        rows = ((f"[`{name}`](#hpo.{name})", cell(first_sentence(getattr(hpo, name)))) for name in found[title])
        yield from table(("name", "what it is"), rows)
        yield from (f"::: hpo.{name}\n" for name in found[title])
    yield "## Options\n"
    rows = ((f"[`{name}`](#hpo.api.{name})", cell(first_sentence(getattr(api, name)))) for name in OPTIONS)
    yield from table(("name", "what it is"), rows)
    yield from (f"::: hpo.api.{name}\n" for name in OPTIONS)
    yield "## Values and types\n"
    yield "What a job source answers if it has no job now (`WAIT`), or none any more (`DONE`), and types:\n"
    yield from (f"::: hpo.{name}\n" for name in found["Values and types"])
