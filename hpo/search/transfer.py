"""What old studies say about the values of a new one: the prior mean of its Gaussian process, and trials for TPE.

One Gaussian process is fitted to each old study, over the params that both have. The process of the new study learns
what its values are above a multiple of those means; that is the stack of Golovin et al., "Google Vizier: a service for
black-box optimization", KDD 2017. How much of each old study is taken is a mean over some multiples, weighted by how
probable each of them makes the new values (Bayesian model averaging: Hoeting et al., Statistical Science 14, 1999). The
multiple zero is one of them, which is the guard against an old study that does not agree; Feurer, Letham and Bakshy,
"Scalable meta-learning for Bayesian optimization using ranking-weighted Gaussian process ensembles", 2018, have a guard
of the same purpose by ranks.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from hpo.search.learned import FEWEST, MOST_FITTED, MOST_POINTS, has_value, in_range
from hpo.search.units import MOST_CHOICES, UnitSpace
from hpo.search.view import FrozenView
from hpo.study.prior import Prior, PriorStudy

if TYPE_CHECKING:
    from hpo.search.gaussian import Array, Process

MULTIPLES = (0.35, 0.7, 1.0)
"""What is tried as the part of an old study's mean in the new values, both as multiples of their deviations."""

DOUBT = 0.4
"""Probability before any value is known that no old study agrees with the new one."""

REFUSED = 0.7
"""Probability of that from which on no old study is used."""

JUDGED = 64
"""Trials, the first ones, that tell whether old studies agree: later ones lie where the search has looked."""

SHOWN = 20
"""Old configurations that TPE is shown before the first new value; one less for every two new values."""

LEAST = 0.1
"""Part of the variance of an old study's configurations that it has to predict itself, each left out, to be used."""

NARROW = 0.25
"""Part of an old mean's deviation in its own study that counts as the least among the new trials: they may be alike."""


@dataclass(frozen=True, slots=True)
class Belief:
    """How far old studies agree with the new one, given some of its trials.

    Attributes:
        agreement: (S,) mean multiple of each old study, 0 to 1.
        trust: probability that one of them agrees; 0: none is used.
        is_judged: whether enough values are known to tell.
    """

    agreement: tuple[float, ...]
    trust: float
    is_judged: bool


@dataclass(frozen=True)
class OldStudy:
    """What is known of an old study.

    Attributes:
        names: the common params.
        width: number of coordinates of a param.
        process: the posterior of its values, standardised, more is better.
        spread: standard deviation of the posterior's mean over its configurations.
        predicted: part of the variance of its configurations' means that it predicts, each of them left out.
    """

    names: tuple[str, ...]
    width: int
    process: Process
    spread: float
    predicted: float

    @classmethod
    def of(cls, study: PriorStudy, space: Mapping[str, BaseDistribution]) -> OldStudy:
        """Returns what an old study's values say.

        Args:
            study: the old study.
            space: distributions of the new study's params.
        """
        gaussian = import_module("hpo.search.gaussian")  # half a second to load, for this sampler alone
        names = [name for name in study.params if is_usable(space.get(name))]
        form = UnitSpace({name: space[name] for name in names}, [])
        sign = 1.0 if study.direction == "maximize" else -1.0
        all_values = dict(enumerate(sign * value for one in study.configurations for value in one.values))
        flat = iter(in_range(all_values).values())
        values = [[next(flat) for _ in one.values] for one in study.configurations]
        means = np.array([np.mean(some) for some in values if some])
        floor = float(np.quantile(means, 0.25))
        means = np.maximum(means, floor)
        centre, scale = float(means.mean()), float(means.std()) or 1.0
        # A value for each training, so that a promotion counts for as many as it has seeds; one floor for each failure.
        rows = [
            [(max(value, floor) - centre) / scale for value in some] + [(floor - centre) / scale] * one.failures
            for one, some in zip(study.configurations, values, strict=True)
        ]
        kept = _kept(rows)
        units = form.units([study.configurations[place].params for place in kept])
        counts = [len(rows[place]) for place in kept]
        points = form.points(np.repeat(units, counts, axis=0))
        every = np.array([value for place in kept for value in rows[place]])
        some = np.unique(np.linspace(0, len(every) - 1, min(len(every), MOST_FITTED)).astype(int))
        logs = gaussian.likeliest(points[:, some], every[some])
        process = gaussian.Process.under(points, every, logs)
        spread = float(process.at(form.points(units))[0].std()) or 1.0
        return cls(tuple(names), points.shape[2], process, spread, _predicted(process, counts))

    def points(self, points: Array, places: Sequence[int]) -> Array:
        """Returns points (P, M, C) of the new study as those of this one; `places` has the columns of its params."""
        own = points[list(places)]
        return np.concatenate([own[:, :, : self.width - 1], own[:, :, -1:]], axis=2)


