"""Batches of a data set's pixels: from the device's memory if they fit, otherwise from the array on disk.

Shapes: N images of the data set, B images of a batch, K channels, S pixels along each side, E components of a vector.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from models.common.loop import EVALUATION_BATCH
from models.mammography.dataset import DataSet
from models.mammography.decoding import WHITE
from models.mammography.phantoms import DENSE

RESIDENT = 400_000_000
"""Maximum bytes, as floats, to move all images to the device."""


class Pixels:
    """Images, and optionally masks of dense tissue, by index.

    Args:
        data: the data set.
        device: device of the batches.
        with_dense: whether the mask of dense tissue is the second channel.
        vector_NE: embeddings of all images; None: there are none.
    """

    def __init__(
        self,
        data: DataSet,
        device: str,
        *,
        with_dense: bool = False,
        vector_NE: npt.NDArray[np.float32] | None = None,
    ) -> None:
        self._vector_NE = None if vector_NE is None else torch.tensor(vector_NE, device=device)
        self._array_N1SS = data.image_N1SS
        self._mask_NSS = data.mask_NSS if with_dense else None
        self._device = device
        self._resident: Tensor | None = None
        if 4 * self._array_N1SS.size * (1 + with_dense) <= RESIDENT:
            self._resident = self._read(np.arange(len(self._array_N1SS)))

    def batch(self, number_B: Tensor) -> Tensor:
        """Returns the images (B, K, S, S) with these indices, 0 .. 1, on the device."""
        if self._resident is not None:
            return self._resident[number_B]
        return self._read(number_B.cpu().numpy())

    def numbers(self, number_V: npt.NDArray[np.int64]) -> Iterator[Tensor]:
        """Yields these indices in order, in batches of the evaluation (B,) on the device."""
        yield from torch.split(torch.tensor(number_V, device=self._device), EVALUATION_BATCH)

    def batches(self, number_V: npt.NDArray[np.int64]) -> Iterator[Tensor]:
        """Yields batches of the images with these indices, in order."""
        yield from map(self.batch, self.numbers(number_V))

    def vectors(self, number_B: Tensor) -> Tensor | None:
        """Returns the embeddings (B, E) of the images with these indices; None if there are none."""
        return None if self._vector_NE is None else self._vector_NE[number_B]

    def _read(self, number_B: npt.NDArray[np.int64]) -> Tensor:
        image_B1SS = self._array_N1SS[number_B]
        if image_B1SS.dtype == np.uint16:
            image_B1SS = image_B1SS.astype(np.float32) / np.float32(WHITE)
        if self._mask_NSS is not None:
            dense_B1SS = (self._mask_NSS[number_B] == DENSE)[:, None]
            image_B1SS = np.concatenate([image_B1SS, dense_B1SS], axis=1, dtype=np.float32)
        return torch.tensor(image_B1SS, device=self._device)
