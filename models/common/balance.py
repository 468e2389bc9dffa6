"""Rare classes that count for more: by weights in the loss, or by being drawn more often.

Shapes: T images trained on, C classes.
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
    """Returns a weight for each class (C,): (T / (C * count)) ** alpha.

    Args:
        label_T: classes 0 .. C-1 of the images trained on.
        names: of the classes.
        alpha: 1 evens the classes out, 0 leaves them as they are.

    Raises:
        UsageError: if alpha is negative, or there is no image of a class.
    """
    if not 0 <= alpha < np.inf:
        raise UsageError(f"class weights: expected an alpha of 0 or more, got {alpha}")
    missing = [name for label, name in enumerate(names) if label not in label_T]
    if missing:
        raise UsageError(f"class weights: no image of class {', '.join(missing)} is trained on; leave the weights out")
    balanced_C = compute_class_weight("balanced", classes=np.arange(len(names)), y=label_T)
    return np.asarray(balanced_C**alpha, dtype=np.float64)


def drawn_batches(weight_T: Tensor, batch: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Yields T positions, drawn with replacement in proportion to their weights, in batches of nearly equal length."""
    drawn_T = torch.multinomial(weight_T, len(weight_T), replacement=True, generator=generator)
    yield from drawn_T.tensor_split(batch_count(len(weight_T), batch))
