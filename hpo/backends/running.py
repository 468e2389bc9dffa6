"""Running all jobs of a source on a backend, and insisting that they are over at the end."""

from __future__ import annotations

from collections.abc import Sequence

from hpo.backends.grace import describe_overdue
from hpo.core.errors import BackendError
from hpo.core.protocols import Backend, Done, JobSource, Observer, Resources, Stop, TrainableRef, Wait
from hpo.core.records import Evaluation, Job
from hpo.core.wrappers import SourceWrapper


class OpenJobs(SourceWrapper):
    """A source that knows which of its jobs were handed out and are not over.

    Args:
        source: hands out the jobs.
    """

    def __init__(self, source: JobSource) -> None:
        super().__init__(source)
        self._open: dict[tuple[object, ...], Job] = {}

    def ask(self) -> Job | Wait | Done:
        answer = self._source.ask()
        if isinstance(answer, Job):
            self._open[answer.key] = answer
        return answer

    def tell(self, evaluation: Evaluation) -> None:
        self._source.tell(evaluation)
        self._open.pop(evaluation.job.key, None)

    def refuse_open(self) -> None:
        """Raises where a job is not over although the backend has ended: no result may be read as the whole one.

        Raises:
            BackendError: if so; it names the trials.
        """
        if self._open:
            named = ", ".join(f"trial {job.trial} seed {job.seed_text}" for job in self._open.values())
            raise BackendError(
                f"the backend ended, and the training of {named} is not over; the same command goes on with it"
            )


def run_all(
    backend: Backend,
    source: JobSource,
    trainable: TrainableRef,
    resources: Resources,
    stop: Stop,
    observers: Sequence[Observer] = (),
) -> None:
    """Runs a source's jobs, and insists that all of them are over unless `stop` is set.

    Args:
        backend: runs the jobs.
        source: hands them out.
        trainable: with what to train.
        resources: of one training.
        stop: ends the work in order; then jobs may stay open.
        observers: told which trainings were ended because they did not stop in time.

    Raises:
        BackendError: if the backend gave up, or ended although a job is not over.
    """
    jobs = OpenJobs(source)
    backend.run(jobs, trainable, resources, stop)
    for job in backend.overdue:
        for observer in observers:
            observer.phase(describe_overdue(job))
    if not stop.is_set():
        jobs.refuse_open()
