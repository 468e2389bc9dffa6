"""Trials from a table: a CSV file that another tool exported, or the folder of a Ray Tune experiment."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from hpo.core.errors import UsageError, did_you_mean
from hpo.core.records import Value
from hpo.search.imports import Foreign
from hpo.study import Study
from hpo.study.space import Choice, Dimension, Int

PARAM_PREFIXES = ("params/", "params.", "params_", "param/", "param.", "config/", "config.")
METRIC_PREFIXES = ("metrics/", "metrics.", "summary/", "summary.")
NAMES = ("trial_id", "Name", "name", "run_name", "Run ID", "run_id", "ID")
"""Columns that name a trial; the first one found is used."""

NUMBER = "number"
"""Column that numbers the trials, as in a data frame of Optuna's; otherwise rows are counted from 0."""

EMPTY = ("", "nan", "NaN")
"""Cells without a value."""

STATES = ("state", "State", "status", "Status")
_OVER = {"complete", "completed", "finished", "terminated", "succeeded", "done", ""}
_OPEN = {"running", "pending", "waiting", "scheduled", "paused"}

MANY = 12
"""How many names a message lists."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Where a table has what it is asked for.

    Attributes:
        value: column of the objective's value; None: the one that is named like the metric, or `value`.
        params: column by param, where it is named otherwise; an empty one means that a column is no param.
    """

    value: str | None = None
    params: Mapping[str, str] = field(default_factory=dict)


def read_table(study: Study, path: Path, columns: Columns) -> Foreign:
    """Returns the trials of a CSV file, one for each row.

    Args:
        study: the study that they are for: its params and its metric are looked for.
        path: of the file.
        columns: where the columns are named otherwise.

    Raises:
        UsageError: if it is no such table, or a column is missing.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        first = text.partition("\n")[0]
        delimiter = max(",;\t", key=first.count)
        rows = list(csv.DictReader(text.splitlines(keepends=True), delimiter=delimiter, strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{path} cannot be read as CSV: {error}") from error
    if not rows or any(None in row or None in row.values() for row in rows):
        raise UsageError(f"{path} is no table: expected a first row with names of columns, and a row for each trial")
    header = [name for name in rows[0] if name]
    named = _param_columns(study, header, columns, rows, str(path))
    value = _value_column(study, header, columns, str(path))
    known = next((name for name in NAMES if name in header), None)
    state = next((name for name in STATES if name in header), None)
    labels = [row[known] for row in rows] if known else []
    if known in NAMES[:1] and len(set(labels)) < len(labels):
        raise UsageError(f"{path} has several rows of one {known}; expected one row for each trial")
    numbers = _numbers(rows)
    trials = [
        _frozen(
            number,
            {name: _typed(row[column], study, name) for name, column in named.items() if row[column] not in EMPTY},
            _number(row[value]),
            _state(row[state]) if state else TrialState.COMPLETE,
        )
        for number, row in zip(numbers, rows, strict=True)
    ]
    return Foreign(
        source=str(path),
        study=path.stem,
        direction=study.objective.direction,
        trials=tuple(sorted(trials, key=lambda trial: trial.number)),
        tool="CSV",
        names={number: label for number, label in zip(numbers, labels, strict=bool(labels)) if label},
        recognized=(
            *_recognized(named, value, study),
            *([f"state: {state}"] if state else []),
            *_unread(header, {*named.values(), value, known, state, NUMBER}),
        ),
    )


def read_ray(study: Study, folder: Path, columns: Columns) -> Foreign:
    """Returns the trials of a Ray Tune experiment from its `params.json` and `result.json` files; nothing is unpickled.

    Args:
        study: the study that they are for: its params and its metric are looked for.
        folder: of the experiment, which has a folder for each trial.
        columns: where params or the metric are named otherwise.

    Raises:
        UsageError: if it is no such folder, or nothing in it has the metric.
    """
    found = [
        one for one in sorted(folder.iterdir()) if (one / "params.json").is_file() and (one / "result.json").is_file()
    ]
    if not found:
        raise UsageError(
            f"{folder} is no Ray Tune experiment: expected folders of trials with params.json and result.json in them"
        )
    read = [(one, *_ray_trial(one)) for one in found]
    header = list(dict.fromkeys(name for _, params, _ in read for name in params))
    metrics = list(dict.fromkeys(name for _, _, results in read for result in results for name in result))
    named = _param_columns(study, header, columns, [params for _, params, _ in read], str(folder), all_params=True)
    value = _value_column(study, metrics, columns, str(folder))
    trials, names = [], {}
    for number, (one, params, results) in enumerate(read):
        steps = {
            int(result.get("training_iteration") or place): reached
            for place, result in enumerate(results, start=1)
            if (reached := _number(result.get(value))) is not None
        }
        better = max if study.objective.direction == "maximize" else min
        last = steps[max(steps)] if steps else None
        chosen = better(steps.values()) if steps and study.objective.epoch == "best" else last
        is_over = not any((one / name).exists() for name in ("error.txt", "error.pkl"))
        given = {name: params[column] for name, column in named.items() if column in params}
        trials.append(_frozen(number, given, chosen, TrialState.COMPLETE if is_over else TrialState.FAIL, steps))
        names[number] = str(next((result["trial_id"] for result in results if "trial_id" in result), one.name))
    return Foreign(
        source=str(folder),
        study=folder.resolve().name,
        direction=study.objective.direction,
        trials=tuple(trials),
        tool="Ray Tune",
        names=names,
        recognized=(
            *_recognized(named, f"{value}, the {study.objective.epoch} that was reported", study),
            *_unread(header, {*named.values()}),
        ),
    )


def _ray_trial(folder: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    try:
        params = json.loads((folder / "params.json").read_text(encoding="utf-8"))
        lines = (folder / "result.json").read_text(encoding="utf-8").splitlines()
        results = [json.loads(line) for line in lines if line.strip()]
        return dict(_flat(params)), [dict(_flat(result)) for result in results]
    except (OSError, ValueError, AttributeError) as error:
        raise UsageError(f"{folder} cannot be read as a trial of Ray Tune: {error}") from error


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yields the values of nested tables by path: `model/width`."""
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}/")
        else:
            yield f"{prefix}{name}", value


