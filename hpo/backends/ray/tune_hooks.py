"""The searcher, scheduler, stopper and progress callback of Ray Tune; the first three pass on to the bridge.

Three rules keep K workers alive by Tune's public interface alone:

1. The scheduler chooses no trial itself (`choose_trial_to_run` returns None). The answer of FIFOScheduler makes Tune
   hand a finished trial's actor to a trial whose own actor is still starting, and cancel that actor; with short trials
   the work collapses to one worker without a word.
2. `suggest` never answers None while a slot is free and the source has jobs. When the source waits, the slot gets an
   idle trial, which keeps the worker with its imports and its data alive and ends as soon as there is a job. Once the
   source is done the answer is None, not FINISHED, for as long as jobs are out: a worker may die, and another one has
   to go on with its job.
3. An idle trial gives its worker to a job that has been without one for long: after a machine was lost fewer trials
   than slots can run, and idle ones would keep the rest while the source waits for that very job.
"""

from __future__ import annotations

from typing import Any

import ray
from ray import tune
from ray.tune.experiment import Trial
from ray.tune.progress_reporter import TrialProgressCallback
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from hpo.backends.bridge import WorkerBridge
from hpo.backends.ray.deaths import describe_death, error_text
from hpo.backends.worker import Task, WorkerMessage, WorkerNotRestored
from hpo.core.protocols import DONE


class BridgeSearcher(Searcher):
    """What Tune takes for a search algorithm: it gets its trials from the bridge. It has no state to save."""

    def __init__(self, bridge: WorkerBridge) -> None:
        super().__init__()
        self._bridge = bridge

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:  # type: ignore[override]  # FINISHED is a text
        task = self._bridge.task(trial_id)
        if isinstance(task, Task):
            return {"task": task}
        return Searcher.FINISHED if task is DONE else None

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Does nothing: the scheduler has seen it, and this is not called for a step at which it stops a trial."""

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        self._bridge.trial_ended(trial_id)

    def save(self, checkpoint_path: str) -> None: ...

    def restore(self, checkpoint_path: str) -> None: ...

    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None: ...

    def restore_from_dir(self, checkpoint_dir: str) -> None: ...

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune pickles its searcher with each snapshot of the experiment

    def __deepcopy__(self, memo: object) -> BridgeSearcher:
        return self


class BridgeScheduler(FIFOScheduler):
    """Stops a Tune trial when its job is over: complete, failed and pruned end on one path."""

    def __init__(self, bridge: WorkerBridge) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Ray's
        self._bridge = bridge

    def choose_trial_to_run(self, tune_controller: Any) -> None:
        """Chooses none, see the first rule. Tune calls this in each round, also when no worker says anything."""
        for trial_id in self._bridge.overdue_trials():
            trial = tune_controller.get_trial(trial_id)
            actor = trial.temporary_state.ray_actor
            if actor is None:  # not started yet
                tune_controller.stop_trial(trial)
            else:  # to a stop Tune waits for an answer, which a worker that never returns does not give
                ray.kill(actor)
        running = _running(tune_controller)
        for trial_id in self._bridge.stuck_trials(running):
            ray.kill(running[trial_id].temporary_state.ray_actor)

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        message: WorkerMessage = result["message"]
        if message.update is None and (starved := self._bridge.recall(_running(tune_controller))) is not None:
            tune_controller.stop_trial(tune_controller.get_trial(starved))
        over = self._bridge.receive(trial.trial_id, message)
        return str(TrialScheduler.STOP if over else TrialScheduler.CONTINUE)

    def on_trial_error(self, tune_controller: object, trial: Any) -> None:
        text = error_text(trial.error_file)
        # Tune counts every failure but that of a node that was taken away. A worker that is given up because of what
        # an earlier training left in it says nothing about the job that it was to take next.
        unrestored = WorkerNotRestored.__name__ in text
        reason = "" if unrestored else describe_death(text)
        self._bridge.worker_died(trial.trial_id, reason, counts=trial.num_failures > 0 and not unrestored)

    def __getstate__(self) -> dict[str, Any]:
        return {}


def _running(tune_controller: Any) -> dict[str, Any]:
    """Returns Tune's trials whose workers have started, by id."""
    return {trial.trial_id: trial for trial in tune_controller.get_live_trials() if trial.status == Trial.RUNNING}


class BridgeStopper(tune.Stopper):
    """Ends all trials when the bridge closes. Jobs that were running stay open, and the next run goes on with them."""

    def __init__(self, bridge: WorkerBridge | None) -> None:
        self._bridge = bridge

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        return self._bridge is not None and self._bridge.closing()

    def __getstate__(self) -> dict[str, Any]:
        return {"_bridge": None}  # Tune pickles its stopper with each snapshot of the experiment


class SilentProgress(TrialProgressCallback):
    """Takes the place of Tune's own, which prints a line for each trial that is over, whatever the verbosity."""

    def log_result(self, trial: Any, result: Any, error: bool = False) -> None: ...

    def on_trial_complete(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None: ...
