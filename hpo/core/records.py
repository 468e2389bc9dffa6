"""The plain values that everything else passes around: jobs, reports, evaluations."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from hpo.core.arguments import refuse_other_word, require_int, require_type
from hpo.core.code import Code, code_from

LARGEST_SEED = 2**63 - 1
"""The largest integer that both databases store."""

START = "start"
"""The name of the digest of the weights that a training began with."""

MOST_TRIALS = 1_000_000
"""Of a study, and of whatever else is counted; more would be a mistyped number."""

Value = bool | int | float | str
"""What a param can be."""

Metrics = Mapping[str, float | None]
"""The metrics of one step by name; None where one is undefined (AUC with a single class)."""

LARGEST = 1e150
"""The largest size of a metric. The square of it is still a finite number, and so is a sum of squares."""


class Stage(StrEnum):
    """What a training is for."""

    SEARCH = "search"
    PROMOTION = "promotion"
    DECOMPOSITION = "decomposition"
    REPLAY = "replay"


class Status(StrEnum):
    """How a job ended."""

    COMPLETE = "complete"
    PRUNED = "pruned"
    FAILED = "failed"


JobKey = tuple[int, Stage, int, int, int, str]
"""Of a job within its study: trial, stage, seed, fold, budget, variant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """Which number counts.

    Attributes:
        metric: its name among the metrics that a trainable yields.
        direction: whether more or less of it is better.
        epoch: whose value counts, the best epoch's or the last's.
        constraints: names of metrics that must not be above zero at the step whose value counts.
        ignore: names of metrics that no two trainings have in common, such as times: they are not compared where
            trainings are compared bit by bit.
    """

    metric: str
    direction: Literal["maximize", "minimize"] = "maximize"
    epoch: Literal["best", "last"] = "best"
    constraints: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        require_type("metric", self.metric, str, "the name of a metric")
        refuse_other_word("direction", self.direction, ("maximize", "minimize"))
        refuse_other_word("epoch", self.epoch, ("best", "last"))

    def is_better(self, value: float, than: float) -> bool:
        """Whether `value` beats `than`; equals do not."""
        return value > than if self.direction == "maximize" else value < than

    def select(self, reports: tuple[Report, ...]) -> Report:
        """Returns the report whose value counts: the last, or the first among equally good ones."""
        if self.epoch == "last":
            return reports[-1]
        chosen = reports[0]
        for report in reports[1:]:
            if self.is_better(self.value(report), self.value(chosen)):
                chosen = report
        return chosen

    def value(self, report: Report) -> float:
        """Returns this objective's value in `report`."""
        value = report.metrics[self.metric]
        assert value is not None  # a report without it was refused when it was made
        return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One training that is to be done.

    Attributes:
        trial: number of the configuration in its study.
        params: one full assignment of the space.
        seed: fixes all randomness of the training.
        budget: number of epochs allowed.
        fold: which fold of the data, from 1 on and through all repeats; 0 where there are none.
        stage: what the training is for.
        stream_seeds: seeds of single streams that differ from `seed`.
        variant: tells it from other jobs under this seed: `split` (that stream is drawn anew), `replay-2`; empty where
            the seed says all.
    """

    trial: int
    params: Mapping[str, Value]
    seed: int
    budget: int
    fold: int = 0
    stage: Stage = Stage.SEARCH
    stream_seeds: Mapping[str, int] = field(default_factory=dict)
    variant: str = ""

    def __post_init__(self) -> None:
        require_int("trial", self.trial, 0)
        require_int("seed", self.seed, 0, LARGEST_SEED)
        require_int("budget", self.budget, 1)
        require_int("fold", self.fold, 0)

    @property
    def key(self) -> JobKey:
        """What makes the job unique within its study: trial, stage, seed, fold, budget, variant."""
        return self.trial, self.stage, self.seed, self.fold, self.budget, self.variant

    @property
    def folder(self) -> str:
        """The job's own folder, relative to its study's: `promotion/trial-00014-seed-42-fold-0-budget-6`."""
        variant = f"-{self.variant}" if self.variant else ""
        return f"{self.stage}/trial-{self.trial:05d}-seed-{self.seed}-fold-{self.fold}-budget-{self.budget}{variant}"

    @property
    def seed_text(self) -> str:
        """The seed, and what else tells it from other trainings of its trial: `42`, `42 fold 3`, `42 replay-1`."""
        fold = f" fold {self.fold}" if self.fold else ""
        return f"{self.seed}{fold} {self.variant}".strip()

    @property
    def digest(self) -> str:
        """sha256 over everything that the training depends on by way of its job."""
        return digest(
            {
                "trial": self.trial,
                "params": dict(self.params),
                "seed": self.seed,
                "budget": self.budget,
                "fold": self.fold,
                "stage": self.stage,
                "streams": dict(self.stream_seeds),
                **({"variant": self.variant} if self.variant else {}),
            }
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """Something that was seen to go wrong.

    Attributes:
        kind: one of `KINDS` in `hpo.training.monitoring.alerts`.
        epoch: the first that shows it.
        message: what was seen, with the threshold.
    """

    kind: str
    epoch: int
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a training said at one step.

    Attributes:
        step: 1 for the first epoch.
        metrics: as the trainable yielded them.
        at: when, in seconds since the Unix epoch, by the worker's clock.
        alerts: what was seen to go wrong in it, where the trainable is watched.
    """

    step: int
    metrics: Metrics
    at: float
    alerts: tuple[Alert, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """The record of one job: what became of it.

    Attributes:
        job: the job that was trained.
        status: how it ended.
        value: the objective's value at `step`; None if the job failed, or was pruned before it had one.
        step: the step whose value counts.
        reports: all steps that were reported, in order; of a pruned job, those up to its end.
        error: why it failed; the traceback if there was one.
        seconds: from the first epoch's start to the last one's end, by the worker's clock, pauses left out.
        digests: sha256 by name of what the training produced, `weights` and `predictions`, and of the weights that it
            began with, `START`.
        fingerprint: what else could change the result: versions, threads, device, data.
        files: the job's folder, if artefacts were kept there.
        remarks: what went wrong on the way and was made good, e.g. a damaged checkpoint.
        last_alerts: what was seen to go wrong after the last report, of a job that failed.
        folds: of a job that was cross-validated, the records of its folds; it is their mean and has none of its own.
    """

    job: Job
    status: Status
    value: float | None = None
    step: int | None = None
    reports: tuple[Report, ...] = ()
    error: str | None = None
    seconds: float = 0.0
    digests: Mapping[str, str] = field(default_factory=dict)
    fingerprint: Mapping[str, object] = field(default_factory=dict)
    files: str | None = None
    remarks: tuple[str, ...] = ()
    last_alerts: tuple[Alert, ...] = ()
    folds: tuple[Evaluation, ...] = ()

    def __post_init__(self) -> None:
        if self.value is not None and not math.isfinite(self.value):
            raise ValueError(f"the value of an evaluation must be a finite number, not {self.value}")
        if self.status is Status.COMPLETE and self.value is None:
            raise ValueError("a complete evaluation must have a value")

    @property
    def metrics(self) -> Metrics:
        """The metrics of the step whose value counts; empty where there is none."""
        return next((report.metrics for report in self.reports if report.step == self.step), {})

    @property
    def code(self) -> Code:
        """The files that the trainable was made of; unknown where they were not recorded."""
        return code_from(self.trainings[0].fingerprint.get("code"))

    @property
    def defaults(self) -> dict[str, object]:
        """The defaults of the params that neither the search nor the study set; empty where none were recorded."""
        found = self.trainings[0].fingerprint.get("defaults")
        return dict(found) if isinstance(found, Mapping) else {}

    @property
    def epoch(self) -> int | None:
        """The epoch whose value counts; None if there is none, or the folds have each their own."""
        return None if self.folds else self.step

    @property
    def alerts(self) -> tuple[Alert, ...]:
        """All that was seen to go wrong, in the order in which it was; of all folds where there are any."""
        reported = [alert for one in self.trainings for report in one.reports for alert in report.alerts]
        return (*reported, *(alert for one in self.trainings for alert in one.last_alerts))

    @property
    def trainings(self) -> tuple[Evaluation, ...]:
        """The records that were stored: those of the folds, or this one."""
        return self.folds or (self,)


def canonical_json(value: object) -> str:
    """Returns the one JSON text of `value`: keys sorted, no spaces, no NaN.

    Raises:
        ValueError: if it holds a number that is not finite.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(value: object) -> str:
    """Returns the sha256 of `value`'s canonical JSON, in hexadecimal."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()
