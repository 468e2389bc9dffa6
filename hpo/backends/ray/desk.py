"""Between Tune and a source: what Tune calls a searcher, a scheduler and a stopper.

Two rules keep K workers alive by Tune's public interface alone:

1. The scheduler chooses no trial itself (`choose_trial_to_run` returns None). The answer of FIFOScheduler makes Tune
   hand a finished trial's actor to a trial whose own actor is still starting, and cancel that actor; with short trials
   the work collapses to one worker without a word.
2. `suggest` never answers None while a slot is free. When the source waits, the slot gets an idle trial, which keeps
   the worker with its imports and its data alive and ends as soon as there is a job.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from ray import tune
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from hpo.backends.ray.worker import Task, Word
from hpo.records import Evaluation, Job
from hpo.seam import DONE, WAIT, Done, Hearing, Source, Stop, Wait, refuse_endless_wait

Answer = TypeVar("Answer")


@dataclass
class Desk:
    """Hands the source's jobs to Tune's trials and what their workers say to the source.

    Attributes:
        source: hands out jobs.
        idle: what a trial does while the source waits; a job's task is this one with the job in it.
        stop: whether to end the work.
        finished: called with each evaluation after the source has taken it.
        gather: how many workers must have spoken before the first job is handed out; for tests of determinism.
        workers: results by worker.
        fault: an exception of the source. Tune would take it for the trial's, so it is kept and raised after the run.
    """

    source: Source
    idle: Task
    stop: Stop
    finished: Callable[[Evaluation], None]
    gather: int = 0
    workers: dict[tuple[str, int], int] = field(default_factory=dict)
    fault: Exception | None = None
    _jobs: dict[str, Hearing | None] = field(default_factory=dict)  # by Tune's trial id; None: idle
    _ready: Job | None = None  # asked for and not yet handed out

    @property
    def closing(self) -> bool:
        """Whether no more work is wanted."""
        return self.fault is not None or self.stop.is_set()

    def task(self, trial_id: str) -> Task | None:
        """Returns what the new trial is to do; None: nothing ever again."""
        answer = self._guarded_peek()
        if answer is DONE:
            return None
        if isinstance(answer, Job):
            self._jobs[trial_id] = Hearing(self.source, answer, self.idle.trainable.objective)
            self._ready = None
            return replace(self.idle, job=answer)
        self._jobs[trial_id] = None
        return self.idle

    def heard(self, trial_id: str, word: Word) -> bool:
        """Returns whether this trial is over."""
        self.workers[word.worker] = self.workers.get(word.worker, 0) + 1
        hearing = self._jobs.get(trial_id)
        if hearing is None or word.packet is None:
            return self._guarded_peek() is not WAIT
        packet = word.packet
        evaluation = self._guarded(lambda: hearing.hear(packet), None)
        if evaluation is None:
            return False
        del self._jobs[trial_id]
        self._guarded(lambda: self._tell(evaluation), None)
        return True

    def left(self, trial_id: str, *, lost: bool) -> None:
        """Takes a trial off the list: its worker is lost for good, or it was idle, or the work was stopped."""
        hearing = self._jobs.pop(trial_id, None)
        if lost and hearing is not None:
            evaluation = hearing.lost("its worker died, and so did every worker that tried again")
            self._guarded(lambda: self._tell(evaluation), None)

    def _tell(self, evaluation: Evaluation) -> None:
        self.source.tell(evaluation)
        self.finished(evaluation)

    def _peek(self) -> Job | Wait | Done:
        if self.closing:
            return DONE
        if len(self.workers) < self.gather:
            return WAIT
        if self._ready is None:
            answer = self.source.ask()
            if answer is WAIT:
                refuse_endless_wait(running=sum(hearing is not None for hearing in self._jobs.values()))
            if not isinstance(answer, Job):
                return answer
            self._ready = answer
        return self._ready

    def _guarded_peek(self) -> Job | Wait | Done:
        otherwise: Job | Wait | Done = DONE
        return self._guarded(self._peek, otherwise)

    def _guarded(self, call: Callable[[], Answer], otherwise: Answer) -> Answer:
        try:
            return call()
        except Exception as error:  # kept and raised by the backend, see `fault`
            self.fault = self.fault or error
            return otherwise


class DeskSearcher(Searcher):
    """Tune's view of the desk. Nothing in it is worth saving."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk

    def suggest(self, trial_id: str) -> dict[str, Any] | str:  # type: ignore[override]  # FINISHED is a text
        task = self._desk.task(trial_id)
        return Searcher.FINISHED if task is None else {"task": task}

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Nothing: the scheduler has heard it, and this is not called for a step at which it stops a trial."""

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        self._desk.left(trial_id, lost=error)

    def save(self, checkpoint_path: str) -> None: ...

    def restore(self, checkpoint_path: str) -> None: ...

    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None: ...

    def restore_from_dir(self, checkpoint_dir: str) -> None: ...

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune pickles its searcher with each snapshot of the experiment

    def __deepcopy__(self, memo: object) -> DeskSearcher:
        return self


class DeskScheduler(FIFOScheduler):
    """Stops a trial when the desk says so: complete, failed and pruned end on one path."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Ray's
        self._desk = desk

    def choose_trial_to_run(self, tune_controller: object) -> None:
        return None

    def on_trial_result(self, tune_controller: object, trial: Any, result: dict[str, Any]) -> str:
        over = self._desk.heard(trial.trial_id, result["word"])
        return str(TrialScheduler.STOP if over else TrialScheduler.CONTINUE)

    def __getstate__(self) -> dict[str, Any]:
        return {}


class DeskStopper(tune.Stopper):
    """Ends everything when the desk closes. Jobs that were running stay open, and the next run goes on with them."""

    def __init__(self, desk: Desk | None) -> None:
        self._desk = desk

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        return self._desk is not None and self._desk.closing

    def __getstate__(self) -> dict[str, Any]:
        return {"_desk": None}  # Tune pickles its stopper with each snapshot of the experiment
