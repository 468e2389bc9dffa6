"""Splits cases into training and validation, and holds out a test part that no training sees."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from hpo.core.errors import UsageError
from hpo.core.protocols import Holdout
from hpo.seeds.streams import Stream
from hpo.training.predictions import as_texts

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Division:
    """How a training divides its cases.

    Attributes:
        train: indices of the training cases, ascending.
        held_out: indices of the cases that it predicts, ascending: the validation cases, or the test part.
        label: (N,) class of each case of the data, 0 .. C-1.
        group: (N,) number of each case's group; None: every case is its own group.
        test: indices of the test part, ascending; empty if there is none.
        units: (N,) unit of each case of the data by the name of the units, e.g. `patient`.
    """

    train: Indices
    held_out: Indices
    label: Indices
    group: Indices | None
    test: Indices
    units: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def are_of_held_out(self, truth_N: Indices) -> bool:
        """Whether these are the classes of the held-out cases, in their order.

        Args:
            truth_N: (N,) index of the true class of each predicted case.
        """
        return np.array_equal(truth_N, self.label[self.held_out])

    def facts(self) -> dict[str, object]:
        """Returns what the fingerprint records of the test part: its size, and a digest of it and of all cases."""
        sha256 = hashlib.sha256(self.label.tobytes() + self.test.tobytes())
        sha256.update(b"" if self.group is None else self.group.tobytes())
        return {"cases": len(self.test), "of": len(self.label), "digest": sha256.hexdigest()}


def divide(
    classes: npt.ArrayLike,
    validation: float,
    stream: Stream,
    *,
    names: Sequence[str] = (),
    fold: int = 0,
    folds: int = 0,
    groups: Sequence[object] | None = None,
    units: Mapping[str, Sequence[object]] | None = None,
    holdout: Holdout | None = None,
    tests: bool = False,
) -> Division:
    """Divides cases into a test part, validation and training; see `Context.split`.

    Args:
        classes: (N,) class of each case: 0 .. C-1 if names are given, otherwise any values.
        validation: share of the validation cases among those outside the test part; ignored with folds.
        stream: the training's source of randomness; the test part does not depend on it.
        names: (C,) names of the classes, for messages; empty: the classes themselves.
        fold: index of the validation fold, 0 .. folds - 1.
        folds: number of folds; 0: no cross-validation.
        groups: (N,) group of each case, e.g. its patient; None: every case is its own group.
        units: (N,) unit of each case by the name of the units; None: there are none.
        holdout: share and seed of the test part; None: there is none.
        tests: whether the model is evaluated on the test part, so that its cases are held out to be predicted.

    Raises:
        UsageError: if a class would be missing in a part, or the lengths differ.
    """
    value_N = np.asarray(classes)
    if value_N.ndim != 1 or not len(value_N):
        raise UsageError(f"ctx.split: expected one class for each case, got an array of shape {value_N.shape}")
    if groups is not None and len(groups) != len(value_N):
        raise UsageError(f"ctx.split: there are {len(value_N)} classes, but {len(groups)} groups; each case needs one")
    texts_of = {name: as_texts(column) for name, column in (units or {}).items()}
    for name, column in texts_of.items():
        if len(column) != len(value_N):
            raise UsageError(f"ctx.split: there are {len(value_N)} classes, but {len(column)} units {name!r}")
    if names:
        label_N = value_N.astype(np.int64)
    else:
        found, label_N = np.unique(value_N, return_inverse=True)
        label_N, names = label_N.astype(np.int64), [str(one) for one in found]
    texts = None if groups is None else [str(one) for one in groups]
    group_N = None if texts is None else np.unique(texts, return_inverse=True)[1].astype(np.int64)
    rows_D, test = np.arange(len(label_N)), np.empty(0, dtype=np.int64)
    if holdout is not None:
        own = Stream("split", holdout.seed)
        rows_D, test = split(label_N, holdout.share, own, names=names, groups=texts, part="test")
    near = None if texts is None else [texts[row] for row in rows_D]
    train_T, held_out_V = split(label_N[rows_D], validation, stream, names=names, fold=fold, folds=folds, groups=near)
    held_out = test if tests else rows_D[held_out_V]
    return Division(train=rows_D[train_T], held_out=held_out, label=label_N, group=group_N, test=test, units=texts_of)


def split(
    label_N: npt.NDArray[np.int64],
    validation: float,
    stream: Stream,
    *,
    names: Sequence[str],
    fold: int = 0,
    folds: int = 0,
    groups: Sequence[str] | None = None,
    part: str = "validation",
) -> tuple[Indices, Indices]:
    """Splits cases at random, stratified by class, approximately so with groups.

    Args:
        label_N: (N,) classes 0 .. C-1.
        validation: fraction of validation cases, between 0 and 1; ignored with folds. With groups it is rounded to a
            half, a third, a quarter, ...
        stream: the only source of randomness.
        names: (C,) names of the classes, for messages.
        fold: index of the validation fold, 0 .. folds - 1; each case is in exactly one fold.
        folds: number of folds; 0: no cross-validation.
        groups: (N,) group of each case, which stays on one side; None: every case is its own group.
        part: what the fraction is held out for, `validation` or `test`, for messages.

    Returns:
        Indices of the other cases and of those that are held out, each in ascending order.

    Raises:
        UsageError: if a class would be missing on one side.
    """
    if folds:
        return _fold(label_N, stream, names, fold, folds, groups)
    if not 0 < validation < 1:
        raise UsageError(f"{part}: expected a fraction between 0 and 1, got {validation}")
    complaint = (
        f"every class must be in training and in {part}, but a {part} fraction of {validation} of "
        f"{_counted(label_N, names)} leaves one out; add cases or change it"
    )
    if groups is not None:
        return _grouped(label_N, stream, names, groups, parts=max(2, round(1 / validation)))
    from sklearn.model_selection import train_test_split  # takes half a second

    try:
        train, held_out = train_test_split(
            np.arange(len(label_N)), test_size=validation, stratify=label_N, random_state=_random_state(stream)
        )
    except ValueError as error:  # from scikit-learn, for a class with one case, or fewer cases than classes
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
            "add cases or use fewer folds"
        )
    from sklearn.model_selection import StratifiedKFold

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
        f"{len(set(groups))} groups cannot be split like that with each group (patient) on one side; add cases or use "
        "fewer parts"
    )
    if len(set(groups)) < parts:
        raise UsageError(complaint)
    from sklearn.model_selection import StratifiedGroupKFold

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
