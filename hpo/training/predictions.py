"""A classifier's predictions for the validation cases, in memory and on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hpo.core.errors import TrainableError
from hpo.core.files import atomic_write, is_file
from hpo.core.protocols import Units
from hpo.core.records import LARGEST
from hpo.core.texts import cleaned, shown, type_name
from hpo.training.reported import checked_name

if TYPE_CHECKING:
    from hpo.training.splits import Division

FILE = "predictions.npz"

MAX_CELL_LENGTH = 1_000
"""Maximum characters of a text in a case column; every row of a column takes as much memory as the longest."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Predictions:
    """The predictions for the validation cases in the selected epoch.

    Attributes:
        truth: (N,) index of the true class, 0 .. C-1.
        probabilities: (N, C) probability of each class.
        labels: (C,) integer labels of the classes, as readers know them: BI-RADS 1 .. 4.
        names: (C,) short names of the classes: A .. D.
        cases: columns that identify the case of each row, (N,) strings each, e.g. `path`, `accession`.
        rows: (N,) index of each case in the data that `Context.split` divided; None: unknown.
        groups: (N,) number of each case's group, e.g. its patient, in all of that data; None: unknown, or no groups.
        units: (N,) name of each case's unit, e.g. its examination; None: there are no units.
        unit: what the units are, and how their cases become one; None: there are no units.
    """

    truth: npt.NDArray[np.int64]
    probabilities: npt.NDArray[np.float64]
    labels: tuple[int, ...]
    names: tuple[str, ...]
    cases: Mapping[str, tuple[str, ...]]
    rows: npt.NDArray[np.int64] | None = None
    groups: npt.NDArray[np.int64] | None = None
    units: tuple[str, ...] | None = None
    unit: Units | None = None

    @classmethod
    def of(
        cls,
        *,
        truth: npt.ArrayLike,
        probabilities: npt.ArrayLike,
        labels: Sequence[int],
        names: Sequence[str],
        cases: Mapping[str, Sequence[str]],
    ) -> Predictions:
        """Checks the shapes and returns predictions with copies of the arrays.

        Args:
            truth: (N,) index of the true class, 0 .. C-1.
            probabilities: (N, C) probability of each class.
            labels: (C,) integer labels of the classes.
            names: (C,) short names of the classes.
            cases: columns that identify the case of each row, (N,) each.

        Raises:
            TrainableError: if the shapes do not fit together, a class index is out of range, a probability is not
                finite, or a value is not a number.
        """
        truth_N = as_array(truth, "the true classes of predictions").astype(np.int64)
        probabilities_NC = as_array(probabilities, "the probabilities of predictions").astype(np.float64)
        rows, classes = truth_N.size, len(labels)
        if truth_N.ndim != 1 or probabilities_NC.shape != (rows, classes) or len(names) != classes:
            raise TrainableError(
                f"predictions: {classes} labels and {rows} true classes need probabilities of shape "
                f"({rows}, {classes}) and {classes} names; got {probabilities_NC.shape} and {len(names)}"
            )
        if rows and (truth_N.min() < 0 or truth_N.max() >= classes):
            raise TrainableError(f"predictions: true classes must be indices 0 .. {classes - 1}")
        if not np.isfinite(probabilities_NC).all() or (np.abs(probabilities_NC) > LARGEST).any():
            raise TrainableError("predictions: a probability is not a finite number")
        columns = {checked_name(name, "case column"): as_texts(column) for name, column in cases.items()}
        for name, column in columns.items():
            if len(column) != rows:
                raise TrainableError(f"predictions: case column {name!r} has {len(column)} rows, not {rows}")
        try:
            integers = tuple(map(int, labels))
        except (TypeError, ValueError) as error:
            raise TrainableError(f"predictions: labels must be whole numbers, not {shown(labels)}") from error
        return cls(
            truth=truth_N,
            probabilities=probabilities_NC,
            labels=integers,
            names=as_texts(names),
            cases=columns,
        )

    def placed(self, division: Division | None) -> Predictions:
        """Returns these predictions with their rows and groups in the data, if they are of the held-out cases.

        Args:
            division: how `Context.split` divided the cases; None: it was not called.
        """
        if division is None or not division.are_of_held_out(self.truth):
            return self
        rows = division.held_out
        return replace(self, rows=rows, groups=None if division.group is None else division.group[rows])

    @property
    def digest(self) -> str:
        """sha256 of the true classes and the exact probabilities."""
        return hashlib.sha256(self.truth.tobytes() + self.probabilities.tobytes()).hexdigest()

    def save(self, folder: Path) -> None:
        """Writes `predictions.npz` atomically."""
        with atomic_write(folder / FILE) as temporary, temporary.open("wb") as file:
            columns: dict[str, Any] = {
                f"case_{name}": np.array(column, dtype=str) for name, column in self.cases.items()
            }
            columns |= {name: one for name, one in (("rows", self.rows), ("groups", self.groups)) if one is not None}
            if self.units is not None and self.unit is not None:
                columns |= {"units": np.array(self.units, dtype=str)}
                columns |= {"unit": np.array([self.unit.name, self.unit.aggregate], dtype=str)}
            np.savez(
                file,
                truth=self.truth,
                probabilities=self.probabilities,
                labels=np.array(self.labels),
                names=np.array(self.names, dtype=str),
                **columns,
            )

    @classmethod
    def load(cls, folder: Path) -> Predictions | None:
        """Loads the predictions that `save` wrote to a folder; None if there are none."""
        if not is_file(folder / FILE):
            return None
        with (folder / FILE).open("rb") as handle, np.load(handle, allow_pickle=False) as file:
            cases = {name.removeprefix("case_"): file[name].tolist() for name in file.files if name.startswith("case_")}
            found = cls.of(
                truth=file["truth"],
                probabilities=file["probabilities"],
                labels=file["labels"].tolist(),
                names=file["names"].tolist(),
                cases=cases,
            )
            rows, groups = (file[name] if name in file.files else None for name in ("rows", "groups"))
            units, unit = None, None
            if "units" in file.files:
                units = tuple(file["units"].tolist())
                name, aggregate = file["unit"].tolist()
                unit = Units(name=name, aggregate=aggregate)
            return replace(found, rows=rows, groups=groups, units=units, unit=unit)


