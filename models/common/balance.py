"""Gives rare classes more weight, in the loss or in sampling.

Shapes: T training images, C classes.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch
from sklearn.utils.class_weight import compute_class_weight
from torch import Tensor

from hpo import UsageError
from models.common.loop import batch_count


def class_weights(label_T: npt.NDArray[np.int64], names: tuple[str, ...], alpha: float) -> npt.NDArray[np.float64]:
    """Returns a weight per class (C,): (T / (C * count)) ** alpha.

    Args:
        label_T: classes 0 .. C-1 of the training images.
        names: names of the classes.
        alpha: 1 balances the classes, 0 has no effect.

    Raises:
        UsageError: if alpha is negative, or a class has no image.
    """
    if not 0 <= alpha < np.inf:
        raise UsageError(f"class weights: expected an alpha of 0 or more, got {alpha}")
    missing = [name for label, name in enumerate(names) if label not in label_T]
    if missing:
        raise UsageError(
            f"class weights: there is no training image of class {', '.join(missing)}; turn the weights off"
        )
    balanced_C = compute_class_weight("balanced", classes=np.arange(len(names)), y=label_T)
    return np.asarray(balanced_C**alpha, dtype=np.float64)


def drawn_batches(weight_T: Tensor, batch: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Yields T positions, sampled with replacement in proportion to their weights, in batches of nearly equal size."""
    drawn_T = torch.multinomial(weight_T, len(weight_T), replacement=True, generator=generator)
    yield from drawn_T.tensor_split(batch_count(len(weight_T), batch))
