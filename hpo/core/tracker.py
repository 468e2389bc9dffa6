"""Tracks a running job: its reports in order, and its final evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from hpo.core.errors import BackendError
from hpo.core.protocols import Decision, JobSource, forward_alerts
from hpo.core.records import LARGEST, Alert, Evaluation, Job, Objective, Report, Status


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a worker knows of a training that is over; see `Evaluation`.

    Attributes:
        seconds: from the start of the first epoch to the end of the last.
        digests: sha256 of what was produced, by name.
        fingerprint: what else could change the result; None: what was known before the end.
        files: the job's folder, if artifacts were kept there.
        remarks: problems that were fixed on the way.
        last_alerts: alerts after the last report of a failed job.
    """

    seconds: float
    digests: Mapping[str, str] = field(default_factory=dict)
    fingerprint: Mapping[str, object] | None = None
    files: str | None = None
    remarks: tuple[str, ...] = ()
    last_alerts: tuple[Alert, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class JobUpdate:
    """An update from a worker: all reports since the last one, and the state of the job.

    Attributes:
        reports: reports in step order; after a resume they start from the first again.
        status: None while the job is running. The source decides on pruning; a worker sends `pruned` only if the
            trainable itself raised Optuna's `TrialPruned`.
        error: why the job failed.
        paused: whether the worker stopped between two epochs, with a checkpoint; another run resumes it.
        outcome: with a final status, what else is known of the training; None: nothing.
        refusal: why the worker cannot train this study at all; None: it can.
    """

    reports: tuple[Report, ...] = ()
    status: Status | None = None
    error: str | None = None
    paused: bool = False
    outcome: Outcome | None = None
    refusal: str | None = None


@dataclass(slots=True)
class JobTracker:
    """One running job in the driver: turns updates of its worker into an evaluation.

    Reports are passed to the source in step order until it answers STOP, and the rest is dropped, even if the training
    is complete by then. So no outcome depends on how reports are grouped into updates.

    Attributes:
        source: receives the reports.
        job: the running job.
        objective: objective of the study.
        reports: reports that the source has received.
        known: the part of the fingerprint that is known before the end.
    """

    source: JobSource
    job: Job
    objective: Objective
    reports: list[Report] = field(default_factory=list)
    known: Mapping[str, object] = field(default_factory=dict)

    def receive(self, update: JobUpdate) -> Evaluation | None:
        """Returns the evaluation if the job is over; the caller passes it to the source and closes the training.

        It is over when the training is, and when the source answers `Decision.STOP`: the trial is pruned.

        Raises:
            RetryLater: if the source cannot answer now; repeat the call with the same update.
            BackendError: if the worker cannot train this study.
        """
        if update.refusal is not None:
            raise BackendError(update.refusal)
        for report in update.reports:
            if self.reports and report.step <= self.reports[-1].step:
                continue  # repeated after a resume
            value = self.objective.value(report)
            if not abs(value) <= LARGEST:  # a training refuses such values itself; no database stores them
                return self.lost(f"the objective's value at step {report.step} is {value:g}, beyond ±{LARGEST:g}")
            decision = self.source.report(self.job, report.step, value)
            if not isinstance(decision, Decision):
                raise BackendError(
                    f"{type(self.source).__name__}.report() must return Decision.CONTINUE or Decision.STOP, "
                    f"got {decision!r}"
                )
            self.reports.append(report)  # after the source, because the call may be repeated
            forward_alerts(report.alerts, self.job, self.source)
            if decision is Decision.STOP:  # later reports do not count
                return self._evaluation(Status.PRUNED, JobUpdate())
        if update.status is None:
            return None
        if update.status is Status.PRUNED and self.objective.others:
            return self.lost(
                "the training pruned itself, which a study with several objectives does not support: one value does "
                "not tell which trial is worse; let it end, or raise an error"
            )
        return self._evaluation(update.status, update)

    def lost(self, reason: str) -> Evaluation:
        """Returns the evaluation of a job that failed because its worker is gone."""
        return self._evaluation(Status.FAILED, JobUpdate(status=Status.FAILED, error=reason))

    def _evaluation(self, status: Status, update: JobUpdate) -> Evaluation:
        reports = tuple(self.reports)
        evaluation = Evaluation(
            job=self.job,
            status=Status.FAILED,
            reports=reports,
            fingerprint=self.known,
            error=update.error,
            seconds=reports[-1].at - reports[0].at if len(reports) > 1 else 0.0,
        )
        if status is Status.FAILED:
            return self._with(update.outcome, evaluation)
        if not reports and status is Status.PRUNED:  # pruned by the trainable itself, before it had a value
            return self._with(update.outcome, replace(evaluation, status=status, error=None))
        if not reports:
            how = "it must yield or report them once per epoch, or return them"
            return replace(evaluation, error=f"the trainable ended without reporting any metrics; {how}")
        # A pruned trial's value is its last one, as in Optuna; the best epoch counts only for complete trials.
        chosen = reports[-1] if status is Status.PRUNED else self.objective.select(reports)
        evaluation = replace(
            evaluation,
            status=status,
            value=self.objective.value(chosen),
            step=chosen.step,
            error=None,
        )
        return self._with(update.outcome, evaluation)

    def _with(self, outcome: Outcome | None, evaluation: Evaluation) -> Evaluation:
        """Returns an evaluation with what the worker knows."""
        if outcome is None:
            return evaluation
        return replace(
            evaluation,
            seconds=outcome.seconds,
            digests=outcome.digests,
            fingerprint=self.known if outcome.fingerprint is None else outcome.fingerprint,
            files=outcome.files,
            remarks=outcome.remarks,
            last_alerts=outcome.last_alerts,
        )
