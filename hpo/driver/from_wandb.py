"""A sweep of Weights & Biases as a study whose trainable is the sweep's program."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import yaml

from hpo.core.errors import Problem, StudyInvalid, UsageError, did_you_mean
from hpo.core.records import Value
from hpo.core.texts import as_identifier, shown
from hpo.driver.conversion import Converted, write_converted
from hpo.driver.init import InitOutcome
from hpo.study import space
from hpo.study.building import BUDGET
from hpo.study.command import PLACEHOLDERS
from hpo.study.schema import Search
from hpo.study.table import dotted
from hpo.study.validation import SEED_LIKE

SAMPLERS = {"bayes": "gp", "random": "random", "grid": "grid"}
"""Our samplers by the sweep's method."""

DEFAULT_COMMAND = ("${env}", "${interpreter}", "${program}", "${args}")

EPOCHS = ("epochs", "n_epochs", "num_epochs", "max_epochs", "num_train_epochs")
"""Names of params that are the budget where they have one value."""

TAKEN = ("program", "command", "method", "metric", "parameters", "early_terminate", "run_cap", "name")

ABOUT_WANDB = ("description", "project", "entity", "$schema", "version")
"""Keys that say nothing about how a sweep trains."""


def init_from_wandb(sweep: str | Path, folder: str | Path = ".", name: str | None = None) -> InitOutcome:
    """Writes the study that a sweep of Weights & Biases describes.

    Args:
        sweep: path of the sweep's YAML file.
        folder: the project's folder, in which the sweep's program is.
        name: name of the study; None: that of the sweep, or of its file.

    Raises:
        StudyInvalid: if the sweep has problems or asks for what hpo does not have; the message lists all of them.
        UsageError: if it cannot be read, or the study's file exists.
        OutputRefused: if the study's file cannot be written.
    """
    return write_converted(read_sweep(Path(sweep), Path(folder)), Path(folder), name)


def read_sweep(path: Path, folder: Path) -> Converted:
    """Returns the study that a sweep describes.

    Args:
        path: path of the sweep's YAML file.
        folder: the project's folder, in which the sweep's program is.
    """
    return _Sweep(_content(path), folder).converted(path)


def _content(path: Path) -> Mapping[str, Any]:
    try:
        content = yaml.safe_load(path.read_bytes())
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}; name the YAML file of a sweep") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UsageError(f"{path} is no YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict) or not isinstance(content.get("parameters"), dict):
        raise UsageError(f"{path} is no sweep: expected a table with the keys method, metric and parameters")
    return content


