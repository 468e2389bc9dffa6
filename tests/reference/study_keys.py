"""The page of all keys of a study file, from the schema of study files and the docstrings of its tables."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from hpo.study import json_schema, schema
from hpo.study.command import CommandTable
from hpo.study.dimension import DimensionTable
from hpo.study.objective import ObjectiveTable
from hpo.study.preference import PreferTable
from hpo.study.race import RaceTable
from hpo.study.resources_table import ResourcesTable
from hpo.study.results import ResultsTable
from hpo.study.validation_table import Validation
from tests.reference.described import attributes
from tests.reference.examples import EXAMPLES
from tests.reference.markdown import cell, code, mark, table

BEGIN = """# Study files

Every key of a study file, `studies/NAME.toml`, for looking up. `hpo check --study NAME` finds all problems of a
file at once, and `hpo studies --schema` prints the JSON schema, for editors that complete and check TOML. The
first study is written step by step in [your own study](../own-study.md).

A key without a default has to be given. Changing a key of `[promotion]`, `[resources]` or `[results]`, or
`trials`, keeps the trials of a study; any other change makes another study, which needs another name.
"""

TABLES = {
    "": ("Top of the file", schema.Study),
    "command": ("[command]", CommandTable),
    "objective": ("[objective]", ObjectiveTable),
    "space": ("[space]", DimensionTable),
    "search": ("[search]", schema.Search),
    "promotion": ("[promotion]", schema.PromotionRules),
    "promotion.race": ("[promotion.race]", RaceTable),
    "promotion.prefer": ("[promotion.prefer]", PreferTable),
    "validation": ("[validation]", Validation),
    "resources": ("[resources]", ResourcesTable),
    "results": ("[results]", ResultsTable),
}

NOTES = {
    "space": "Each param is a key of this table, and its range is a table with the keys below: "
    "`lr = { float = [1e-4, 1e-1], log = true }`.",
    "promotion.prefer": 'For studies with several objectives; `prefer = "knee"`, the default, is the same as no table.',
}

DEFAULTS = {
    "trainable": "required, or `[command]`",
    "command": "required, or `trainable`",
    "objective.metric": "required, or `metrics`",
    "objective.metrics": "required, or `metric`",
    "space.float": "one of `float`, `int`, `choice` is required",
    "space.int": "as above",
    "space.choice": "as above",
    "search.lag": "`[resources] slots`",
    "search.sampler_seed": "`seed`",
    "promotion.race": "no race",
    "promotion.prefer": '`"knee"`',
    "validation.aggregate": '`"mean"`',
    "streams": '`"per-seed"` for each',
}
"""Where the default, or that there is none, is not in the schema."""

TYPES = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false", "null": ""}


def keys() -> Iterator[tuple[str, str, Mapping[str, Any], bool]]:
    """Yields table, key, its part of the schema, and whether it has to be given."""
    root = json_schema()
    for name, (_, kind) in TABLES.items():
        part = root if not name else root["$defs"][kind.__name__]
        for key, value in part["properties"].items():
            yield name, key, value, key in part.get("required", ())


def study_keys() -> str:
    """Returns the page."""
    lines, found = [mark(), BEGIN], list(keys())
    for name, (title, kind) in TABLES.items():
        lines += [f"## {title}\n"]
        lines += [f"{NOTES[name]}\n"] if name in NOTES else []
        said = attributes(kind)
        rows = []
        for _, key, part, required in (one for one in found if one[0] == name):
            where = f"{name}.{key}".removeprefix(".")
            meaning = said.get(key) or said.get(f"{key}_") or said.get(f"{key}_range") or part.get("description", "")
            example = EXAMPLES[where].strip().splitlines()[-1]
            rows.append(
                (code(key), _type(part), DEFAULTS.get(where) or _default(part, required), cell(meaning), code(example))
            )
        lines += table(("key", "type", "default", "meaning", "example"), rows)
    return "\n".join(lines).rstrip() + "\n"


def _type(part: Mapping[str, Any]) -> str:
    if "$ref" in part:
        return "table"
    if "enum" in part:
        return " or ".join(code(json.dumps(one)) for one in part["enum"])
    if "const" in part:
        return code(json.dumps(part["const"]))
    if "anyOf" in part:
        kinds = [_type(one) for one in part["anyOf"]]
        return " or ".join(dict.fromkeys(one for one in kinds if one))
    if "pattern" in part and "type" not in part:
        return code('"module:Class"')
    kind = part.get("type")
    if kind == "array":
        items = part.get("prefixItems")
        if items:
            return f"list of two: {_type(items[0])}"
        inner = _type(part.get("items", {}))
        return f"list of ({inner})" if " or " in inner else f"list of {inner}"
    if kind == "object":
        return "table"
    return f"{TYPES.get(str(kind), 'value')}{_bounds(part)}"


def _bounds(part: Mapping[str, Any]) -> str:
    low, above, high = part.get("minimum"), part.get("exclusiveMinimum"), part.get("maximum")
    if above is not None:
        return f" above {above}"
    if low is None or abs(low) > 2**50:
        return ""
    return f", {low} or more" if high is None or high > 2**50 else f", {low} to {high}"


def _default(part: Mapping[str, Any], required: bool) -> str:
    if required:
        return "required"
    value = part.get("default")
    return "" if value in (None, "", [], {}) else code(json.dumps(value))
