"""Splits images into training and validation."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold, train_test_split

from hpo import Stream, UsageError

Indices = npt.NDArray[np.int64]


def split(
    label_N: npt.NDArray[np.int64],
    validation: float,
    stream: Stream,
    *,
    names: Sequence[str],
    fold: int = 0,
    folds: int = 0,
    groups: Sequence[str] | None = None,
) -> tuple[Indices, Indices]:
    """Splits images at random, stratified by class, approximately so with groups.

    Args:
        label_N: (N,) classes 0 .. C-1.
        validation: fraction of validation images, between 0 and 1; ignored with folds. With groups it is rounded to a
            half, a third, a quarter, ...
        stream: the only source of randomness.
        names: (C,) names of the classes, for messages.
        fold: index of the validation fold, 0 .. folds - 1; each image is in exactly one fold.
        folds: number of folds; 0: no cross-validation.
        groups: (N,) group of each image, which stays on one side; None: every image is its own group.

    Returns:
        Indices of the training and of the validation images, each in ascending order.

    Raises:
        UsageError: if a class would be missing on one side.
    """
    if folds:
        return _fold(label_N, stream, names, fold, folds, groups)
    if not 0 < validation < 1:
        raise UsageError(f"validation: expected a fraction between 0 and 1, got {validation}")
    complaint = (
        f"every class must be in training and in validation, but a validation fraction of {validation} of "
        f"{_counted(label_N, names)} leaves one out; add images or change it"
    )
    if groups is not None:
        return _grouped(label_N, stream, names, groups, parts=max(2, round(1 / validation)))
    try:
        train, held_out = train_test_split(
            np.arange(len(label_N)), test_size=validation, stratify=label_N, random_state=_random_state(stream)
        )
    except ValueError as error:  # from scikit-learn, for a class with one image, or fewer images than classes
        raise UsageError(complaint) from error
    if any(len(np.unique(label_N[side])) < len(names) for side in (train, held_out)):
        raise UsageError(complaint)
    return np.sort(train), np.sort(held_out)


def _fold(
    label_N: npt.NDArray[np.int64],
    stream: Stream,
    names: Sequence[str],
    fold: int,
    folds: int,
    groups: Sequence[str] | None,
) -> tuple[Indices, Indices]:
    if groups is not None:
        return _grouped(label_N, stream, names, groups, parts=folds, part=fold)
    if np.bincount(label_N, minlength=len(names)).min() < folds:
        raise UsageError(
            f"every class must be in each of {folds} folds, but there are {_counted(label_N, names)}; "
            "add images or use fewer folds"
        )
    parts = StratifiedKFold(folds, shuffle=True, random_state=_random_state(stream)).split(label_N, label_N)
    train, held_out = list(parts)[fold]
    return train, held_out


def _grouped(
    label_N: npt.NDArray[np.int64],
    stream: Stream,
    names: Sequence[str],
    groups: Sequence[str],
    *,
    parts: int,
    part: int | None = None,
) -> tuple[Indices, Indices]:
    """Splits whole groups into parts, and holds out `part`, or the first part that works."""
    complaint = (
        f"every class must be in training and in each of {parts} parts, but {_counted(label_N, names)} of "
        f"{len(set(groups))} patients cannot be split like that with each patient on one side; add images or use "
        "fewer parts"
    )
    if len(set(groups)) < parts:
        raise UsageError(complaint)
    division = StratifiedGroupKFold(parts, shuffle=True, random_state=_random_state(stream))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # from scikit-learn, for a class smaller than the number of parts
        try:
            divided = list(division.split(label_N, label_N, groups))
        except ValueError as error:
            raise UsageError(complaint) from error
    for train, held_out in divided if part is None else divided[part : part + 1]:
        if all(len(np.unique(label_N[side])) == len(names) for side in (train, held_out)):
            return train, held_out
    raise UsageError(complaint)


def _random_state(stream: Stream) -> int:
    return stream.number(0) % 2**32


def _counted(label_N: npt.NDArray[np.int64], names: Sequence[str]) -> str:
    return ", ".join(f"{int((label_N == label).sum())} {name}" for label, name in enumerate(names))
