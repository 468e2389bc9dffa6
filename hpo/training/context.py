"""The context of a training, which a trainable is given: seed streams, budget, and the resumable loop over epochs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hpo.core.errors import TrainableError
from hpo.core.optional_torch import require_torch
from hpo.core.protocols import Holdout, Units
from hpo.core.records import Metrics, Report, Value
from hpo.seeds.streams import Streams
from hpo.training.checkpoint import Stateful
from hpo.training.epochs import EpochLoop
from hpo.training.facts import plain_facts
from hpo.training.outputs.artifacts import ARTIFACTS
from hpo.training.panels import METHOD, Panels
from hpo.training.predictions import Predictions, as_array, class_names
from hpo.training.progress import Progress
from hpo.training.trial import ObjectiveTrial
from hpo.training.units import check_whole, with_units

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer


class Context:
    """What a trainable knows of its training and reports to it.

    Attributes:
        seed: seed of the training; prefer `streams`.
        streams: the streams of the seed, each with its own generators.
        budget: number of epochs allowed.
        folds: number of folds that the data is divided into; 0: no cross-validation, the trainable chooses its
            validation set.
        device: `cpu` or `cuda`.
        threads: number of threads of torch's CPU kernels, which is already set.
        folder: folder for this training's own files. The trainable runs in a working directory of its own: files
            written under a relative path are there after a resume, and are deleted once the evaluation is recorded.
            Files to be kept go into `artifacts`.
        project: the project's folder, above `studies`; read its files as `ctx.project / "data/train.csv"`.
        cache: folder for prepared data that all trainings of the project share.
        keeps: whether artifacts are kept, as they are in a promotion, and in a search if asked for.
        trial: the training as an Optuna trial: `ctx.trial.suggest_float("lr", 1e-4, 1e-1)`.
        objective: the study's objective, for the trainable's own rules such as early stopping.

    Examples:
        >>> import hpo
        >>> def train(lr: float, *, ctx: hpo.Context):
        ...     start = ctx.streams.init.numpy().normal()
        ...     for epoch in ctx.epochs():
        ...         yield {"val_loss": (start - 1.0) ** 2 * (1 - lr) ** epoch}
        >>> study = hpo.Study(
        ...     name="fall",
        ...     trainable=train,
        ...     objective=hpo.minimize("val_loss"),
        ...     space={"lr": hpo.Float(0.01, 1.0, log=True)},
        ...     search={"trials": 2, "budget": 3},
        ... )
        >>> config = hpo.RunConfig(storage="sqlite:///fall.db", backend="local")
        >>> hpo.run(study, config, progress=False).count("complete")
        2
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
        holdout: Holdout | None = None,
        units: Units | None = None,
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
        self._holdout = holdout
        self._units = units
        self._progress = progress
        self._loop = loop

    @property
    def trial_number(self) -> int:
        """The trial's number in the study; candidates of a promotion keep it."""
        return self._progress.job.trial

    @property
    def reports(self) -> list[Report]:
        """A copy of the reports so far, in order; after a resume they include those of the epochs before it."""
        return list(self._progress.reports)

    @property
    def fold(self) -> int:
        """The validation fold, 0 .. folds - 1; train on the others. Divide the data by the split stream."""
        self._progress.fold_was_read = True
        return (self._progress.job.fold - 1) % self.folds if self.folds else 0

    @property
    def artifacts(self) -> Path:
        """Folder whose files are copied into the results; write to it if `keeps` is true."""
        folder = self.folder / ARTIFACTS
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def split(
        self,
        classes: npt.ArrayLike,
        *,
        validation: float = 0.2,
        groups: Sequence[object] | None = None,
        names: Sequence[str] = (),
        units: Mapping[str, Sequence[object]] | None = None,
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Returns the indices of the training cases and of the held-out cases, stratified by class.

        The test part of the study (`[validation] test`) is in neither. When a promotion evaluates a kept model on it,
        the held-out cases are the test part, and `epochs` yields no epoch but loads the model: so predict the held-out
        cases after the loop, in their order, and pass them to `save_predictions`. With folds the held-out cases are
        fold `fold`. The test part depends on the study alone, everything else on the split stream.

        Args:
            classes: (N,) class of each case: 0 .. C-1 if names are given, otherwise any values.
            validation: share of the held-out cases in training, between 0 and 1; ignored with folds. With groups it
                is rounded to a half, a third, a quarter, ...
            groups: (N,) group of each case, such as its patient, which stays on one side; None: every case for itself.
            names: (C,) names of the classes, for messages; empty: the classes themselves.
            units: (N,) unit of each case by the name of the units, e.g. `{"patient": ..., "examination": ...}`, of
                which `[validation] units` chooses one; None: there are only `group`, the groups, and the columns of
                cases that are passed with predictions.

        Raises:
            UsageError: if a class would be missing in a part.
            TrainableError: if it was called with other cases before, or the units that the study chooses have a
                single case each, or cases on both sides.
        """
        from hpo.training.splits import divide

        made = divide(
            classes,
            validation,
            self.streams.split,
            names=names,
            fold=self.fold,
            folds=self.folds,
            groups=groups,
            units=units,
            holdout=self._holdout,
            tests=self._progress.is_test,
        )
        known = self._progress.division
        if known is not None and known.facts() != made.facts():
            raise TrainableError("ctx.split() was called with other cases before; a training divides one set of cases")
        if self._units is not None:
            check_whole(self._units.name, made)
        self._progress.division = made
        return made.train, made.held_out

    def epochs(self, **stateful: Stateful) -> Iterator[int]:
        """Yields the remaining epochs, 1 .. budget, and makes the training resumable bit by bit from each.

        Before the first epoch it restores all arguments from the last checkpoint; before each epoch it seeds the
        process-wide generators from the dropout stream of that epoch; after each epoch it writes a checkpoint. After
        the last epoch, or the one in which `stop` was called, `model` gets the weights of the selected epoch, so that
        files saved then belong to the value of the evaluation.

        Args:
            **stateful: all objects with a state_dict that training changes: `model=`, `optimizer=`, `scheduler=`.

        Raises:
            TrainableError: if the trainable does not report its metrics exactly once per epoch, or loops a second time.
        """
        return self._loop.epochs(stateful)

    def report(self, metrics: Metrics, *, checkpoint: Mapping[str, Any] | None = None) -> None:
        """Reports the metrics of the next epoch. For trainables that are functions; code that they call may report too.

        If the training is pruned or interrupted, it raises a subclass of `BaseException`: `finally` blocks run,
        `except Exception` does not catch it.

        Args:
            metrics: metrics by name, including the objective's; None: a metric is undefined.
            checkpoint: states by name, for a function that does not loop over `epochs`: `model.state_dict()`, numbers,
                arrays, texts. They are saved after the report, and `load` returns them when the training is resumed.
                The process-wide generators are then seeded from the dropout stream of the next epoch.

        Raises:
            TrainableError: if the trainable yields its metrics, the call comes from another thread than the function's
                or after its return, or the checkpoint is not a mapping of names to states.
        """
        self._loop.report(metrics, checkpoint)

    def load(self) -> dict[str, Any] | None:
        """Returns the checkpoint that `report` saved last, None at a fresh start. For trainables that are functions.

        `reports` then holds the epochs up to it, so the next epoch is `len(ctx.reports) + 1`. Call it right before the
        first epoch: it seeds the process-wide generators for that epoch. A function that saves nothing starts over
        after an interruption, and must then report the same bits again.

        Raises:
            TrainableError: if the trainable yields its metrics, has already reported, or loops over `epochs`.
        """
        return self._loop.load()

    def stop(self, reason: str) -> None:
        """Makes the current epoch the last one: the training is complete, and its value is selected as usual.

        Checkpoints do not record the call. A resumed training ends at the same epoch if the stopping rule depends on
        `reports`, or on an object that `epochs` was given.

        Args:
            reason: text for the training's log.

        Raises:
            TrainableError: if no epoch is running.
        """
        self._loop.stop(reason)

    def watch(self, model: nn.Module, optimizer: Optimizer, *, clip: float = 0.0, activations: bool = False) -> None:
        """Records gradient norms and updates of each epoch and raises alerts; it changes no bit of the training.

        Call it before the loop. Norms are those of the gradient that the optimizer gets, after clipping. The metrics
        `train_loss` and `val_loss` are checked too, if they are reported.

        Args:
            model: the model that is trained.
            optimizer: the optimizer of its parameters.
            clip: norm to which the gradient is clipped before each step, to count clipped steps; 0: no clipping.
            activations: whether the outputs of ReLU layers are recorded, to find dead units.

        Raises:
            TrainableError: if a model is already watched, or the loop has begun.
            UsageError: if the optimizer has none of the model's parameters.
        """
        if self._progress.is_test:
            return  # nothing is trained
        if self._progress.diagnostics is not None or self._loop.is_running:
            raise TrainableError("ctx.watch() is for one model and one optimizer; call it once, before ctx.epochs()")
        require_torch("ctx.watch()")
        from hpo.training.monitoring.diagnostics import Diagnostics  # imports torch, which some trainables do not need

        self._progress.diagnostics = Diagnostics(
            model,
            optimizer,
            clip=clip,
            activations=activations,
            keep=self._progress.has_events,
            folder=self.artifacts if self.keeps else None,
        )

    def saw_predictions(
        self,
        *,
        truth: npt.ArrayLike,
        probabilities: npt.ArrayLike,
        labels: Sequence[int] = (),
        names: Sequence[str] = (),
        cases: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        """Records the predicted classes of the validation cases of this epoch; call it before reporting the metrics.

        With `[validation] units` the metrics over units (`unit_acc`, `unit_kappa_quadratic`, `unit_macro_f1`,
        `unit_auc_ovr`) are added to the report that follows. Without units and without `watch` nothing is recorded.

        Args:
            truth: (N,) index of the true class, 0 .. C-1.
            probabilities: (N, C) probability of each class.
            labels: (C,) integer labels of the classes as in `save_predictions`, for the texts of alerts.
            names: (C,) short names of the classes; empty: the labels are used.
            cases: columns that identify the case of each row, (N,) each; needed if one of them names its unit.

        Raises:
            TrainableError: if the shapes do not fit together, or the unit of the cases is not known.
        """
        if self._units is not None:
            classes = as_array(probabilities, "the probabilities of predictions").shape[-1:]
            numbers = tuple(labels) or tuple(range(sum(classes)))
            seen = Predictions.of(
                truth=truth,
                probabilities=probabilities,
                labels=numbers,
                names=tuple(names) or tuple(map(str, numbers)),
                cases=cases or {},
            )
            division = self._progress.division
            self._progress.see_units(with_units(seen.placed(division), self._units, division))
        if self._progress.diagnostics is not None:
            self._progress.diagnostics.record_predictions(truth, probabilities, class_names(labels, names))

    def save_predictions(
        self,
        *,
        truth: npt.ArrayLike,
        probabilities: npt.ArrayLike,
        labels: Sequence[int],
        names: Sequence[str],
        cases: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        """Records the predictions for the validation cases in the selected epoch. Call it after the loop.

        Args:
            truth: (N,) index of the true class, 0 .. C-1.
            probabilities: (N, C) probability of each class.
            labels: (C,) integer labels of the classes, as readers know them.
            names: (C,) short names of the classes.
            cases: columns that identify the case of each row, (N,) each; one of them may name its unit.

        Raises:
            TrainableError: if the shapes do not fit together, or the unit of the cases is not known.
        """
        self._loop.check_loop_finished()
        predictions = Predictions.of(
            truth=truth, probabilities=probabilities, labels=labels, names=names, cases=cases or {}
        )
        division = self._progress.division
        self._progress.keep_predictions(with_units(predictions.placed(division), self._units, division))

    def save_panels(
        self,
        *,
        image: npt.ArrayLike,
        heat: npt.ArrayLike,
        names: Sequence[str],
        captions: Sequence[str],
        method: str = METHOD,
    ) -> None:
        """Records heat maps of the selected epoch's model for chosen cases; they are saved if artifacts are kept.

        Args:
            image: (N, H, W) gray values, 0 .. 1.
            heat: (N, H, W) weight of each pixel, 0 .. 1.
            names: (N,) names of the cases, for the image files.
            captions: (N,) caption above each panel.
            method: what the heat maps are, for the title of their figure, e.g. `Grad-CAM of the predicted class`.

        Raises:
            TrainableError: if the shapes do not fit together.
        """
        self._loop.check_loop_finished()
        panels = Panels.of(image=image, heat=heat, names=names, captions=captions, method=method)
        if self.keeps:
            panels.save(self.folder)

    def note(self, **facts: object) -> None:
        """Records facts that could change the result, e.g. a digest of the data; they go into the fingerprint.

        Args:
            **facts: plain values, or values that can be converted; see `hpo.training.facts`.

        Raises:
            TrainableError: if a fact cannot be stored as a JSON value.
        """
        self._progress.facts.update(plain_facts(facts))

    def log(self, message: str) -> None:
        """Adds a line to the training's log: its `run.log`, or what `hpo logs --trial` shows."""
        self._progress.log(message)
