"""When a search has gone far enough, beside its number of trials: a target reached, or no improvement for long."""

from __future__ import annotations

from optuna.trial import FrozenTrial, TrialState

from hpo.core.records import Objective


class Limits:
    """Hears of trials in the order in which the sampler does, so that with a lag the end is a function of the seeds.

    Args:
        objective: which values are better.
        until: a value that ends the search when it is reached.
        patience: so many trials in a row without a better value end it.
    """

    def __init__(self, objective: Objective, until: float | None, patience: int | None) -> None:
        self._objective = objective
        self._until = until
        self._patience = patience
        self._best: float | None = None
        self._best_trial = 0
        self._barren = 0

    def receive(self, trial: FrozenTrial) -> None:
        """Takes note of a trial that is over."""
        feasible = all(value <= 0 for value in trial.constraints.values())
        value = trial.values[0] if trial.state is TrialState.COMPLETE and trial.values and feasible else None
        if value is None or (self._best is not None and not self._objective.is_better(value, self._best)):
            self._barren += 1
            return
        self._best, self._best_trial, self._barren = value, trial.number, 0

    @property
    def reached(self) -> str | None:
        """Why the search is to end, as a sentence; None: it is not."""
        best, until = self._best, self._until
        if until is not None and best is not None and not self._objective.is_better(until, best):
            return f"trial {self._best_trial} reached the target {until:g}"
        if self._patience is not None and self._barren >= self._patience:
            return f"{self._barren} trials in a row brought nothing better"
        return None