class _Sweep:
    """Reads a sweep key by key and collects its problems.

    Args:
        content: what the YAML file holds.
        folder: the project's folder.
    """

    def __init__(self, content: Mapping[str, Any], folder: Path) -> None:
        self._content = content
        self._folder = folder
        self._problems: list[Problem] = []
        self._remarks: list[str] = []
        self._space: dict[str, space.Dimension] = {}
        self._fixed: dict[str, Value] = {}
        self._placeholders: dict[str, str] = {}
        self._flags: list[str] = []
        self._budget: int | None = None

    def converted(self, path: Path) -> Converted:
        """Returns the study.

        Args:
            path: where the sweep is.

        Raises:
            StudyInvalid: if there are problems.
        """
        for name, table in self._content["parameters"].items():
            self._add_param(str(name), table)
        if not self._space and not self._problems:
            self._add_problem("parameters", "has no param with several values; there is nothing to search")
        self._remarks += [
            f"{key}: is not taken from the sweep." for key in self._content if key not in (*TAKEN, *ABOUT_WANDB)
        ]
        run, objective = list(self._run()), self._objective()
        content = {
            "command": {"run": run, "cwd": "project", "may_end_early": True},
            "objective": objective,
            "space": self._space,
            "fixed": self._fixed,
            "search": self._search(),
        }
        if self._problems:
            raise StudyInvalid(str(path), self._problems)
        self._remarks.append(
            "The program has to print a line of JSON at each step, where it calls wandb.log: "
            f'print(json.dumps({{"{objective["metric"]}": value}})).'
        )
        if "seed" not in self._placeholders.values():
            self._remarks.append(
                'The program gets no seed: add "--seed={seed}" to run, or let it read the environment variable '
                'HPO_SEED and say reads = ["HPO_SEED"].'
            )
        name = self._content.get("name") or path.stem
        return Converted(content=content, name=str(name), source=str(path), remarks=tuple(self._remarks))

    def _add_problem(self, key: str, message: str) -> None:
        self._problems.append(Problem(key, message))

    def _add_param(self, name: str, table: object) -> None:
        key = dotted("parameters", name)
        if not isinstance(table, dict):
            self._add_problem(key, f"expected a table, such as {{values: [1, 2]}}, got {shown(table)}")
        elif SEED_LIKE.search(name):
            self._placeholders[name] = "seed"
            self._remarks.append(
                f"{name}: is not searched, which would pick the luckiest seed; the program gets the training's seed."
            )
        elif name in EPOCHS and self._budget is None and type(table.get("value")) is int:
            self._placeholders[name], self._budget = "budget", table["value"]
            self._remarks.append(f"{name}: is the study's budget, {self._budget} steps.")
        elif "parameters" in table:
            self._add_problem(key, "is a table of params; hpo has no nested ones: move them up to parameters")
        else:
            try:
                self._place(name, self._values(key, table))
            except (ValueError, ArithmeticError) as error:
                large = "its bounds are too large; log_uniform takes exponents of e, log_uniform_values the values"
                self._add_problem(key, large if isinstance(error, ArithmeticError) else str(error))

    def _place(self, name: str, found: space.Dimension | Value) -> None:
        """Puts a param into the space, or among the fixed ones, under a name that a study may have."""
        own = as_identifier(name)
        own = f"{own}_" if own in PLACEHOLDERS else own
        if own in (*self._space, *self._fixed):
            raise ValueError(f"would be called {own} in the study, as another param is; rename one of them")
        if own != name:
            self._remarks.append(f"{name}: is called {own} in the study; the program's argument keeps its name.")
        self._placeholders[name] = own
        if isinstance(found, Value):
            self._fixed[own] = found
        else:
            self._space[own] = found

    def _values(self, key: str, table: Mapping[str, Any]) -> space.Dimension | Value:
        """Returns the dimension or the one value of a param; raises ValueError where the study cannot have it."""
        kind = str(table.get("distribution") or _implied(table) or "")
        if kind in ("constant", "categorical", "categorical_w_probabilities"):
            return self._listed(key, [table.get("value")] if kind == "constant" else table.get("values"), table)
        if kind not in _RANGES:
            takes = ", ".join(("constant", "categorical", *_RANGES))
            what = f"distribution {shown(kind)} is unknown here" if kind else "has no value, no values, no min and max"
            raise ValueError(f"{what} (distributions: {takes}); write it as one of these.{_near(kind, _RANGES)}")
        low, high, step = _number(table, "min"), _number(table, "max"), _number({"q": 1, **table}, "q")
        if kind == "log_uniform":
            self._remarks.append(
                f"{key}: min and max of log_uniform are exponents of e, so it goes from {math.exp(low):.6g} to "
                f"{math.exp(high):.6g}; if they were meant as values, write them into the study."
            )
        return _RANGES[kind](low, high, step)

    def _listed(self, key: str, values: object, table: Mapping[str, Any]) -> space.Dimension | Value:
        if not isinstance(values, list) or not values:
            raise ValueError("lists no values; say values: [..]")
        if odd := [one for one in values if not isinstance(one, Value)]:
            raise ValueError(f"expected numbers, texts, true or false, got {shown(odd[0])}")
        if table.get("probabilities"):
            self._remarks.append(f"{key}: its probabilities are not taken; all values are equally likely.")
        if any(isinstance(one, bool) for one in values):
            self._flags.append(key)
            values = [str(one) if isinstance(one, bool) else one for one in values]  # as W&B passes them
        return values[0] if len(values) == 1 else space.Choice(values)

    def _objective(self) -> dict[str, Any]:
        metric = self._content.get("metric")
        if not isinstance(metric, dict) or not isinstance(metric.get("name"), str):
            self._add_problem(
                "metric", "is missing; name what the program reports: metric: {name: loss, goal: minimize}"
            )
            return {"metric": ""}
        goal = metric.get("goal", "minimize")
        if goal not in ("minimize", "maximize"):
            self._add_problem("metric.goal", f"expected minimize or maximize, got {shown(goal)}")
        return {"metric": metric["name"], "direction": goal, "epoch": "last"}  # W&B compares a run's last value

    def _search(self) -> dict[str, Any]:
        method = self._content.get("method")
        if method not in SAMPLERS:
            takes = ", ".join(SAMPLERS)
            self._add_problem("method", f"expected one of {takes}, got {shown(method)}.{_near(method, SAMPLERS)}")
            return {}
        search: dict[str, Any] = {"sampler": SAMPLERS[method], "pruner": "none", **self._early_end()}
        if self._budget is None:
            self._budget = BUDGET
            self._remarks.append(
                f"budget: the sweep does not say how many steps a run has; {BUDGET} is the most that are taken."
            )
        search["budget"] = self._budget
        cap, target = self._content.get("run_cap"), (self._content.get("metric") or {}).get("target")
        if target is not None:
            search["until"] = target
        if method == "grid" and cap is None:
            counts = [space.count(dimension) or 1 for dimension in self._space.values()]
            search["trials"] = math.prod(counts)
        elif cap is not None:
            search["trials"] = cap
        else:
            usual = Search.model_fields["trials"].default
            self._remarks.append(f"trials: the sweep does not end by itself; {usual} are trained.")
        return search

    def _early_end(self) -> dict[str, Any]:
        """Returns the pruner. What W&B calls hyperband compares runs at the rungs of one successive halving."""
        table = self._content.get("early_terminate")
        if table is None:
            return {}
        if not isinstance(table, dict) or table.get("type") != "hyperband":
            self._add_problem("early_terminate", f"expected type: hyperband, got {shown(table)}; or leave it out")
            return {}
        eta, most, first = table.get("eta", 3), table.get("max_iter"), table.get("min_iter")
        if any(one is not None and (type(one) is not int or one < 1) for one in (eta, most, first, table.get("s"))):
            self._add_problem("early_terminate", "expected whole numbers of 1 or more for eta, min_iter, max_iter, s")
            return {}
        if most is not None:
            self._budget = self._budget or most
            first = first or max(1, round(most / eta ** min(table.get("s", 1), 64)))
        if table.get("strict"):
            self._remarks.append("early_terminate.strict: is not taken.")
        options = {"reduction_factor": eta, "min_resource": first}
        return {"pruner": "successive-halving", "pruner_options": options}

    def _run(self) -> Iterator[str]:
        """Yields the arguments of the program, with our placeholders in the place of the sweep's macros."""
        command = self._content.get("command", DEFAULT_COMMAND)
        if not isinstance(command, list | tuple) or not command:
            self._add_problem("command", f"expected a list of arguments, got {shown(command)}")
            return
        for part in map(str, command):
            match part:
                case "${env}":
                    continue
                case "${interpreter}":
                    yield "{python}"
                case "${program}":
                    yield from self._program()
                case "${args}" | "${args_no_boolean_flags}":
                    if part != "${args}" and self._flags:
                        self._add_problem(
                            "command",
                            f"{part} leaves {', '.join(self._flags)} out where false, and a study's command cannot; "
                            'let the program take it as a text and write "${args}"',
                        )
                    yield from (f"--{_escaped(name)}={{{key}}}" for name, key in self._placeholders.items())
                case "${args_no_hyphens}":
                    yield from (f"{_escaped(name)}={{{key}}}" for name, key in self._placeholders.items())
                case _ if "${" in part:
                    self._add_problem(
                        "command",
                        f"hpo does not fill in {part} (it does ${{program}}, ${{args}}, ${{args_no_hyphens}}, "
                        "${interpreter}, ${env}); a program can read the params as JSON from HPO_PARAMS",
                    )
                case _:
                    yield _escaped(part)

    def _program(self) -> Iterator[str]:
        program = self._content.get("program")
        if not isinstance(program, str) or not program:
            self._add_problem("program", "is missing; name the file of the training, such as train.py")
            return
        if not (self._folder / program).is_file():
            self._remarks.append(f"program: there is no file {program} in {self._folder}; put it there.")
        yield _escaped(program)


