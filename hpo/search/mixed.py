"""A sampler for noisy values: TPE and a Gaussian process in turns."""

from __future__ import annotations

import math
import secrets
import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, TPESampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState
from threadpoolctl import threadpool_limits

if TYPE_CHECKING:
    from hpo.search.gaussian import Array

Params = dict[str, Any]

RANDOM, NEIGHBOURS, BEST = 400, 40, 6
"""Candidates drawn anywhere; drawn about each of the best; how many those are."""

MOST_POINTS = 250
"""Trials that the process learns from: the best half and the newest, so that a proposal takes well below a second."""

LARGE = 1e150
"""Values above it have squares that no float can hold."""

FEWEST = 4
"""Values below which there is nothing to learn."""

RETRIES = 6
"""Times that TPE is asked again for what it proposes a second time."""

_ONE_AT_A_TIME = threading.Lock()
"""The limit on BLAS threads is the process's, so that two who set it at a time would lift each other's or leave it."""


class MixedSampler(BaseSampler):
    """After some trials of TPE's, TPE and a Gaussian process propose every second trial, by number; both see all.

    The process takes values for noisy: it looks for what improves on the best mean it believes in, not on the luckiest
    value. Values below the first quartile count as that, so that a collapse does not bend it; so do trials that failed,
    were pruned or broke a constraint. It proposes nothing that was tried or is being tried, while there is anything
    else, and takes conditional params for absent where no trial had them. TPE that proposes what was tried is asked
    again, up to six times, and then it is the process's turn; that can be seen only where TPE proposes all params of a
    trial together, so neither in its random start nor where params follow that not all trials have.

    Args:
        seed: of both; None: one of the operating system's.
        n_startup_trials: of TPE's before they take turns.

    Raises:
        ValueError: when a study has more than one objective.
    """

    def __init__(self, *, seed: int | None = None, n_startup_trials: int = 20) -> None:
        self._startup = n_startup_trials
        self._tpe = TPESampler(seed=seed)
        self._seed = _entropy(seed)

    def reseed_rng(self) -> None:
        self._tpe.reseed_rng()
        self._seed = _entropy(None)

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        known: dict[str, BaseDistribution] = {}
        for other in study.get_trials(deepcopy=False):
            known.update(other.distributions)
        return dict(sorted(known.items()))

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> Params:
        if len(study.directions) > 1:
            raise ValueError(f"MixedSampler is for one objective, and study {study.study_name!r} has several")
        others = [one for one in study.get_trials(deepcopy=False) if one.number != trial.number]
        proposed: Params = {}
        if not self._is_ours(trial):
            theirs = self._tpe.infer_relative_search_space(study, trial)
            theirs = {name: distribution for name, distribution in theirs.items() if name in search_space}
            tried = [_free(one) for one in others]
            for _ in range(1 + RETRIES):
                proposed = self._tpe.sample_relative(study, trial, theirs)
                if not proposed or proposed not in tried:
                    return proposed
        sign = -1.0 if study.direction == StudyDirection.MINIMIZE else 1.0
        rng = np.random.default_rng([self._seed, trial.number])
        with _ONE_AT_A_TIME, threadpool_limits(limits=1, user_api="blas"):  # no bit may depend on the number of cores
            return _proposal(others, search_space, sign, rng) or proposed

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return self._tpe.sample_independent(study, trial, param_name, param_distribution)

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        self._tpe.before_trial(study, trial)

    def after_trial(
        self, study: optuna.Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        self._tpe.after_trial(study, trial, state, values)

    def _is_ours(self, trial: FrozenTrial) -> bool:
        """Whether the Gaussian process proposes this trial."""
        return trial.number >= self._startup and (trial.number - self._startup) % 2 == 0


def _entropy(seed: int | None) -> int:
    return secrets.randbits(63) if seed is None else seed


def _free(trial: FrozenTrial) -> Params:
    """Returns the params that have more than one possible value."""
    return {name: value for name, value in trial.params.items() if not trial.distributions[name].single()}


def _proposal(trials: Sequence[FrozenTrial], space: Mapping[str, BaseDistribution], sign: float, rng: Any) -> Params:
    """Returns the params with the highest expected improvement; none, so that TPE's are taken, if too few are known."""
    from hpo.search.gaussian import Process, expected_improvement  # half a second to load, for this sampler alone

    over = [trial for trial in trials if trial.state.is_finished() and trial.params]
    good = {trial.number: sign * trial.values[0] for trial in over if _counts(trial)}
    if len(good) < FEWEST or not space:
        return {}
    good = _in_range(good)
    floor = float(np.quantile(list(good.values()), 0.25))
    value = {trial.number: max(good.get(trial.number, floor), floor) for trial in over}
    over = _kept(over, value)
    raw = np.array([value[trial.number] for trial in over])
    values = (raw - raw.mean()) / (raw.std() or 1.0)
    form = _Form(space, over)
    process = Process.fitted(form.points([trial.params for trial in over]), values)
    best = float(process.at(process.points)[0].max())
    pending = [trial.params for trial in trials if not trial.state.is_finished() and trial.params]
    process = process.believing(form.points(pending))
    tried = {form.key(trial.params) for trial in trials}
    leaders = [over[place].params for place in np.argsort(-values, kind="stable")[:BEST]]
    pool = [form.drawn(rng) for _ in range(RANDOM)]
    pool += [form.near(leader, rng) for leader in leaders for _ in range(NEIGHBOURS)]
    for _ in range(2):
        fresh = [params for params in pool if form.key(params) not in tried] or pool
        mean, deviation = process.at(form.points(fresh))
        gain = expected_improvement(mean, deviation, best)
        order = np.argsort(-gain, kind="stable")
        pool = [*(fresh[place] for place in order[:BEST])]
        pool += [form.near(params, rng, small=True) for params in pool for _ in range(NEIGHBOURS)]
    fresh = [params for params in pool if form.key(params) not in tried] or pool
    gain = expected_improvement(*process.at(form.points(fresh)), best)
    return fresh[int(np.argmax(gain))]


def _in_range(values: dict[int, float]) -> dict[int, float]:
    """Returns the values themselves, or all divided by the largest where their squares would be beyond a float."""
    largest = max(map(abs, values.values()))
    return {number: value / largest for number, value in values.items()} if largest > LARGE else values


def _counts(trial: FrozenTrial) -> bool:
    """Whether a trial has a value that can be learned from."""
    feasible = all(value <= 0 for value in trial.constraints.values())
    return trial.state is TrialState.COMPLETE and feasible and bool(trial.values) and math.isfinite(trial.values[0])


def _kept(trials: list[FrozenTrial], value: Mapping[int, float]) -> list[FrozenTrial]:
    """Returns the trials to learn from, by number."""
    if len(trials) <= MOST_POINTS:
        return trials
    best = sorted(trials, key=lambda trial: (-value[trial.number], trial.number))[: MOST_POINTS // 2]
    chosen = {trial.number for trial in best}
    newest = [trial for trial in trials if trial.number not in chosen][-(MOST_POINTS - len(best)) :]
    return sorted([*best, *newest], key=lambda trial: trial.number)


class _Form:
    """Params as points: a unit interval for a number, a corner for a choice, and whether the param is there.

    Args:
        space: all params that any trial had.
        trials: that tell which params go with which choices.
    """

    def __init__(self, space: Mapping[str, BaseDistribution], trials: Sequence[FrozenTrial]) -> None:
        self._space = space
        sizes = [len(d.choices) for d in space.values() if isinstance(d, CategoricalDistribution)]
        self._width = 1 + max([1, *sizes])
        self._choices = [name for name, d in space.items() if isinstance(d, CategoricalDistribution)]
        met: dict[tuple[str, int], set[str]] = {}
        for trial in trials:
            for name in self._choices:
                if name in trial.params:
                    met.setdefault((name, self._place(name, trial.params[name])), set()).update(trial.params)
        self._absent = {choice: set(space) - seen for choice, seen in met.items()}

    def points(self, many: Sequence[Mapping[str, Any]]) -> Array:
        """Returns (P, N, C) coordinates."""
        found = np.zeros((len(self._space), len(many), self._width))
        for row, (name, distribution) in enumerate(self._space.items()):
            for column, params in enumerate(many):
                if name not in params:
                    found[row, column, 0] = 1.0
                elif isinstance(distribution, CategoricalDistribution):
                    found[row, column, 1 + self._place(name, params[name])] = math.sqrt(0.5)
                else:
                    found[row, column, 1] = _unit(distribution, params[name])
        return found

    def key(self, params: Mapping[str, Any]) -> tuple[tuple[str, float], ...]:
        """Returns what tells params from others."""
        inside = ((name, d.to_internal_repr(params[name])) for name, d in self._space.items() if name in params)
        return tuple(sorted((name, round(value, 12)) for name, value in inside))

    def drawn(self, rng: Any) -> Params:
        """Returns params from anywhere."""
        return self._present({name: self._any(name, rng) for name in self._space}, rng)

    def near(self, params: Mapping[str, Any], rng: Any, *, small: bool = False) -> Params:
        """Returns params that differ in one or two from these; by little, if `small`, where that can be."""
        names = [name for name in params if name in self._space]
        changed = {name: params[name] for name in names}
        for place in rng.permutation(len(names))[: int(rng.integers(1, 3))]:
            name = names[place]
            distribution = self._space[name]
            if isinstance(distribution, CategoricalDistribution) or (not small and rng.random() < 0.5):
                changed[name] = self._any(name, rng)
            else:
                step = rng.normal(0.0, 0.03 if small else 0.1)
                changed[name] = _value(distribution, min(1.0, max(0.0, _unit(distribution, params[name]) + step)))
        return self._present(changed, rng)

    def _any(self, name: str, rng: Any) -> Any:
        distribution = self._space[name]
        if isinstance(distribution, CategoricalDistribution):
            return distribution.choices[int(rng.integers(len(distribution.choices)))]
        return _value(distribution, float(rng.random()))

    def _present(self, params: Params, rng: Any) -> Params:
        """Returns the params without those that no trial had along with such choices, and with those that they want."""
        absent: set[str] = set()
        for name in self._choices:
            if name in params and name not in absent:
                absent |= self._absent.get((name, self._place(name, params[name])), set())
        return {
            name: params[name] if name in params else self._any(name, rng) for name in self._space if name not in absent
        }

    def _place(self, name: str, value: Any) -> int:
        distribution = self._space[name]
        assert isinstance(distribution, CategoricalDistribution)
        return int(distribution.to_internal_repr(value))


def _unit(distribution: BaseDistribution, value: float) -> float:
    """Returns where a number lies between its bounds, 0 to 1."""
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    low, high = float(distribution.low), float(distribution.high)
    if low == high:
        return 0.5
    if distribution.log:
        return (math.log(value) - math.log(low)) / (math.log(high) - math.log(low))
    return (float(value) - low) / (high - low)


def _value(distribution: BaseDistribution, unit: float) -> float | int:
    """Returns the number that lies there, on its step."""
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    low, high = float(distribution.low), float(distribution.high)
    if distribution.log:
        found = math.exp(math.log(low) + unit * (math.log(high) - math.log(low)))
    else:
        found = low + unit * (high - low)
    if distribution.step is not None and not distribution.log:
        found = low + round((found - low) / distribution.step) * distribution.step
    found = min(high, max(low, found))
    return round(found) if isinstance(distribution, IntDistribution) else found