def as_array(value: npt.ArrayLike, what: str) -> npt.NDArray[Any]:
    """Returns numbers as an array.

    Args:
        value: an array, a tensor with or without a gradient, or nested sequences.
        what: description of the numbers, for the message.

    Raises:
        TrainableError: if they are not numbers, or the rows differ in length.
    """
    try:
        detach = getattr(value, "detach", None)
        array = np.asarray(detach().cpu() if callable(detach) else value)
        is_numeric = array.dtype.kind in "biuf" or array.size == 0
    except Exception as error:  # methods of a user's object may raise anything
        raise TrainableError(f"{what} are not an array of numbers: {type_name(error)}") from error
    if not is_numeric:
        raise TrainableError(f"{what} must be numbers, not {shown(value)}")
    return array


def as_texts(column: Sequence[object]) -> tuple[str, ...]:
    """Returns strings that can be written to any file; other values are converted by `str`."""
    return tuple(cleaned(value if isinstance(value, str) else str(value), MAX_CELL_LENGTH) for value in column)


def class_names(labels: Sequence[int], names: Sequence[str]) -> tuple[str, ...]:
    """Returns the names of classes for messages: `B (2)`, or only the labels or the names if the others are missing.

    Args:
        labels: (C,) integer labels of the classes; may be empty.
        names: (C,) short names of the classes; may be empty.
    """
    numbers, texts = as_texts(labels), as_texts(names)
    if len(numbers) != len(texts):
        return numbers or texts
    return tuple(name if name == label else f"{name} ({label})" for name, label in zip(texts, numbers, strict=True))
