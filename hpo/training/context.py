"""What a trainable is given: its seed's streams, its budget, and the loop that makes it resumable."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from hpo.core.errors import TrainableError
from hpo.core.files import file_mark
from hpo.core.isolation import clear_working_folder
from hpo.core.records import START, Alert, Job, Metrics, Objective, Report, Stage
from hpo.seeds.streams import Streams
from hpo.training import loops
from hpo.training.checkpoint import Checkpoint, Paused, Stateful, newest
from hpo.training.facts import plain_facts
from hpo.training.outputs.artifacts import ARTEFACTS
from hpo.training.outputs.events import Events
from hpo.training.outputs.log import Log
from hpo.training.panels import Panels
from hpo.training.predictions import FILE as PREDICTIONS_FILE
from hpo.training.predictions import Predictions, class_names
from hpo.training.weights import MODEL_FILE, save_weights, start_digest, weights_digest
from hpo.training.yielded import checked_metrics, describe_metrics, refuse_large_history

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer

    from hpo.training.monitoring.diagnostics import Diagnostics

MODEL = "model"
"""The name under which `Context.epochs` is given the model; its weights are what a result consists of."""


class Context:
    """One training, seen from inside.

    Attributes:
        seed: of the training; use `streams` rather than this.
        streams: the sources of randomness, each with its own generators.
        budget: number of epochs allowed.
        folds: into how many the data is divided; 0: not at all, and the trainable chooses what it is judged on.
        device: `cpu` or `cuda`.
        threads: of torch's CPU kernels; set already.
        folder: for this training's own files. The trainable itself runs in a working directory of its own: what it
            writes under a relative path is there when it is resumed, and is deleted when it is recorded. What is to be
            kept goes into `artefacts`.
        project: the project's folder, above `studies`; read its files as `ctx.project / "data/train.csv"`.
        cache: for prepared data that all trainings of the project share.
        code: digest of the files that the trainable is made of; empty where they are not known.
        keeps: whether artefacts are wanted: those of a promotion are.
        objective: what the study judges by, for rules of the trainable's own that go by it, such as early stopping.
    """

    def __init__(
        self,
        job: Job,
        objective: Objective,
        *,
        folder: Path,
        cache: Path,
        project: Path | None = None,
        device: str = "cpu",
        threads: int = 1,
        folds: int = 0,
        events: bool = False,
        saved: Callable[[], None] = lambda: None,
    ) -> None:
        self.seed = job.seed
        self.budget = job.budget
        self.folds = folds
        self.streams = Streams(job.seed, job.streams)
        self.device = device
        self.threads = threads
        self.folder = folder
        self.cache = cache
        self.project = project or Path.cwd()
        self.keeps = job.stage is Stage.PROMOTION
        self.code = ""
        self.digests: dict[str, str] = {}
        self.facts: dict[str, object] = {}
        self.remarks: list[str] = []
        self.pausing = self.left_off = False
        self._job = job
        self._reports: list[Report] = []
        self._size = 0
        self._written: dict[str, tuple[int, ...]] = {}
        self._log = Log(folder, self.remarks.append) if self.keeps else None
        self.objective = objective
        self._saved = saved
        self._began = time.monotonic()
        self._started = time.time()
        self._selected: dict[str, Any] | None = None
        self._in_loop = False
        self._looped = False
        self._stopped = False
        self._fold_read = False
        self._diagnostics: Diagnostics | None = None
        self._events = Events(folder, job, objective, self._remark) if events else None

    @property
    def reports(self) -> list[Report]:
        """What was yielded so far, in order; after a resume that of the epochs before it too. The list is a copy."""
        return list(self._reports)

    @property
    def fold(self) -> int:
        """The fold to be judged on, 0 .. folds - 1; the others are trained on. The split stream divides the data."""
        self._fold_read = True
        return (self._job.fold - 1) % self.folds if self.folds else 0

    @property
    def artefacts(self) -> Path:
        """A folder whose files go into the results as they are; write there where `keeps` says that they are wanted."""
        folder = self.folder / ARTEFACTS
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    @property
    def seconds(self) -> float:
        """Spent in training so far, interruptions left out."""
        return time.monotonic() - self._began

    @property
    def in_loop(self) -> bool:
        """Whether the trainable is between two epochs of `epochs`, or in one."""
        return self._in_loop

    def refuse_early_end(self) -> None:
        """Raises TrainableError where the loop over `epochs` was left before its end."""
        loops.refuse_broken_loop(self._in_loop, len(self._reports), self.budget)

    @property
    def fold_was_read(self) -> bool:
        """Whether the trainable has asked which fold it is judged on."""
        return self._fold_read

    def begin(self) -> None:
        """Starts the clock: what came before, e.g. importing torch, is not training."""
        self._began = time.monotonic()

    def epochs(self, **stateful: Stateful) -> Iterator[int]:
        """Yields the epochs that are left, 1 .. budget, and makes each the start of a bit-exact resume.

        Before the first it restores everything given from the last checkpoint, before each it seeds the process-wide
        generators from the dropout stream of that epoch, after each it writes a checkpoint. After the last, or that in
        which `stop` was called, `model` has the weights of the selected epoch again, so that what is saved then belongs
        to the value that is reported.

        Args:
            **stateful: everything with a state_dict that training changes: `model=`, `optimizer=`, `scheduler=`.

        Raises:
            TrainableError: if the trainable did not yield its metrics exactly once in an epoch, or has looped before.
        """
        loops.refuse_second_loop(self._looped)
        self._looped = self._in_loop = True
        return self._epochs(stateful)

    def _epochs(self, stateful: Mapping[str, Stateful]) -> Iterator[int]:
        self.digests |= start_digest(stateful[MODEL]) if MODEL in stateful else {}
        done = self._restore(stateful)
        for epoch in range(done + 1, self.budget + 1):
            if self.pausing:
                self.left_off = True
                raise Paused
            self.streams.dropout.seed_global(epoch)
            yield epoch
            loops.refuse_unreported(epoch, len(self._reports))
            self._select(stateful, epoch)
            if self._stopped:
                break
            if epoch < self.budget:
                self._save(stateful, epoch)
        self._in_loop = False
        if MODEL in stateful:
            if self._selected is not None:
                stateful[MODEL].load_state_dict(self._selected)
            self._finish(stateful[MODEL].state_dict())

    def stop(self, reason: str) -> None:
        """Lets the epoch that is under way be the last: the training is complete, and its value is chosen as ever.

        Nothing of this is in a checkpoint. A training that is resumed comes to the same end if the rule goes by
        `reports`, or by something that `epochs` was given.

        Args:
            reason: for the training's log.

        Raises:
            TrainableError: if no epoch is under way.
        """
        if not self._in_loop:
            raise TrainableError("ctx.stop() ends the loop over ctx.epochs(); call it in one of its epochs")
        self._stopped = True
        self.log(f"stops before its budget of {self.budget} epochs: {reason}")

    def watch(self, model: nn.Module, optimizer: Optimizer, *, clip: float = 0.0, activations: bool = False) -> None:
        """Records of each epoch how the gradient and the updates stand, and raises alerts; changes no bit.

        Call it before the loop. Norms are of the gradient as the optimizer gets it: after clipping. A `train_loss` and
        a `val_loss` among the metrics are looked at too.

        Args:
            model: what is trained.
            optimizer: of its parameters.
            clip: norm to which the gradient is clipped before each step, to know how often it was; 0: it is not.
            activations: whether the answers of rectifiers are looked at, for units that are dead.

        Raises:
            TrainableError: if something is watched already, or the loop has begun.
            UsageError: if the optimizer has none of the model's parameters.
        """
        if self._diagnostics is not None or self._in_loop:
            raise TrainableError("ctx.watch() is for one model and one optimizer; call it once, before ctx.epochs()")
        from hpo.training.monitoring.diagnostics import Diagnostics  # torch, which not every trainable wants

        self._diagnostics = Diagnostics(
            model,
            optimizer,
            clip=clip,
            activations=activations,
            keep=self._events is not None,
            folder=self.artefacts if self.keeps else None,
        )

    def saw_predictions(
        self,
        *,
        truth: npt.ArrayLike,
        probabilities: npt.ArrayLike,
        labels: Sequence[int] = (),
        names: Sequence[str] = (),
    ) -> None:
        """Records how the validation cases of this epoch fall into classes; call it before the metrics are yielded.

        Without a watch nothing is recorded.

        Args:
            truth: (N,) index of the true class, 0 .. C-1.
            probabilities: (N, C) probability of each class.
            labels: (C,) the classes as whole numbers, as `save_predictions` gets them, for what an alert says of one.
            names: (C,) their short names; empty: the labels.

        Raises:
            TrainableError: if the shapes do not fit together.
        """
        if self._diagnostics is not None:
            self._diagnostics.classes(truth, probabilities, class_names(labels, names))

    def last_alerts(self) -> tuple[Alert, ...]:
        """Returns what was seen to go wrong since the last report: in the epoch at which a training failed."""
        return self._read_requests(len(self._reports) + 1, {})

    def save_predictions(
        self,
        *,
        truth: npt.ArrayLike,
        probabilities: npt.ArrayLike,
        labels: Sequence[int],
        names: Sequence[str],
        cases: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        """Records what the model of the selected epoch says about the validation cases. Call it after the loop.

        Args:
            truth: (N,) index of the true class, 0 .. C-1.
            probabilities: (N, C) probability of each class.
            labels: (C,) the classes as whole numbers, as readers know them.
            names: (C,) their short names.
            cases: columns that say which case a row is, (N,) each.

        Raises:
            TrainableError: if the shapes do not fit together.
        """
        self.refuse_early_end()
        predictions = Predictions.of(
            truth=truth, probabilities=probabilities, labels=labels, names=names, cases=cases or {}
        )
        self.digests["predictions"] = predictions.digest
        if self.keeps:
            predictions.save(self.folder)
            self._written[PREDICTIONS_FILE] = file_mark(self.folder / PREDICTIONS_FILE)

    def save_panels(
        self, *, image: npt.ArrayLike, heat: npt.ArrayLike, names: Sequence[str], captions: Sequence[str]
    ) -> None:
        """Records where the model of the selected epoch looked in chosen cases; kept where artefacts are.

        Args:
            image: (N, H, W) grey values, 0 .. 1.
            heat: (N, H, W) how much each pixel counted, 0 .. 1.
            names: (N,) of the cases, for the files that are drawn.
            captions: (N,) what stands above each.

        Raises:
            TrainableError: if the shapes do not fit together.
        """
        self.refuse_early_end()
        panels = Panels.of(image=image, heat=heat, names=names, captions=captions)
        if self.keeps:
            panels.save(self.folder)

    def note(self, **facts: object) -> None:
        """Records facts that could change the result, e.g. a digest of the data; they go into the fingerprint.

        Args:
            **facts: plain values, and what can be turned into them; see `hpo.training.facts`.

        Raises:
            TrainableError: if one cannot be kept as a JSON value.
        """
        self.facts.update(plain_facts(facts))

    def log(self, message: str) -> None:
        """Adds a line to the training's `run.log`; kept where artefacts are."""
        if self._log is not None:
            self._log.write(message)

    def add(self, metrics: object) -> Report:
        """Takes what the trainable yielded as the report of the next step.

        Raises:
            TrainableError: if it is no mapping of names to finite numbers (None: undefined), lacks the objective's
                metric, or there are more of them than the budget has epochs.
        """
        step = len(self._reports) + 1
        loops.refuse_unknown_names(step, self.budget, loop_is_over=self._looped and not self._in_loop)
        checked = checked_metrics(metrics, step, self.objective)
        self._size += refuse_large_history(checked, step, self._size)
        report = Report(step=step, metrics=checked, at=time.time(), alerts=self._read_requests(step, checked))
        self._reports.append(report)
        self.log(f"epoch {step}/{self.budget}  {describe_metrics(report.metrics)}")
        if self._events is not None:
            seen, tensors = self._diagnostics.last() if self._diagnostics else (None, {})
            self._events.epoch(report, seen, tensors)
        return report

    def changed_files(self) -> list[str]:
        """Returns the names of those files that were written here and are not as they were written."""
        return [name for name, mark in self._written.items() if file_mark(self.folder / name) != mark]

    def close(self, *, complete: bool = False) -> None:
        """Ends what is written while training.

        Args:
            complete: whether the training is over, rather than interrupted.
        """
        if self._events is not None:
            self._events.close(complete=complete)

    def _restore(self, stateful: Mapping[str, Stateful]) -> int:
        saved, remarks = newest(self.folder, self._job.digest, self.device, self.code)
        for remark in remarks:
            self._remark(remark)
        if saved is None:
            if remarks:  # there were checkpoints, of no use: it begins anew, without what its last attempt has written
                clear_working_folder(self.folder, before=self._started)
            return 0
        loops.refuse_other_states(saved.states, stateful, self.folder)
        for name, thing in stateful.items():
            thing.load_state_dict(saved.states[name])
        self._selected = saved.selected
        if self._diagnostics is not None:
            self._diagnostics.restore(saved.seen)
        self._reports[:] = saved.reports
        self._began = time.monotonic() - saved.seconds
        self.log(f"resumed after epoch {saved.epoch}")
        return saved.epoch

    def _select(self, stateful: Mapping[str, Stateful], epoch: int) -> None:
        if MODEL in stateful and self.objective.epoch == "best":
            chosen = self.objective.select(tuple(self._reports))
            if chosen.step == epoch:
                self._selected = copy.deepcopy(stateful[MODEL].state_dict())

    def _save(self, stateful: Mapping[str, Stateful], epoch: int) -> None:
        checkpoint = Checkpoint(
            job=self._job.digest,
            code=self.code,
            epoch=epoch,
            selected=self._selected,
            reports=tuple(self._reports),
            states={name: thing.state_dict() for name, thing in stateful.items()},
            seconds=self.seconds,
            seen=self._diagnostics.seen if self._diagnostics else (),
        )
        try:
            checkpoint.save(self.folder)
            self._saved()
        except OSError as error:  # a full disk costs the epochs since the last checkpoint at worst, not the training
            self._remark(f"no checkpoint after epoch {epoch}: {error.strerror or error}")

    def _read_requests(self, epoch: int, metrics: Metrics) -> tuple[Alert, ...]:
        if self._diagnostics is None:
            return ()
        raised = {alert.kind for report in self._reports for alert in report.alerts}
        alerts = self._diagnostics.judged(epoch, metrics, raised)
        for alert in alerts:
            self.log(f"epoch {epoch}: {alert.kind}: {alert.message}")
        return alerts

    def _remark(self, remark: str) -> None:
        self.remarks.append(remark)
        self.log(remark)

    def _finish(self, weights: dict[str, Any]) -> None:
        self.digests["weights"] = weights_digest(weights)
        if self.digests["weights"] == self.digests.get(START):
            self._remark(loops.UNTRAINED)
        if self.keeps:
            save_weights(self.folder, weights)
            self._written[MODEL_FILE] = file_mark(self.folder / MODEL_FILE)
