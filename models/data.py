"""The data set that a study names: phantoms, or a folder of images.

Shapes: N images, S pixels along each side.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hpo import UsageError
from models.images import CLASSES, read_folder
from models.phantoms import phantoms

PHANTOMS = "phantoms"
"""The value of `data` that asks for phantoms; every other one is a folder."""

SMALLEST = 16
"""Pixels along a side below which a phantom's parts vanish."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DataSet:
    """Images with their classes. The arrays are read-only, for they are shared by all trainings of a process.

    Attributes:
        image_N1SS: grey values, about 0 .. 1.
        label_N: classes 0 .. 3.
        mask_NSS: tissue by pixel (see `models.phantoms`); None where nobody drew one.
        cases: columns that say which image a row is, (N,) each: `path`, `accession`.
        digest: sha256 of the arrays' content.
    """

    image_N1SS: npt.NDArray[np.float32]
    label_N: npt.NDArray[np.int64]
    mask_NSS: npt.NDArray[np.uint8] | None
    cases: Mapping[str, tuple[str, ...]]
    digest: str


def data_set(data: str, *, images: int, size: int, data_seed: int) -> DataSet:
    """Returns the data set named `data`; a second call in the same process returns the same object.

    Args:
        data: "phantoms", or a folder relative to the current one, with subfolders A, B, C, D.
        images: number of phantoms; a folder is read whole.
        size: pixels along each side.
        data_seed: of the phantoms.

    Raises:
        UsageError: if `size` or `images` is too small or the folder cannot be used.
    """
    if size < SMALLEST or images < 1:
        raise UsageError(f"data: expected size >= {SMALLEST} and images >= 1, got size {size} and images {images}")
    if data == PHANTOMS:
        return _of_phantoms(images, size, data_seed)
    return _of_folder(Path(data).absolute(), size)


@lru_cache(maxsize=4)
def _of_phantoms(images: int, size: int, data_seed: int) -> DataSet:
    image_N1SS, label_N, mask_NSS = phantoms(images, size=size, seed=data_seed)
    numbers = range(images)
    return _frozen(
        image_N1SS,
        label_N,
        mask_NSS,
        path=tuple(f"phantoms/{data_seed}/{number:06d}" for number in numbers),
        accession=tuple(f"{number:06d}" for number in numbers),
    )


@lru_cache(maxsize=4)
def _of_folder(folder: Path, size: int) -> DataSet:
    image_N1SS, label_N, paths = read_folder(folder, size)
    return _frozen(image_N1SS, label_N, None, path=paths, accession=tuple(Path(path).stem for path in paths))


def _frozen(
    image_N1SS: npt.NDArray[np.float32],
    label_N: npt.NDArray[np.int64],
    mask_NSS: npt.NDArray[np.uint8] | None,
    **cases: tuple[str, ...],
) -> DataSet:
    found = hashlib.sha256(" ".join(CLASSES).encode())
    for array in (image_N1SS, label_N, mask_NSS):
        if array is not None:
            array.flags.writeable = False
            found.update(f"{array.dtype} {array.shape}\n".encode())
            found.update(np.ascontiguousarray(array).tobytes())
    return DataSet(image_N1SS=image_N1SS, label_N=label_N, mask_NSS=mask_NSS, cases=cases, digest=found.hexdigest())
