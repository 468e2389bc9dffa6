"""`seeds decompose` and `seeds replay`: what randomness does to a result, source by source."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hpo.api.floor import Counter, Floor, train
from hpo.api.session import Opened, Workforce, driving, never, opened, refuse_unusable, resolved
from hpo.effects import Effect, total_effects, whole_variance
from hpo.errors import HpoError, UsageError, did_you_mean
from hpo.files import write_text
from hpo.place import Place
from hpo.promotion import RedrawSource, Replays
from hpo.records import Evaluation, Job, Stage
from hpo.report import effects_figure, write_page
from hpo.results import json_text, refuse_unwritable, table_text
from hpo.seam import Observer, Stop
from hpo.search import Trial
from hpo.seeding import STREAMS
from hpo.store import Recorded
from hpo.study import LARGEST_SEED, Study

DRAWS, REPLAYS = 10, 3
MOST = 1000
"""More draws would be a mistyped number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """One training, done again and again.

    Attributes:
        trial: number of its configuration.
        seed: that it was trained under.
        values: the objective's, (r,) in the order of the replays.
        identical: how many of them have the bits of the first: weights, predictions and history.
        seed_deviation: standard deviation over seeds, ddof 1, of the trial's promotion; None if it has none.
    """

    trial: int
    seed: int
    values: tuple[float, ...]
    identical: int
    seed_deviation: float | None = None

    @property
    def deviation(self) -> float:
        """Standard deviation over the replays, ddof 1: what no seed accounts for; 0 of a single one."""
        return float(np.std(self.values, ddof=1)) if len(self.values) > 1 else 0.0

    @property
    def is_identical(self) -> bool:
        """Whether all of them have the same bits."""
        return self.identical == len(self.values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decomposition:
    """What the sources of randomness do to one configuration's result.

    Attributes:
        study: its study.
        trial: number of the configuration.
        seed: that all draws were derived from.
        values: the objective's with all sources drawn, (n,).
        deviation: standard deviation with all of them drawn, from all trainings; see `hpo.effects.whole_variance`.
        effects: of each source that is used, the largest first.
        unused: sources that changed no bit.
        replayed: the first draw, done again; None if that was not wanted.
        trainings: how many it took.
        trained: how many of them were trained now; the others were recorded.
        folder: where it was written; None if it was stopped before its end.
    """

    study: Study
    trial: int
    seed: int
    values: tuple[float, ...] = ()
    deviation: float = 0.0
    effects: tuple[Effect, ...] = ()
    unused: tuple[str, ...] = ()
    replayed: Replayed | None = None
    trainings: int = 0
    trained: int = 0
    folder: Path | None = None

    @property
    def mean(self) -> float:
        """Of the values."""
        return float(np.mean(self.values))

    @property
    def sum_of_totals(self) -> float | None:
        """One if the sources add up; more, by how much they act together; None where nothing varies."""
        totals = [effect.total for effect in self.effects if effect.total is not None]
        return sum(totals) if totals else None

    @property
    def advice(self) -> str:
        """What follows, as a sentence."""
        if not self.effects or self.effects[0].deviation == 0:
            return "Nothing moves this result: one training of it says all."
        first = self.effects[0].source
        if first == "split":
            return "The split moves this result more than the training does: add folds before adding seeds."
        split = next((effect for effect in self.effects if effect.source == "split"), None)
        if split is None:
            return f"The training's own chance moves this result, {first} the most: compare it over more seeds."
        return f"The training moves this result more than the split, {first} the most: add seeds before adding folds."

    def as_values(self) -> dict[str, object]:
        """Returns all of it as plain values."""
        return {
            "study": self.study.name,
            "trial": self.trial,
            "metric": self.study.objective.metric,
            "seed": self.seed,
            "draws": len(self.values),
            "values": list(self.values),
            "mean": self.mean,
            "deviation": self.deviation,
            "sources": self.rows(),
            "sum_of_total_effects": self.sum_of_totals,
            "replays": list(self.replayed.values) if self.replayed else [],
            "replays_identical": self.replayed.identical if self.replayed else None,
            "advice": self.advice,
        }

    def rows(self) -> list[dict[str, object]]:
        """Returns a row of plain values for each source."""
        used: list[dict[str, object]] = [
            {
                "source": one.source,
                "deviation": one.deviation,
                "low": one.interval[0],
                "high": one.interval[1],
                "total_effect": one.total,
            }
            for one in self.effects
        ]
        none = {"deviation": 0.0, "low": 0.0, "high": 0.0, "total_effect": 0.0}
        return [*used, *({"source": source, **none} for source in self.unused)]


def decompose(
    study: Study | str,
    trial: int,
    place: Place | None = None,
    *,
    draws: int = DRAWS,
    replays: int = REPLAYS,
    sources: Sequence[str] = (),
    seed: int = 0,
    observers: Sequence[Observer] = (),
    stop: Stop | None = None,
    workforce: Workforce | None = None,
) -> Decomposition:
    """Tells the sources of a result's randomness apart; draws * (sources + 1) + replays trainings at most.

    What is recorded is not trained again, so a decomposition that was stopped goes on, and more draws add to fewer.

    Args:
        study: or its name.
        trial: number of the configuration.
        place: where the study is kept and run.
        draws: of all sources together; each source is then drawn anew alone.
        replays: of the first draw, with nothing drawn anew.
        sources: streams to tell apart; none named: all of them.
        seed: that all draws are derived from.
        observers: hear of every job, report and evaluation.
        stop: ends the work in order when it is set.
        workforce: keeps the backend running after this verb.

    Raises:
        UsageError: if something given cannot be used; nothing was written.
        HpoError: if a training failed twice.
    """
    study, place, stop = resolved(study), place or Place(), stop or never()
    chosen = tuple(sources) or tuple(STREAMS)
    _refuse(study, place, draws, replays, chosen, seed)
    counter = Counter()
    floor = Floor(place=place, workforce=workforce, observers=(*observers, counter), stop=stop)
    with opened(study, place, observers, create=False) as found, driving(found, "seeds decompose") as lease:
        params = _trial(found, study, trial).params
        own = study.search_seeds(trial)[0]
        fixed = {name: study.streams.get(name, own) for name in STREAMS}
        source = RedrawSource(trial, params, study.search.budget, chosen, draws, seed, fixed)
        again = [replace(source.rows[0, None], stage=Stage.REPLAY, repeat=number + 1) for number in range(replays)]
        recorded = Recorded(source, found.store, found.stored, lease)
        replaying = Replays(again)
        known = Recorded(replaying, found.store, found.stored, lease)
        lacking = sum(recorded.lacks(job) for job in source.jobs) + sum(known.lacks(job) for job in again)
        total = len(source.jobs) + len(again)
        for observer in observers:
            observer.begins(total, total - lacking)
        train(recorded, found, study, floor)
        if not stop.is_set():
            train(known, found, study, floor)
    made = Decomposition(study=study, trial=trial, seed=seed, trained=counter.trained)
    if stop.is_set():
        return made
    base = [_value(source.result(draw, None)) for draw in range(draws)]
    unused = source.unused()
    redrawn = {
        name: [_value(source.result(draw, name)) for draw in range(draws)] for name in chosen if name not in unused
    }
    made = replace(
        made,
        values=tuple(base),
        deviation=math.sqrt(whole_variance(base, redrawn)),
        effects=tuple(total_effects(base, redrawn)),
        unused=unused,
        replayed=_replayed(source.result(0, None), replaying.told) if replays else None,
        trainings=len(source.evaluations) + len(again),
        folder=place.outputs / study.name,
    )
    _write(made)
    return made


def replay(
    study: Study | str,
    trial: int,
    place: Place | None = None,
    *,
    seed: int | None = None,
    replays: int = REPLAYS,
    observers: Sequence[Observer] = (),
    stop: Stop | None = None,
    workforce: Workforce | None = None,
) -> Replayed | None:
    """Trains one job several times: what differs then, no seed accounts for. Recorded, as `decompose` is.

    Args:
        study: or its name.
        trial: number of the configuration.
        place: where the study is kept and run.
        seed: of the training; None: the search's.
        replays: how many times, from two.
        observers: hear of every job, report and evaluation.
        stop: ends the work in order when it is set; then nothing is returned.
        workforce: keeps the backend running after this verb.

    Raises:
        UsageError: if something given cannot be used; nothing was written.
        HpoError: if a training failed twice.
    """
    study, place, stop = resolved(study), place or Place(), stop or never()
    if not 2 <= replays <= MOST:
        raise UsageError(f"replays must be 2 to {MOST}, for one is compared with another, not {replays}")
    _refuse(study, place, 2, replays, (), 0 if seed is None else seed)
    floor = Floor(place=place, workforce=workforce, observers=tuple(observers), stop=stop)
    with opened(study, place, observers, create=False) as found, driving(found, "seeds replay") as lease:
        job = Job(
            trial=trial,
            params=_trial(found, study, trial).params,
            seed=study.search_seeds(trial)[0] if seed is None else seed,
            budget=study.search.budget,
            stage=Stage.REPLAY,
            streams=study.streams,
        )
        source = Replays([replace(job, repeat=number + 1) for number in range(replays)])
        recorded = Recorded(source, found.store, found.stored, lease)
        for observer in observers:
            observer.begins(replays, replays - sum(recorded.lacks(one) for one in source.jobs))
        train(recorded, found, study, floor)
        promoted = found.store.evaluations(found.stored, Stage.PROMOTION, trial)
    if stop.is_set():
        return None
    values = [one.value for one in promoted if one.value is not None]
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return replace(_replayed(source.told[0], source.told), seed_deviation=deviation)


def _refuse(study: Study, place: Place, draws: int, replays: int, sources: Sequence[str], seed: int) -> None:
    if not 2 <= draws <= MOST:
        raise UsageError(f"draws must be 2 to {MOST}, not {draws}: what one does is told from another")
    if not 0 <= replays <= MOST:
        raise UsageError(f"replays must be 0 to {MOST}, not {replays}")
    if not 0 <= seed <= LARGEST_SEED:
        raise UsageError(f"a seed must be 0 to {LARGEST_SEED}, not {seed}")
    known = ", ".join(STREAMS)
    for index, source in enumerate(sources):
        if source not in STREAMS:
            raise UsageError(
                f"no source of randomness is named {source!r}; there are {known}.{did_you_mean(source, STREAMS)}"
            )
        if source in sources[:index]:
            raise UsageError(f"source {source!r} is named twice")
    refuse_unusable(study, place)
    refuse_unwritable(place.outputs / study.name)


def _trial(found: Opened, study: Study, number: int) -> Trial:
    trials = found.durable.trials()
    if not 0 <= number < len(trials):
        count = f"trials 0 .. {len(trials) - 1}" if trials else "no trials"
        raise UsageError(f"study {study.name!r} has {count}, not {number}")
    return trials[number]


def _value(evaluation: Evaluation | None) -> float:
    if evaluation is None or evaluation.value is None:
        why = "was not trained" if evaluation is None else (evaluation.error or "").splitlines()[-1]
        raise HpoError(f"a training of the decomposition has no value, so the sources cannot be told apart: {why}")
    return evaluation.value


def _replayed(first: Evaluation | None, told: Sequence[Evaluation | None]) -> Replayed:
    values = tuple(_value(one) for one in told)
    assert first is not None  # it has a value
    return Replayed(
        trial=first.job.trial,
        seed=first.job.seed,
        values=values,
        identical=sum(one is not None and _is_same(first, one) for one in told),
    )


def _is_same(one: Evaluation, other: Evaluation) -> bool:
    """Whether two trainings gave the same bits, in all that is known of both."""
    both = one.digests.keys() & other.digests.keys()
    history = [dict(report.metrics) for report in one.reports] == [dict(report.metrics) for report in other.reports]
    return history and all(one.digests[name] == other.digests[name] for name in both)


def _write(made: Decomposition) -> None:
    """Writes a decomposition beside the results: as JSON, as CSV and as a picture."""
    assert made.folder is not None
    made.folder.mkdir(parents=True, exist_ok=True)
    stem = f"decomposition-trial-{made.trial}"
    write_text(made.folder / f"{stem}.json", json_text(made.as_values()))
    write_text(made.folder / f"{stem}.csv", table_text(made.rows()))
    title = f"{made.study.name}, trial {made.trial}: what moves {made.study.objective.metric}"
    figure = effects_figure(made.effects, made.deviation, title)
    write_page(made.folder / f"{stem}.html", figure)
