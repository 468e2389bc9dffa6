"""Finds identical trials, whose trainings would be the same."""

from __future__ import annotations

from collections.abc import Sequence

from optuna.trial import FrozenTrial

from hpo.core.records import canonical_json
from hpo.study import Study


class DuplicateIndex:
    """The trials of a search by what is trained for them: params and seeds; the budget is the same for all.

    Args:
        study: that says which seeds a trial has.
    """

    def __init__(self, study: Study) -> None:
        self._study = study
        self._by_what: dict[str, list[int]] = {}
        self._what: dict[int, str] = {}
        self.repeats = 0
        """Number of newest trials in a row that are identical to earlier ones."""

    def __len__(self) -> int:
        """How many different trainings there are."""
        return len(self._by_what)

    def add(self, trial: FrozenTrial) -> None:
        """Adds the next trial."""
        what = canonical_json([dict(trial.params), list(self._study.search_seeds(trial.number))])
        like = self._by_what.setdefault(what, [])
        self.repeats = self.repeats + 1 if like else 0
        like.append(trial.number)
        self._what[trial.number] = what

    def before(self, number: int) -> Sequence[int]:
        """Returns the earlier trials that are identical to this one, in order."""
        what = self._what.get(number)
        return [] if what is None else [other for other in self._by_what[what] if other < number]
