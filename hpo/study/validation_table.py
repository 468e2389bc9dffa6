"""The table [validation] of a study file: how the data is divided, and which cases belong together."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from hpo.core.protocols import Aggregate, Units
from hpo.study.table import Finite, Table, exactly


def _share(value: float) -> float:
    if not 0 < value < 1:
        raise ValueError(f"expected a share of the cases between 0 and 1, such as 0.2, got {value:g}")
    return value


class Validation(Table):
    """Cross-validation, a test part, units of several cases, or any of them.

    With folds every job is trained once for each fold, and its value is the mean over them.

    Attributes:
        folds: number of folds, each of which is the validation set once; 0: no cross-validation.
        repeats: number of different splits into folds.
        test: share of the cases that `ctx.split` holds out of every training; None: nothing is held out.
        units: name of the units that several cases belong to, such as `patient`, over which metrics are reported too;
            None: only metrics over cases.
        aggregate: how the probabilities of a unit's cases become one; None: by their mean.
    """

    folds: Annotated[int, Field(ge=2, le=1000)] = 0
    repeats: Annotated[int, Field(ge=1, le=1000)] = 1
    test: Annotated[Finite, AfterValidator(_share)] | None = None
    units: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    aggregate: Annotated[Aggregate, exactly("mean", "max")] | None = None

    @model_validator(mode="after")
    def _divides_something(self) -> Validation:
        if not self.folds and self.repeats > 1:
            raise ValueError("repeats are repetitions of folds; set folds, or leave repeats out")
        if self.units is None and self.aggregate is not None:
            raise ValueError('aggregate says how the cases of a unit become one; set units, such as units = "patient"')
        if not self.folds and self.test is None and self.units is None:
            raise ValueError(
                "expected folds = 5 for a cross-validation, test = 0.2 for a test part, or both; or units = "
                '"patient" for metrics over patients'
            )
        return self

    @property
    def chosen_units(self) -> Units | None:
        """What several cases belong to, for metrics over units; None: there are only those over cases."""
        return None if self.units is None else Units(name=self.units, aggregate=self.aggregate or "mean")

    @property
    def trainings(self) -> int:
        """Trainings per job."""
        return max(1, self.folds * self.repeats)

    def __str__(self) -> str:
        return f"{self.folds} folds" + (f" x {self.repeats}" if self.repeats > 1 else "")
