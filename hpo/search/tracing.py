"""Calls an Optuna objective on sampled branches, to learn what it suggests and under which conditions."""

from __future__ import annotations

import io
import random
import signal
import threading
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from typing import Any, Literal

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FixedTrial

from hpo.core.isolation import in_project
from hpo.core.records import Value
from hpo.core.texts import shown
from hpo.study.space import choice_value

MOST_TRACES = 200

QUIET = 40
"""Calls in a row that suggest nothing new before no more are made."""

SECONDS_OF_ONE = 3.0
"""Time in seconds after which a call that has not reported is ended."""

SECONDS = 60.0
"""Time in seconds after which no further call is made."""

MOST_LISTED = 16
"""A whole number with more values is taken as a range."""

End = Literal["returned", "reported", "timed out", "pruned", "failed"]


@dataclass(frozen=True, slots=True)
class Trace:
    """One call of an objective.

    Attributes:
        params: what was suggested by name, in order.
        distributions: what it was suggested from, by name.
        end: how the call ended.
        error: what it raised, as a text; empty where it did not.
        returned: number of values that it returned.
    """

    params: Mapping[str, Any]
    distributions: Mapping[str, BaseDistribution]
    end: End
    error: str = ""
    returned: int = 1

    @property
    def saw_all(self) -> bool:
        """Whether what is not in it is not suggested on this branch."""
        return self.end in ("returned", "reported")


class _Ended(BaseException):
    """Ends a call; no Exception, so that objectives do not catch it.

    Args:
        end: how the call ends.
    """

    def __init__(self, end: End) -> None:
        self.end = end


class _Recorder(FixedTrial):
    """A trial that draws what is suggested, and ends at its first report.

    Args:
        draw: returns a value of a distribution for a name.
    """

    def __init__(self, draw: Callable[[str, BaseDistribution], Any]) -> None:
        super().__init__({})
        self._draw = draw

    def _suggest(self, name: str, distribution: BaseDistribution) -> Any:
        if name not in self._params:
            self._params[name] = self._draw(name, distribution)
        return super()._suggest(name, distribution)

    def report(self, value: float, step: int) -> None:
        raise _Ended("reported")


def traces_of(objective: Callable[..., Any], project: Path) -> list[Trace]:
    """Calls an objective again and again, and ends each call at its first report.

    Args:
        objective: `objective(trial)` or `objective(trial, seed)`.
        project: the project's folder, in which it is called.
    """
    draws, began = _Draws(), time.monotonic()
    found: list[Trace] = []
    branches: set[tuple[str, ...]] = set()
    quiet = 0
    with in_project(project):
        while len(found) < MOST_TRACES and quiet < QUIET and time.monotonic() - began < SECONDS:
            found.append(_traced(objective, draws))
            branch = tuple(found[-1].params)
            quiet = quiet + 1 if branch in branches else 0
            branches.add(branch)
    return found


def _traced(objective: Callable[..., Any], draws: _Draws) -> Trace:
    trial = _Recorder(draws)
    seed = {"seed": 0} if "seed" in signature(objective).parameters else {}
    end: End = "returned"
    error, returned = "", 1
    try:
        with _limited(), redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Optuna's, of choices that it cannot store
            value = objective(trial, **seed)
            returned = len(value) if isinstance(value, tuple | list) else 1
    except _Ended as ended:
        end = ended.end
    except optuna.TrialPruned:
        end = "pruned"
    except (Exception, SystemExit) as raised:  # code of the user's own
        end, error = "failed", f"{type(raised).__name__}: {raised}"
    return Trace(dict(trial.params), dict(trial.distributions), end, error, returned)


@contextmanager
def _limited() -> Iterator[None]:
    """Raises `_Ended` in the block after its time; outside the main thread there is no limit."""
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        return
    is_over = False

    def end(*_: object) -> None:
        if not is_over:
            raise _Ended("timed out")

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, SECONDS_OF_ONE, 0.5)  # again, where the first one was swallowed
    try:
        yield
    finally:
        is_over = True
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


class _Draws:
    """Draws values, of few possible ones every second time the one that was drawn least."""

    def __init__(self) -> None:
        self._random = random.Random(0)
        self._drawn: Counter[tuple[str, int]] = Counter()

    def __call__(self, name: str, distribution: BaseDistribution) -> Any:
        """Returns a value.

        Args:
            name: name of the param.
            distribution: what it is suggested from.
        """
        values = values_of(distribution)
        if values is not None:
            indices = list(range(len(values)))
            least = min(indices, key=lambda index: (self._drawn[name, index], self._random.random()))
            index = least if self._random.random() < 0.5 else self._random.choice(indices)
            self._drawn[name, index] += 1
            return values[index]
        assert isinstance(distribution, FloatDistribution | IntDistribution)
        low, high, share = distribution.low, distribution.high, self._random.random()
        value = low * (high / low) ** share if distribution.log else low + share * (high - low)
        if distribution.step is not None:
            value = low + round((value - low) / distribution.step) * distribution.step
        value = min(max(value, low), high)
        return int(value) if isinstance(distribution, IntDistribution) else value


