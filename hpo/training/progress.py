"""The state of a training while it runs: its reports, facts, digests, remarks and files."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpo.core.files import file_stamp
from hpo.core.records import START, Alert, Job, Metrics, Objective, Report, Stage
from hpo.training import loop_checks
from hpo.training.outputs.events import Events
from hpo.training.outputs.log import LOG, Log
from hpo.training.predictions import FILE as PREDICTIONS_FILE
from hpo.training.predictions import Predictions
from hpo.training.reported import (
    as_number,
    checked_metrics,
    describe_metrics,
    returned_metrics,
    stored_size,
)
from hpo.training.units import check_defined, unit_remark, unit_scores
from hpo.training.weights import MODEL_FILE, save_weights, weights_digest

if TYPE_CHECKING:
    from hpo.training.monitoring.diagnostics import Diagnostics
    from hpo.training.splits import Division


class Progress:
    """The state that a training's `TrainingRun`, its loop over epochs and its `Context` share.

    Args:
        job: the job that is trained.
        objective: the study's objective.
        folder: folder for this training's own files.
        events: whether TensorBoard event files are written.
        keep: whether a training of a search keeps its artifacts.
        log: file of the log of a training that keeps nothing; None: it has no log.

    Attributes:
        job: the job that is trained.
        objective: the study's objective.
        folder: folder for this training's own files.
        keeps: whether artifacts are kept, as they are in a promotion, and in a search if asked for.
        is_test: whether a kept model is evaluated on the test part, rather than trained.
        division: how `Context.split` divided the cases; None: it was not called.
        predictions: predictions that were recorded; None: there are none.
        code: digest of the trainable's source files; empty if they are not known.
        reports: all reports so far, in order; after a resume they include those before it.
        digests: sha256 of the weights and the predictions, by name.
        facts: facts that the trainable noted, by name.
        remarks: problems that did not fail the training.
        diagnostics: records of the watched model; None without a watch.
        has_events: whether TensorBoard event files are written.
        fold_was_read: whether the trainable has read `ctx.fold`.
    """

    def __init__(
        self,
        job: Job,
        objective: Objective,
        folder: Path,
        *,
        events: bool = False,
        keep: bool = False,
        log: Path | None = None,
    ) -> None:
        self.job = job
        self.objective = objective
        self.folder = folder
        self.keeps = job.stage is Stage.PROMOTION or (keep and job.stage is Stage.SEARCH)
        self.is_test = job.stage is Stage.TEST
        self.division: Division | None = None
        self.predictions: Predictions | None = None
        self.code = ""
        self.reports: list[Report] = []
        self.digests: dict[str, str] = {}
        self.facts: dict[str, object] = {}
        self.remarks: list[str] = []
        self.diagnostics: Diagnostics | None = None
        self.has_events = events
        self.fold_was_read = False
        self._of_units: Mapping[str, float | None] = {}
        self._size = 0
        self._written: dict[str, tuple[int, ...]] = {}
        self._began = time.monotonic()
        file = folder / LOG if self.keeps else log if job.stage is Stage.SEARCH else None
        self._log = Log(file, self.remarks.append) if file is not None and not self.is_test else None
        self._events = Events(folder, job, objective, self.remark) if events and not self.is_test else None

    @property
    def seconds(self) -> float:
        """Seconds of training so far, without interruptions."""
        return time.monotonic() - self._began

    def begin(self, seconds: float = 0.0) -> None:
        """Starts the clock: earlier work such as importing torch does not count.

        Args:
            seconds: seconds of training before an interruption.
        """
        self._began = time.monotonic() - seconds

    def add(self, metrics: object, step: int | None = None) -> Report:
        """Adds a report of the next step.

        Args:
            metrics: the object that the trainable reported.
            step: step of the metrics; None: the next one.

        Raises:
            TrainableError: if it is not a mapping of names to finite numbers (None: undefined), lacks the objective's
                metric, or is too large to be stored.
        """
        step = step or len(self.reports) + 1
        metrics, self._of_units = loop_checks.with_unit_metrics(metrics, self._of_units, step), {}
        checked = checked_metrics(metrics, step, self.objective)
        self._size += stored_size(checked, step, self._size)
        report = Report(step=step, metrics=checked, at=time.time(), alerts=self._alerts(step, checked))
        self.reports.append(report)
        self.log(f"epoch {step}/{self.job.budget}  {describe_metrics(report.metrics)}")
        if self._events is not None:
            record, tensors = self.diagnostics.last() if self.diagnostics else (None, {})
            self._events.write_epoch(report, record, tensors)
        return report

    def conclude(self, returned: object) -> None:
        """Handles the return value of a function: without earlier reports it becomes the report of the last step.

        After reports it is only compared with the selected epoch; a remark says so if the values differ.

        Args:
            returned: metrics, a number for each metric to optimize, or None.

        Raises:
            TrainableError: if it is none of these, or cannot be a report.
        """
        if returned is None:
            return
        metrics = returned_metrics(returned, self.objective.metrics)
        if not self.reports:
            self.add(metrics, self.job.budget)
            return
        selected = self.objective.select(tuple(self.reports))
        numbers = {
            str(name): as_number(value, f"returned metric {name!r}")
            for name, value in metrics.items()
            if value is not None
        }
        if others := {name: value for name, value in numbers.items() if selected.metrics.get(name) != value}:
            reported = {name: selected.metrics[name] for name in others if name in selected.metrics}
            self.remark(
                f"returned after its reports: {describe_metrics(others)}; not used, because epoch {selected.step} "
                "counts" + (f" ({describe_metrics(reported)})" if reported else "")
            )

    def last_alerts(self) -> tuple[Alert, ...]:
        """Returns the alerts since the last report, of the epoch in which a training failed."""
        return self._alerts(len(self.reports) + 1, {})

    def log(self, message: str) -> None:
        """Adds a line to the training's log: its `run.log`, or what `hpo logs --trial` shows."""
        if self._log is not None:
            self._log.write(message)

    def remark(self, remark: str) -> None:
        """Adds a remark, also to the log."""
        self.remarks.append(remark)
        self.log(remark)

    def keep_weights(self, weights: dict[str, Any]) -> None:
        """Records the final weights; they are saved if artifacts are kept.

        Args:
            weights: state dict of the model.
        """
        self.digests["weights"] = weights_digest(weights)
        if self.digests["weights"] == self.digests.get(START) and not self.is_test:
            self.remark(loop_checks.WEIGHTS_UNCHANGED)
        if self.keeps:
            save_weights(self.folder, weights)
            self._written[MODEL_FILE] = file_stamp(self.folder / MODEL_FILE)

    def keep_predictions(self, predictions: Predictions) -> None:
        """Records the predictions for the validation cases; they are saved if artifacts are kept.

        Args:
            predictions: predictions of the selected epoch.
        """
        self.predictions = predictions
        self.digests["predictions"] = predictions.digest
        if (remark := unit_remark(predictions)) is not None:
            self.remark(remark)
        if self.keeps or self.is_test:
            predictions.save(self.folder)
            self._written[PREDICTIONS_FILE] = file_stamp(self.folder / PREDICTIONS_FILE)

    def see_units(self, predictions: Predictions) -> None:
        """Computes the metrics over units, which are added to the next report.

        Args:
            predictions: predictions of this epoch with their units.
        """
        check_defined(predictions, self.objective.needed)
        self._of_units = unit_scores(predictions)

    def changed_files(self) -> list[str]:
        """Returns the names of the files that were changed after they were written here."""
        return [name for name, stamp in self._written.items() if file_stamp(self.folder / name) != stamp]

    def close(self, *, complete: bool = False) -> None:
        """Closes the event files.

        Args:
            complete: whether the training is over, rather than interrupted.
        """
        if self._events is not None:
            self._events.close(complete=complete)

    def _alerts(self, epoch: int, metrics: Metrics) -> tuple[Alert, ...]:
        if self.diagnostics is None:
            return ()
        raised = {alert.kind for report in self.reports for alert in report.alerts}
        alerts = self.diagnostics.end_epoch(epoch, metrics, raised)
        for alert in alerts:
            self.log(f"epoch {epoch}: {alert.kind}: {alert.message}")
        return alerts
