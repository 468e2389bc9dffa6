"""The table [objective]: one metric to optimize, or several."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from hpo.core.errors import Problem, UsageError, did_you_mean
from hpo.core.records import Direction, Objective
from hpo.study.preference import PreferTable, named
from hpo.study.table import Finite, Table, each_once

MetricName = Annotated[str, StringConstraints(min_length=1)]

LONGEST_LABEL = 60
"""Largest number of characters of a label, which has to fit on an axis."""

SECONDS = "seconds"
"""Name of the cost that is the time of a training."""

SEVERAL = ("tpe", "gp", "nsgaii", "nsgaiii", "random", "qmc", "grid")
"""Samplers that take several objectives; the first one is the default of studies that have several."""

TOP = 8
"""Number of candidates of studies with several objectives that name none: a front of three is no front."""


def _pairs(given: object) -> tuple[tuple[str, Direction], ...]:
    """Returns the metrics as pairs of name and direction; raises ValueError with a sentence if that is not possible."""
    if isinstance(given, Mapping):
        given = list(given.items())
    if not isinstance(given, list | tuple) or not all(isinstance(one, list | tuple) and len(one) == 2 for one in given):
        raise ValueError(
            'expected a table of directions by metric, e.g. { val_acc = "maximize", latency_ms = "minimize" }, '
            f"got {given!r}"
        )
    for name, direction in given:
        if not isinstance(name, str) or not name:
            raise ValueError(f"expected the name of a metric, got {name!r}")
        if direction not in get_args(Direction):
            hint = did_you_mean(direction, get_args(Direction)) if isinstance(direction, str) else ""
            raise ValueError(
                f"{name}: expected 'maximize' or 'minimize', got {direction!r}" + (f".{hint}" if hint else "")
            )
    each_once(tuple(name for name, _ in given))
    return tuple((name, direction) for name, direction in given)


def _label(given: object) -> object:
    """Returns a label, or labels by metric, as given; raises ValueError with a sentence if that is not possible."""
    if given is None:
        return None
    if not isinstance(given, str | Mapping):
        raise ValueError(f"expected a text, or a table of texts by metric, got {given!r}")
    for label in [given] if isinstance(given, str) else given.values():
        if not isinstance(label, str) or not label.strip() or len(label) > LONGEST_LABEL or not label.isprintable():
            raise ValueError(f"expected a text of one line with 1 to {LONGEST_LABEL} characters, got {label!r}")
    return given


def _from_list(tables: list[Any]) -> dict[str, Any]:
    """Returns one table from several tables [[objective]], or from a list in Python; raises ValueError."""
    if not tables or not all(isinstance(one, Mapping) and isinstance(one.get("metric"), str) for one in tables):
        raise ValueError('expected one or more tables with a metric, e.g. [[objective]] metric = "val_acc"')
    known = ("metric", "direction", "epoch", "ignore", "label")
    if unknown := {key for one in tables for key in one}.difference(known, ["limit"]):
        raise ValueError(f"no such key: {', '.join(sorted(unknown))} (keys: {', '.join(known)})")
    if len(tables) == 1:
        return dict(tables[0])
    if any(one.get("limit") is not None for one in tables):
        raise ValueError("limit is for one objective; leave it out")
    epochs = {str(one["epoch"]) for one in tables if "epoch" in one}
    if len(epochs) > 1:
        raise ValueError("epoch differs between the objectives, but all of them count at one epoch; keep one")
    ignore = [name for one in tables for name in one.get("ignore", ())]
    labels: dict[object, object] = {}
    for one in tables:
        label = one.get("label")
        labels |= label if isinstance(label, Mapping) else {} if label is None else {one["metric"]: label}
    return {
        "metrics": [[one["metric"], one.get("direction", "maximize")] for one in tables],
        **({"epoch": epochs.pop()} if epochs else {}),
        **({"ignore": list(dict.fromkeys(ignore))} if ignore else {}),
        **({"label": labels} if labels else {}),
    }


def _without_metric_required(schema: dict[str, Any]) -> None:
    schema.pop("required", None)
    schema["anyOf"] = [{"required": ["metric"]}, {"required": ["metrics"]}]
    pairs = schema["properties"]["metrics"]
    directions = {"type": "object", "additionalProperties": {"enum": list(get_args(Direction))}}
    schema["properties"]["metrics"] = {
        "anyOf": [directions, {key: pairs[key] for key in ("type", "items") if key in pairs}],
        "description": "Several metrics to optimize, each with its direction; the first one chooses the epoch.",
    }


class ObjectiveTable(Table):
    """The metric to optimize, or several; see `hpo.Objective`.

    Attributes:
        metric: name of the metric to optimize; with several objectives the first one.
        direction: whether larger or smaller values are better.
        epoch: which epoch's value counts: the best one of the training, or the last.
        limit: best possible value, such as 1.0 for an accuracy, with which `--curtail` saves more trainings;
            None: there is none.
        ignore: names of metrics that differ between any two trainings, such as times. `hpo verify`, `hpo seeds replay`
            and the check for ignored seeds do not compare them. It may change at any time.
        metrics: several metrics to optimize instead of one, each with its direction; the first one chooses the epoch.
        label: what figures call the metric, or a table of such names by metric. It may change at any time.
    """

    model_config = ConfigDict(json_schema_extra=_without_metric_required)

    metric: MetricName
    direction: Direction = "maximize"
    epoch: Literal["best", "last"] = "best"
    limit: Finite | None = None
    ignore: Annotated[
        tuple[MetricName, ...],
        Field(
            strict=False,
            description="Names of metrics that differ between any two trainings, such as times (latency_ms): they are "
            "not compared by hpo verify, by hpo seeds replay, or to find seeds that are ignored.",
        ),
        AfterValidator(each_once),
    ] = ()
    metrics: Annotated[tuple[tuple[MetricName, Direction], ...], BeforeValidator(_pairs)] = ()
    label: Annotated[
        str | dict[MetricName, str] | None,
        BeforeValidator(_label),
        Field(
            description='What figures call the metric, e.g. "Quadratic kappa", or a table of such names by metric, '
            'e.g. { val_kappa = "Quadratic kappa", val_loss = "Loss" }.'
        ),
    ] = None

    def objective(self, constraints: tuple[str, ...], cost: str) -> Objective:
        """Returns the objective of the study.

        Args:
            constraints: names of metrics that must not be above zero.
            cost: name of the metric that says what a training costs; empty: none does.
        """
        label = {self.metric: self.label} if isinstance(self.label, str) else self.label or {}
        return Objective(
            metric=self.metric,
            direction=self.direction,
            epoch=self.epoch,
            constraints=constraints,
            ignore=self.ignore,
            others=self.metrics[1:],
            cost=cost,
            labels=tuple(sorted(label.items())),
        )

    @model_validator(mode="before")
    @classmethod
    def _names_its_first(cls, given: object) -> object:
        """Returns the table with `metric` and `direction` of the first of `metrics`; one metric alone is no several."""
        table = _from_list(given) if isinstance(given, list) else given
        if not isinstance(table, dict) or not table.get("metrics"):
            return table
        try:
            pairs = _pairs(table["metrics"])
        except ValueError:
            return {"metric": "-", **table}  # the field says what is wrong
        first = dict(zip(("metric", "direction"), pairs[0], strict=True))
        if any(table.get(key, value) != value for key, value in first.items()):
            raise ValueError("give metric and direction, or metrics for several, not both")
        return {**table, **first, "metrics": pairs if len(pairs) > 1 else ()}

    @model_validator(mode="after")
    def _compares_the_metric(self) -> ObjectiveTable:
        if self.metric in self.ignore:
            raise ValueError(f"ignore names {self.metric!r}, which is the metric that is optimized; leave it out")
        if self.metrics and self.limit is not None:
            raise ValueError("limit is for one objective; leave it out")
        if self.metrics and isinstance(self.label, str):
            raise ValueError(f'label names one of several metrics; name it, e.g. {{ {self.metric} = "{self.label}" }}')
        return self


def _metrics_of(content: Mapping[str, Any]) -> dict[str, str]:
    """Returns the directions by metric of a study with several objectives; empty with one, or if they are invalid."""
    given = content.get("objective")
    try:
        table = given if isinstance(given, ObjectiveTable) else ObjectiveTable.model_validate(given)
    except ValueError:
        return {}
    return dict(table.metrics)


def with_defaults(content: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns the content of a study with the defaults that differ with several objectives: sampler, pruner and top.

    Args:
        content: content of a study file; returned as it is with one objective.
    """
    if not _metrics_of(content):
        return content
    search, promotion = content.get("search"), content.get("promotion", {})
    changed = dict(content)
    if isinstance(search, Mapping):
        changed["search"] = {"sampler": SEVERAL[0], "pruner": "none", **search}
    if isinstance(promotion, Mapping):
        changed["promotion"] = {"top": TOP, **promotion}
    return changed


