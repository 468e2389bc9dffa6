"""What a watch has seen of a training so far: kept beside its artefacts, and judged after every epoch."""

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
from hpo.training.monitoring.alerts import Seen, judged
from hpo.training.monitoring.watching import Watch
from hpo.training.predictions import as_array
from hpo.training.weights import INITIAL

EPOCHS = "diagnostics.jsonl"
"""What was seen of each epoch, a line each."""


class Diagnostics:
    """What was seen, epoch by epoch.

    Args:
        model: the model that is trained.
        optimizer: the optimizer of its parameters.
        clip: norm that gradients are clipped to, see `Context.watch`.
        activations: whether activations are watched, see `Context.watch`.
        keep: whether gradients are kept, see `Watch`.
        folder: where the first weights are kept; None: nowhere.

    Raises:
        UsageError: if the optimizer has none of the model's parameters.
    """

    def __init__(
        self, model: nn.Module, optimizer: Optimizer, *, clip: float, activations: bool, keep: bool, folder: Path | None
    ) -> None:
        self._watch = Watch(model, optimizer, clip=clip, activations=activations, keep=keep)
        self._seen: list[Seen] = []
        self._folder = folder
        if folder is not None:  # drawn again, a resumed training's first weights are the same
            with atomic_write(folder / INITIAL) as spare:
                spare.write_text(canonical_json(self._watch.initial()), encoding="utf-8")

    @property
    def seen(self) -> tuple[Seen, ...]:
        """All epochs so far."""
        return tuple(self._seen)

    def last(self) -> tuple[Seen, dict[str, Tensor]]:
        """Returns what was seen of the last epoch, and of what histograms are drawn; see `Watch.tensors`."""
        return self._seen[-1], self._watch.tensors()

    def restore(self, seen: Sequence[Seen]) -> None:
        """Takes back what was seen before a checkpoint."""
        self._seen[:] = seen

    def classes(self, truth: npt.ArrayLike, probabilities: npt.ArrayLike, names: Sequence[str] = ()) -> None:
        """Takes the validation cases of this epoch, and the classes' names; see `Context.saw_predictions`.

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
        said, true = (
            tuple(np.bincount(one, minlength=classes).tolist()) for one in (probability_NC.argmax(axis=1), truth_N)
        )
        self._watch.classes(said, true, tuple(names))

    def judged(self, epoch: int, metrics: Metrics, raised: Collection[str]) -> tuple[Alert, ...]:
        """Ends an epoch and returns its alerts.

        Args:
            epoch: 1 for the first.
            metrics: as the trainable reported them.
            raised: kinds of alerts that were raised before.
        """
        self._seen.append(self._watch.seen(epoch, metrics))
        if self._folder is not None:
            lines = "".join(f"{canonical_json(asdict(one))}\n" for one in self._seen)
            with atomic_write(self._folder / EPOCHS) as spare:
                spare.write_text(lines, encoding="utf-8", newline="\n")
        return judged(self._seen, raised)
