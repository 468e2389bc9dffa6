"""The methods: ours through the project's own sources, the others through their own packages, all on tables."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.samplers import BaseSampler
from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial, TrialState

import hpo
from hpo.core.protocols import DONE, JobSource
from hpo.core.records import Evaluation, Job, Report, Status
from hpo.promotion.curtail import CurtailedSource
from hpo.promotion.grid import PromotionSource, replicate
from hpo.promotion.race import Plan, Race, RaceSource
from hpo.promotion.select import LEAST_SPLIT, MOST_SPLIT
from hpo.search.contrast import contrast_of
from hpo.search.source import SearchSource
from hpo.search.split import FIRST, share_of_race
from hpo.stats.ranking import Candidate, Ranking, rank
from hpo.stats.scoring import Rule
from hpo.store.optuna_storage.studies import DurableStudy
from tests.bench.selection.tables import Problem

RULE = Rule()
SEARCH_SEED, SEEDS = 41, tuple(range(42, 54))
"""Of the study; which column of the table each one is differs between repetitions."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What a method chose.

    Attributes:
        row: of the configuration.
        trainings: that it took.
    """

    row: int
    trainings: int


@dataclass(frozen=True)
class Trace:
    """A search, training by training.

    Attributes:
        rows: of the configurations in the order in which they were tried, repeats included.
        values: under the search's seed; NaN: the training failed.
        share: the race's share that the first values decide; None: the fixed plan's.
    """

    rows: tuple[int, ...]
    values: tuple[float, ...]
    share: float | None = None

    def first(self, trainings: int, *, recorded: bool) -> Trace:
        """Returns as much of it as so many trainings allow; where repeats are recorded they cost none.

        A training that failed costs one too, each time, because there is no value to record.
        """
        count, spent, known = 0, 0, set()
        for row, value in zip(self.rows, self.values, strict=True):
            spent += not (recorded and row in known)
            if spent > trainings:
                break
            if not math.isnan(value):
                known.add(row)
            count += 1
        return Trace(self.rows[:count], self.values[:count], self.share)

    def best(self, count: int) -> list[int]:
        """Returns the best configurations, of equal ones the earlier, each once; if all failed, the first."""
        over = [place for place in range(len(self.rows)) if not math.isnan(self.values[place])]
        order = sorted(over, key=lambda place: (-self.values[place], place)) or [0]
        return list(dict.fromkeys(self.rows[place] for place in order))[:count]


class Roles:
    """Which seed of the study is which of the table, in one repetition."""

    def __init__(self, order: Sequence[int]) -> None:
        self._column = dict(zip((SEARCH_SEED, *SEEDS), order, strict=False))

    def column(self, seed: int) -> int:
        """Returns the table's column of a seed of the study."""
        return self._column[seed]


def study_of(table: Problem, sampler: str, seed: int, lag: int = 1) -> hpo.Study:
    """Returns the study that searches a problem."""
    search = {"sampler": sampler, "sampler_seed": seed, "pruner": "none", "lag": lag, "budget": 1, "trials": 1}
    objective = {"metric": "score", "direction": "maximize"}
    content = {"name": "table", "trainable": "none:none", "objective": objective, "search": search}
    return hpo.Study.model_validate({**content, "space": table.study_space}).located(Path.cwd())


def trace_of(
    table: Problem, sampler: str, trainings: int, roles: Roles, seed: int, lag: int = 1, total: int = 0
) -> Trace:
    """Returns a search by our own source, until so many different configurations were tried.

    Args:
        table: the problem that is searched.
        sampler: its name, or `module:Class`.
        trainings: number of configurations to try.
        roles: which seed of the study is which of the table.
        seed: seed of the sampler.
        lag: trial n is proposed with the results of trials up to n - lag.
        total: trainings of search and race, which `hpo run --trainings` may split by the first values.
    """
    study, column, rows = study_of(table, sampler, seed, lag), roles.column(SEARCH_SEED), []
    storage = InMemoryStorage()
    optuna.create_study(study_name=study.name, storage=storage, direction="maximize")
    source = SearchSource(study, DurableStudy(storage, study.name, nullcontext), configurations=trainings)
    for job in _drained(source, lambda job: table.value(table.index(job.params), column)):
        rows.append(table.index(job.params))
    share = None
    if LEAST_SPLIT <= total <= MOST_SPLIT and len(rows) >= round(FIRST * total):
        first = [source._finished[number] for number in range(round(FIRST * total))]
        share = share_of_race(contrast_of(first, "maximize"))
    return Trace(tuple(rows), tuple(table.value(row, column) for row in rows), share)


def optuna_trace(table: Problem, trials: int, score: Callable[[int], float], seed: int) -> Trace:
    """Returns a search by Optuna alone with its defaults."""
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))
    rows, values = [], []
    for _ in range(trials):
        trial = study.ask()
        rows.append(table.index(table.suggested(trial)))
        values.append(score(rows[-1]))
        _tell(study, trial, values[-1])
    return Trace(tuple(rows), tuple(values))


def _tell(study: optuna.Study, trial: optuna.Trial, value: float) -> None:
    if math.isnan(value):
        study.tell(trial, state=TrialState.FAIL)
    else:
        study.tell(trial, value)


