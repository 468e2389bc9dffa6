"""The list of studies: how each stands, and its winner beside the value that the search alone would have named."""

from __future__ import annotations

from dataclasses import dataclass

from hpo.driver.status import Progress
from hpo.store import StoredPromotion
from hpo.study import Study, Trial


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedStudy:
    """One study of the list.

    Attributes:
        progress: how far it has come.
        study: the study as last run.
        trials: its trials, for the small line of the best value so far.
        archived: whether the list leaves it out unless archived studies are asked for.
        promotion: its newest promotion; None if there is none.
    """

    progress: Progress
    study: Study
    trials: tuple[Trial, ...]
    archived: bool
    promotion: StoredPromotion | None

    @property
    def mean(self) -> float | None:
        """The winner's mean over the promotion's seeds; None without a winner."""
        return self._of_winner("mean")

    @property
    def sigma(self) -> float | None:
        """The winner's sigma; None without a winner, or with a single seed."""
        return self._of_winner("sigma")

    @property
    def score(self) -> float | None:
        """The winner's score; None without a winner."""
        return self._of_winner("score")

    @property
    def search_value(self) -> float | None:
        """The best value of the search, which is partly luck; None without a complete trial, or with a front."""
        best = self.progress.incumbent
        return None if best is None else best.value

    @property
    def done(self) -> int:
        """The number of finished trials of its own search."""
        counts = self.progress.counts
        return sum(count for state, count in counts.items() if state in ("complete", "pruned", "failed"))

    def _of_winner(self, name: str) -> float | None:
        if self.promotion is None:
            return None
        found = next((row for row in self.promotion.ranks if row.trial == self.promotion.winner), None)
        value = None if found is None else getattr(found, name)
        return value if value is None else float(value)
