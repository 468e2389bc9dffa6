"""What a study's trainings use, and the limits of it: GPU hours, money, a deadline."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from statistics import median

from hpo.core.costs import HOUR, Cost, Spent, amount
from hpo.core.errors import HpoError, UsageError
from hpo.core.formatting import duration
from hpo.core.protocols import DONE, WAIT, Done, EndsProcess, Observer, Resources, Stop, Wait
from hpo.core.records import Evaluation, Job, JobKey, Stage, Status
from hpo.driver.options import LimitedOptions
from hpo.store import Lease, Store, StoredStudy
from hpo.store.costs import complete_jobs, insert_costs, spent_by, used_by_jobs
from hpo.study import Study

MARGIN = 1.1
"""What is kept for each training of a promotion, in typical trainings: half of them take longer than the median."""


@dataclass(slots=True)
class Running:
    """A training that was handed out and has not ended.

    Attributes:
        job: the training itself.
        began: when it was handed out, as `time.monotonic` counts.
        reported: when it last reported a step, or began.
        epoch: seconds of its newest epoch; None: it has finished none yet.
    """

    job: Job
    began: float
    reported: float
    epoch: float | None = None


@dataclass(frozen=True, slots=True)
class Amount:
    """A limit of GPU hours or money, in seconds of trainings.

    Attributes:
        name: the option with its value, for messages.
        allowed: seconds of trainings that it allows in all.
        used: returns the part of them that was used.
        said: returns what was used, in the limit's own unit.
    """

    name: str
    allowed: float
    used: Callable[[Spent], float]
    said: Callable[[Spent], str]


class Costs(Observer):
    """Measures what trainings use, and ends the work before a limit would be exceeded.

    It is a `Stop`, too: it is set when the running trainings have to stop after their epoch.

    Args:
        study: the study whose trainings cost something.
        resources: the resources of one training.
        options: the limits of the command; None: no limits.
        stop: another reason to stop, which counts too.

    Attributes:
        spent: what all trainings of the study that are over have used, those of earlier commands included.
        limit: which limit ended the work, as a sentence; None: none did.
    """

    def __init__(self, study: Study, resources: Resources, options: LimitedOptions | None, stop: Stop) -> None:
        limits = options or LimitedOptions()
        self._budget = study.search.budget
        self._gpus = resources.gpu
        self._amounts = amounts(study, resources, limits)
        self._deadline = limits.ends_at
        self._reserve = limits.reserve
        self._stop = stop
        self._running: dict[JobKey, Running] = {}
        self._measured: list[Cost] = []  # of the training that is ending
        self._used: dict[JobKey, float] = {}  # by all runs of a job
        self._complete: dict[tuple[Stage, int], list[float]] = {}  # seconds of complete trainings, by kind
        self._at_once = 1  # most trainings that ran at a time
        self._record: Callable[[Sequence[Cost]], None] = lambda _: None
        self._has_ended = False
        self.spent = Spent(price_per_hour=study.resources_.price_per_hour)
        self.limit: str | None = None

    @property
    def limited(self) -> bool:
        """Whether there is any limit."""
        return bool(self._amounts) or self._deadline is not None

    def begin(self, store: Store, stored: StoredStudy, lease: Lease) -> list[str]:
        """Reads what the study has used so far, and returns the limits as sentences.

        Args:
            store: our tables in the database.
            stored: the study in them.
            lease: the driver's right to write.
        """
        price = self.spent.price_per_hour
        self.spent = store.read(lambda one: spent_by(one, stored.id, self._gpus, price))
        self._used = store.read(lambda one: used_by_jobs(one, stored.id))
        for key, seconds in store.read(lambda one: complete_jobs(one, stored.id)).items():
            self._complete.setdefault((key[1], key[4]), []).append(self._used.get(key, seconds))
        self._record = lambda costs: store.transact(lambda one: insert_costs(one, stored.id, costs), lease)
        said = [f"{one.name}, of which {one.said(self.spent)} were spent before" for one in self._amounts]
        if self._deadline is not None:
            left = (self._deadline - datetime.now(UTC)).total_seconds()
            said.append(f"deadline {moment(self._deadline)}, {f'in {duration(left)}' if left > 0 else 'which is over'}")
        return said

    def asked(self, job: Job) -> None:
        now = time.monotonic()
        self._running[job.key] = Running(job, now, now)
        self._at_once = max(self._at_once, len(self._running))

    @contextmanager
    def measured(self) -> Iterator[None]:
        """Counts from here on, because a training was handed out before its backend was started.

        At the end it records what the trainings that stay open have used; the next command counts it.
        """
        for one in self._running.values():
            self.asked(one.job)
        try:
            yield
        finally:
            self._suspend()

    def reported(self, job: Job, step: int, value: float) -> None:
        if (one := self._running.get(job.key)) is not None:
            now = time.monotonic()
            one.epoch, one.reported = now - one.reported, now

    def costs_of(self, evaluation: Evaluation) -> Sequence[Cost]:
        """Returns what the training that just ended has used since it was handed out.

        If an earlier driver was killed, it could not record its part, which is in the evaluation's own seconds.
        """
        if self._measured and self._measured[0].job is evaluation.job:
            return self._measured  # stored already, or its storing is repeated
        key, own = evaluation.job.key, evaluation.seconds if math.isfinite(evaluation.seconds) else 0.0
        one = self._running.get(key)
        elapsed = 0.0 if one is None else time.monotonic() - one.began
        seconds = max(elapsed, own - self._used.get(key, 0.0))
        self._measured = [Cost(job=evaluation.job, seconds=seconds, gpus=self._gpus)]
        return self._measured

    def told(self, evaluation: Evaluation) -> None:
        costs = self.costs_of(evaluation)
        self._running.pop(evaluation.job.key, None)
        self._measured = []
        self._add(costs)
        if evaluation.status is Status.COMPLETE:
            job = evaluation.job
            self._complete.setdefault((job.stage, job.budget), []).append(self._used[job.key])

    def _suspend(self) -> None:
        now = time.monotonic()
        costs = [Cost(job=one.job, seconds=now - one.began, gpus=self._gpus) for one in self._running.values()]
        self._running.clear()
        self._add(costs)
        if costs:
            with suppress(HpoError):  # without a database or a lease nothing can be recorded; the cause was raised
                self._record(costs)

    def _add(self, costs: Sequence[Cost]) -> None:
        seconds = sum(one.seconds for one in costs)
        for one in costs:
            self._used[one.job.key] = self._used.get(one.job.key, 0.0) + one.seconds
        self.spent = replace(
            self.spent,
            seconds=self.spent.seconds + seconds,
            gpu_seconds=self.spent.gpu_seconds + seconds * self._gpus,
        )

    def refusal(self, job: Job) -> Wait | Done | None:
        """Returns the answer to give in the place of a job that may not begin now; None: it may."""
        if self.has_room(1, job):
            return None
        if self._running:
            return WAIT  # one that ends early, pruned for example, may leave enough
        self._has_ended = True
        return DONE

    def has_room(self, trainings: int = 1, job: Job | None = None) -> bool:
        """Whether more trainings keep to the limits, if they take as long as those before.

        Args:
            trainings: number of trainings that are to begin.
            job: the training if it is known, which may have run in part; None: a new one.
        """
        if not self.limited:
            return True
        typical = self._typical(Stage.SEARCH, self._budget) if job is None else self._typical(job.stage, job.budget)
        part = 0.0 if job is None else min(typical, self._used.get(job.key, 0.0))
        self.limit = self._refused(typical, trainings * typical - part)
        return self.limit is None

    def _refused(self, typical: float, needed: float) -> str | None:
        """Returns the limit that `needed` more seconds of trainings would exceed, as a sentence; None: there is none.

        Args:
            typical: seconds of a typical training.
            needed: seconds of the trainings that are to begin.
        """
        now = time.monotonic()
        one_more = f"one more training, typically {duration(typical)}," if typical else "one more training"
        kept, kept_for = 0.0, ""
        if self._reserve:
            kept = MARGIN * self._reserve * self._typical(Stage.PROMOTION, self._budget)
            kept_for = f" and leave enough for the {self._reserve} trainings of the promotion"
        running = sum(
            max(now - one.began, self._typical(one.job.stage, one.job.budget) - self._used.get(one.job.key, 0.0))
            for one in list(self._running.values())
        )
        for limit in self._amounts:
            left = limit.allowed - limit.used(self.spent) - running - kept
            if left <= 0 or needed > left:
                return f"{one_more} would not keep to {limit.name}{kept_for}; {limit.said(self.spent)} were spent"
        if self._deadline is not None:
            left = self._seconds_left() - kept / self._at_once
            if left <= 0 or needed > left:
                return f"{one_more} would not end before the deadline, {moment(self._deadline)}{kept_for}"
        return None

    def is_set(self) -> bool:
        """Whether the work is to stop: another stop is set, or the next epoch could exceed a limit."""
        if self._stop.is_set() or self._has_ended:
            return True
        running = list(self._running.values())
        if not self.limited or not running:
            return False
        now = time.monotonic()
        epoch = max(one.epoch or self._typical(one.job.stage, one.job.budget) / one.job.budget for one in running)
        kept = self._reserve * self._typical(Stage.PROMOTION, self._budget)
        if self._deadline is not None and epoch >= self._seconds_left() - kept / self._at_once:
            self.limit = f"the deadline, {moment(self._deadline)}, leaves no time for another epoch"
            self._has_ended = True
        used = sum(now - one.began for one in running)
        for limit in self._amounts:
            if limit.used(self.spent) + used + epoch * len(running) > limit.allowed - kept:
                self.limit = f"another epoch of the running trainings would not keep to {limit.name}"
                self._has_ended = True
        return self._has_ended

    def end_process(self, why: str) -> None:
        """Ends the process if the other stop allows that; see `EndsProcess`."""
        if isinstance(self._stop, EndsProcess):
            self._stop.end_process(why)

    def _seconds_left(self) -> float:
        assert self._deadline is not None
        return (self._deadline - datetime.now(UTC)).total_seconds()

    def _typical(self, stage: Stage, budget: int) -> float:
        """Returns the median of the complete trainings of a stage at a budget in seconds.

        If the stage has none, those of all stages at that budget count; 0: there is none. An evaluation on the test
        part trains nothing, so it compares only with others.
        """
        found = self._complete.get((stage, budget), [])
        if not found and stage is not Stage.TEST:
            kinds = [kind for kind in self._complete if kind[1] == budget and kind[0] is not Stage.TEST]
            found = [seconds for kind in kinds for seconds in self._complete[kind]]
        return median(found) if found else 0.0


def amounts(study: Study, resources: Resources, options: LimitedOptions) -> list[Amount]:
    """Returns the limits of GPU hours and money.

    Args:
        study: the study, which may have a price.
        resources: the resources of one training.
        options: the limits of the command.

    Raises:
        UsageError: if a limit needs something that the study does not have.
    """
    found, hours, cost, price = [], options.gpu_hours, options.cost, study.resources_.price_per_hour
    if hours is not None:
        if not resources.gpu:
            raise UsageError(
                f"the trainings of study {study.name!r} have no GPU, so --gpu-hours limits nothing: set [resources] "
                "gpu, or limit them with --cost, --deadline or --time"
            )
        gpus = resources.gpu
        found.append(
            Amount(
                f"{amount(hours)} GPU hours",
                hours * HOUR / gpus,
                lambda spent: spent.gpu_seconds / gpus,
                lambda spent: amount(spent.gpu_seconds / HOUR),
            )
        )
    if cost is not None:
        if price is None:
            raise UsageError(
                f"a cost needs a price, which study {study.name!r} does not have: set [resources] price_per_hour, the "
                "price of the resources of one training for an hour"
            )
        found.append(
            Amount(
                f"a cost of {amount(cost)}",
                cost / price * HOUR,
                lambda spent: spent.seconds,
                lambda spent: amount(spent.cost or 0.0),
            )
        )
    return found


def moment(when: datetime) -> str:
    """Returns a moment with its offset: `2026-12-01 08:00 (UTC+01:00)`."""
    return f"{when:%Y-%m-%d %H:%M} (UTC{when.isoformat(timespec='minutes')[16:]})"
