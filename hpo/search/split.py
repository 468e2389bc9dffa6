"""The split of a total of trainings between a search and a race, by how noisy the search's first values are."""

from __future__ import annotations

from dataclasses import dataclass

FIRST = 0.4
"""Share of the total that is searched before the split is decided."""

SMOOTH, NOISY = 0.2, 0.44
"""Share of the race where the first values are smooth, so that more search finds more, and where they are noisy."""

CONTRAST = 5.0
"""Contrast below which values are noisy; from tables of trainings, see docs/race.md."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """How many configurations a search tries: fewer if its first values are noisy.

    Attributes:
        trainings: total of search and race.
        first: number of the search's first trials, whose values decide.
        smooth: number of configurations if they are smooth.
        noisy: number of configurations if they are noisy.
    """

    trainings: int
    first: int
    smooth: int
    noisy: int

    def configurations(self, share: float | None) -> int:
        """Returns the number of configurations by the race's share; None: it is not decided yet."""
        return self.smooth if share == SMOOTH else self.noisy


def share_of_race(contrast: float | None) -> float:
    """Returns the race's share by the contrast of the first values; None, unknown, counts as smooth."""
    return NOISY if contrast is not None and contrast < CONTRAST else SMOOTH
