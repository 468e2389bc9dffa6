"""Runs all jobs of a source on a backend, and checks that they are over at the end."""

from __future__ import annotations

from collections.abc import Sequence

from hpo.backends.grace import describe_overdue
from hpo.core.errors import BackendError
from hpo.core.protocols import Backend, Done, JobSource, Observer, Resources, Stop, TrainableRef, Wait
from hpo.core.records import Evaluation, Job
from hpo.core.wrappers import SourceWrapper


class OpenJobs(SourceWrapper):
    """Tracks the jobs that were handed out and are not over.

    Args:
        source: the source that hands out the jobs.
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

    def check_none_open(self) -> None:
        """Checks that all jobs are over after the backend has ended, because results would be incomplete otherwise.

        Raises:
            BackendError: if a job is open; it names the trials.
        """
        if self._open:
            named = ", ".join(f"trial {job.trial} seed {job.seed_text}" for job in self._open.values())
            raise BackendError(
                f"the backend ended, but the training of {named} is not over; run the same command again to continue it"
            )


def run_all(
    backend: Backend,
    source: JobSource,
    trainable: TrainableRef,
    resources: Resources,
    stop: Stop,
    observers: Sequence[Observer] = (),
) -> None:
    """Runs a source's jobs, and checks that all of them are over unless `stop` is set.

    Args:
        backend: the backend that runs the jobs.
        source: the source that hands out the jobs.
        trainable: the trainable of all jobs.
        resources: resources of one training.
        stop: stops the work gracefully; jobs may stay open then.
        observers: notified of trainings that did not stop in time and were interrupted.

    Raises:
        BackendError: if the backend failed, or ended before all jobs were over.
    """
    jobs = OpenJobs(source)
    backend.run(jobs, trainable, resources, stop)
    for job in backend.overdue:
        for observer in observers:
            observer.phase(describe_overdue(job))
    if not stop.is_set():
        jobs.check_none_open()
