"""The reports of a program: JSON lines as they arrive, or a file or output lines that are read at its end."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from hpo.core.errors import TrainableError
from hpo.core.records import Metrics, Objective
from hpo.core.texts import shown

STEP = "step"
"""Key of the step's number in a JSON line."""


class StepMissing(TrainableError):
    """A step was skipped in the reports."""


MAX_DEPTH = 20
"""Maximum nesting depth of JSON objects that are read."""

MAX_LISTED = 10
"""Maximum number of metric names that a message lists."""


class Tail:
    """The lines of a growing file, each returned once when it is complete.

    Args:
        path: path of the file, which may not exist yet.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._rest = b""

    def lines(self, *, ended: bool = False) -> list[str]:
        """Returns the new lines.

        Args:
            ended: whether the file is complete, so that its last line counts without a line end.
        """
        try:
            with self._path.open("rb") as file:
                if file.seek(0, 2) < self._offset:  # it was rewritten
                    self._offset, self._rest = 0, b""
                file.seek(self._offset)
                content = file.read()
                self._offset += len(content)
        except FileNotFoundError:
            content = b""
        *complete, rest = (self._rest + content).split(b"\n")
        self._rest = b"" if ended else rest
        lines = [*complete, rest] if ended and rest else complete
        return [line.decode("utf-8", "replace") for line in lines]


class StepReader:
    """Reads the reports of a program step by step, and checks their order.

    Args:
        objective: objective whose metric makes a line a report.
        resumable: whether the program may report steps again after an interruption.
        remark: called with a message on a problem that does not fail the training.

    Attributes:
        steps: metrics of each step so far.
        is_numbered: whether the reports have the number of their step.
        others: names in JSON objects that are not reports because they lack the metric.
    """

    def __init__(self, objective: Objective, *, resumable: bool, remark: Callable[[str], None]) -> None:
        self.steps: list[Metrics] = []
        self.is_numbered = False
        self.others: dict[str, None] = {}
        self._objective = objective
        self._resumable = resumable
        self._remark = remark

    def read_line(self, line: str) -> Metrics | None:
        """Returns the metrics of a line; None if it is not a report of a new step.

        Args:
            line: any line that the program prints.
        """
        if not line.lstrip().startswith("{"):
            return None
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            return None
        return self.read(found) if isinstance(found, dict) else None

    def read(self, reported: Mapping[str, object]) -> Metrics | None:
        """Returns the metrics of a JSON object, nested ones by dotted names; None if it is not a report of a new step.

        Args:
            reported: values by name; values that are not numbers are left out.

        Raises:
            TrainableError: if it is not the next step.
        """
        flat = dict(_flat(reported))
        needed = self._objective.needed
        if self._objective.metric not in flat:
            self.others |= dict.fromkeys(flat)
            return None
        step = flat.pop(STEP, None)
        metrics = {name: value for name, value in flat.items() if name in needed or _is_number(value)}
        if step is not None and self._is_repeated(step, metrics):
            return None
        if step is None and (self._resumable or self.is_numbered):
            raise TrainableError(
                f"a report has no {STEP!r}, which every report must have "
                f"{'if the command is resumable' if self._resumable else 'if one report has it'}: {shown(reported)}"
            )
        self.steps.append(metrics)
        return metrics

    def _is_repeated(self, step: object, metrics: Metrics) -> bool:
        text = str(step).removesuffix(".0")
        if not text.isdecimal() or isinstance(step, bool) or int(text) < 1:
            raise TrainableError(f"{STEP} must be a whole number of at least 1, not {shown(step)}")
        number, expected = int(text), len(self.steps) + 1
        if self.steps and not self.is_numbered:
            raise TrainableError(
                f"step {number} was reported after reports without {STEP!r}; report it in all lines or in none"
            )
        self.is_numbered = True
        if self._resumable and number < expected:
            if repr(self.steps[number - 1]) != repr(metrics):
                self._remark(
                    f"step {number} was reported again after an interruption, with other metrics ({shown(metrics)}); "
                    "the first ones count, but the training was not resumed exactly"
                )
            return True
        if number != expected:
            raise (StepMissing if number > expected else TrainableError)(
                f"step {number} was reported instead of step {expected}; report each step once and in order, from 1"
            )
        return False


def last_values(expressions: Mapping[str, str], lines: Iterable[str]) -> dict[str, str]:
    """Returns the last match of each metric's regular expression.

    Args:
        expressions: regular expressions with one group, by metric.
        lines: all lines that the program printed.
    """
    compiled = {name: re.compile(text) for name, text in expressions.items()}
    found: dict[str, str] = {}
    for line in lines:
        for name, expression in compiled.items():
            for match in expression.finditer(line):
                found[name] = match[1]
    return found


def rows_of(path: Path) -> Iterator[Mapping[str, object]]:
    """Yields the rows of a metrics file: the rows of a CSV file, a JSON object, or the objects of a JSON list.

    Args:
        path: path of the file.

    Raises:
        TrainableError: if the file is missing or cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix == ".csv":
            rows: object = [
                {name: _cell(value) for name, value in row.items()} for row in csv.DictReader(text.splitlines())
            ]
        else:
            rows = json.loads(text)
    except FileNotFoundError:
        raise TrainableError(f"the command has not written {path.name}, its metrics_file, into its folder") from None
    except (OSError, ValueError, RecursionError, csv.Error) as error:
        raise TrainableError(f"the command's metrics_file {path.name} cannot be read: {error}") from error
    for row in rows if isinstance(rows, list) else [rows]:
        if not isinstance(row, dict):
            raise TrainableError(f"the command's metrics_file {path.name} must hold objects, not {shown(row)}")
        yield row


def missing_metric_message(objective: Objective, others: Iterable[str], where: str) -> str:
    """Returns the message that a program did not report the metric, with an example.

    Args:
        objective: objective whose metric is missing.
        others: names that the program reported.
        where: source of the reports, such as `on stdout`.
    """
    names = list(others)
    more = ", ..." if len(names) > MAX_LISTED else ""
    reported = f"; it reported {', '.join(names[:MAX_LISTED])}{more}" if names else ""
    example = ", ".join(f'"{name}": 0.5' for name in objective.metrics)
    return (
        f"the command ended without reporting {objective.metric!r} {where}{reported}. Expected lines such as "
        f'{{"step": 1, {example}}}'
    )


def _flat(reported: Mapping[str, object], above: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    for name, value in reported.items():
        if isinstance(value, Mapping) and depth < MAX_DEPTH:
            yield from _flat(value, f"{above}{name}.", depth + 1)
        else:
            yield f"{above}{name}", value


def _is_number(value: object) -> bool:
    return value is None or isinstance(value, bool | int | float)


def _cell(text: object) -> object:
    if not isinstance(text, str) or not text.strip():
        return None
    try:
        return float(text)
    except ValueError:
        return text