def _param_columns(
    study: Study,
    header: Sequence[str],
    columns: Columns,
    rows: Sequence[Mapping[str, Any]],
    where: str,
    *,
    all_params: bool = False,
) -> dict[str, str]:
    """Returns the column of each param, by its name.

    Args:
        study: the study whose params are looked for.
        header: names of the columns.
        columns: where columns are named otherwise.
        rows: the table, to see which columns agree, and which have one value only.
        where: what to call the table in messages.
        all_params: whether all columns are params; otherwise those with a known prefix and those named like one.
    """
    found: dict[str, str] = {}
    wanted = (*study.space, *study.fixed)
    for name, column in columns.params.items():
        if column and column not in header:
            raise UsageError(
                f"{where} has no column {column!r} for param {name}.{did_you_mean(column, header)} {_listed(header)}"
            )
        if column:
            found[name] = column
    taken = {*found.values(), *(name for name, column in columns.params.items() if not column)}
    for name in wanted:
        if name in columns.params:
            continue
        there = [one for one in (name, *(f"{prefix}{name}" for prefix in PARAM_PREFIXES)) if one in header]
        if len(there) > 1 and any(row[there[0]] != row[other] for row in rows for other in there[1:]):
            raise UsageError(
                f"{where} has several columns for param {name}: {', '.join(there)}; name one: --params {name}=COLUMN"
            )
        if there:
            found[name] = there[0]
            taken.update(there)
    for column in header:
        prefix = next((one for one in PARAM_PREFIXES if column.startswith(one)), "" if all_params else None)
        if prefix is None or column in taken or column.removeprefix(prefix) in taken:
            continue
        values = [row.get(column) for row in rows]
        if any(value != values[0] for value in values):  # one that never changed is a setting, and no param
            found.setdefault(column.removeprefix(prefix), column)
    if not set(found) & set(study.space):
        raise UsageError(f"{where} has no column for any of the params {', '.join(study.space)}. {_listed(header)}")
    return found


def _value_column(study: Study, header: Sequence[str], columns: Columns, where: str) -> str:
    metric = study.objective.metric
    if columns.value is not None:
        if columns.value not in header:
            raise UsageError(
                f"{where} has no column {columns.value!r}.{did_you_mean(columns.value, header)} {_listed(header)}"
            )
        return columns.value
    for name in (metric, *(f"{prefix}{metric}" for prefix in METRIC_PREFIXES), "value"):
        if name in header:
            return name
    raise UsageError(f"{where} has no column {metric!r} or 'value'; name the one with --value. {_listed(header)}")


def _listed(header: Sequence[str]) -> str:
    more = f" and {len(header) - MANY} more" if len(header) > MANY else ""
    return f"Its columns: {', '.join(header[:MANY])}{more}"


def _recognized(named: Mapping[str, str], value: str, study: Study) -> tuple[str, ...]:
    params = ", ".join(name if name == column else f"{name} from {column}" for name, column in named.items())
    better = "more" if study.objective.direction == "maximize" else "less"
    return f"params: {params}", f"value: {value}; {better} is taken to be better"


def _unread(header: Sequence[str], used: Collection[str | None]) -> list[str]:
    others = [column for column in header if column not in used]
    return [f"not read: {', '.join(others[:MANY])}{', ...' if len(others) > MANY else ''}"] if others else []


def _numbers(rows: Sequence[Mapping[str, str]]) -> list[int]:
    given = [row.get(NUMBER, "") for row in rows]
    if all(one.isascii() and one.isdecimal() for one in given) and len(set(given)) == len(given):
        return [int(one) for one in given]
    return list(range(len(rows)))


def _typed(text: str, study: Study, name: str) -> object:
    """Returns what a cell says as a value of the param; the text itself where it is none."""
    dimension: Dimension | None = study.space.get(name)
    if dimension is None and name in study.fixed:
        dimension = Choice(values=(study.fixed[name],))
    if isinstance(dimension, Choice):
        fitting = [one for one in dimension.values if _says(text, one)]
        return fitting[0] if len(fitting) == 1 else text
    number = _number(text)
    if number is None:
        return text
    return int(number) if isinstance(dimension, Int) and number == int(number) else number


def _says(text: str, value: Value) -> bool:
    if isinstance(value, bool):
        return text.strip().lower() == str(value).lower()
    return text == value if isinstance(value, str) else _number(text) == value


def _number(cell: object) -> float | None:
    if isinstance(cell, bool) or not isinstance(cell, int | float | str):
        return None
    try:
        number = float(cell)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _state(word: str) -> TrialState:
    word = word.strip().lower().rpartition(".")[2]
    if word in _OVER:
        return TrialState.COMPLETE
    return TrialState.PRUNED if word == "pruned" else TrialState.RUNNING if word in _OPEN else TrialState.FAIL


def _frozen(
    number: int,
    params: Mapping[str, object],
    value: float | None,
    state: TrialState,
    steps: Mapping[int, float] | None = None,
) -> FrozenTrial:
    return FrozenTrial(
        number=number,
        state=state,
        value=value,
        datetime_start=None,
        datetime_complete=None,
        params=dict(params),
        distributions={},
        user_attrs={},
        system_attrs={},
        intermediate_values=dict(steps or {}),
        trial_id=number,
    )