@dataclass(frozen=True)
class PriorMean:
    """The mean of the new study's process before its values: a sum of old studies' means; see `gaussian.Mean`.

    Attributes:
        old: the old studies.
        places: columns of each one's params among those of the new study.
        factors: what each mean is multiplied with.
        centres: what is subtracted from each mean before.
    """

    old: tuple[OldStudy, ...]
    places: tuple[tuple[int, ...], ...]
    factors: tuple[float, ...]
    centres: tuple[float, ...]

    def at(self, points: Array) -> Array:
        """Returns the mean (M,) at (P, M, C) points."""
        total = np.zeros(points.shape[1])
        for one, places, factor, centre in zip(self.old, self.places, self.factors, self.centres, strict=True):
            if factor:
                total += factor * (one.process.mean_and_slope(one.points(points, places))[0] - centre)
        return total

    def slope(self, points: Array) -> Array:
        """Returns the slope of the mean (P, M) in the numbers of (P, M, C) points."""
        total = np.zeros(points.shape[:2])
        for one, places, factor in zip(self.old, self.places, self.factors, strict=True):
            if factor:
                total[list(places)] += factor * one.process.mean_and_slope(one.points(points, places))[1]
        return total


@dataclass
class Transfer:
    """The old studies of a new study.

    Attributes:
        prior: values of the old studies.
        space: distributions of the new study's params by name.
    """

    prior: Prior
    space: Mapping[str, BaseDistribution]
    _beliefs: dict[tuple[object, ...], Belief] = field(default_factory=dict)

    @cached_property
    def old(self) -> tuple[OldStudy, ...]:
        """What is known of each old study."""
        return tuple(OldStudy.of(one, self.space) for one in self.prior.studies)

    def belief(self, trials: Sequence[FrozenTrial], sign: float) -> Belief:
        """Returns how far the old studies agree with trials of the new one.

        Args:
            trials: the trials, by number.
            sign: 1 if large values are best, else -1.
        """
        over = [trial for trial in trials if trial.state.is_finished() and trial.params][:JUDGED]
        good = {trial.number: sign * trial.values[0] for trial in over if has_value(trial)}
        key = tuple((trial.number, good.get(trial.number)) for trial in over)
        if key not in self._beliefs:
            self._beliefs.clear()
            self._beliefs[key] = self._judged(over, good)
        return self._beliefs[key]

    def _judged(self, over: Sequence[FrozenTrial], good: dict[int, float]) -> Belief:
        count = len(self.old)
        usable = [place for place, one in enumerate(self.old) if one.predicted >= LEAST]
        if not usable:
            return Belief((0.0,) * count, 0.0, is_judged=True)
        if len(good) < FEWEST or len(set(good.values())) < 2:
            part = sum(MULTIPLES) / len(MULTIPLES) / len(usable)
            return Belief(tuple(part * (one in usable) for one in range(count)), 1 - DOUBT, is_judged=False)
        gaussian = import_module("hpo.search.gaussian")
        good = in_range(good)
        floor = float(np.quantile(list(good.values()), 0.25))
        raw = np.array([max(good.get(trial.number, floor), floor) for trial in over])
        values = (raw - raw.mean()) / (raw.std() or 1.0)
        form = UnitSpace(self.space, over)
        points = form.points(form.units([trial.params for trial in over]))
        ways = [(place, multiple) for place in usable for multiple in MULTIPLES]
        logs = [math.log(DOUBT) + gaussian.fit(points, values)[1]]
        for place, multiple in ways:
            mean = self.mean(form, points, [multiple * (one == place) for one in range(count)]).at(points)
            logs.append(math.log((1 - DOUBT) / len(ways)) + gaussian.fit(points, values - mean)[1])
        chances = np.exp(np.array(logs) - max(logs))
        chances /= chances.sum()
        if chances[0] >= REFUSED:
            return Belief((0.0,) * count, 0.0, is_judged=True)
        agreement = [0.0] * count
        for (place, multiple), chance in zip(ways, chances[1:], strict=True):
            agreement[place] += multiple * float(chance)
        return Belief(tuple(agreement), 1 - float(chances[0]), is_judged=True)

    def mean(self, form: UnitSpace, points: Array | None, agreement: Sequence[float]) -> PriorMean:
        """Returns the prior mean, in standard deviations of the new values and with the mean zero over its trials.

        Args:
            form: the new study's space.
            points: (P, N, C) coordinates of its trials whose values are known; None: there are none, and the old
                values' own mean and deviation count.
            agreement: multiple of each old study.
        """
        places = tuple(tuple(form.names.index(name) for name in one.names) for one in self.old)
        factors, centres = [], []
        for one, at, multiple in zip(self.old, places, agreement, strict=True):
            centre, deviation = 0.0, one.spread
            if points is not None:
                tried = one.process.mean_and_slope(one.points(points, at))[0]
                centre, deviation = float(tried.mean()), max(float(tried.std()), NARROW * one.spread)
            factors.append(multiple / deviation)
            centres.append(centre)
        return PriorMean(self.old, places, tuple(factors), tuple(centres))

    def rows(self, form: UnitSpace, rng: Any) -> Array:
        """Returns the old configurations as rows (N, P) of the new space; params that they lack are drawn."""
        configurations = [one.params for study in self.prior.studies for one in study.configurations]
        return form.settled(form.within(form.units(configurations)), rng)

    def seen(
        self, study: optuna.Study, trials: Sequence[FrozenTrial], belief: Belief, sign: float, rng: Any
    ) -> optuna.Study | None:
        """Returns what TPE is to see: some old configurations before the new trials; None: the new trials alone.

        The old ones have the values that are expected of them in the new study. Their number decays with the number of
        new values, and with the trust in the old studies. There are none before enough new values are known, so that
        TPE's first trials are drawn anywhere and tell whether the old studies agree.

        Args:
            study: the new study.
            trials: its trials but the one that is proposed.
            belief: how far the old studies agree.
            sign: 1 if large values are best, else -1.
            rng: generator of what the old configurations lack.
        """
        good = {trial.number: sign * trial.values[0] for trial in trials if has_value(trial)}
        count = round(max(0.0, SHOWN - len(good) / 2) * belief.trust)
        if not count or not belief.is_judged:
            return None
        form = UnitSpace(self.space, [trial for trial in trials if trial.params])
        rows = self.rows(form, rng)
        points = form.points(form.units([trial.params for trial in trials if trial.number in good]))
        raw = np.array(list(in_range(good).values()))
        by_number = dict(zip(good, sign * (raw - raw.mean()) / (raw.std() or 1.0), strict=True))
        new = [_with_value(trial, by_number.get(trial.number)) for trial in trials]
        expected = self.mean(form, points, belief.agreement).at(form.points(rows))
        order = np.argsort(-expected, kind="stable")
        chosen = order[np.unique(np.linspace(0, len(order) - 1, min(count, len(order))).astype(int))]
        old = [self._old_trial(form.params(rows[one]), sign * float(expected[one])) for one in chosen]
        for place, trial in enumerate(old):
            trial.number = place - len(old)
        view = FrozenView(study.study_name, study.directions)
        view.trials = [*old, *new]
        return optuna.load_study(study_name=study.study_name, storage=view, sampler=study.sampler)

    def _old_trial(self, params: dict[str, Any], value: float) -> FrozenTrial:
        return create_trial(params=params, distributions={name: self.space[name] for name in params}, value=value)


