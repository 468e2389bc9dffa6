"""What is known of a job that runs: its reports in order, and the one evaluation that comes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from hpo.core.errors import BackendError
from hpo.core.protocols import Decision, JobSource, pass_on
from hpo.core.records import LARGEST, Evaluation, Job, Objective, Report, Status


@dataclass(frozen=True, slots=True, kw_only=True)
class Packet:
    """What a worker hands over: all reports since the last packet, and how the job stands.

    Attributes:
        reports: in step order; after a resume they begin again with the first.
        status: None while the job is running. Pruning is for the source to decide; a worker says pruned only where the
            trainable itself raised Optuna's `TrialPruned`.
        error: why it failed.
        paused: whether the worker has stopped between two epochs, with a checkpoint; it goes on in another run.
        outcome: with a final status, what else is known: seconds, digests, fingerprint, files, remarks.
        refusal: why the worker can train nothing at all of what the driver wants; None: it can.
    """

    reports: tuple[Report, ...] = ()
    status: Status | None = None
    error: str | None = None
    paused: bool = False
    outcome: Mapping[str, object] = field(default_factory=dict)
    refusal: str | None = None


@dataclass(slots=True)
class JobTracker:
    """One running job as the driver knows it: the one place where packets become verdicts.

    Reports are judged in step order up to the first refusal and the rest is dropped, also when the packet says
    complete, so that no outcome depends on how the clock cut the packets.

    Attributes:
        source: told of the reports, which it judges.
        job: that is running.
        objective: which of the metrics counts.
        reports: those that the source was told.
        known: what is known of the training's fingerprint before its end.
    """

    source: JobSource
    job: Job
    objective: Objective
    reports: list[Report] = field(default_factory=list)
    known: Mapping[str, object] = field(default_factory=dict)

    def receive(self, packet: Packet) -> Evaluation | None:
        """Returns the evaluation if the job is over. The source has not been told of it yet.

        Raises:
            RetryLater: if the source cannot answer now; pass on the same packet again later.
            BackendError: if the worker cannot train what the driver wants.
        """
        if packet.refusal is not None:
            raise BackendError(packet.refusal)
        for report in packet.reports:
            if self.reports and report.step <= self.reports[-1].step:
                continue  # repeated after a resume
            value = self.objective.value(report)
            if not abs(value) <= LARGEST:  # the training's own gate lets none pass; no database would keep it
                return self.lost(f"the objective's value at step {report.step} is {value:g}, beyond ±{LARGEST:g}")
            decision = self.source.report(self.job, report.step, value)
            if not isinstance(decision, Decision):
                raise BackendError(
                    f"{type(self.source).__name__}.report() must return Decision.CONTINUE or Decision.STOP, "
                    f"got {decision!r}"
                )
            self.reports.append(report)  # after the source was told: the packet may have to be passed on again
            pass_on(report.alerts, self.job, self.source)
            if decision is Decision.STOP:  # what the worker did beyond the refusal does not count
                return self._evaluation(Status.PRUNED, Packet())
        if packet.status is None:
            return None
        return self._evaluation(packet.status, packet)

    def lost(self, reason: str) -> Evaluation:
        """Returns the evaluation of a job whose worker is gone for good."""
        return self._evaluation(Status.FAILED, Packet(status=Status.FAILED, error=reason))

    def _evaluation(self, status: Status, packet: Packet) -> Evaluation:
        reports = tuple(self.reports)
        evaluation = Evaluation(
            job=self.job,
            status=Status.FAILED,
            reports=reports,
            fingerprint=self.known,
            error=packet.error,
            seconds=reports[-1].at - reports[0].at if len(reports) > 1 else 0.0,
        )
        if status is Status.FAILED:
            return replace(evaluation, **packet.outcome)  # type: ignore[arg-type]  # fields by name, from our worker
        if not reports and status is Status.PRUNED:  # by the trainable itself, before it had a value
            return replace(evaluation, status=status, error=None, **packet.outcome)  # type: ignore[arg-type]  # see above
        if not reports:
            return replace(
                evaluation, error="the trainable ended without yielding any metrics; it must yield them once per epoch"
            )
        # A pruned trial's value is the one it was refused for, as Optuna has it; the best epoch counts only at the end.
        chosen = reports[-1] if status is Status.PRUNED else self.objective.select(reports)
        evaluation = replace(
            evaluation,
            status=status,
            value=self.objective.value(chosen),
            step=chosen.step,
            error=None,
        )
        return replace(evaluation, **packet.outcome)  # type: ignore[arg-type]  # fields by name, from our worker
