"""Turns pydantic's errors on a study into problems, in the user's terms."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, time
from typing import Any

from pydantic import ValidationError

from hpo.core.errors import Problem, did_you_mean
from hpo.study.command import CommandTable
from hpo.study.dimension import DimensionTable
from hpo.study.objective import ObjectiveTable
from hpo.study.preference import PreferTable
from hpo.study.race import RaceTable
from hpo.study.resources_table import ResourcesTable
from hpo.study.results import ResultsTable
from hpo.study.schema import NAME, PromotionRules, Search, Study
from hpo.study.table import Table, dotted
from hpo.study.validation_table import Validation

HOW_TO_CHOOSE_BUDGET = "; set it to the number of steps that a training reports, or to 1 if it only returns its metrics"
"""Follows a message on a study without a budget."""

_WANTED = {
    "float_type": "a number",
    "int_type": "a whole number",
    "string_type": "a text",
    "bool_type": "true or false",
    "dict_type": "a table",
    "model_type": "a table",
    "dataclass_type": "a table",
    "tuple_type": "a list",
    "list_type": "a list",
    "int_from_float": "a whole number",
    "finite_number": "a finite number",
    "model_attributes_type": "a table",
    "dataclass_exact_type": "a table",
}

_EXAMPLES = {
    ("objective", 1): '; write { metric = "val_acc" }, in Python hpo.maximize("val_acc")',
    ("space", 2): "; write { float = [0.0, 1.0] }, in Python hpo.Float(0.0, 1.0)",
    ("resources", "time"): '; write e.g. "90s" or "2h"',
    ("resources", "memory"): '; write e.g. "8 GiB"',
}
"""Ends of messages: on a text by its keys, on a table by its first key and depth."""


def listed(
    error: ValidationError, content: Mapping[str, object], above: tuple[str, ...] = (), table: type[Table] | None = None
) -> list[Problem]:
    """Returns pydantic's errors as problems: one per key, with the expected and the given value.

    Args:
        error: the error that pydantic raised.
        content: the content that was validated.
        above: keys of the tables that contain it.
        table: class of the validated table; None: a whole study.
    """
    found: dict[str, list[str]] = {}
    for item in error.errors(include_url=False):
        key = dotted(*above, *_path(item["loc"], content))
        message = _message(item, table)
        if message not in found.setdefault(key, []):
            found[key].append(message)
    return [Problem(key, _merged(messages)) for key, messages in found.items()]


def _merged(messages: list[str]) -> str:
    """Merges the messages of the members of a union: `expected A or B, got C`."""
    parts = [re.fullmatch("expected (.*), got (.*)", message) for message in messages]
    if len(messages) == 1 or not all(parts):
        return " or ".join(messages)
    wanted = [part[1] for part in parts if part]
    if {"a number", "a finite number"}.intersection(wanted):
        wanted = [one for one in wanted if one != "a whole number"]
    return f"expected {' or '.join(wanted)}, got {parts[0][2] if parts[0] else ''}"


def _path(loc: tuple[int | str, ...], content: object) -> list[int | str]:
    """Returns the part of pydantic's location that is in the file; it also names members of unions."""
    path: list[int | str] = []
    at = content
    for part in loc:
        if (isinstance(at, Mapping) and part in at) or (isinstance(at, list) and part in range(len(at))):
            at = at[part]  # type: ignore[index]  # a key of a mapping, an index of a list
        elif not isinstance(at, Mapping) or part != loc[-1] or _is_union_tag(str(part)):
            continue
        path.append(part)
    return path


def _is_union_tag(part: str) -> bool:
    return part in {"bool", "int", "float", "str", "constrained-int", "constrained-float"} or "[" in part


def _message(item: Any, table: type[Table] | None = None) -> str:
    kind, given, context = item["type"], item.get("input"), item.get("ctx", {})
    match kind:
        case "missing" if isinstance(item["loc"][-1], int):
            return f"expected two bounds, [low, high], got {shown_value(given)}"
        case "too_long":
            return f"expected {context['max_length']} values, got {shown_value(given)}"
        case "missing" | "missing_argument":
            return "is missing" + (HOW_TO_CHOOSE_BUDGET if item["loc"] == ("search", "budget") else "")
        case "extra_forbidden" | "unexpected_keyword_argument":
            known = _known_keys(item["loc"]) if table is None else tuple(table.model_fields)
            shown = f"keys: {', '.join(known)}" if known else "it takes none"
            return f"no such key ({shown}).{did_you_mean(str(item['loc'][-1]), known)}"
        case "value_error":
            return str(context["error"])
        case "literal_error":
            words = re.findall("'([^']+)'", context["expected"])
            hint = did_you_mean(given, words) if isinstance(given, str) else ""
            wanted = context["expected"].replace("False", "false")
            return f"expected {wanted}, got {shown_value(given)}" + (f".{hint}" if hint else "")
        case "string_pattern_mismatch":
            return f"expected {NAME}, e.g. unet-density, got {shown_value(given)}"
        case "string_too_short":
            return "is empty"
        case "too_short":
            return "is empty; at least one is needed"
        case "greater_than_equal" | "less_than_equal":
            bound = f"at least {context['ge']}" if "ge" in context else f"at most {context['le']}"
            return f"expected {bound}, got {shown_value(given)}"
        case _ if kind in _WANTED:
            loc, is_table = item["loc"], _WANTED[kind] == "a table"
            example = _EXAMPLES.get((*loc[:1], len(loc)) if is_table else loc, "")
            return f"expected {_WANTED[kind]}, got {shown_value(given)}{example}"
        case _:
            return f"{item['msg'][0].lower()}{item['msg'][1:]}, got {shown_value(given)}"


def shown_value(given: object) -> str:
    """Returns a value about as TOML writes it, shortened to 60 characters."""
    if isinstance(given, bool):
        return str(given).lower()
    if isinstance(given, int) and given.bit_length() > 64:
        return "a number of more than 64 bits"
    if isinstance(given, date | time):
        return given.isoformat()
    try:
        text = repr(given)
    except ValueError:  # Python converts at most 4300 digits
        return "a value with a number of more than 64 bits"
    return text if len(text) <= 60 else f"{text[:57]}..."


_TABLES: dict[str, type[Table]] = {
    "": Study,
    "command": CommandTable,
    "objective": ObjectiveTable,
    "search": Search,
    "promotion": PromotionRules,
    "promotion.race": RaceTable,
    "promotion.prefer": PreferTable,
    "validation": Validation,
    "resources": ResourcesTable,
    "results": ResultsTable,
    "space": DimensionTable,
}


def _known_keys(loc: tuple[int | str, ...]) -> tuple[str, ...]:
    table = _TABLES.get(dotted(*loc[:2]) if len(loc) > 2 else "-") or _TABLES[str(loc[0]) if len(loc) > 1 else ""]
    return tuple(field.alias or name for name, field in table.model_fields.items())