def _implied(table: Mapping[str, Any]) -> str | None:
    """Returns the distribution that W&B takes a param to have which names none."""
    if "value" in table or "values" in table:
        return "constant" if "value" in table else "categorical"
    if "min" in table and "max" in table:
        return "int_uniform" if type(table["min"]) is type(table["max"]) is int else "uniform"
    return "normal" if "mu" in table else None


def _number(table: Mapping[str, Any], name: str) -> float:
    came = table.get(name)
    if isinstance(came, str):  # YAML 1.1 takes 1e-4 for a text
        with suppress(ValueError):
            came = float(came)
    if isinstance(came, bool) or not isinstance(came, int | float) or not math.isfinite(came):
        raise ValueError(f"expected a number as {name}, got {shown(came)}")
    return came


def _whole(low: float, high: float, _: float) -> space.Int:
    if low != int(low) or high != int(high):
        raise ValueError(f"expected whole numbers as min and max of int_uniform, got {low} and {high}")
    return space.Int(int(low), int(high))


def _stepped(low: float, high: float, step: float) -> space.Dimension:
    """Returns the values round(x / q) * q for x from low to high."""
    if step <= 0:
        raise ValueError(f"expected q above 0, got {step}")
    every = Decimal(str(step))
    first, last = (round(Decimal(str(bound)) / every) * every for bound in (low, high))
    if isinstance(step, int):
        return space.Int(int(first), int(last), step=step if step > 1 and first < last else None)
    return space.Float(float(first), float(last), step=step)


def _whole_log(low: float, high: float, step: float) -> space.Int:
    if step != 1:
        raise ValueError("hpo has no steps on a logarithmic scale but of 1; use log_uniform_values or q_uniform")
    return space.Int(round(low), round(high), log=True)


_RANGES: Mapping[str, Callable[[float, float, float], space.Dimension]] = {
    "uniform": lambda low, high, _: space.Float(low, high),
    "int_uniform": _whole,
    "q_uniform": _stepped,
    "log_uniform": lambda low, high, _: space.Float(math.exp(low), math.exp(high), log=True),
    "log_uniform_values": lambda low, high, _: space.Float(low, high, log=True),
    "q_log_uniform": lambda low, high, step: _whole_log(math.exp(low), math.exp(high), step),
    "q_log_uniform_values": _whole_log,
}
"""Dimensions by the name of a distribution, from min, max and q."""


def _near(word: object, known: Mapping[str, object] | Sequence[str]) -> str:
    return did_you_mean(word, known) if isinstance(word, str) else ""


def _escaped(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")
