"""What the Gaussian process of `tpe+gp` learns from: which trials have values, and how many count."""

from __future__ import annotations

import math

from optuna.trial import FrozenTrial, TrialState

MOST_POINTS = 250
"""Trials that the process learns from: the best half and the newest, so that a proposal takes well below a second."""

MOST_FITTED = 128
"""Trials that hyperparameters are fitted to, evenly chosen among those that the process learns from."""

LARGE = 1e150
"""Values above it have squares that no float can hold."""

FEWEST = 4
"""Values below which there is nothing to learn."""


def in_range(values: dict[int, float]) -> dict[int, float]:
    """Returns the values themselves, or all divided by the largest where their squares would be beyond a float."""
    largest = max(map(abs, values.values()))
    return {number: value / largest for number, value in values.items()} if largest > LARGE else values


def has_value(trial: FrozenTrial) -> bool:
    """Whether a trial has a value that can be learned from."""
    feasible = all(value <= 0 for value in trial.constraints.values())
    return trial.state is TrialState.COMPLETE and feasible and bool(trial.values) and math.isfinite(trial.values[0])
