"""The search as a job source.

Two Optuna studies. The durable one is told every result at once, so that a crash loses nothing. The one in memory is
what sampler and pruner read; it is told in the order of trial numbers, and never of a trial later than n - lag when
trial n is proposed. So the table of trials is a function of the study and its seeds: not of timing, of the backend, or
of how many trainings run at a time. With `lag` false the study in memory is told at once, and timing decides.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from hpo.core.errors import StudyBusy
from hpo.core.protocols import DONE, WAIT, Decision, Done, Wait
from hpo.core.records import MAX_TRIALS, Evaluation, Job, Status
from hpo.search.contrast import contrast_of
from hpo.search.costs import COST, cost_of, cost_warnings
from hpo.search.duplicates import DuplicateIndex
from hpo.search.limits import Limits
from hpo.search.memory import MemoryStudy, marks_of
from hpo.search.plugins import doubts
from hpo.search.pruning import RunningTrials
from hpo.search.rebuild import rebuild
from hpo.search.split import Split, share_of_race
from hpo.store.optuna_storage.garbage_collection import no_garbage_collection
from hpo.store.optuna_storage.studies import DurableStudy, shortened
from hpo.store.optuna_storage.trials import CODE, DOUBTS, ENQUEUED, OPTUNA_VERSION, trial_of
from hpo.study import Study, Trial
from hpo.study.space import count

MOST_REPEATS = 200
"""Number of repeated proposals in a row that ends a search, because its sampler finds nothing new."""

MOST_WAITING = 8
"""Largest number of trials that wait for an identical trial to be trained."""

STATES = {Status.COMPLETE: TrialState.COMPLETE, Status.PRUNED: TrialState.PRUNED, Status.FAILED: TrialState.FAIL}


class SearchSource:
    """Proposes trials until the study has enough of them.

    Trials that were running when an earlier driver ended are handed out again first, with the same number and params.
    Imported trials have the first numbers; they are known from the start and are none of those that are wanted.

    Args:
        study: the study to search.
        durable: its trials in the database.
        trials: total number of trials; None: as many as the study says.
        limits: other limits of the search; None: those of the study.
        configurations: number of different configurations to try, instead of trials, or the split that decides it by
            the first values; None: trials count.
        epochs: most epochs of all trials together, instead of trials; None: no limit.
        code: digest of the code; empty: not known. A trial left open by other code is trained from the start.
        has_room: whether one more trial keeps to the limits of costs and time.

    Attributes:
        contrast: contrast of the first values that decided the split; None: there is none, or not yet.
        share: the race's share by the split; None: there is none, or it is not decided.
    """

    def __init__(
        self,
        study: Study,
        durable: DurableStudy,
        trials: int | None = None,
        limits: Limits | None = None,
        configurations: int | Split | None = None,
        epochs: int | None = None,
        code: str = "",
        has_room: Callable[[], bool] = lambda: True,
    ) -> None:
        self._study = study
        self._durable = durable
        self._trials = study.search.trials if trials is None else trials
        self._split = configurations if isinstance(configurations, Split) else None
        self.contrast: float | None = None
        self.share: float | None = None
        self._configurations = (
            configurations.configurations(None) if isinstance(configurations, Split) else configurations
        )
        self._epochs = epochs
        self._code = code
        self._has_room = has_room
        if configurations is not None or epochs is not None:
            self._trials = MAX_TRIALS
        self._limits = limits or Limits(study.objective, study.search.until, study.search.patience)
        self._doubts = list(doubts(study))
        self._grid: float = math.inf  # number of points of a grid
        if study.search.sampler == "grid":
            self._grid = math.prod(count(dimension) or 1 for dimension in study.space.values())
            self._trials = min(self._trials, int(self._grid))
        self._lag: int | None = study.lag or None
        self._memory = MemoryStudy(study, durable.directions, durable.prior if study.search.prior else None)
        self._running = RunningTrials(self._memory.pruner, study.search.pruner, self._lag)
        self._duplicates = DuplicateIndex(study)
        self._waiting: list[int] = []  # an identical trial is being trained
        self._queue = durable.enqueued  # configurations to try before the sampler's proposals
        self._proposed: FrozenTrial | None = None  # not stored yet
        with no_garbage_collection():
            found = rebuild(durable, self._memory, self._running, self._duplicates, self._limits, self._lag, code)
        if not (found.is_repeated or self._lag is None or self._doubts):
            self._doubts.append(
                f"sampler {study.search.sampler!r} did not propose the earlier trials again as they are"
            )
        others = [one for one in found.versions if one != optuna.__version__]
        if others and self._lag is not None:
            self._doubts.append(
                f"Optuna {optuna.__version__} continues a search of Optuna {' and '.join(others)}, whose sampler may "
                "propose other params"
            )
        self._finished = found.finished  # told to the durable study
        self._untold = found.untold  # those that the study in memory was not told of
        self._left_open = found.left_open
        self._imported = found.imported
        self._taken = found.taken  # number of queued configurations that became trials
        self._next = found.next
        self._was_retried = found.was_retried  # whether an open trial is older than finished ones
        self._decide_split()

    @property
    def has_work(self) -> bool:
        """Whether any jobs are left to hand out."""
        return bool(self._running) or self.ended is None

    @property
    def ended(self) -> str | None:
        """Why no more trials are proposed, as a sentence; None: there are more to come."""
        if self._has_configurations and not self._awaits_split:
            return f"{len(self._duplicates)} configurations have been tried"
        if self._duplicates.repeats >= MOST_REPEATS:
            return f"the last {self._duplicates.repeats} proposals had all been tried before"
        if not self._spare_trials:
            return f"one more trial could exceed the {self._epochs} epochs of the search"
        if self._own >= self._trials:
            if self._own >= self._grid:
                return "every point of the grid has been tried"
            waiting = len(self._queue) - self._taken
            one = "configuration waits" if waiting == 1 else "configurations wait"
            more = f"; {waiting} enqueued {one} for more" if waiting else ""
            return f"the study has its {self._trials} trials{more}"
        return "the sampler has nothing left to propose" if self._memory.has_ended else self._limits.reached

    @property
    def total(self) -> int:
        """Least number of trials in the end."""
        if self._configurations is not None:
            return self._own + max(0, self._configurations - len(self._duplicates))
        if self._epochs is not None:
            return self._own + self._spare_trials
        return max(self._trials, self._own)

    @property
    def repeats(self) -> int:
        """Number of trials identical to an earlier one."""
        return self._own - len(self._duplicates)

    @property
    def over(self) -> int:
        """Number of finished trials."""
        return len(self._finished) - self._imported

    @property
    def _own(self) -> int:
        """Number of trials that were not imported."""
        return self._next - self._imported

    @property
    def warnings(self) -> tuple[str, ...]:
        """What to say of the costs that the search learned from."""
        return cost_warnings(list(self._finished.values()), self._study)

    def ask(self) -> Job | Wait | Done:
        while True:
            while self._left_open:
                number = self._left_open[0]
                if self._lag is not None and not self._catch_up(number - self._lag):
                    break  # of several that failed, the earlier ones are trained first, as they were then
                self._left_open.pop(0)
                if number in self._running and not self._waits_for_twin(number):
                    return self._job(number)
            for number in self._waiting:
                if not self._is_running(self.same(number)):
                    self._waiting.remove(number)
                    return self._job(number)
            answer = self._new()
            if answer is DONE and (self._waiting or self._left_open):
                return WAIT
            if not isinstance(answer, Job) or not self._waits_for_twin(answer.trial):
                return answer

    def same(self, trial: int) -> int | None:
        """Returns the earlier trial with the same params, seeds and budget, whose evaluation is reused.

        None: there is none, or it failed. It is the same one whatever the timing, and so are the results.
        """
        for number in self._duplicates.before(trial):
            over = self._finished.get(number)
            if over is None or over.state is not TrialState.FAIL:
                return number
        return None

    def _waits_for_twin(self, number: int) -> bool:
        """Whether a trial waits because an identical trial is being trained."""
        if not self._is_running(self.same(number)):
            return False
        self._waiting.append(number)
        return True

    def _is_running(self, number: int | None) -> bool:
        return number in self._running

    def _new(self) -> Job | Wait | Done:
        """Returns a new trial's job."""
        number = self._next
        if self._own >= self._trials or self._is_enough:
            return WAIT if self._awaits_split else DONE
        if len(self._waiting) >= MOST_WAITING:  # another proposal would have no new information
            return WAIT
        if self._lag is not None and not self._catch_up(number - self._lag):
            return WAIT
        if self._limits.reached or self._memory.has_ended or not self._spare_trials:
            return DONE
        if not self._has_room():
            return WAIT if self._running else DONE
        if self._proposed is None:  # else the database was unreachable when it was to be stored
            self._proposed = self._propose(number)
        if self._durable.create(self._proposed) != number:
            raise StudyBusy("somebody else has added trials to this study; run it again to go on with them")
        self._running.add(self._proposed)
        self._duplicates.add(self._proposed)
        self._proposed = None
        self._next = number + 1
        return self._job(number)

    @property
    def _is_enough(self) -> bool:
        return self._has_configurations or self._duplicates.repeats >= MOST_REPEATS

    @property
    def _has_configurations(self) -> bool:
        return self._configurations is not None and len(self._duplicates) >= self._configurations

    @property
    def _awaits_split(self) -> bool:
        """Whether the search may get more configurations once its first trials, which there are, are finished."""
        is_open = self._split is not None and self.share is None and self._own >= self._split.first
        return is_open and self._duplicates.repeats < MOST_REPEATS

    def _decide_split(self) -> None:
        """Decides the split from the first trials alone, so that neither timing nor a later trial has an influence."""
        if self._split is None or self.share is not None:
            return
        first = range(self._imported, self._imported + self._split.first)
        if all(number in self._finished for number in first):
            self.contrast = contrast_of([self._finished[number] for number in first], self._study.objective.direction)
            self.share = share_of_race(self.contrast)
            self._configurations = self._split.configurations(self.share)

    @property
    def _spare_trials(self) -> int:
        """How many more trials certainly keep to the epochs of the search, whether they are pruned or not.

        A trial later than n - lag counts its whole budget even if it is over, so that timing has no influence.
        """
        if self._epochs is None:
            return MAX_TRIALS
        budget, used = self._study.search.budget, 0
        for number in range(self._imported, self._next):
            over = self._finished.get(number)
            if over is None or (self._lag is not None and number > self._next - self._lag):
                used += budget
            elif self.same(number) is None:  # otherwise nothing was trained
                used += len(over.intermediate_values)
        return max(0, self._epochs - used) // budget

    def report(self, job: Job, step: int, value: float) -> Decision:
        earlier = self._running.earlier_decision(job.trial, step)
        if earlier is not None:
            return earlier
        self._durable.report(job.trial, step, value)
        return self._running.report(job.trial, step, value)

    def tell(self, evaluation: Evaluation) -> None:
        number = evaluation.job.trial
        frozen = self._running[number]
        state = STATES[evaluation.status]
        vector = self._study.objective.vector(evaluation)
        values = None if vector is None else list(vector)
        if evaluation.value is not None:  # under the keys that Optuna's own set_constraint uses
            kept = ((name, evaluation.metrics[name]) for name in self._study.objective.constraints)
            frozen.system_attrs.update({f"constraints:{name}": value for name, value in kept})
        if (cost := cost_of(evaluation, self._study)) is not None:
            frozen.system_attrs[COST] = cost
        self._durable.finish(number, state, values, marks_of(frozen), evaluation.error)
        self._running.remove(number)  # only now: if the database is unreachable, this is called again
        frozen.state, frozen.values = state, values
        frozen.datetime_complete = datetime.now()
        if evaluation.error is not None:
            frozen.user_attrs["error"] = shortened(evaluation.error)
        self._finished[number] = frozen
        self._decide_split()
        if self._lag is None:
            self._release(frozen)
        else:
            self._untold[number] = frozen

    def trials(self) -> list[Trial]:
        """Returns the current trials by number, without reading the database."""
        known = {**self._finished, **self._running.by_number()}
        return [trial_of(known[number]) for number in sorted(known)]

    def _job(self, number: int) -> Job:
        study, frozen = self._study, self._running[number]
        return Job(
            trial=number,
            params=dict(frozen.params),
            seed=study.search_seeds(number)[0],
            budget=study.search.budget,
            stream_seeds=study.streams,
        )

    def _catch_up(self, horizon: int) -> bool:
        """Tells the study in memory of all trials up to `horizon`, in order; False if one is not finished."""
        if self._running.have_one_up_to(horizon):
            return False
        late = [number for number in self._untold if number <= horizon]
        for number in sorted(late):
            self._release(self._untold.pop(number))
        if late and self._was_retried:
            self._memory.pruner.sort()
        return True

    def _propose(self, number: int) -> FrozenTrial:
        seeds = self._study.search_seeds(number)
        attributes: dict[str, Any] = {"seed": seeds[0] if len(seeds) == 1 else list(seeds)}
        attributes[OPTUNA_VERSION] = optuna.__version__
        if self._code:
            attributes[CODE] = self._code
        if self._doubts:
            attributes[DOUBTS] = "; ".join(self._doubts)
        enqueued = None
        if self._taken < len(self._queue):
            enqueued = self._queue[self._taken]
            attributes[ENQUEUED] = self._taken
            self._taken += 1
        return self._memory.propose(number, attributes, enqueued)

    def _release(self, frozen: FrozenTrial) -> None:
        self._limits.receive(frozen)
        self._memory.tell(frozen)
