"""Which images are trained on and which are judged on."""

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
    """Divides the images at random, with the same share of every class on both sides, or nearly so with groups.

    Args:
        label_N: (N,) classes 0 .. C-1.
        validation: fraction of the images that is judged on, between 0 and 1; of no account where there are folds. With
            groups the nearest of a half, a third, a quarter, ...
        stream: where the randomness comes from; nothing else enters.
        names: (C,) the classes' names, for messages.
        fold: which of the folds is judged on, 0 .. folds - 1; together they are all images, each once.
        folds: into how many parts the images are divided; 0: there are none.
        groups: (N,) whose images they are; those of one group stay on one side. None: each stands alone.

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
    except ValueError as error:  # scikit-learn's for fewer than two of a class, or fewer places than classes
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
            "add images or take fewer folds"
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
    """Divides whole groups into parts, one of which is held out: `part`, or the first with which it can be done."""
    complaint = (
        f"every class must be in training and in each of {parts} parts, but {_counted(label_N, names)} of "
        f"{len(set(groups))} patients cannot be divided so without one of them on both sides; add images or take "
        "fewer parts"
    )
    if len(set(groups)) < parts:
        raise UsageError(complaint)
    division = StratifiedGroupKFold(parts, shuffle=True, random_state=_random_state(stream))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # scikit-learn's for a class smaller than the parts
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
