"""The search as a source.

Two Optuna studies. The durable one is told every result at once, so that a crash loses nothing. The one in memory is
what sampler and pruner read; it is told in the order of trial numbers, and never of a trial later than n - lag when
trial n is proposed. So the table of trials is a function of the study and its seeds: not of timing, of the backend, or
of how many trainings run at a time. With `lag` false the study in memory is told at once, and timing decides.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import optuna
from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from hpo.core.errors import StudyBusy
from hpo.core.protocols import DONE, WAIT, Decision, Done, Wait
from hpo.core.records import MOST_TRIALS, Evaluation, Job, Status
from hpo.search.duplicates import DuplicateIndex
from hpo.search.failures import explained_failure
from hpo.search.limits import Limits
from hpo.search.proposals import make_pruner, make_sampler, suggest
from hpo.search.view import Judge
from hpo.store.optuna_storage.garbage_collection import no_garbage_collection
from hpo.store.optuna_storage.studies import DurableStudy, shortened
from hpo.store.optuna_storage.trials import CODE, ENQUEUED, IMPORTED, trial_of
from hpo.study import Study, Trial
from hpo.study.space import count
from hpo.training import prepared

_MARKS = ("completed_rung", "constraints:")
"""How the attributes begin that a trial gets while it runs and as it ends: successive halving's rungs, constraints."""

_SHARED = "hpo:shared"
"""What the sampler changed of the study's own attributes when it proposed this trial: stored with the trial, in one
transaction, and put back when the study in memory is rebuilt."""


MOST_REPEATS = 200
"""Proposals in a row that had been tried before, after which a search is over: its sampler finds nothing new."""

MOST_HELD_BACK = 8
"""Trials that wait for their like to be trained."""

STATES = {Status.COMPLETE: TrialState.COMPLETE, Status.PRUNED: TrialState.PRUNED, Status.FAILED: TrialState.FAIL}


@dataclass(slots=True)
class _Live:
    """A trial that is not over.

    Attributes:
        frozen: ours to change: values and rung marks as they arrive.
        known: how many finished trials, in the order of their numbers, its pruner may see; None: all that is known.
        refused: the pruner's verdict so far.
    """

    frozen: FrozenTrial
    known: int | None
    refused: bool = False


