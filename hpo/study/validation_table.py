"""The table [validation] of a study file: how the data is divided."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from hpo.study.table import Table


class Validation(Table):
    """Cross-validation: every job is trained once for each fold, and its value is the mean over them.

    Attributes:
        folds: number of folds; each is the validation set once.
        repeats: number of different splits into folds.
    """

    folds: Annotated[int, Field(ge=2, le=1000)]
    repeats: Annotated[int, Field(ge=1, le=1000)] = 1

    @property
    def trainings(self) -> int:
        """Trainings per job."""
        return self.folds * self.repeats

    def __str__(self) -> str:
        return f"{self.folds} folds" + (f" x {self.repeats}" if self.repeats > 1 else "")
