"""What a pruner may see: some trials behind Optuna's storage interface, so that any pruner can read them.

Hyperband and others go past the Study to its storage, so a Study with a `get_trials` of its own would not do.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Sequence
from itertools import pairwise
from typing import Any, NoReturn

import optuna
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from hpo.search.median import ColumnMedianPruner

RUNG = "completed_rung"
"""Prefix of the attributes that successive halving writes."""

MARKS = "hpo:marks"
"""The trial's attribute that lists what else its pruner wrote."""


class FrozenView(BaseStorage):
    """A read-only storage over a list of trials.

    The one thing a pruner writes, successive halving's mark of a rung, is caught in `marks`.
    """

    def __init__(self, name: str, directions: Sequence[StudyDirection]) -> None:
        self._name = name
        self._directions = list(directions)
        self.trials: list[FrozenTrial] = []
        self.marks: dict[str, Any] = {}

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        return [trial for trial in self.trials if states is None or trial.state in states]

    def get_trial(self, trial_id: int) -> FrozenTrial:
        return next(trial for trial in self.trials if trial.number == trial_id)

    def get_study_id_from_name(self, study_name: str) -> int:
        return 0

    def get_study_name_from_id(self, study_id: int) -> str:
        return self._name

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        return self._directions

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        return {}

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        return {}

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        self.marks[key] = value

    def _refuse(self, *args: object, **kwargs: object) -> NoReturn:
        raise RuntimeError("a view of a study cannot be written to")

    create_new_study = delete_study = set_study_user_attr = set_study_system_attr = get_all_studies = _refuse
    create_new_trial = set_trial_param = set_trial_state_values = set_trial_intermediate_value = _refuse
    set_trial_user_attr = _refuse


class TrialPruner:
    """Runs a pruner on one trial, with exactly the other trials that it may see.

    Args:
        name: name of the study, by which Hyperband assigns brackets.
        directions: directions of the study.
        sampler: any sampler, because an Optuna study needs one.
        pruner: Optuna's pruner that decides.
        make: makes a pruner of its own for each trial, by number, so that no decision depends on what the object
            remembers of others; None: `pruner` decides on all.
    """

    def __init__(
        self,
        name: str,
        directions: Sequence[StudyDirection],
        sampler: BaseSampler,
        pruner: BasePruner,
        make: Callable[[int], BasePruner] | None = None,
    ) -> None:
        self._view = FrozenView(name, directions)
        self._pruner = pruner
        self._study = optuna.load_study(study_name=name, storage=self._view, sampler=sampler, pruner=pruner)
        self._over: list[FrozenTrial] = []
        self._make = make
        self._own: dict[int, BasePruner] = {}  # of running trials

    def add(self, trial: FrozenTrial) -> None:
        """Adds a finished trial."""
        self._over.append(trial)
        self._own.pop(trial.number, None)
        if isinstance(self._pruner, ColumnMedianPruner):
            self._pruner.add(trial)

    def sort(self) -> None:
        """Sorts the finished trials by number: a failed trial that is trained again is added late."""
        if all(one.number < other.number for one, other in pairwise(self._over)):
            return
        self._over.sort(key=lambda trial: trial.number)
        if isinstance(self._pruner, ColumnMedianPruner):
            self._pruner.clear()
            for trial in self._over:
                self._pruner.add(trial)

    def should_prune(self, trial: FrozenTrial, known: int | None, others: Iterable[FrozenTrial] = ()) -> bool:
        """Returns whether the pruner prunes `trial`; its rung marks are put into the trial's system attributes.

        Args:
            trial: the trial with its values so far.
            known: number of finished trials that the pruner may see; None: all of them.
            others: running trials that the pruner may see too.
        """
        if isinstance(self._pruner, ColumnMedianPruner):
            return self._pruner.should_prune(trial, len(self._over) if known is None else known, self._study.direction)
        self._view.trials, self._view.marks = [*self._over[:known], *others], {}
        if self._make is not None and trial.number not in self._own:
            self._own[trial.number] = self._make(trial.number)
        self._study.pruner = self._own.get(trial.number, self._pruner)
        pruned = bool(self._study.pruner.prune(self._study, trial))
        trial.system_attrs.update(self._view.marks)
        if other := [key for key in self._view.marks if not key.startswith(RUNG)]:
            trial.system_attrs[MARKS] = sorted({*other, *trial.system_attrs.get(MARKS, ())})
        return pruned
