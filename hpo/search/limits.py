"""Limits of a search besides its number of trials: a target value, or trials without improvement."""

from __future__ import annotations

from optuna.trial import FrozenTrial, TrialState

from hpo.core.records import Objective


class Limits:
    """Receives trials in the same order as the sampler, so that with a lag the end is a function of the seeds.

    Args:
        objective: objective of the study, which says which values are better.
        until: value that ends the search when it is reached; None: no target.
        patience: number of trials in a row without improvement that ends the search; None: no limit.
    """

    def __init__(self, objective: Objective, until: float | None, patience: int | None) -> None:
        self._objective = objective
        self._until = until
        self._patience = patience
        self._best: float | None = None
        self._best_trial = 0
        self._without_improvement = 0

    def receive(self, trial: FrozenTrial) -> None:
        """Adds a finished trial."""
        feasible = all(value <= 0 for value in trial.constraints.values())
        value = trial.values[0] if trial.state is TrialState.COMPLETE and trial.values and feasible else None
        if value is None or (self._best is not None and not self._objective.is_better(value, self._best)):
            self._without_improvement += 1
            return
        self._best, self._best_trial, self._without_improvement = value, trial.number, 0

    @property
    def reached(self) -> str | None:
        """Why the search ends, as a sentence; None: it continues."""
        best, until = self._best, self._until
        if until is not None and best is not None and not self._objective.is_better(until, best):
            return f"trial {self._best_trial} reached the target {until:g}"
        if self._patience is not None and self._without_improvement >= self._patience:
            return f"{self._without_improvement} trials in a row without improvement"
        return None