def objective_problems(content: Mapping[str, Any]) -> Iterator[Problem]:
    """Yields what a study with several objectives cannot have, and what a study with one cannot.

    Args:
        content: content of a study file, with the defaults.
    """
    metrics = _metrics_of(content)
    search, promotion = content.get("search"), content.get("promotion")
    prefer = promotion.get("prefer") if isinstance(promotion, Mapping) else None
    if not metrics:
        if prefer is not None:
            yield Problem("promotion.prefer", "chooses from a front, which one objective does not have; leave it out")
        return
    results = content.get("results")
    if isinstance(results, Mapping) and str(results.get("keep")).startswith("best:"):
        yield Problem("results.keep", f'ranks trials by one value, and this study has {len(metrics)}; write "all"')
    if isinstance(search, Mapping):
        sampler = search.get("sampler")
        if sampler in ("tpe+gp", "cmaes"):
            yield Problem("search.sampler", f"{sampler!r} is for one objective; for several: {', '.join(SEVERAL)}")
        if isinstance(pruner := search.get("pruner"), str) and pruner != "none":
            yield Problem(
                "search.pruner",
                f"{pruner!r} compares trials by one value, and this study has {len(metrics)} objectives; leave it out",
            )
        for key in ("until", "patience"):
            if search.get(key) is not None:
                yield Problem(f"search.{key}", "is for one objective; leave it out, and give the number of trials")
        constraints = search.get("constraints")
        for name in constraints if isinstance(constraints, list | tuple) else ():
            if name in metrics:
                yield Problem("search.constraints", f"{name!r} is an objective; it cannot also be a constraint")
    if isinstance(promotion, Mapping) and promotion.get("race") is not None:
        yield Problem("promotion.race", "ranks by one value; with several objectives all candidates get all seeds")
    if prefer is not None:
        yield from _preference_problems(prefer, metrics)


