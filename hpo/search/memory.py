"""The study in memory: the Optuna study that sampler and pruner read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.storages import InMemoryStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from hpo.core.records import Value
from hpo.search.failures import explained_failure
from hpo.search.proposals import make_pruner, make_sampler, suggest
from hpo.search.view import TrialPruner
from hpo.study import Study
from hpo.training import configured_torch

_MARKS = ("completed_rung", "constraints:")
"""Prefixes of the attributes that a trial gets while it runs and when it ends: successive halving, constraints."""

_SHARED = "hpo:shared"
"""What the sampler changed of the study's own attributes when it proposed this trial: stored with the trial, in one
transaction, and put back when the study in memory is rebuilt."""


class MemoryStudy:
    """An Optuna study that is told of the trials in the order of their numbers, and no earlier than the lag allows.

    Args:
        study: the study to search.
        directions: directions of the durable study.

    Attributes:
        pruner: runs the study's pruner, which sees the trials that this study was told of.
    """

    def __init__(self, study: Study, directions: Sequence[StudyDirection]) -> None:
        self._study = study
        self._space = study.space
        self._storage = InMemoryStorage()
        self._optuna = optuna.create_study(
            study_name=study.name,
            storage=self._storage,
            direction=study.objective.direction,
            sampler=make_sampler(study, 0),
            pruner=make_pruner(study),
        )
        self._id = self._storage.get_study_id_from_name(study.name)
        self.pruner = TrialPruner(study.name, directions, self._optuna.sampler, self._optuna.pruner)

    def propose(
        self, number: int, attributes: Mapping[str, Any], enqueued: Mapping[str, Value] | None = None
    ) -> FrozenTrial:
        """Returns the next trial as it is to be stored.

        Args:
            number: the trial's number in both studies.
            attributes: the user attributes that it is stored with.
            enqueued: the params that were enqueued for it; None: the sampler chooses all.
        """
        before = self._shared()
        if enqueued is not None:
            self._optuna.enqueue_trial(dict(enqueued))
        self._optuna.sampler = make_sampler(self._study, number)
        # gp computes with torch: what it finds must depend neither on the cores nor on who set the threads last.
        what = f"sampler {self._study.search.sampler!r} could not propose trial {number}"
        with explained_failure(what), configured_torch(1, load=self._study.search.sampler == "gp"):
            trial = self._optuna.ask()
            suggest(trial, self._space)
        assert trial.number == number  # both studies number trials in the same way
        shared = {key: value for key, value in self._shared().items() if before.get(key) != value}
        seen = self._storage.get_trial(self._row(number))
        template = create_trial(
            state=TrialState.RUNNING,
            params=seen.params,
            distributions=seen.distributions,
            user_attrs=dict(attributes),
            system_attrs={**seen.system_attrs, **({_SHARED: shared} if shared else {})},
        )
        template.number = number
        return template

    def tell(self, frozen: FrozenTrial) -> None:
        """Adds the result of a trial that was proposed here.

        Args:
            frozen: the finished trial.
        """
        row = self._row(frozen.number)
        for step, value in sorted(frozen.intermediate_values.items()):
            self._storage.set_trial_intermediate_value(row, step, value)
        for key, mark in marks_of(frozen).items():
            self._storage.set_trial_system_attr(row, key, mark)
        # Optuna's own tell takes a pruned trial's value from its last step.
        values = frozen.values if frozen.state is TrialState.COMPLETE else None
        self._optuna.tell(frozen.number, values, state=frozen.state)
        self.pruner.add(frozen)

    def restore_shared(self, stored: FrozenTrial) -> None:
        """Restores the attributes that the sampler kept with the study when it proposed a trial.

        Args:
            stored: the trial as the durable study has it.
        """
        for key, value in stored.system_attrs.get(_SHARED, {}).items():
            self._storage.set_study_system_attr(self._id, key, value)

    def restore_finished(self, stored: FrozenTrial) -> None:
        """Adds a finished trial that this study had been told of.

        Args:
            stored: the trial as the durable study has it.
        """
        self._optuna.add_trial(stored)
        self.pruner.add(stored)

    def restore_running(self, stored: FrozenTrial) -> None:
        """Adds a trial whose result this study does not know yet.

        Args:
            stored: the trial as the durable study has it.
        """
        self._optuna.add_trial(
            create_trial(
                state=TrialState.RUNNING,
                params=stored.params,
                distributions=stored.distributions,
                user_attrs=stored.user_attrs,
                system_attrs=without_marks(stored),
            )
        )

    def _shared(self) -> dict[str, Any]:
        """Returns what the sampler keeps with this study, rather than with a trial."""
        return dict(self._storage.get_study_system_attrs(self._id))

    def _row(self, number: int) -> int:
        return self._storage.get_trial_id_from_study_id_trial_number(self._id, number)


def marks_of(trial: FrozenTrial) -> dict[str, Any]:
    """Returns the attributes that a trial gets while it runs and as it ends.

    Args:
        trial: a trial in any state.
    """
    return {key: value for key, value in trial.system_attrs.items() if key.startswith(_MARKS)}


def without_marks(trial: FrozenTrial) -> dict[str, Any]:
    """Returns the attributes that a trial was proposed with.

    Args:
        trial: a trial in any state.
    """
    return {key: value for key, value in trial.system_attrs.items() if not key.startswith(_MARKS)}
