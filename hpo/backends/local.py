"""Jobs one after the other, in this process: a for loop, so that a debugger and a plain traceback work."""

from __future__ import annotations

from pathlib import Path

from hpo.records import Evaluation, Job
from hpo.seam import DONE, WAIT, Hearing, Resources, Source, Stop, TrainableRef, refuse_endless_wait
from hpo.training import Training, discard_checkpoint


class LocalBackend:
    """Runs jobs in this process.

    Args:
        work: the study's folder for checkpoints and artefacts.
    """

    def __init__(self, work: Path) -> None:
        self._work = work

    def run(self, source: Source, trainable: TrainableRef, resources: Resources, stop: Stop) -> None:
        """Runs one job after the other until the source is done or `stop` is set.

        A job that is stopped stays open: it is not told, and goes on from its checkpoint next time.
        """
        while not stop.is_set() and (answer := source.ask()) is not DONE:
            if answer is WAIT:
                refuse_endless_wait(running=0)
                continue
            evaluation = self._train(answer, source, trainable, resources, stop)
            if evaluation is None:
                return
            source.tell(evaluation)
            discard_checkpoint(self._work, answer)

    def _train(
        self, job: Job, source: Source, trainable: TrainableRef, resources: Resources, stop: Stop
    ) -> Evaluation | None:
        hearing = Hearing(source, job, trainable.objective)
        training = Training(job, trainable, resources, self._work)
        try:
            while (evaluation := hearing.hear(training.advance())) is None:
                if stop.is_set():
                    return None
            return evaluation
        finally:
            training.close()
