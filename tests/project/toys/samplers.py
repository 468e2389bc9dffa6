"""Samplers and pruners as a user may write them: some keep what they know in the object, some ignore their seed."""

from __future__ import annotations

import random

from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler
from optuna.trial import TrialState


class Climber(BaseSampler):
    """Steps away from the best it was told of; the generator and the best are in the object alone."""

    def __init__(self, width: float = 0.3, *, seed: int) -> None:
        self._draw = random.Random(seed)
        self._width = width
        self._best, self._at = None, {}

    def infer_relative_search_space(self, study, trial):
        return {}

    def sample_relative(self, study, trial, search_space):
        return {}

    def sample_independent(self, study, trial, param_name, param_distribution):
        low, high = param_distribution.to_internal_repr, param_distribution.to_external_repr
        if not hasattr(param_distribution, "low"):
            return self._draw.choice(param_distribution.choices)
        first, last = low(param_distribution.low), low(param_distribution.high)
        middle = self._at.get(param_name, (first + last) / 2)
        drawn = middle + self._width * (last - first) * self._draw.uniform(-1, 1)
        drawn = min(last, max(first, drawn))
        return high(round(drawn)) if isinstance(param_distribution.low, int) else drawn

    def after_trial(self, study, trial, state, values):
        if state is TrialState.COMPLETE and (self._best is None or values[0] > self._best):
            self._best = values[0]
            self._at = {name: value for name, value in trial.params.items() if not isinstance(value, str)}


class Seedless(Climber):
    """Takes no seed."""

    def __init__(self) -> None:
        super().__init__(seed=1)


class Careless(Climber):
    """Takes a seed and ignores it."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__(seed=random.SystemRandom().randrange(10**9))


class Forgetful(Climber):
    """Follows its seed until trial 15, and then does not: no short check finds that."""

    def sample_independent(self, study, trial, param_name, param_distribution):
        if trial.number == 15:
            self._draw = random.SystemRandom()
        return super().sample_independent(study, trial, param_name, param_distribution)


class Ending(Climber):
    """Has nothing to propose after seven results."""

    def after_trial(self, study, trial, state, values):
        super().after_trial(study, trial, state, values)
        if trial.number == 6:
            study.stop()


class Raising(Climber):
    """Cannot be made."""

    def __init__(self, *, seed: int) -> None:
        raise ValueError("no licence")


class Choking(Climber):
    """Cannot propose anything."""

    def sample_independent(self, study, trial, param_name, param_distribution):
        raise ValueError("no idea")


class Coin(BasePruner):
    """Prunes by chance, and marks how often it was asked; the generator is in the object."""

    def __init__(self, chance: float, seed: int) -> None:
        self._chance, self._draw = chance, random.Random(seed)

    def prune(self, study, trial):
        study._storage.set_trial_system_attr(trial._trial_id, "asked", len(trial.intermediate_values))
        return self._draw.random() < self._chance


class Dice(Coin):
    """Takes no seed."""

    def __init__(self) -> None:
        super().__init__(0.2, random.SystemRandom().randrange(10**9))