def is_usable(distribution: BaseDistribution | None) -> bool:
    """Whether old studies can say anything about a param: it has several values, and no more choices than are listed.

    Args:
        distribution: of the param in the new study; None: it has no such param.
    """
    if distribution is None or distribution.single():
        return False
    return not isinstance(distribution, CategoricalDistribution) or len(distribution.choices) <= MOST_CHOICES


def _predicted(process: Process, counts: Sequence[int]) -> float:
    """Returns the part of the variance of configurations' means that a process predicts, each of them left out.

    Source: Rasmussen and Williams, 2006, equation 5.12, with all values of a configuration left out together.

    Args:
        process: the posterior of all values.
        counts: number of values of each configuration, in their order.
    """
    inverse, end, off, means = process.inverse, 0, [], []
    for count in counts:
        own = slice(end, end + count)
        off.append(float(np.linalg.solve(inverse[own, own], process.weights[own]).mean()))
        means.append(float(process.values[own].mean()))
        end += count
    variance = float(np.var(means))
    return 1 - float(np.mean(np.square(off))) / variance if variance else 0.0


def _with_value(trial: FrozenTrial, value: float | None) -> FrozenTrial:
    """Returns a trial with another value; None: with its own state, which TPE does not learn a value from."""
    found = copy.copy(trial)
    if value is not None:
        found.values = [value]
    elif found.state is TrialState.COMPLETE:  # it broke a constraint, or its value is no number
        found.values = [0.0]
    return found


def _kept(rows: Sequence[Sequence[float]]) -> list[int]:
    """Returns the configurations to learn from, in their order: the best half of the values, and the newest."""
    if sum(map(len, rows)) <= MOST_POINTS:
        return [place for place, row in enumerate(rows) if row]
    best = sorted(range(len(rows)), key=lambda place: -float(np.mean(rows[place] or [-math.inf])))
    chosen: set[int] = set()
    for order, most in ((best, MOST_POINTS // 2), (range(len(rows) - 1, -1, -1), MOST_POINTS)):
        taken = sum(len(rows[place]) for place in chosen)
        for place in order:
            if rows[place] and place not in chosen and taken + len(rows[place]) <= most:
                chosen.add(place)
                taken += len(rows[place])
    return sorted(chosen)
