"""The plain values that all packages exchange: jobs, reports, evaluations."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Literal

from hpo.core.arguments import require_choice, require_int, require_type
from hpo.core.code import Code, code_from

TEST_PART = "test_part"
"""The key of a fingerprint that describes the test part that a training held out."""

LARGEST_SEED = 2**63 - 1
"""The largest integer that both databases store."""

START = "start"
"""The name of the digest of the weights that a training began with."""

MAX_TRIALS = 1_000_000
"""Maximum number of trials, and of other counts; a larger number is taken as a typo."""

MAX_EPOCHS = 1_000_000_000
"""Largest number of epochs of a search."""

LAST_TRIAL = 2 * MAX_TRIALS
"""Largest number of a trial: candidates from another tool come after those of the study's own search."""

Direction = Literal["maximize", "minimize"]
"""Whether higher or lower values of a metric are better."""

Value = bool | int | float | str
"""The type of a param."""

Metrics = Mapping[str, float | None]
"""The metrics of one step by name; None if one is undefined (AUC with a single class)."""

LARGEST = 1e150
"""The largest magnitude of a metric; sums of squares stay finite."""


class Stage(StrEnum):
    """The purpose of a training."""

    SEARCH = "search"
    PROMOTION = "promotion"
    DECOMPOSITION = "decomposition"
    REPLAY = "replay"
    TEST = "test"


class Status(StrEnum):
    """How a job ended."""

    COMPLETE = "complete"
    PRUNED = "pruned"
    FAILED = "failed"


