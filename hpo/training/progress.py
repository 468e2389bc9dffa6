"""What is known of a training while it runs: its reports, facts, digests and remarks, and its files."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpo.core.files import file_stamp
from hpo.core.records import START, Alert, Job, Metrics, Objective, Report, Stage
from hpo.training import loops
from hpo.training.outputs.events import Events
from hpo.training.outputs.log import Log
from hpo.training.predictions import FILE as PREDICTIONS_FILE
from hpo.training.predictions import Predictions
from hpo.training.reported import (
    as_number,
    checked_metrics,
    describe_metrics,
    refuse_large_history,
    returned_metrics,
)
from hpo.training.weights import MODEL_FILE, save_weights, weights_digest

if TYPE_CHECKING:
    from hpo.training.monitoring.diagnostics import Diagnostics


class Progress:
    """One training as its `TrainingRun`, its loop over epochs and its `Context` know it.

    Attributes:
        job: the job that is trained.
        objective: what the study judges by.
        folder: for this training's own files.
        keeps: whether artefacts are wanted: those of a promotion are.
        code: digest of the files that the trainable is made of; empty where they are not known.
        reports: all that was reported so far, in order; after a resume that of the epochs before it too.
        digests: sha256 by name of what the training produced.
        facts: what the trainable noted, by name.
        remarks: what went wrong on the way and was made good.
        diagnostics: what watches the model; None without a watch.
        has_events: whether TensorBoard's event files are written.
        fold_was_read: whether the trainable has asked which fold it is judged on.
    """

    def __init__(self, job: Job, objective: Objective, folder: Path, *, events: bool = False) -> None:
        self.job = job
        self.objective = objective
        self.folder = folder
        self.keeps = job.stage is Stage.PROMOTION
        self.code = ""
        self.reports: list[Report] = []
        self.digests: dict[str, str] = {}
        self.facts: dict[str, object] = {}
        self.remarks: list[str] = []
        self.diagnostics: Diagnostics | None = None
        self.has_events = events
        self.fold_was_read = False
        self._size = 0
        self._written: dict[str, tuple[int, ...]] = {}
        self._began = time.monotonic()
        self._log = Log(folder, self.remarks.append) if self.keeps else None
        self._events = Events(folder, job, objective, self.remark) if events else None

    @property
    def seconds(self) -> float:
        """Spent in training so far, interruptions left out."""
        return time.monotonic() - self._began

    def begin(self, seconds: float = 0.0) -> None:
        """Starts the clock: what came before, e.g. importing torch, is not training.

        Args:
            seconds: spent in training before an interruption.
        """
        self._began = time.monotonic() - seconds

    def add(self, metrics: object, step: int | None = None) -> Report:
        """Takes what the trainable reported as the report of the next step.

        Args:
            metrics: what the trainable handed over.
            step: the step they belong to; None: the next one.

        Raises:
            TrainableError: if it is no mapping of names to finite numbers (None: undefined), lacks the objective's
                metric, or there is too much of it to be stored.
        """
        step = step or len(self.reports) + 1
        checked = checked_metrics(metrics, step, self.objective)
        self._size += refuse_large_history(checked, step, self._size)
        report = Report(step=step, metrics=checked, at=time.time(), alerts=self._alerts(step, checked))
        self.reports.append(report)
        self.log(f"epoch {step}/{self.job.budget}  {describe_metrics(report.metrics)}")
        if self._events is not None:
            seen, tensors = self.diagnostics.last() if self.diagnostics else (None, {})
            self._events.epoch(report, seen, tensors)
        return report

    def conclude(self, returned: object) -> None:
        """Takes what a function returned at its end: its only report, of the last step, if it has made none.

        After reports nothing is added. A remark says so where it returned other values than those that count.

        Args:
            returned: metrics, a number for the objective's metric, or None.

        Raises:
            TrainableError: if it is none of these, or cannot be the only report.
        """
        if returned is None:
            return
        metrics = returned_metrics(returned, self.objective.metric)
        if not self.reports:
            self.add(metrics, self.job.budget)
            return
        counted = self.objective.select(tuple(self.reports))
        numbers = {
            str(name): as_number(value, f"returned metric {name!r}")
            for name, value in metrics.items()
            if value is not None
        }
        if others := {name: value for name, value in numbers.items() if counted.metrics.get(name) != value}:
            there = {name: counted.metrics[name] for name in others if name in counted.metrics}
            self.remark(
                f"returned after its reports: {describe_metrics(others)}; not used, for epoch {counted.step} counts"
                + (f" ({describe_metrics(there)})" if there else "")
            )

    def last_alerts(self) -> tuple[Alert, ...]:
        """Returns what was seen to go wrong since the last report: in the epoch at which a training failed."""
        return self._alerts(len(self.reports) + 1, {})

    def log(self, message: str) -> None:
        """Adds a line to the training's `run.log`; kept where artefacts are."""
        if self._log is not None:
            self._log.write(message)

    def remark(self, remark: str) -> None:
        """Adds a remark, to the log too."""
        self.remarks.append(remark)
        self.log(remark)

    def keep_weights(self, weights: dict[str, Any]) -> None:
        """Records the weights that the training ended with; kept where artefacts are.

        Args:
            weights: state dict of the model.
        """
        self.digests["weights"] = weights_digest(weights)
        if self.digests["weights"] == self.digests.get(START):
            self.remark(loops.UNTRAINED)
        if self.keeps:
            save_weights(self.folder, weights)
            self._written[MODEL_FILE] = file_stamp(self.folder / MODEL_FILE)

    def keep_predictions(self, predictions: Predictions) -> None:
        """Records what the model says about the validation cases; kept where artefacts are.

        Args:
            predictions: those of the selected epoch.
        """
        self.digests["predictions"] = predictions.digest
        if self.keeps:
            predictions.save(self.folder)
            self._written[PREDICTIONS_FILE] = file_stamp(self.folder / PREDICTIONS_FILE)

    def changed_files(self) -> list[str]:
        """Returns the names of those files that were written here and are not as they were written."""
        return [name for name, mark in self._written.items() if file_stamp(self.folder / name) != mark]

    def close(self, *, complete: bool = False) -> None:
        """Ends what is written while training.

        Args:
            complete: whether the training is over, rather than interrupted.
        """
        if self._events is not None:
            self._events.close(complete=complete)

    def _alerts(self, epoch: int, metrics: Metrics) -> tuple[Alert, ...]:
        if self.diagnostics is None:
            return ()
        raised = {alert.kind for report in self.reports for alert in report.alerts}
        alerts = self.diagnostics.judged(epoch, metrics, raised)
        for alert in alerts:
            self.log(f"epoch {epoch}: {alert.kind}: {alert.message}")
        return alerts
