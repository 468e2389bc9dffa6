"""What runs in a worker process of Ray: a Tune trial is a training that is advanced, or a nap."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

import ray
from ray import tune

from hpo.backends.worker import TrainingWorker

SHORTEST_NAP, LONGEST_NAP = 0.01, 0.1


class Worker(tune.Trainable):
    """One process. A trial is a training that is advanced; an idle trial is a short sleep.

    Its task is one object rather than a nested dict: Tune flattens dicts into the names of its folders.
    """

    _nap: float

    def setup(self, config: Mapping[str, Any], shipped: Sequence[Any] = ()) -> None:
        self._worker = TrainingWorker()
        self._function = None
        if shipped:  # a function of the driver's session; what it imports is in the project
            sys.path.insert(0, config["task"].trainable.root)
            self._function = ray.get(shipped[0])
        self._take(config)

    def reset_config(self, new_config: Mapping[str, Any]) -> bool:
        """Takes another trial's task.

        Tune does not tell an actor that it stops a trial whose worker it will use again: the old training is closed
        when the next one comes, and only the last one by `cleanup`.
        """
        self._take(new_config)
        return True

    def step(self) -> dict[str, object]:
        if self._worker.is_idle:
            time.sleep(self._nap)
            self._nap = min(2 * self._nap, LONGEST_NAP)
        return {"message": self._worker.step()}

    def cleanup(self) -> None:
        self._worker.drop()

    def get_auto_filled_metrics(self, *args: object, **kwargs: object) -> dict[str, object]:
        """Leaves out host, date, clock and config, some twenty entries per result that nobody reads."""
        return {"trial_id": self.trial_id}

    def _take(self, config: Mapping[str, Any]) -> None:
        self._nap = SHORTEST_NAP
        self._worker.take(config["task"], self._function)
