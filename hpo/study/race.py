"""The table [promotion.race]: a promotion by race."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator

from hpo.study.table import Finite, Table


def _between(share: float) -> float:
    if not 0 < share < 1:
        raise ValueError(f"expected a share above 0 and below 1 of all trainings, such as 0.4, got {share!r}")
    return share


class RaceTable(Table):
    """A study with this table is promoted by race, as with `--race`.

    Attributes:
        share: part of the trainings of search and race together that the race gets; None: by number of trainings.
    """

    share: Annotated[Finite, AfterValidator(_between)] | None = None
