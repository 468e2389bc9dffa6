"""The study in memory: the Optuna study that sampler and pruner read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import optuna
from optuna.samplers import GPSampler
from optuna.storages import InMemoryStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from hpo.core.records import Value
from hpo.search.costs import COST
from hpo.search.failures import explained_failure
from hpo.search.proposals import distributions, is_kept, make_pruner, make_sampler, suggest
from hpo.search.transfer import Transfer
from hpo.search.view import MARKS, RUNG, TrialPruner
from hpo.store.optuna_storage.trials import ENQUEUED, IMPORTED
from hpo.study import Study
from hpo.study.plugins import is_plugin
from hpo.study.prior import Prior
from hpo.training import configured_torch

_MARKS = (RUNG, "constraints:", COST, MARKS)
"""Prefixes of the attributes that a trial gets while it runs and when it ends: successive halving, constraints, its
cost."""

_SHARED = "hpo:shared"
"""What the sampler changed of the study's own attributes when it proposed this trial: stored with the trial, in one
transaction, and put back when the study in memory is rebuilt."""


class MemoryStudy:
    """An Optuna study that is told of the trials in the order of their numbers, and no earlier than the lag allows.

    Args:
        study: the study to search.
        directions: directions of the durable study.
        prior: old studies that the search starts from; None: there are none.

    Attributes:
        pruner: runs the study's pruner, which sees the trials that this study was told of.
        has_ended: whether the sampler has stopped the study, because it has nothing left to propose.
    """

    def __init__(self, study: Study, directions: Sequence[StudyDirection], prior: Prior | None = None) -> None:
        self._study = study
        self._space = study.space
        self._transfer = None if prior is None else Transfer(prior, distributions(self._space))
        self._is_kept = is_kept(study)  # one sampler for all trials
        self._has_all = False  # the trials of an earlier driver
        self._begin(0)
        make = partial(make_pruner, study) if is_plugin(study.search.pruner) else None
        self.pruner = TrialPruner(study.name, directions, self._optuna.sampler, self._optuna.pruner, make)

    def _begin(self, number: int) -> None:
        """Begins an empty study, whose first sampler is that of a trial."""
        study, self._storage, self.has_ended = self._study, InMemoryStorage(), False
        self._optuna = optuna.create_study(
            study_name=study.name,
            storage=self._storage,
            directions=study.objective.directions,
            sampler=make_sampler(study, number, self._transfer),
            pruner=make_pruner(study),
        )
        self._optuna.stop = self._end  # type: ignore[method-assign]  # Optuna's own works within `optimize` alone
        self._id = self._storage.get_study_id_from_name(study.name)

    def _end(self) -> None:
        self.has_ended = True

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
        if not self._is_kept:
            self._optuna.sampler = make_sampler(self._study, number, self._transfer)
        # gp computes with torch: what it finds must depend neither on the cores nor on who set the threads last.
        what = f"sampler {self._study.search.sampler!r} could not propose trial {number}"
        needs_torch = self._is_kept or isinstance(self._optuna.sampler, GPSampler)
        with explained_failure(what), configured_torch(1, load=needs_torch):
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
        self._tell_sampler(frozen)
        self.pruner.add(frozen)

    def replay(
        self, stored: Sequence[FrozenTrial], known: Callable[[int], int], enqueued: Sequence[Mapping[str, Value]]
    ) -> bool:
        """Lets a sampler that is kept propose the trials of an earlier driver again, told of results as it was then.

        Args:
            stored: all trials as the durable study has them.
            known: the number up to which trials were known when the trial of a number was proposed.
            enqueued: the queue that the trials' configurations were taken from.

        Returns:
            Whether it proposed the same params. If not, it begins anew as another one, with the next trial's seed.
        """
        if not self._is_kept or not stored:
            return True
        self._has_all, told = True, 0
        for trial in stored:
            if IMPORTED in trial.user_attrs:
                self._optuna.add_trial(trial)
                told = trial.number + 1
                continue
            told = self._tell_up_to(stored, told, known(trial.number))
            place = trial.user_attrs.get(ENQUEUED)
            again = self.propose(trial.number, {}, None if place is None else enqueued[place])
            if again.params != trial.params:
                self._has_all = False
                self._begin(len(stored))
                return False
        self._tell_up_to(stored, told, known(len(stored)))
        return True

    def _tell_up_to(self, stored: Sequence[FrozenTrial], told: int, last: int) -> int:
        """Tells the sampler of the finished trials from number `told` to `last`; returns the first of the others."""
        end = max(told, last + 1)
        for trial in stored[told:end]:
            if trial.state.is_finished():
                self._tell_sampler(trial)
        return end

    def _tell_sampler(self, frozen: FrozenTrial) -> None:
        row = self._row(frozen.number)
        for step, value in sorted(frozen.intermediate_values.items()):
            self._storage.set_trial_intermediate_value(row, step, value)
        for key, mark in marks_of(frozen).items():
            self._storage.set_trial_system_attr(row, key, mark)
        # Optuna's own tell takes a pruned trial's value from its last step.
        values = frozen.values if frozen.state is TrialState.COMPLETE else None
        with explained_failure(f"sampler {self._study.search.sampler!r} failed on the result of trial {frozen.number}"):
            self._optuna.tell(frozen.number, values, state=frozen.state)

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
        if not self._has_all:
            self._optuna.add_trial(stored)
        self.pruner.add(stored)

    def restore_running(self, stored: FrozenTrial) -> None:
        """Adds a trial whose result this study does not know yet.

        Args:
            stored: the trial as the durable study has it.
        """
        if self._has_all:
            return
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
    return {key: value for key, value in trial.system_attrs.items() if _is_mark(key, trial)}


def without_marks(trial: FrozenTrial) -> dict[str, Any]:
    """Returns the attributes that a trial was proposed with.

    Args:
        trial: a trial in any state.
    """
    return {key: value for key, value in trial.system_attrs.items() if not _is_mark(key, trial)}


def _is_mark(key: str, trial: FrozenTrial) -> bool:
    return key.startswith(_MARKS) or key in trial.system_attrs.get(MARKS, ())