JobKey = tuple[int, Stage, int, int, int, str]
"""The unique key of a job within its study: trial, stage, seed, fold, budget, variant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """The metric to optimize, or the first of several.

    Attributes:
        metric: its name among the metrics that a trainable yields.
        direction: whether higher or lower is better.
        epoch: which epoch's value counts, the best by this metric or the last.
        constraints: names of metrics that must not be above zero at the selected step.
        ignore: names of metrics that differ between any two trainings, such as times; bit-by-bit comparisons skip them.
        others: name and direction of each further metric to optimize, which counts at the same epoch.
        cost: name of the metric that says what a training costs; empty: none does.
        labels: name of a metric and what figures call it, e.g. `Quadratic kappa`, for each that has such a label.
    """

    metric: str
    direction: Direction = "maximize"
    epoch: Literal["best", "last"] = "best"
    constraints: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    others: tuple[tuple[str, Direction], ...] = ()
    cost: str = ""
    labels: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        require_type("metric", self.metric, str, "the name of a metric")
        require_choice("direction", self.direction, ("maximize", "minimize"))
        require_choice("epoch", self.epoch, ("best", "last"))

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names of all metrics to optimize, the first one first."""
        return self.metric, *(name for name, _ in self.others)

    @property
    def directions(self) -> tuple[Direction, ...]:
        """The directions of those metrics."""
        return self.direction, *(direction for _, direction in self.others)

    @property
    def needed(self) -> tuple[str, ...]:
        """The names of all metrics that every report must have."""
        return *self.metrics, *self.constraints, *([self.cost] if self.cost else [])

    @property
    def by_metric(self) -> dict[str, Direction]:
        """The directions by the names of the metrics."""
        return dict(zip(self.metrics, self.directions, strict=True))

    def __str__(self) -> str:
        return ", ".join(f"{direction} {name}" for name, direction in self.by_metric.items())

    def label(self, metric: str | None = None) -> str:
        """Returns what figures call a metric: its label, or else its name.

        Args:
            metric: name of the metric; None: the metric to optimize, the first of several.
        """
        name = self.metric if metric is None else metric
        return dict(self.labels).get(name, name)

    def vector(self, evaluation: Evaluation) -> tuple[float, ...] | None:
        """Returns the values of all metrics to optimize, at the step whose value counts; None if there is none."""
        others = [evaluation.metrics.get(name) for name, _ in self.others]
        found = [value for value in (evaluation.value, *others) if value is not None]
        return tuple(found) if len(found) == len(self.metrics) else None

    def is_better(self, value: float, than: float) -> bool:
        """Whether `value` is strictly better than `than`."""
        return value > than if self.direction == "maximize" else value < than

    def select(self, reports: tuple[Report, ...]) -> Report:
        """Returns the report whose value counts: the last, or the best one, the first if several are equal."""
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
        assert value is not None  # such a report is refused when it is made
        return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One training to be done.

    Attributes:
        trial: number of the trial.
        params: a complete configuration of the space.
        seed: fixes all randomness of the training.
        budget: number of epochs allowed.
        fold: fold of the data, counted from 1 through all repeats; 0: no cross-validation.
        stage: purpose of the training.
        stream_seeds: seeds by stream, where they differ from `seed`.
        variant: distinguishes jobs with the same seed: `split` (that stream is redrawn), `replay-2`; usually empty.
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
        """The unique key within the study: trial, stage, seed, fold, budget, variant."""
        return self.trial, self.stage, self.seed, self.fold, self.budget, self.variant

    @property
    def folder(self) -> str:
        """The job's own folder, relative to its study's: `promotion/trial-00014-seed-42-fold-0-budget-6`."""
        variant = f"-{self.variant}" if self.variant else ""
        return f"{self.stage}/trial-{self.trial:05d}-seed-{self.seed}-fold-{self.fold}-budget-{self.budget}{variant}"

    @property
    def seed_text(self) -> str:
        """The seed, with fold and variant if there are any: `42`, `42 fold 3`, `42 replay-1`."""
        fold = f" fold {self.fold}" if self.fold else ""
        return f"{self.seed}{fold} {self.variant}".strip()

    @property
    def digest(self) -> str:
        """sha256 over all fields of the job that affect the training."""
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
    """A problem detected during a training.

    Attributes:
        kind: one of `CHECKS` in `hpo.training.monitoring.alerts`.
        epoch: the first epoch that shows it.
        message: what was observed, with the threshold.
    """

    kind: str
    epoch: int
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The report of a training at one step.

    Attributes:
        step: number of the epoch, from 1.
        metrics: metrics as the trainable yielded them.
        at: Unix time in seconds, by the worker's clock.
        alerts: alerts of this step, if the trainable is monitored.
    """

    step: int
    metrics: Metrics
    at: float
    alerts: tuple[Alert, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """The record of one job.

    Attributes:
        job: the job that was trained.
        status: how it ended.
        value: the objective's value at `step`; None if the job failed, or was pruned before it had one.
        step: the step whose value counts.
        reports: reports of all steps in order; for a pruned job, up to its end.
        error: why it failed, with the traceback if there is one.
        seconds: from the start of the first epoch to the end of the last, by the worker's clock, without pauses.
        digests: sha256 by name: the produced `weights` and `predictions`, and the initial weights, `START`.
        fingerprint: what else could change the result: versions, threads, device, data.
        files: the job's folder, if artifacts were kept there.
        remarks: problems that were fixed on the way, e.g. a damaged checkpoint.
        last_alerts: alerts after the last report of a failed job.
        folds: records of the folds of a cross-validated job, which is their mean and has no record of its own.
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
        """The metrics of the step whose value counts; empty if there is none."""
        return next((report.metrics for report in self.reports if report.step == self.step), {})

    @property
    def code(self) -> Code:
        """The code of the training; unknown if it was not recorded."""
        return code_from(self.trainings[0].fingerprint.get("code"))

    @property
    def defaults(self) -> dict[str, object]:
        """The defaults of the params that neither the search nor the study set; empty if they were not recorded."""
        found = self.trainings[0].fingerprint.get("defaults")
        return dict(found) if isinstance(found, Mapping) else {}

    @property
    def epoch(self) -> int | None:
        """The epoch whose value counts; None if there is none, or the job was cross-validated."""
        return None if self.folds else self.step

    @property
    def alerts(self) -> tuple[Alert, ...]:
        """All alerts in the order of their detection, over all folds."""
        reported = [alert for one in self.trainings for report in one.reports for alert in report.alerts]
        return (*reported, *(alert for one in self.trainings for alert in one.last_alerts))

    @property
    def trainings(self) -> tuple[Evaluation, ...]:
        """The stored records: those of the folds, or this one."""
        return self.folds or (self,)

    def plain(self) -> dict[str, object]:
        """Returns the record as plain values for JSON, without paths."""
        return {
            "stage": str(self.job.stage),
            "trial": self.job.trial,
            "seed": self.job.seed,
            "fold": self.job.fold,
            "budget": self.job.budget,
            "variant": self.job.variant,
            "streams": dict(self.job.stream_seeds),
            "params": dict(self.job.params),
            "defaults": self.defaults,
            "status": str(self.status),
            "value": self.value,
            "step": self.step,
            "seconds": self.seconds,
            "error": self.error,
            "remarks": list(self.remarks),
            "alerts": [asdict(alert) for alert in self.alerts],
            "digests": dict(self.digests),
            "fingerprint": dict(self.fingerprint),
            "metrics": dict(self.metrics),
            "reports": [{"step": report.step, **report.metrics} for report in self.reports],
        }


def canonical_json(value: object) -> str:
    """Returns the canonical JSON text of `value`: keys sorted, no spaces, no NaN.

    Raises:
        ValueError: if it contains a non-finite number.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(value: object) -> str:
    """Returns the sha256 of `value`'s canonical JSON, in hexadecimal."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()