def values_of(distribution: BaseDistribution) -> Sequence[Any] | None:
    """Returns all values of a distribution that has few; None of others.

    Args:
        distribution: what a param is suggested from.
    """
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices
    if isinstance(distribution, IntDistribution):
        values = range(distribution.low, distribution.high + 1, distribution.step)
        return values if len(values) <= MOST_LISTED else None
    return None


def condition_of(name: str, traces: Sequence[Trace]) -> tuple[dict[str, Value | list[Value]], str | None]:
    """Returns under which values of other params a param is suggested, and a remark where that is not certain.

    Where it cannot be told, the condition is rather too wide: a param too many changes nothing.

    Args:
        name: name of the param.
        traces: calls of the objective.
    """
    there = [one for one in traces if name in one.params]
    absent = [one for one in traces if name not in one.params and one.saw_all]
    before = [list(one.params)[: list(one.params).index(name)] for one in there]
    parents = [parent for parent in before[0] if all(parent in names for names in before)]
    limits = {parent: _Limit(parent, there, absent) for parent in parents}
    if any(all(limit.admits(one) for limit in limits.values()) for one in absent):
        return {}, f"{name}: is not suggested in every trial, and no condition was found that says when."
    for parent in sorted(parents, key=lambda one: limits[one].is_listed):  # conditions on ranges are dropped first
        rest = [limit for other, limit in limits.items() if other != parent]
        if not any(all(limit.admits(one) for limit in rest) for one in absent):
            del limits[parent]
    vague = [parent for parent, limit in limits.items() if not limit.is_listed]
    remark = f"{name}: its condition on {', '.join(vague)} is known from samples only; look at it." if vague else None
    return {parent: limit.condition() for parent, limit in limits.items()}, remark


class _Limit:
    """The values of one param under which another one was suggested.

    Args:
        parent: name of the param that is looked at.
        there: calls in which the other one was suggested.
        absent: calls in which it was not.
    """

    def __init__(self, parent: str, there: Sequence[Trace], absent: Sequence[Trace]) -> None:
        self._parent = parent
        self._values = values_of(there[0].distributions[parent])
        self._seen = [one.params[parent] for one in there]
        self._others = [one.params[parent] for one in absent if parent in one.params]
        self.is_listed = self._values is not None

    def admits(self, trace: Trace) -> bool:
        """Whether a call has such a value.

        Args:
            trace: any call of the objective.
        """
        if self._parent not in trace.params:
            return False
        value = trace.params[self._parent]
        return _among(value, self._seen) if self.is_listed else min(self._seen) <= value <= max(self._seen)

    def condition(self) -> Value | list[Value]:
        """Returns the condition as a study has it: a value, a list of them, or a range."""
        if self._values is None:
            low = [value for value in self._others if value < min(self._seen)]
            high = [value for value in self._others if value > max(self._seen)]
            parts = [*([f"> {max(low)!r}"] if low else []), *([f"< {min(high)!r}"] if high else [])]
            return ", ".join(parts) or f">= {min(self._seen)!r}"
        admitted = [one for one in self._values if _among(one, self._seen) or not _among(one, self._others)]
        if isinstance(self._values, range) and len(admitted) > 1:
            if admitted == list(self._values)[-len(admitted) :]:
                return f">= {admitted[0]}"
            if admitted == list(self._values)[: len(admitted)]:
                return f"<= {admitted[-1]}"
        values = [value for one in admitted if (value := choice_value(one)) is not None]
        return values[0] if len(values) == 1 else values


def _among(value: object, values: Sequence[object]) -> bool:
    return any(value is one or (value == one and type(value) is type(one)) for one in values)


def describe_ends(traces: Sequence[Trace]) -> Iterator[str]:
    """Yields what the calls could not see, as sentences.

    Args:
        traces: calls of the objective.
    """
    ends = Counter(one.end for one in traces)
    yield (
        f"The space is what {len(traces)} calls of the objective with random values suggested, each until its first "
        "report; what it suggests later is not in it."
    )
    missing = "what they suggest later is missing."
    if ends["timed out"]:
        yield f"Ended after {SECONDS_OF_ONE:g} s without a report: {ends['timed out']} of these calls; {missing}"
    if ends["failed"]:
        first = next(one.error for one in traces if one.end == "failed")
        yield f"Ended by an exception: {ends['failed']} of these calls, the first by {shown(first)}; {missing}"
    if ends["pruned"]:
        yield f"Ended by TrialPruned before a report: {ends['pruned']} of these calls; {missing}"
