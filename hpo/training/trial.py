"""The trial that an Optuna objective gets: it suggests the params of the training, and reports its steps."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from inspect import signature
from typing import TYPE_CHECKING, Any, TypeVar

from hpo.core.errors import TrainableError, did_you_mean
from hpo.core.records import Value
from hpo.core.texts import as_identifier
from hpo.study.space import choice_values, same
from hpo.training.reported import returned_metrics

if TYPE_CHECKING:
    from hpo.training.context import Context

Choice = TypeVar("Choice")

REPORTS = "reports"
"""Name of the fact that holds how many values an objective reported, where its reports are no steps."""

MAX_LISTED = 20
"""Maximum number of params that a message lists."""


class ObjectiveTrial:
    """One training as an Optuna trial; `ctx.trial` for other functions.

    Every report is a step of the training, and the value that the objective returns is the last step. If a trial is
    pruned, `report` raises the same exception as `ctx.report`, so `should_prune` is never true. Constraints, and user
    attributes that are numbers, are metrics of the steps after them.

    Args:
        params: values of the params by name, including the study's fixed ones.
        context: Context of the training.

    Attributes:
        params: params suggested so far, by name.
        user_attrs: attributes that the objective has set, by name.
        datetime_start: time at which this trial was created.
    """

    def __init__(self, params: Mapping[str, Value], context: Context) -> None:
        self._given = params
        self._context = context
        self._steps: set[int] = set()
        self.params: dict[str, Any] = {}
        self.user_attrs: dict[str, Any] = {}
        self.datetime_start = datetime.now()

    def __getattr__(self, name: str) -> Any:
        known = [attribute for attribute in (*dir(type(self)), *vars(self)) if not attribute.startswith("_")]
        raise AttributeError(f"a trial in hpo has no {name!r} (it has: {', '.join(known)}).{did_you_mean(name, known)}")

    @property
    def number(self) -> int:
        """The trial's number in the study; all seeds of a promotion have the same one."""
        return self._context.trial_number

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        """Returns the param, which must lie between the bounds; step and scale are the study's."""
        return float(self._within(name, low, high))

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        """Returns the param, which must lie between the bounds; step and scale are the study's."""
        value = self._within(name, low, high)
        if value != int(value):
            raise TrainableError(f"the objective suggests {name!r} as a whole number, the study has {value!r}")
        return int(value)

    def suggest_categorical(self, name: str, choices: Sequence[Choice]) -> Choice:
        """Returns the choice that is equal to the param, or whose text is: a study stores None as `None`."""
        value = self._value(name)
        found = [choice for choice in choices if same(value, choice_values(choice))]
        if len(found) != 1:
            count = "several" if found else "none"
            raise TrainableError(
                f"{name!r} is {value!r} in the study, which is {count} of the objective's {list(choices)!r}"
            )
        self.params[name] = found[0]
        return found[0]

    def suggest_uniform(self, name: str, low: float, high: float) -> float:
        """Returns the param, as `suggest_float`."""
        return self.suggest_float(name, low, high)

    def suggest_loguniform(self, name: str, low: float, high: float) -> float:
        """Returns the param, as `suggest_float`."""
        return self.suggest_float(name, low, high)

    def suggest_discrete_uniform(self, name: str, low: float, high: float, q: float) -> float:
        """Returns the param, as `suggest_float`."""
        return self.suggest_float(name, low, high)

    def report(self, value: float, step: int) -> None:
        """Reports the objective's value as the training's next step; a repeated step is ignored.

        Raises:
            TrainableError: if the study has several objectives, of which Optuna has no intermediate values.
        """
        if self._context.objective.others:
            raise TrainableError("a trial with several objectives has no value to report; return all of them")
        if step not in self._steps:
            self._steps.add(step)
            self._context.report(self._metrics(value))

    def should_prune(self) -> bool:
        """Returns False: a pruned trial ends in `report`."""
        return False

    def set_user_attr(self, key: str, value: Any) -> None:
        """Stores an attribute; a number becomes a metric of the training."""
        self.user_attrs[key] = value

    def set_constraint(self, key: str, value: float) -> None:
        """Stores the value of a constraint as a metric; call it before the first report if the study names it."""
        self.user_attrs[key] = float(value)

    def train(self, objective: Callable[..., object]) -> Mapping[str, object] | None:
        """Calls an objective and returns the metrics of its only step; None if it has reported its steps itself.

        Args:
            objective: `objective(trial)` or `objective(trial, seed)`.
        """
        context = self._context
        seed = {"seed": context.seed} if "seed" in signature(objective).parameters else {}
        value = objective(self, **seed)
        names = context.objective.metrics
        if len(names) == 1 and (isinstance(value, str | bytes | bool | Mapping) or not hasattr(value, "__float__")):
            raise TrainableError(f"an objective must return one number, not {type(value).__name__}")
        if not context.reports:
            return self._metrics(value)
        if len(context.reports) == context.budget:
            raise TrainableError(
                f"the objective reported {context.budget} values and returned one more, which is a step too; "
                f"set budget = {context.budget + 1} or more in [search]"
            )
        context.report(self._metrics(value))
        return None

    def _metrics(self, value: object) -> dict[str, Any]:
        return {**_numbers_in(self.user_attrs), **returned_metrics(value, self._context.objective.metrics)}

    def _value(self, name: str) -> Value:
        key = name if name in self._given else as_identifier(name)
        if key not in self._given:
            known = ", ".join(list(self._given)[:MAX_LISTED]) or "none"
            raise TrainableError(
                f"the objective suggests {name!r}, which this trial does not have (params: {known}); put it into "
                f"[space], with a `when` that is true wherever it is suggested.{did_you_mean(name, self._given)}"
            )
        self.params[name] = self._given[key]
        return self._given[key]

    def _within(self, name: str, low: float, high: float) -> float:
        value = self._value(name)
        if isinstance(value, bool | str) or not low <= value <= high:
            raise TrainableError(
                f"{name!r} is {value!r} in the study, which is not within the objective's {low!r} .. {high!r}; use the "
                "same bounds in both"
            )
        return value


class ReturningTrial(ObjectiveTrial):
    """A training whose only step is the value that the objective returns, however often it reports.

    The mean of the reported values is a metric, so that trainings of equal value can be told apart.
    """

    def __init__(self, params: Mapping[str, Value], context: Context) -> None:
        super().__init__(params, context)
        self._reported: dict[int, float] = {}

    def report(self, value: float, step: int) -> None:
        """Keeps the objective's value; a repeated step is ignored."""
        self._reported.setdefault(step, float(value))

    def train(self, objective: Callable[..., object]) -> Mapping[str, object] | None:
        """Calls an objective and returns its metrics; how often it reported becomes a fact.

        Args:
            objective: `objective(trial)` or `objective(trial, seed)`.
        """
        metrics, values = super().train(objective) or {}, self._reported.values()
        self._context.note(**{REPORTS: len(values)})
        return {**({"reported_mean": sum(values) / len(values)} if values else {}), **metrics}


def _numbers_in(attributes: Mapping[str, Any]) -> dict[str, float]:
    """Returns the attributes that are finite numbers."""
    return {
        name: float(value)
        for name, value in attributes.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    }
