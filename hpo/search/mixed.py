"""A sampler for noisy values: TPE and a Gaussian process in turns."""

from __future__ import annotations

import math
import secrets
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, TPESampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState
from threadpoolctl import threadpool_limits

from hpo.search.costs import Price
from hpo.search.learned import FEWEST, MOST_FITTED, MOST_POINTS, has_value, in_range
from hpo.search.units import Bools, UnitSpace, keys
from hpo.store.optuna_storage.trials import AGREEMENT

if TYPE_CHECKING:
    from hpo.search.gaussian import Array, Process
    from hpo.search.transfer import Belief, Transfer

Params = dict[str, Any]

RANDOM, NEIGHBOURS, BEST = 400, 40, 6
"""Candidates drawn anywhere; drawn about each of the best; how many those are."""

STARTS, ROUNDS, ENOUGH = 4, 6, 1e-6
"""Candidates that are improved; how often, and the gain below which that ends."""

REFIT = 16
"""The hyperparameters are fitted again when the known trials have grown by a sixteenth."""

FITTED = "hpo:fitted"
"""Attribute of a trial: hyperparameters of the process that proposed it, so that the next one need not fit them."""

UNKNOWN, NOISE = 0.25, 0.05
"""Variance of a new study's function about the old studies' mean, and of a value, before values tell."""

RETRIES = 6
"""Times that TPE is asked again for what it proposes a second time."""

ONE_AT_A_TIME = threading.Lock()
"""The limit on BLAS threads is the process's, so that two who set it at a time would lift each other's or leave it."""