class SearchSource:
    """Proposes trials until the study has enough of them.

    Trials that were running when an earlier driver ended are handed out again first, with the same number and params.
    Imported trials have the first numbers; they are known from the start and are none of those that are wanted.

    Args:
        study: what is searched, and how.
        durable: its trials in the database.
        trials: how many to have in the end; None: as many as the study says.
        limits: what else ends the search; None: what the study says.
        configurations: how many different ones to try, instead of a number of trials; None: trials count.
        code: digest of what is trained with; empty: it is not known. A trial that other code left open begins anew.
    """

    def __init__(
        self,
        study: Study,
        durable: DurableStudy,
        trials: int | None = None,
        limits: Limits | None = None,
        configurations: int | None = None,
        code: str = "",
    ) -> None:
        self._study = study
        self._space = study.space
        self._durable = durable
        self._trials = study.search.trials if trials is None else trials
        self._configurations = configurations
        self._code = code
        if configurations is not None:
            self._trials = MOST_TRIALS
        self._limits = limits or Limits(study.objective, study.search.until, study.search.patience)
        self._grid: float = math.inf  # points of a grid: beyond the last it could only repeat itself
        if study.search.sampler == "grid":
            self._grid = math.prod(count(dimension) or 1 for dimension in study.space.values())
            self._trials = min(self._trials, int(self._grid))
        self._lag: int | None = study.lag or None
        self._storage = InMemoryStorage()
        self._memory = optuna.create_study(
            study_name=study.name,
            storage=self._storage,
            direction=study.objective.direction,
            sampler=make_sampler(study, 0),
            pruner=make_pruner(study),
        )
        self._memory_id = self._storage.get_study_id_from_name(study.name)
        self._judge = Judge(study.name, durable.directions, self._memory.sampler, self._memory.pruner)
        self._finished: dict[int, FrozenTrial] = {}  # told to the durable study
        self._held: dict[int, FrozenTrial] = {}  # of those, the ones the study in memory was not told of
        self._live: dict[int, _Live] = {}
        self._orphans: list[int] = []
        self._alike = DuplicateIndex(study)
        self._held_back: list[int] = []  # their like is being trained
        self._queue = durable.enqueued  # tried before the sampler's own
        self._imported = 0
        self._taken = 0  # of those in the queue, how many have become trials
        self._proposed: FrozenTrial | None = None  # not stored yet
        self._next = 0
        self._was_retried = False  # whether a trial is trained that is older than others that are over
        with no_garbage_collection():
            self._rebuild()

    @property
    def has_work(self) -> bool:
        """Whether there is anything left to hand out."""
        return bool(self._live) or self.ended is None

    @property
    def ended(self) -> str | None:
        """Why no more trials are proposed, as a sentence; None: there are more to come."""
        if self._configurations is not None and len(self._alike) >= self._configurations:
            return f"{len(self._alike)} configurations have been tried"
        if self._alike.repeats >= MOST_REPEATS:
            return f"the last {self._alike.repeats} proposals had all been tried before"
        if self._own >= self._trials:
            if self._own >= self._grid:
                return "every point of the grid has been tried"
            waiting = len(self._queue) - self._taken
            one = "configuration waits" if waiting == 1 else "configurations wait"
            more = f"; {waiting} enqueued {one} for more" if waiting else ""
            return f"the study has its {self._trials} trials{more}"
        return self._limits.reached

    @property
    def total(self) -> int:
        """How many trials there are to be in the end, at least."""
        if self._configurations is not None:
            return self._own + max(0, self._configurations - len(self._alike))
        return max(self._trials, self._own)

    @property
    def repeats(self) -> int:
        """How many trials are the same training as an earlier one."""
        return self._own - len(self._alike)

    @property
    def over(self) -> int:
        """How many trials are over."""
        return len(self._finished) - self._imported

    @property
    def _own(self) -> int:
        """How many trials there are that were not imported."""
        return self._next - self._imported

    def ask(self) -> Job | Wait | Done:
        while True:
            while self._orphans:
                number = self._orphans[0]
                if self._lag is not None and not self._catch_up(number - self._lag):
                    break  # of several that failed, the earlier ones are trained first, as they were then
                self._orphans.pop(0)
                if number in self._live and not self._holds_back(number):
                    return self._job(number)
            for number in self._held_back:
                if not self._is_running(self.same(number)):
                    self._held_back.remove(number)
                    return self._job(number)
            answer = self._new()
            if answer is DONE and (self._held_back or self._orphans):
                return WAIT
            if not isinstance(answer, Job) or not self._holds_back(answer.trial):
                return answer

    def same(self, trial: int) -> int | None:
        """Returns the earlier trial with the same params, seeds and budget whose evaluation holds for this one too.

        None: there is none, or it failed. It is the same one whatever the timing, and so are the results.
        """
        for number in self._alike.before(trial):
            over = self._finished.get(number)
            if over is None or over.state is not TrialState.FAIL:
                return number
        return None

    def _holds_back(self, number: int) -> bool:
        """Keeps a trial back while an identical trial is being trained."""
        if not self._is_running(self.same(number)):
            return False
        self._held_back.append(number)
        return True

    def _is_running(self, number: int | None) -> bool:
        return number is not None and number in self._live

    def _new(self) -> Job | Wait | Done:
        """Returns a new trial's job."""
        number = self._next
        if self._own >= self._trials or self._is_enough:
            return DONE
        if len(self._held_back) >= MOST_HELD_BACK:  # one more would be proposed knowing no more
            return WAIT
        if self._lag is not None and not self._catch_up(number - self._lag):
            return WAIT
        if self._limits.reached:
            return DONE
        if self._proposed is None:  # else the database was away when it was to be stored
            self._proposed = self._propose(number)
        if self._durable.create(self._proposed) != number:
            raise StudyBusy("somebody else has added trials to this study; run it again to go on with them")
        self._enter(number, self._proposed)
        self._alike.add(self._proposed)
        self._proposed = None
        self._next = number + 1
        return self._job(number)

    @property
    def _is_enough(self) -> bool:
        wanted = self._configurations
        return (wanted is not None and len(self._alike) >= wanted) or self._alike.repeats >= MOST_REPEATS

    def report(self, job: Job, step: int, value: float) -> Decision:
        live = self._live[job.trial]
        if step in live.frozen.intermediate_values:
            return Decision.STOP if live.refused else Decision.CONTINUE
        self._durable.report(job.trial, step, value)
        return self._decide(live, step, value)

    def tell(self, evaluation: Evaluation) -> None:
        number = evaluation.job.trial
        frozen = self._live[number].frozen
        state = STATES[evaluation.status]
        values = None if evaluation.value is None else [evaluation.value]
        if evaluation.value is not None:  # under the keys that Optuna's own set_constraint uses
            kept = ((name, evaluation.metrics[name]) for name in self._study.objective.constraints)
            frozen.system_attrs.update({f"constraints:{name}": value for name, value in kept})
        marks = {key: mark for key, mark in frozen.system_attrs.items() if key.startswith(_MARKS)}
        self._durable.finish(number, state, values, marks, evaluation.error)
        del self._live[number]  # only now: if the database is away, this is called again
        frozen.state, frozen.values = state, values
        frozen.datetime_complete = datetime.now()
        if evaluation.error is not None:
            frozen.user_attrs["error"] = shortened(evaluation.error)
        self._finished[number] = frozen
        if self._lag is None:
            self._release(frozen)
        else:
            self._held[number] = frozen

    def trials(self) -> list[Trial]:
        """Returns all trials as they stand, by number, without reading them again."""
        known = {**self._finished, **{number: live.frozen for number, live in self._live.items()}}
        return [trial_of(known[number]) for number in sorted(known)]

    def _job(self, number: int) -> Job:
        study, frozen = self._study, self._live[number].frozen
        return Job(
            trial=number,
            params=dict(frozen.params),
            seed=study.search_seeds(number)[0],
            budget=study.search.budget,
            stream_seeds=study.streams,
        )

    def _catch_up(self, horizon: int) -> bool:
        """Tells the study in memory of all trials up to `horizon`, in order; False if one of them is not over."""
        if self._live and min(self._live) <= horizon:
            return False
        late = [number for number in self._held if number <= horizon]
        for number in sorted(late):
            self._release(self._held.pop(number))
        if late and self._was_retried:
            self._judge.put_in_order()
        return True

    def _propose(self, number: int) -> FrozenTrial:
        seeds = self._study.search_seeds(number)
        before = self._shared()
        attributes: dict[str, Any] = {"seed": seeds[0] if len(seeds) == 1 else list(seeds)}
        if self._code:
            attributes[CODE] = self._code
        if self._taken < len(self._queue):
            self._memory.enqueue_trial(self._queue[self._taken])
            attributes[ENQUEUED] = self._taken
            self._taken += 1
        self._memory.sampler = make_sampler(self._study, number)
        # gp computes with torch: what it finds must depend neither on the cores nor on who set the threads last.
        what = f"sampler {self._study.search.sampler!r} could not propose trial {number}"
        with explained_failure(what), prepared(1, load=self._study.search.sampler == "gp"):
            trial = self._memory.ask()
            suggest(trial, self._space)
        assert trial.number == number  # both studies count alike
        shared = {key: value for key, value in self._shared().items() if before.get(key) != value}
        seen = self._storage.get_trial(self._row(number))
        template = create_trial(
            state=TrialState.RUNNING,
            params=seen.params,
            distributions=seen.distributions,
            user_attrs=attributes,
            system_attrs={**seen.system_attrs, **({_SHARED: shared} if shared else {})},
        )
        template.number = number
        return template

    def _shared(self) -> dict[str, Any]:
        """Returns what the sampler keeps with the study in memory, rather than with a trial."""
        return dict(self._storage.get_study_system_attrs(self._memory_id))

    def _enter(self, number: int, frozen: FrozenTrial) -> None:
        # With a lag it was proposed when the trials 0 .. number - lag were over, and no other one counts.
        known = None if self._lag is None else max(self._imported, number - self._lag + 1)
        self._live[number] = _Live(frozen, known)

    def _decide(self, live: _Live, step: int, value: float) -> Decision:
        live.frozen.intermediate_values[step] = value
        others = (other.frozen for other in self._live.values() if other is not live)
        what = f"pruner {self._study.search.pruner!r} could not judge trial {live.frozen.number} at step {step}"
        with explained_failure(what):
            live.refused = self._judge.refuses(live.frozen, live.known, () if self._lag else others)
        return Decision.STOP if live.refused else Decision.CONTINUE

    def _release(self, frozen: FrozenTrial) -> None:
        self._limits.receive(frozen)
        row = self._row(frozen.number)
        for step, value in sorted(frozen.intermediate_values.items()):
            self._storage.set_trial_intermediate_value(row, step, value)
        for key, mark in frozen.system_attrs.items():
            if key.startswith(_MARKS):
                self._storage.set_trial_system_attr(row, key, mark)
        # Optuna's own tell takes a pruned trial's value from its last step.
        values = frozen.values if frozen.state is TrialState.COMPLETE else None
        self._memory.tell(frozen.number, values, state=frozen.state)
        self._judge.learn(frozen)

    def _row(self, number: int) -> int:
        return self._storage.get_trial_id_from_study_id_trial_number(self._memory_id, number)

    def _rebuild(self) -> None:
        """Brings the study in memory to where it was when the last driver ended."""
        stored = self._durable.frozen()
        self._taken = sum(ENQUEUED in trial.user_attrs for trial in stored)
        self._imported = sum(IMPORTED in trial.user_attrs for trial in stored)
        self._next = len(stored)
        for trial in stored:
            for key, value in trial.system_attrs.get(_SHARED, {}).items():
                self._storage.set_study_system_attr(self._memory_id, key, value)
            over, imported = trial.state.is_finished(), IMPORTED in trial.user_attrs
            if not imported:
                self._alike.add(trial)
            if over:
                self._finished[trial.number] = trial
            if over and (imported or self._lag is None or trial.number <= self._next - self._lag):
                if not imported:
                    self._limits.receive(trial)
                self._memory.add_trial(trial)
                self._judge.learn(trial)
                continue
            self._memory.add_trial(
                create_trial(
                    state=TrialState.RUNNING,
                    params=trial.params,
                    distributions=trial.distributions,
                    user_attrs=trial.user_attrs,
                    system_attrs=_without_marks(trial),
                )
            )
            if over:
                self._held[trial.number] = trial
            else:
                self._was_retried = self._was_retried or trial.number <= self._next - (self._lag or self._next)
                self._adopt(trial)

    def _adopt(self, trial: FrozenTrial) -> None:
        """Takes over a trial that was running.

        Its stored values are judged again, because the driver may have ended between storing a value and acting on the
        verdict; a verdict depends on the view and the values alone, so it is the same one.
        """
        began_with = trial.user_attrs.get(CODE)
        if self._code and began_with and began_with != self._code:
            self._durable.restart(trial.number, self._code)
            trial.intermediate_values, trial.user_attrs[CODE] = {}, self._code
        values, trial.intermediate_values = dict(sorted(trial.intermediate_values.items())), {}
        trial.system_attrs = _without_marks(trial)
        self._enter(trial.number, trial)
        live = self._live[trial.number]
        for step, value in values.items():
            if self._decide(live, step, value) is Decision.STOP:
                break
        self._orphans.append(trial.number)


def _without_marks(trial: FrozenTrial) -> dict[str, Any]:
    return {key: value for key, value in trial.system_attrs.items() if not key.startswith(_MARKS)}
