"""What a program says of its training: JSON lines as they come, or a file or lines that are read at its end."""

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
"""The key of a line that says which step it is."""


class StepMissing(TrainableError):
    """A later step was reported than the one that comes next."""


MOST_DEPTH = 20
"""Tables within tables that are looked into."""

SHOWN = 10
"""Names of metrics that a sentence lists."""


class Tail:
    """The lines of a file that grows, each once, when it is whole.

    Args:
        path: of the file; it may not be there yet.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._rest = b""

    def lines(self, *, ended: bool = False) -> list[str]:
        """Returns the lines that are new.

        Args:
            ended: whether nothing more will come, so that a line without an end is one.
        """
        try:
            with self._path.open("rb") as file:
                if file.seek(0, 2) < self._offset:  # it was written anew
                    self._offset, self._rest = 0, b""
                file.seek(self._offset)
                content = file.read()
                self._offset += len(content)
        except FileNotFoundError:
            content = b""
        *whole, rest = (self._rest + content).split(b"\n")
        self._rest = b"" if ended else rest
        found = [*whole, rest] if ended and rest else whole
        return [line.decode("utf-8", "replace") for line in found]


class StepReader:
    """Takes what a program reports, step by step, and refuses what is out of order.

    Args:
        objective: whose metric makes a line a report.
        again: whether steps may be reported again, as a program does that goes on after an interruption.
        remark: called with what is not as it should be and is made good.

    Attributes:
        steps: the metrics of each step so far.
        said_steps: whether the lines say which step they are.
        others: names in what was no report, as it lacks the metric.
    """

    def __init__(self, objective: Objective, *, again: bool, remark: Callable[[str], None]) -> None:
        self.steps: list[Metrics] = []
        self.said_steps = False
        self.others: dict[str, None] = {}
        self._objective = objective
        self._again = again
        self._remark = remark

    def of_line(self, line: str) -> Metrics | None:
        """Returns the metrics of a line; None where it is no report of a new step.

        Args:
            line: anything that a program prints.
        """
        if not line.lstrip().startswith("{"):
            return None
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            return None
        return self.of(found) if isinstance(found, dict) else None

    def of(self, said: Mapping[str, object]) -> Metrics | None:
        """Returns the metrics of an object, tables in it by dotted names; None where it is no report of a new step.

        Args:
            said: values by name; values that are not numbers are left out.

        Raises:
            TrainableError: if it is not the step that comes next.
        """
        flat = dict(_flat(said))
        needed = (self._objective.metric, *self._objective.constraints)
        if self._objective.metric not in flat:
            self.others |= dict.fromkeys(flat)
            return None
        step = flat.pop(STEP, None)
        metrics = {name: value for name, value in flat.items() if name in needed or _is_number(value)}
        if step is not None and self._is_known(step, metrics):
            return None
        if step is None and (self._again or self.said_steps):
            raise TrainableError(
                f"a report has no {STEP!r}, which every one must have "
                f"{'of a command that is resumable' if self._again else 'if one has it'}: {shown(said)}"
            )
        self.steps.append(metrics)
        return metrics

    def _is_known(self, step: object, metrics: Metrics) -> bool:
        text = str(step).removesuffix(".0")
        if not text.isdecimal() or isinstance(step, bool) or int(text) < 1:
            raise TrainableError(f"{STEP} must be a whole number, which counts from 1, not {shown(step)}")
        number, expected = int(text), len(self.steps) + 1
        if self.steps and not self.said_steps:
            raise TrainableError(
                f"step {number} was reported after reports without {STEP!r}; say it in each or in none"
            )
        self.said_steps = True
        if self._again and number < expected:
            if repr(self.steps[number - 1]) != repr(metrics):
                self._remark(
                    f"step {number} was reported again after an interruption, with other metrics ({shown(metrics)}); "
                    "the first ones count, but the training did not go on as it would have"
                )
            return True
        if number != expected:
            raise (StepMissing if number > expected else TrainableError)(
                f"step {number} was reported where step {expected} comes next; steps count from 1, each once, in order"
            )
        return False


def last_values(expressions: Mapping[str, str], lines: Iterable[str]) -> dict[str, str]:
    """Returns by metric the text that its expression found last.

    Args:
        expressions: regular expressions with one group.
        lines: all that was printed.
    """
    compiled = {name: re.compile(text) for name, text in expressions.items()}
    found: dict[str, str] = {}
    for line in lines:
        for name, expression in compiled.items():
            for match in expression.finditer(line):
                found[name] = match[1]
    return found


def rows_of(path: Path) -> Iterator[Mapping[str, object]]:
    """Yields what a file of metrics holds: the rows of a CSV file, a JSON object, or the objects of a JSON list.

    Args:
        path: of the file.

    Raises:
        TrainableError: if it is missing, or cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix == ".csv":
            rows: object = [
                {name: _cell(one) for name, one in row.items()} for row in csv.DictReader(text.splitlines())
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


def describe_nothing(objective: Objective, others: Iterable[str], where: str) -> str:
    """Returns that a program reported nothing, and what was expected.

    Args:
        objective: whose metric was looked for.
        others: names that were there.
        where: where metrics were looked for.
    """
    names = list(others)
    more = ", ..." if len(names) > SHOWN else ""
    there = f"; there it said {', '.join(names[:SHOWN])}{more}" if names else ""
    return (
        f"the command ended without having reported {objective.metric!r} {where}{there}. Expected were lines as "
        f'{{"step": 1, "{objective.metric}": 0.5}}'
    )


def _flat(said: Mapping[str, object], above: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    for name, value in said.items():
        if isinstance(value, Mapping) and depth < MOST_DEPTH:
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
