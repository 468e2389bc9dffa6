"""What a trainable is given: its seed's streams, its budget, and the loop that makes it resumable."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from hpo.core.errors import TrainableError
from hpo.core.records import Metrics, Report, Value
from hpo.seeds.streams import Streams
from hpo.training.checkpoint import Stateful
from hpo.training.epochs import EpochLoop
from hpo.training.facts import plain_facts
from hpo.training.outputs.artifacts import ARTEFACTS
from hpo.training.panels import Panels
from hpo.training.predictions import Predictions, class_names
from hpo.training.progress import Progress
from hpo.training.trial import ObjectiveTrial

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer


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
        keeps: whether artefacts are wanted: those of a promotion are.
        trial: the same training as Optuna's objectives see it: `ctx.trial.suggest_float("lr", 1e-4, 1e-1)`.
        objective: what the study judges by, for rules of the trainable's own that go by it, such as early stopping.
    """

    def __init__(
        self,
        progress: Progress,
        loop: EpochLoop,
        streams: Streams,
        *,
        cache: Path,
        project: Path,
        device: str = "cpu",
        threads: int = 1,
        folds: int = 0,
        params: Mapping[str, Value] | None = None,
    ) -> None:
        self.seed = progress.job.seed
        self.budget = progress.job.budget
        self.folds = folds
        self.streams = streams
        self.device = device
        self.threads = threads
        self.folder = progress.folder
        self.cache = cache
        self.project = project
        self.keeps = progress.keeps
        self.objective = progress.objective
        self.trial = ObjectiveTrial(params or {}, self)
        self._progress = progress
        self._loop = loop

    @property
    def trial_number(self) -> int:
        """The trial's number in the study; candidates of a promotion keep it."""
        return self._progress.job.trial

    @property
    def reports(self) -> list[Report]:
        """What was reported so far, in order; after a resume that of the epochs before it too. The list is a copy."""
        return list(self._progress.reports)

    @property
    def fold(self) -> int:
        """The fold to be judged on, 0 .. folds - 1; the others are trained on. The split stream divides the data."""
        self._progress.fold_was_read = True
        return (self._progress.job.fold - 1) % self.folds if self.folds else 0

    @property
    def artefacts(self) -> Path:
        """A folder whose files go into the results as they are; write there where `keeps` says that they are wanted."""
        folder = self.folder / ARTEFACTS
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def epochs(self, **stateful: Stateful) -> Iterator[int]:
        """Yields the epochs that are left, 1 .. budget, and makes each the start of a bit-exact resume.

        Before the first it restores everything given from the last checkpoint, before each it seeds the process-wide
        generators from the dropout stream of that epoch, after each it writes a checkpoint. After the last, or that in
        which `stop` was called, `model` has the weights of the selected epoch again, so that what is saved then belongs
        to the value that is reported.

        Args:
            **stateful: everything with a state_dict that training changes: `model=`, `optimizer=`, `scheduler=`.

        Raises:
            TrainableError: if the trainable did not report its metrics exactly once in an epoch, or has looped before.
        """
        return self._loop.epochs(stateful)

    def report(self, metrics: Metrics, *, checkpoint: Mapping[str, Any] | None = None) -> None:
        """Reports the metrics of the next epoch; for functions, which may call it from anywhere below them.

        Where the training is pruned or interrupted it raises an exception that is no `Exception`: `finally` blocks
        run, `except Exception` does not catch it.

        Args:
            metrics: the metrics by name, the objective's among them; None: a metric is undefined.
            checkpoint: states by name, for a function that does not loop over `epochs`: `model.state_dict()`, numbers,
                arrays, texts. They are saved once the report was taken, and are what `load` returns in a training that
                goes on. The process-wide generators are then seeded from the dropout stream of the next epoch.

        Raises:
            TrainableError: if the trainable yields its metrics, this is another thread than the function's, the
                function has returned, or the checkpoint is not one.
        """
        self._loop.report(metrics, checkpoint)

    def load(self) -> dict[str, Any] | None:
        """Returns what `report` saved last if this training goes on after an interruption, else None; for functions.

        `reports` has those of the epochs before then, so the next epoch is `len(ctx.reports) + 1`. Call it right before
        the first epoch, of which it seeds the process-wide generators. A function that saves nothing begins anew, and
        its first reports must be the same bits again.

        Raises:
            TrainableError: if the trainable yields its metrics, has reported, or loops over `epochs`.
        """
        return self._loop.load()

    def stop(self, reason: str) -> None:
        """Lets the epoch that is under way be the last: the training is complete, and its value is chosen as ever.

        Nothing of this is in a checkpoint. A training that is resumed comes to the same end if the rule goes by
        `reports`, or by something that `epochs` was given.

        Args:
            reason: for the training's log.

        Raises:
            TrainableError: if no epoch is under way.
        """
        self._loop.stop(reason)

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
        if self._progress.diagnostics is not None or self._loop.is_running:
            raise TrainableError("ctx.watch() is for one model and one optimizer; call it once, before ctx.epochs()")
        from hpo.training.monitoring.diagnostics import Diagnostics  # torch, which not every trainable wants

        self._progress.diagnostics = Diagnostics(
            model,
            optimizer,
            clip=clip,
            activations=activations,
            keep=self._progress.has_events,
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
        """Records how the validation cases of this epoch fall into classes; call it before the metrics are reported.

        Without a watch nothing is recorded.

        Args:
            truth: (N,) index of the true class, 0 .. C-1.
            probabilities: (N, C) probability of each class.
            labels: (C,) the classes as whole numbers, as `save_predictions` gets them, for what an alert says of one.
            names: (C,) their short names; empty: the labels.

        Raises:
            TrainableError: if the shapes do not fit together.
        """
        if self._progress.diagnostics is not None:
            self._progress.diagnostics.classes(truth, probabilities, class_names(labels, names))

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
        self._loop.refuse_early_end()
        predictions = Predictions.of(
            truth=truth, probabilities=probabilities, labels=labels, names=names, cases=cases or {}
        )
        self._progress.keep_predictions(predictions)

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
        self._loop.refuse_early_end()
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
        self._progress.facts.update(plain_facts(facts))

    def log(self, message: str) -> None:
        """Adds a line to the training's `run.log`; kept where artefacts are."""
        self._progress.log(message)
