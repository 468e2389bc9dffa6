"""A Ray backend that hands out no job before every slot has a worker, however fast each of them starts."""

from __future__ import annotations

from unittest.mock import patch

from hpo.backends.bridge import WorkerBridge
from hpo.backends.ray import RayBackend, backend
from hpo.core.protocols import WAIT


class GatheringBackend(RayBackend):
    """Runs jobs on exactly `slots` workers, which all wait until the last of them has started."""

    def __init__(self, work, slots):
        super().__init__(work, slots)
        self._count = slots

    def run(self, source, trainable, resources, stop):
        with patch.object(backend, "WorkerBridge", lambda *given: GatheringBridge(self._count, *given)):
            super().run(source, trainable, resources, stop)


class GatheringBridge(WorkerBridge):
    """Until all workers have answered, each has an idle trial; an idle trial never ends while there is no job."""

    def __init__(self, count, *given):
        super().__init__(*given)
        self._count = count
        self._started = set()

    def receive(self, trial_id, message):
        self._started.add(trial_id)
        return super().receive(trial_id, message)

    def _asked(self):
        return super()._asked() if self.stop.is_set() or len(self._started) >= self._count else WAIT