def _preference_problems(prefer: object, metrics: Mapping[str, str]) -> Iterator[Problem]:
    try:
        table = prefer if isinstance(prefer, PreferTable) else PreferTable.model_validate(named(prefer))
    except ValueError:
        return  # reported by the table's own check
    known = f"(objectives: {', '.join(metrics)})"
    for name in table.weights:
        if name not in metrics:
            yield Problem(
                "promotion.prefer.weights", f"no such objective {name!r} {known}.{did_you_mean(name, metrics)}"
            )
    if table.weights and (missing := [name for name in metrics if name not in table.weights]):
        yield Problem("promotion.prefer.weights", f"lacks {', '.join(missing)}; give every objective a weight, or 0")
    for bound in table.bounds:
        if bound.metric not in metrics:
            hint = did_you_mean(bound.metric, metrics)
            yield Problem("promotion.prefer.where", f"no such objective {bound.metric!r} {known}.{hint}")
        elif bound.is_upper != (metrics[bound.metric] == "minimize"):
            way, sign = metrics[bound.metric], "<=" if metrics[bound.metric] == "minimize" else ">="
            yield Problem(
                "promotion.prefer.where",
                f"{bound.metric} is {way}d, so a bound is written {bound.metric} {sign} {bound.value:g}",
            )


def require_one_objective(study: Any, what: str) -> None:
    """Checks that a study has one objective.

    Args:
        study: the study that the command is for.
        what: what compares trials by one value, as the subject of the message.

    Raises:
        UsageError: if it has several.
    """
    if study.objective.others:
        raise UsageError(
            f"{what} compares trials by one value, but study {study.name!r} has {len(study.objective.metrics)} "
            f"objectives: {study.objective}"
        )
