"""The records of a watched training: saved with its artifacts and checked for alerts after every epoch."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn
from torch.optim import Optimizer

from hpo.core.errors import TrainableError
from hpo.core.files import atomic_write
from hpo.core.records import Alert, Metrics, canonical_json
from hpo.training.monitoring.alerts import EpochRecord, find_alerts
from hpo.training.monitoring.watch import Watch
from hpo.training.predictions import as_array
from hpo.training.weights import INITIAL_WEIGHTS

EPOCHS = "diagnostics.jsonl"
"""File with the record of each epoch, one line each."""


class Diagnostics:
    """The records of a watched training, epoch by epoch.

    Args:
        model: the model that is trained.
        optimizer: the optimizer of its parameters.
        clip: norm that gradients are clipped to, see `Context.watch`.
        activations: whether activations are recorded, see `Context.watch`.
        keep: whether gradients are kept for histograms, see `Watch`.
        folder: folder for the records and the initial weights' scale; None: they are not written.

    Raises:
        UsageError: if the optimizer has none of the model's parameters.
    """

    def __init__(
        self, model: nn.Module, optimizer: Optimizer, *, clip: float, activations: bool, keep: bool, folder: Path | None
    ) -> None:
        self._watch = Watch(model, optimizer, clip=clip, activations=activations, keep=keep)
        self._records: list[EpochRecord] = []
        self._folder = folder
        if folder is not None:  # a resumed training draws the same initial weights again
            with atomic_write(folder / INITIAL_WEIGHTS) as temporary:
                temporary.write_text(canonical_json(self._watch.initial_scales()), encoding="utf-8")

    @property
    def records(self) -> tuple[EpochRecord, ...]:
        """The records of all epochs so far."""
        return tuple(self._records)

    def last(self) -> tuple[EpochRecord, dict[str, Tensor]]:
        """Returns the record of the last epoch, and the tensors for histograms; see `Watch.tensors`."""
        return self._records[-1], self._watch.tensors()

    def restore(self, records: Sequence[EpochRecord]) -> None:
        """Restores the records of a checkpoint."""
        self._records[:] = records

    def record_predictions(self, truth: npt.ArrayLike, probabilities: npt.ArrayLike, names: Sequence[str] = ()) -> None:
        """Records the predictions of the validation cases of this epoch; see `Context.saw_predictions`.

        Args:
            truth: (N,) index of the true class, 0 .. C-1.
            probabilities: (N, C) probability of each class.
            names: (C,) names of the classes; empty: none are known.

        Raises:
            TrainableError: if the shapes do not fit together.
        """
        truth_N = as_array(truth, "the true classes of saw_predictions").astype(np.int64)
        probability_NC = as_array(probabilities, "the probabilities of saw_predictions")
        if truth_N.ndim != 1 or probability_NC.ndim != 2 or len(truth_N) != len(probability_NC):
            raise TrainableError(
                f"saw_predictions: expected truth (N,) and probabilities (N, C), got {truth_N.shape} and "
                f"{probability_NC.shape}"
            )
        classes = probability_NC.shape[1]
        if len(truth_N) and not (truth_N.min() >= 0 and truth_N.max() < classes):
            raise TrainableError(f"saw_predictions: true classes must be indices 0 .. {classes - 1}")
        if names and len(names) != classes:
            raise TrainableError(f"saw_predictions: expected a name for each of {classes} classes, got {len(names)}")
        predicted, true = (
            tuple(np.bincount(index_N, minlength=classes).tolist())
            for index_N in (probability_NC.argmax(axis=1), truth_N)
        )
        self._watch.count_classes(predicted, true, tuple(names))

    def end_epoch(self, epoch: int, metrics: Metrics, raised: Collection[str]) -> tuple[Alert, ...]:
        """Ends an epoch and returns its alerts.

        Args:
            epoch: number of the epoch, from 1.
            metrics: metrics that the trainable reported.
            raised: kinds of alerts that were raised before.
        """
        self._records.append(self._watch.end_epoch(epoch, metrics))
        if self._folder is not None:
            lines = "".join(f"{canonical_json(asdict(record))}\n" for record in self._records)
            with atomic_write(self._folder / EPOCHS) as temporary:
                temporary.write_text(lines, encoding="utf-8", newline="\n")
        return find_alerts(self._records, raised)
