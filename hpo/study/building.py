"""Studies made in Python: turns functions, dimensions and tables into the content of a study file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Required, TypedDict

from pydantic import BaseModel

from hpo.core.arguments import explains_arguments, require_choice, require_number, require_type
from hpo.core.errors import UsageError
from hpo.core.records import Objective, Value
from hpo.study.command import CommandTable
from hpo.study.objective import ObjectiveTable
from hpo.study.resources_table import ResourcesTable
from hpo.study.results import ResultsTable
from hpo.study.schema import PromotionRules, Search
from hpo.study.space import Choice, Dimension, Float, Int, SpaceDimension
from hpo.study.validation_table import Validation

BUDGET = 10
"""Default budget, in epochs per trial, of a study made in Python."""


class StudyContent(TypedDict, total=False):
    """The arguments of `hpo.Study`: the tables of a study file, with Python functions and dimensions.

    Attributes:
        name: name of the study in storages, folders and commands.
        trainable: the training function itself, or its path `module:function`.
        command: keys of the table [command], for a program that trains instead of a function.
        objective: the metric to optimize: `hpo.maximize("val_acc")` or `hpo.minimize("val_loss")`, or several.
        space: the search space, a dimension by param name.
        fixed: values of params that are the same in all trials.
        search: keys of the table [search], such as trials, budget, sampler; the budget is 10 if it is left out.
        promotion: keys of the table [promotion], such as top, seeds, rule.
        validation: keys of the table [validation]: folds, repeats, test.
        streams: seeds of streams of randomness, or `fixed` or `per-seed`, by name.
        resources: keys of the table [resources], such as cpu, gpu, slots, time, memory.
        results: keys of the table [results]: keep and limit, which trials keep their files; formats of figures.
    """

    name: Required[str]
    trainable: str | Callable[..., Any]
    command: Mapping[str, object] | CommandTable | None
    objective: Required[
        ObjectiveTable | Objective | Mapping[str, object] | Sequence[ObjectiveTable | Mapping[str, object]]
    ]
    space: Required[Mapping[str, SpaceDimension | Mapping[str, object]]]
    fixed: Mapping[str, Value] | None
    search: Mapping[str, object] | Search | None
    promotion: Mapping[str, object] | PromotionRules | None
    validation: Mapping[str, object] | Validation | None
    streams: Mapping[str, int | str] | None
    resources: Mapping[str, object] | ResourcesTable | None
    results: Mapping[str, object] | ResultsTable | None


@explains_arguments
def maximize(
    metric: str,
    *,
    epoch: Literal["best", "last"] = "best",
    limit: float | None = None,
    ignore: Sequence[str] = (),
    label: str | None = None,
) -> ObjectiveTable:
    """Returns an objective whose metric is maximized.

    Args:
        metric: name of the metric that the trainable reports.
        epoch: epoch whose value counts, `best` or `last`.
        limit: best possible value, e.g. 1.0 for an accuracy; None: there is no limit.
        ignore: names of metrics that differ between any two trainings, such as times.
        label: what figures call the metric, e.g. `Quadratic kappa`; None: its name.

    Raises:
        UsageError: if an argument is unknown or of another type.

    Examples:
        >>> import hpo
        >>> objective = hpo.maximize("val_acc", limit=1.0)
        >>> objective.metric, objective.direction, objective.epoch
        ('val_acc', 'maximize', 'best')
    """
    return _objective("maximize", metric, epoch, limit, ignore, label)


@explains_arguments
def minimize(
    metric: str,
    *,
    epoch: Literal["best", "last"] = "best",
    limit: float | None = None,
    ignore: Sequence[str] = (),
    label: str | None = None,
) -> ObjectiveTable:
    """Returns an objective whose metric is minimized.

    Args:
        metric: name of the metric that the trainable reports.
        epoch: epoch whose value counts, `best` or `last`.
        limit: best possible value, e.g. 0.0 for a loss; None: there is no limit.
        ignore: names of metrics that differ between any two trainings, such as times.
        label: what figures call the metric, e.g. `Quadratic kappa`; None: its name.

    Raises:
        UsageError: if an argument is unknown or of another type.

    Examples:
        >>> import hpo
        >>> objective = hpo.minimize("val_loss", epoch="last")
        >>> objective.metric, objective.direction, objective.epoch
        ('val_loss', 'minimize', 'last')
    """
    return _objective("minimize", metric, epoch, limit, ignore, label)


def _objective(
    direction: Literal["maximize", "minimize"],
    metric: str,
    epoch: Literal["best", "last"],
    limit: float | None,
    ignore: Sequence[str],
    label: str | None,
) -> ObjectiveTable:
    require_type("metric", metric, str, "the name of a metric as a text")
    if not metric:
        raise UsageError("metric is empty; give a metric that the trainable reports")
    require_choice("epoch", epoch, ("best", "last"))
    if limit is not None:
        require_number("limit", limit)
    require_type("ignore", ignore, (list, tuple), "a list of names of metrics")
    for index, name in enumerate(ignore):
        require_type("a name in ignore", name, str, "a text")
        if not name or name in ignore[:index]:
            raise UsageError(f"ignore names {name!r} twice; leave one out" if name else "a name in ignore is empty")
    if metric in ignore:
        raise UsageError(f"ignore names {metric!r}, which is the metric that is optimized; leave it out")
    require_type("label", label, (str, type(None)), "a text")
    found = ObjectiveTable(metric=metric, direction=direction, epoch=epoch, limit=limit, ignore=tuple(ignore))
    return found if label is None else found.model_copy(update={"label": label})  # `hpo.Study` checks it


def content_of(given: Mapping[str, object]) -> dict[str, Any]:
    """Returns the content of a study file from Python arguments; invalid values are kept for later checks.

    Args:
        given: keyword arguments of `hpo.Study`, see `StudyContent`.
    """
    content: dict[str, Any] = {key: _plain(value) for key, value in given.items() if value is not None}
    search = content.setdefault("search", {})
    if isinstance(search, dict):
        if isinstance(objective := given.get("objective"), Objective) and objective.constraints:
            search.setdefault("constraints", list(objective.constraints))
        search.setdefault("budget", BUDGET)
        for name in ("sampler_options", "pruner_options"):
            if isinstance(options := search.get(name), dict):  # TOML has no None: leave the key out
                search[name] = {key: value for key, value in options.items() if value is not None}
    return content


def _plain(value: object) -> object:
    """Returns a value as `tomllib` gives it: tables, lists and scalars."""
    if isinstance(value, BaseModel):
        return value.model_dump(by_alias=True, exclude_unset=True)
    if isinstance(value, Objective):
        table: dict[str, object] = {"metric": value.metric, "direction": value.direction, "epoch": value.epoch}
        if value.others:
            table["metrics"] = value.by_metric
        labels = {"label": dict(value.labels)} if value.labels else {}
        return table | labels | ({"ignore": list(value.ignore)} if value.ignore else {})
    if isinstance(value, Float | Int | Choice):
        return _dimension(value)
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value


def _dimension(dimension: Dimension) -> dict[str, Any]:
    if isinstance(dimension, Choice):
        table: dict[str, Any] = {"choice": _plain(dimension.values)}
    else:
        key = "float" if isinstance(dimension, Float) else "int"
        table = {key: [dimension.low, dimension.high]}
        table |= {name: value for name in ("log", "step") if (value := getattr(dimension, name)) not in (False, None)}
    if dimension.when:
        when = dimension.when
        table["when"] = (
            {name: one[0] if isinstance(one, tuple) and len(one) == 1 else _plain(one) for name, one in when.items()}
            if isinstance(when, Mapping)
            else when
        )
    return table