class MixedSampler(BaseSampler):
    """After some trials of TPE's, TPE and a Gaussian process propose every second trial, by number; both see all.

    The process takes values for noisy: it looks for what improves on the best mean it believes in, not on the luckiest
    value. Values below the first quartile count as that, so that a collapse does not bend it; so do trials that failed,
    were pruned or broke a constraint. It takes the values of running trials for what it expects of them. It proposes
    nothing that was tried or is being tried, while there is anything else, and takes conditional params for absent
    where no trial had them. TPE that proposes what was tried is asked again, up to six times, and then it is the
    process's turn; that can be seen only where TPE proposes all params of a trial together, so neither in its random
    start nor where params follow that not all trials have.

    Where trials have costs, see `hpo.search.costs`, the process looks for the most improvement per cost.

    With old studies they take turns from the first trial on. The process then has their mean as its own before it knows
    any value, and TPE sees some of their configurations; see `hpo.search.transfer`. Both only as long as the values do
    not show that the old studies do not agree.

    Args:
        seed: seed of both; None: one of the operating system's.
        n_startup_trials: number of TPE's trials before they take turns.
        transfer: old studies that the search starts from; None: there are none.

    Raises:
        ValueError: when a study has more than one objective.
    """

    def __init__(
        self, *, seed: int | None = None, n_startup_trials: int = 20, transfer: Transfer | None = None
    ) -> None:
        self._startup = n_startup_trials
        self._tpe = TPESampler(seed=seed)
        self._seed = _entropy(seed)
        self._transfer = transfer
        self._seen: tuple[int, optuna.Study, TPESampler] | None = None  # of a trial: what TPE sees, old studies too

    def reseed_rng(self) -> None:
        self._tpe.reseed_rng()
        self._seed = _entropy(None)

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        known: dict[str, BaseDistribution] = {}
        for other in study.get_trials(deepcopy=False):
            known.update(other.distributions)
        if self._transfer is not None:
            known = {**self._transfer.space, **known}
        return dict(sorted(known.items()))

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> Params:
        if len(study.directions) > 1:
            raise ValueError(f"MixedSampler is for one objective, and study {study.study_name!r} has several")
        others = [one for one in study.get_trials(deepcopy=False) if one.number != trial.number]
        sign = -1.0 if study.direction == StudyDirection.MINIMIZE else 1.0
        rng = np.random.default_rng([self._seed, trial.number])
        if self._transfer is not None:
            import_module("hpo.search.gaussian")  # as below
            with ONE_AT_A_TIME, threadpool_limits(limits=1, user_api="blas"):
                belief = self._believed(self._transfer, study, trial, others, sign)
        else:
            belief = None
        proposed: Params = {}
        if not self._is_ours(trial, belief):
            seen, tpe = self._of_tpe(study, trial)
            theirs = tpe.infer_relative_search_space(seen, trial)
            theirs = {name: distribution for name, distribution in theirs.items() if name in search_space}
            tried = [_free(one) for one in others]
            for _ in range(1 + RETRIES):
                proposed = tpe.sample_relative(seen, trial, theirs)
                if not proposed or proposed not in tried:
                    return proposed
        import_module("hpo.search.gaussian")  # now, for the limit is one of the libraries that are loaded
        before = Fitted.latest(others)
        with ONE_AT_A_TIME, threadpool_limits(limits=1, user_api="blas"):  # no bit may depend on the number of cores
            if belief is not None and not belief.is_judged and self._transfer is not None:
                return _first(others, self._transfer, belief, rng)
            used = self._transfer if belief is not None and belief.trust else None
            found, fitted = _proposal(others, search_space, sign, rng, before, used, belief)
        if fitted != before:
            study._storage.set_trial_system_attr(trial._trial_id, FITTED, asdict(fitted))
        return found or proposed

    def _believed(
        self, transfer: Transfer, study: optuna.Study, trial: FrozenTrial, others: Sequence[FrozenTrial], sign: float
    ) -> Belief:
        """Returns how far the old studies agree, keeps that with the trial, and says what TPE is to see."""
        belief = transfer.belief(others, sign)
        if belief.is_judged:
            names = [one.study for one in transfer.prior.studies]
            agreement = {name: round(one, 4) for name, one in zip(names, belief.agreement, strict=True)}
            study._storage.set_trial_system_attr(trial._trial_id, AGREEMENT, agreement)
        rng = np.random.default_rng([self._seed, trial.number, 1])
        seen = transfer.seen(study, others, belief, sign, rng)
        self._seen = None if seen is None else (trial.number, seen, TPESampler(seed=self._seed))
        return belief

    def _of_tpe(self, study: optuna.Study, trial: FrozenTrial) -> tuple[optuna.Study, TPESampler]:
        """Returns the study that TPE sees for a trial, and the sampler for that study."""
        if self._seen is not None and self._seen[0] == trial.number:
            return self._seen[1:]
        return study, self._tpe

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        seen, tpe = self._of_tpe(study, trial)
        return tpe.sample_independent(seen, trial, param_name, param_distribution)

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        self._tpe.before_trial(study, trial)

    def after_trial(
        self, study: optuna.Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        self._tpe.after_trial(study, trial, state, values)

    def _is_ours(self, trial: FrozenTrial, belief: Belief | None) -> bool:
        """Whether the Gaussian process proposes this trial."""
        begins = trial.number >= self._startup or (belief is not None and belief.trust > 0)
        return begins and (trial.number - self._startup) % 2 == 0


@dataclass(frozen=True, slots=True)
class Fitted:
    """Hyperparameters of the Gaussian process, as logs, which a trial that it proposed keeps.

    Attributes:
        known: number of trials that they were fitted to.
        lengths: log length scale of each param.
        amplitude: log variance of the function.
        noise: log variance of a value around the function.
    """

    known: int = 0
    lengths: Mapping[str, float] = field(default_factory=dict)
    amplitude: float = 0.0
    noise: float = 0.0

    @classmethod
    def latest(cls, trials: Sequence[FrozenTrial]) -> Fitted:
        """Returns those of the newest trial that has some."""
        return next((cls(**one.system_attrs[FITTED]) for one in reversed(trials) if FITTED in one.system_attrs), cls())

    @classmethod
    def of(cls, known: int, names: Sequence[str], logs: Array) -> Fitted:
        """Returns them from the logs of a process."""
        *lengths, amplitude, noise = map(float, logs)
        return cls(known, dict(zip(names, lengths, strict=True)), amplitude, noise)

    def logs(self, names: Sequence[str]) -> Array | None:
        """Returns the logs (P + 2,) for a process of these params; None: they are of others."""
        if list(self.lengths) != list(names):
            return None
        return np.array([*self.lengths.values(), self.amplitude, self.noise])


def _entropy(seed: int | None) -> int:
    return secrets.randbits(63) if seed is None else seed


def _free(trial: FrozenTrial) -> Params:
    """Returns the params that have more than one possible value."""
    return {name: value for name, value in trial.params.items() if not trial.distributions[name].single()}


def _proposal(
    trials: Sequence[FrozenTrial],
    space: Mapping[str, BaseDistribution],
    sign: float,
    rng: Any,
    fitted: Fitted,
    transfer: Transfer | None = None,
    belief: Belief | None = None,
) -> tuple[Params, Fitted]:
    """Returns the params with the highest expected improvement, and the hyperparameters to begin from the next time.

    No params are returned, so that TPE's are taken, if too few values are known.
    """
    from hpo.search.gaussian import Process, likeliest  # half a second to load, for this sampler alone

    over = [trial for trial in trials if trial.state.is_finished() and trial.params]
    good = {trial.number: sign * trial.values[0] for trial in over if has_value(trial)}
    if len(good) < FEWEST or not space:
        return {}, fitted
    good = in_range(good)
    floor = float(np.quantile(list(good.values()), 0.25))
    value = {trial.number: max(good.get(trial.number, floor), floor) for trial in over}
    known = len(over)
    over = _kept(over, value)
    raw = np.array([value[trial.number] for trial in over])
    values = (raw - raw.mean()) / (raw.std() or 1.0)
    form = UnitSpace(space, over)
    everyone = [trial for trial in trials if trial.params]
    units = form.units([trial.params for trial in everyone])
    learned, running = {trial.number for trial in over}, [not trial.state.is_finished() for trial in everyone]
    tried = units[[trial.number in learned for trial in everyone]]
    logs = fitted.logs(form.names)
    points = form.points(tried)
    leaders = tried[np.argsort(-values, kind="stable")[:BEST]]
    prior = None
    if transfer is not None and belief is not None:
        prior = transfer.mean(form, points, belief.agreement)
        values = values - prior.at(points)
        old = transfer.rows(form, rng)
        leaders = np.concatenate([leaders, old[np.argsort(-prior.at(form.points(old)), kind="stable")[:BEST]]])
    if logs is None or known >= fitted.known + max(1, fitted.known // REFIT):
        some = np.unique(np.linspace(0, len(over) - 1, min(len(over), MOST_FITTED)).astype(int))
        logs = likeliest(points[:, some], values[some], logs)
        fitted = Fitted.of(known, form.names, logs)
    process = replace(Process.under(points, values, logs), prior=prior)
    best = float(process.at(process.points)[0].max())
    process = process.believing(form.points(units[running]))
    price = Price.of(everyone, form)
    return form.params(_best(process, best, form, leaders, set(keys(units)), rng, price)), fitted


def _first(trials: Sequence[FrozenTrial], transfer: Transfer, belief: Belief, rng: Any) -> Params:
    """Returns the params that old studies expect the most of, before enough values of the new study are known.

    The process has the old studies' mean, and believes it where trials are: so trials lie apart. Those that failed or
    were pruned count as a standard deviation below the old values' mean.
    """
    from hpo.search.gaussian import Process

    tried = [trial for trial in trials if trial.params]
    form = UnitSpace(transfer.space, tried)
    units = form.units([trial.params for trial in tried])
    prior = transfer.mean(form, None, belief.agreement)
    old = transfer.rows(form, rng)
    leaders = old[np.argsort(-prior.at(form.points(old)), kind="stable")[:BEST]]
    if not len(units):
        pool = np.concatenate(
            [leaders, form.near(leaders, NEIGHBOURS, rng), form.settled(form.drawn(RANDOM, rng), rng)]
        )
        return form.params(pool[np.argmax(prior.at(form.points(pool)))])
    lengths = np.full(len(form.names), 0.6 * math.sqrt(len(form.names) / 2))  # as `likeliest` begins
    points = form.points(units)
    expected = prior.at(points)
    bad = np.array([trial.state.is_finished() and not has_value(trial) for trial in tried])
    process = Process.of(points, np.where(bad, -1.0 - expected, 0.0), lengths, UNKNOWN, NOISE)
    best = float(expected.max())
    return form.params(_best(replace(process, prior=prior), best, form, leaders, set(keys(units)), rng))


def _best(
    process: Process,
    best: float,
    form: UnitSpace,
    leaders: Array,
    taken: set[bytes],
    rng: Any,
    price: Price | None = None,
) -> Array:
    """Returns the row (P,) with the highest expected improvement, of those not taken while there are others.

    The best rows of a pool are moved: their real numbers along the slope, their other params one by one. With a price
    the highest improvement per cost counts; the slope is still that of the improvement.
    """

    def worth(rows: Array) -> Array:
        points = form.points(rows)
        gain = process.gain(points, best)
        return gain if price is None else gain - price.at(points)

    pool = np.concatenate([form.settled(form.drawn(RANDOM, rng), rng), form.near(leaders, NEIGHBOURS, rng)])
    pool = pool[sorted({key: place for place, key in enumerate(keys(pool))}.values())]
    fresh = _fresh(pool, taken)
    pool = pool[fresh] if fresh.any() else pool
    gain = worth(pool)
    first = np.argsort(-gain, kind="stable")[:STARTS]
    rows, gains = pool[first], gain[first]
    for _ in range(ROUNDS):
        points, free = form.points(rows), (form.is_real & ~np.isnan(rows)).T
        climbed = form.moved(rows, process.climbed(points, free, best))
        others = [np.concatenate([climbed[[place]], form.beside(row, rng)]) for place, row in enumerate(climbed)]
        owner = np.repeat(np.arange(len(rows)), [len(some) for some in others])
        everyone = np.concatenate(others)
        fresh = _fresh(everyone, taken)
        if not fresh.any():
            break
        owner, everyone = owner[fresh], everyone[fresh]
        found, before = worth(everyone), gains.copy()
        for place in range(len(rows)):
            own = np.flatnonzero(owner == place)
            if len(own) and found[top := own[np.argmax(found[own])]] > gains[place]:
                rows[place], gains[place] = everyone[top], found[top]
        if np.all(gains <= before + ENOUGH):
            break
    return np.asarray(rows[np.argmax(gains)])


def _fresh(rows: Array, taken: set[bytes]) -> Bools:
    return np.array([key not in taken for key in keys(rows)], bool)


def _kept(trials: list[FrozenTrial], value: Mapping[int, float]) -> list[FrozenTrial]:
    """Returns the trials to learn from, by number."""
    if len(trials) <= MOST_POINTS:
        return trials
    best = sorted(trials, key=lambda trial: (-value[trial.number], trial.number))[: MOST_POINTS // 2]
    chosen = {trial.number for trial in best}
    newest = [trial for trial in trials if trial.number not in chosen][-(MOST_POINTS - len(best)) :]
    return sorted([*best, *newest], key=lambda trial: trial.number)