def grid(table: Problem, roles: Roles, rows: Sequence[int], seeds: int = 3) -> Choice:
    """The promotion of all candidates on all seeds."""
    return _ranked(table, roles, rows, PromotionSource.grid(_jobs(rows, SEEDS[:seeds])), SEEDS[:seeds])


def curtailed(table: Problem, roles: Roles, rows: Sequence[int], seeds: int = 3) -> Choice:
    """The same without the replicates that cannot change the winner."""
    source = CurtailedSource(_jobs(rows, SEEDS[:seeds]), RULE, "maximize")
    return _ranked(table, roles, rows, source, SEEDS[:seeds])


def race(table: Problem, roles: Roles, rows: Sequence[int], plan: Plan) -> Choice:
    """The race."""
    seeds = SEEDS[: plan.rungs[-1]]
    source = RaceSource(_jobs(rows, seeds), plan, RULE, "maximize")
    trained = _trained(source, table, roles, rows)
    raced = Race.of(plan.limited_to(len(rows)), _candidates(source, rows, seeds), seeds, RULE, "maximize")
    return _first(raced.final, rows, trained)


def _ranked(table: Problem, roles: Roles, rows: Sequence[int], source: PromotionSource, seeds: Sequence[int]) -> Choice:
    trained = _trained(source, table, roles, rows)
    return _first(rank(_candidates(source, rows, seeds), seeds, RULE, "maximize"), rows, trained)


def _first(ranking: Ranking, rows: Sequence[int], trained: int) -> Choice:
    """Returns the winner; where every candidate failed, the search's best."""
    return Choice(rows[ranking.winner.candidate.trial if ranking.winner else 0], trained)


def _trained(source: PromotionSource, table: Problem, roles: Roles, rows: Sequence[int]) -> int:
    """Runs a promotion whose trials are these rows, and returns how many trainings it took."""
    return sum(1 for _ in _drained(source, lambda job: table.value(rows[job.trial], roles.column(job.seed))))


def _candidates(source: PromotionSource, rows: Sequence[int], seeds: Sequence[int]) -> list[Candidate]:
    known = source.evaluations
    return [
        Candidate(trial=trial, values={seed: known[trial, seed].value for seed in seeds if (trial, seed) in known})
        for trial in range(len(rows))
    ]


def plan_of(trainings: int, seeds: int, share: float | None = None) -> Plan:
    """Returns the recipe's plan, or that of a share; where fewer seeds may be seen, its rungs end there."""
    plan = Plan.for_trainings(trainings) if share is None else Plan.for_share(trainings, share)
    rungs = [rung for rung in plan.rungs if rung < seeds]
    if seeds <= plan.rungs[-1]:
        rungs.append(seeds)
    return Plan(tuple(rungs), plan.widths[: len(rungs)])


def _jobs(rows: Sequence[int], seeds: Sequence[int]) -> dict[int, list[Job]]:
    return {trial: [replicate(trial, {}, seed, 1, {}) for seed in seeds] for trial in range(len(rows))}


def _drained(source: JobSource, score: Callable[[Job], float]) -> Iterator[Job]:
    """Runs a source, one job after the other; a score that is NaN is a training that failed."""
    while isinstance(job := source.ask(), Job):
        yield job
        value = score(job)
        if math.isnan(value):
            source.tell(Evaluation(job=job, status=Status.FAILED, error="a hole in the table"))
            continue
        report = Report(step=1, metrics={"score": value}, at=0.0)
        source.report(job, 1, value)
        source.tell(Evaluation(job=job, status=Status.COMPLETE, value=value, step=1, reports=(report,)))
    assert job is DONE


class InTurn(BaseSampler):
    """What `hpo.MixedSampler` would be with Optuna's own Gaussian process in place of ours."""

    def __init__(self, seed: int, startup: int = 20) -> None:
        self._startup = startup
        self._tpe = optuna.samplers.TPESampler(seed=seed)
        self._gp = optuna.samplers.GPSampler(seed=seed, deterministic_objective=False, warn_independent_sampling=False)

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, Any]:
        return self._of(trial).infer_relative_search_space(study, trial)

    def sample_relative(self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, Any]) -> dict[str, Any]:
        return self._of(trial).sample_relative(study, trial, search_space)

    def sample_independent(self, study: optuna.Study, trial: FrozenTrial, *said: Any) -> Any:
        return self._of(trial).sample_independent(study, trial, *said)

    def _of(self, trial: FrozenTrial) -> BaseSampler:
        ours = trial.number >= self._startup and (trial.number - self._startup) % 2 == 0
        return self._gp if ours else self._tpe


def recorded_trace(table: Problem, trainings: int, score: Callable[[int], float], sampler: BaseSampler) -> Trace:
    """Returns a search by Optuna alone under any sampler, where what was tried before costs nothing."""
    study = optuna.create_study(direction="maximize", sampler=sampler)
    rows: list[int] = []
    while len(set(rows)) < trainings and len(rows) < 10 * trainings:
        trial = study.ask()
        rows.append(table.index(table.suggested(trial)))
        _tell(study, trial, score(rows[-1]))
    return Trace(tuple(rows), tuple(score(row) for row in rows)).first(trainings, recorded=True)
