"""Which images are trained on and which are judged on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import train_test_split

from hpo import Stream, UsageError

Indices = npt.NDArray[np.int64]


def split(
    label_N: npt.NDArray[np.int64], validation: float, stream: Stream, *, names: Sequence[str], fold: int = 0
) -> tuple[Indices, Indices]:
    """Divides the images at random, with the same share of every class on both sides.

    Args:
        label_N: (N,) classes 0 .. C-1.
        validation: fraction of the images that is judged on, between 0 and 1.
        stream: where the randomness comes from; nothing else enters.
        names: (C,) the classes' names, for messages.
        fold: each is another random division of all images, not a part of one division.

    Returns:
        Indices of the training and of the validation images, each in ascending order.

    Raises:
        UsageError: if a class would be missing on one side.
    """
    if not 0 < validation < 1:
        raise UsageError(f"validation: expected a fraction between 0 and 1, got {validation}")
    counts = {name: int((label_N == label).sum()) for label, name in enumerate(names)}
    complaint = (
        f"every class must be in training and in validation, but a validation fraction of {validation} of "
        f"{', '.join(f'{count} {name}' for name, count in counts.items())} leaves one out; add images or change it"
    )
    try:
        train, held_out = train_test_split(
            np.arange(len(label_N)), test_size=validation, stratify=label_N, random_state=stream.number(fold) % 2**32
        )
    except ValueError as error:  # scikit-learn's for fewer than two of a class, or fewer places than classes
        raise UsageError(complaint) from error
    if any(len(np.unique(label_N[side])) < len(names) for side in (train, held_out)):
        raise UsageError(complaint)
    return np.sort(train), np.sort(held_out)
