"""Handwritten digits, 8 by 8 pixels: real images from scikit-learn.

Source: Optical Recognition of Handwritten Digits, Alpaydin and Kaynak, 1998.

Shapes: N images.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from sklearn.datasets import load_digits

DIGITS = tuple(range(10))
NAMES = tuple(map(str, DIGITS))


@lru_cache(maxsize=1)
def handwritten_digits() -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Returns the images (N, 1, 8, 8) from 0 to 1 and their digits (N,), read-only."""
    found = load_digits()
    image_N1HW, label_N = (found.images[:, None] / 16).astype(np.float32), found.target.astype(np.int64)
    image_N1HW.flags.writeable = label_N.flags.writeable = False
    return image_N1HW, label_N


def cases(rows: Sequence[int] | npt.NDArray[np.int64]) -> dict[str, list[str]]:
    """Returns the columns that identify images in a result's predictions."""
    return {"path": [f"digits/{row:04d}" for row in rows], "accession": [f"{row:06d}" for row in rows]}
