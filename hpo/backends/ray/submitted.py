"""Ray Jobs: commands that a cluster's head runs for whoever submits them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from ray.exceptions import RayError
from ray.job_submission import JobSubmissionClient

from hpo.core.errors import StudyBusy, UsageError
from hpo.core.installed import install_line
from hpo.core.redaction import masked, redacted, redacted_word, secrets_in
from hpo.core.run_config import JOBS_ADDRESS

_OVERRIDING = ("RAY_API_SERVER_ADDRESS", "RAY_ADDRESS")
"""Variables that Ray prefers to the address that its client is given."""

_FAULTS = (OSError, RuntimeError, ValueError, RayError)
"""What Ray's client raises: requests' errors are OSErrors, and every answer that is no success a RuntimeError."""


class Jobs:
    """The jobs of one cluster.

    Args:
        address: of its dashboard, as http://host:port.

    Raises:
        UsageError: if it does not answer, or Ray is installed without what that takes.
    """

    def __init__(self, address: str) -> None:
        if not address.startswith(("http://", "https://")):
            raise UsageError(
                f"{redacted_word(address)!r} is no address for jobs; expected the dashboard's, as {JOBS_ADDRESS}"
            )
        self._secrets = secrets_in(address)
        self._address = masked(address)
        try:
            with _said_alone():
                self._client = JobSubmissionClient(address)
        except _FAULTS as error:
            reason = self._reason(error)
            if "ray[default]" in reason:
                raise UsageError(f"jobs need Ray's dashboard, which is not here: {install_line('jobs')}") from error
            raise UsageError(
                f"no Ray takes jobs at {self._address} ({reason}). Is its head running, started with its dashboard "
                "(pip install 'hpo-robust[jobs]' there)? Name another with --jobs-address."
            ) from error

    def listed(self, prefix: str) -> dict[str, bool]:
        """Returns the jobs whose names begin with `prefix`, and of each whether it is in flight.

        Raises:
            UsageError: if Ray does not answer.
        """
        with self._answered():
            jobs = self._client.list_jobs()
        named = {job.submission_id: job.status for job in jobs if job.submission_id}
        return {name: not status.is_terminal() for name, status in named.items() if name.startswith(prefix)}

    def submit(self, name: str, command: str, environment: Mapping[str, str]) -> None:
        """Submits a command; everybody who may look at the cluster's jobs can read it, and its environment.

        Raises:
            StudyBusy: if there is a job of that name.
            UsageError: if Ray does not take it.
        """
        try:
            self._client.submit_job(entrypoint=command, submission_id=name, runtime_env={"env_vars": dict(environment)})
        except _FAULTS as error:
            if "already exists" in str(error):
                raise StudyBusy(f"job {name} was submitted by somebody else just now") from error
            raise self._refused(error) from error

    def is_in_flight(self, name: str) -> bool:
        """Whether a job waits or runs; Ray forgets all jobs with its head.

        Raises:
            UsageError: if Ray does not answer.
        """
        return self.listed(name).get(name, False)

    def stop(self, name: str) -> None:
        """Ends a job: it gets a SIGTERM, and is killed if it is still there after Ray's 3 seconds.

        Raises:
            UsageError: if there is no such job.
        """
        with self._answered():
            self._client.stop_job(name)

    def logs(self, name: str) -> str:
        """Returns what a job has printed so far.

        Raises:
            UsageError: if there is no such job.
        """
        with self._answered():
            return str(self._client.get_job_logs(name))

    def followed(self, name: str) -> Iterator[str]:
        """Yields what a job prints, from the beginning, until it ends.

        Raises:
            UsageError: if there is no such job, or Ray goes away.
        """
        pieces = self._client.tail_job_logs(name)
        with self._answered(), asyncio.Runner() as runner:
            while (piece := runner.run(_next(pieces))) is not None:
                yield piece

    @contextmanager
    def _answered(self) -> Iterator[None]:
        try:
            yield
        except _FAULTS as error:
            raise self._refused(error) from error

    def _refused(self, error: BaseException) -> UsageError:
        return UsageError(f"Ray at {self._address} refused: {self._reason(error)[:300]}")

    def _reason(self, error: BaseException) -> str:
        return redacted(next(iter(str(error).strip().splitlines()), "") or type(error).__name__, self._secrets)


async def _next(pieces: object) -> str | None:
    return await anext(pieces, None)  # type: ignore[call-overload,no-any-return]  # Ray's is untyped


@contextmanager
def _said_alone() -> Iterator[None]:
    """Takes those variables away that Ray prefers to what it is told."""
    hidden = {name: os.environ.pop(name) for name in _OVERRIDING if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(hidden)
