"""`submit` and `logs`: a study driven on a cluster, as one of Ray's jobs; the study is what makes it happen once."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hpo.core.errors import StudyBusy, UsageError
from hpo.core.redaction import holds_secret, masked
from hpo.core.run_config import JOBS_ADDRESS, RunConfig
from hpo.driver.code_changes import ACCEPT
from hpo.driver.session import RunContext, Session
from hpo.driver.storage import storage, stored_study
from hpo.store import JOB
from hpo.study.loading import find, load_study

if TYPE_CHECKING:
    from hpo.backends.ray.jobs import Jobs


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitted:
    """What was submitted.

    Attributes:
        study: name of the study.
        job: as Ray knows it.
        command: what it runs, as everybody sees it who may look at the cluster's jobs.
        jobs_address: address of the cluster's dashboard that took the job.
    """

    study: str
    job: str
    command: str
    jobs_address: str


def submit(
    name: str,
    config: RunConfig,
    options: Sequence[str] = (),
    *,
    folders: Iterable[Path] | None = None,
    jobs_address: str = JOBS_ADDRESS,
) -> Submitted:
    """Lets a cluster drive a study, in this folder, which its head sees under the same path.

    The database's address is not handed over: the driver has it from HPO_STORAGE, or from the file that
    HPO_STORAGE_FILE names, in the cluster's own environment, and refuses another one than this.

    Args:
        name: of the study, or the path of its file.
        config: where it is kept.
        options: those of `hpo run`, as they are written.
        folders: of study files.
        jobs_address: of the cluster's dashboard.

    Raises:
        StudyBusy: if it is driven, or a job of it is in flight.
        StudyPaused: if it is paused.
        UsageError: if no Ray takes jobs there, or an option may hold a password.
    """
    file = find(name, folders)
    study = load_study(str(file))
    _refuse_secrets(options)
    command = _command(file, options)
    jobs = jobs_at(jobs_address)
    accept = ACCEPT in options
    context = RunContext.of(study, config)
    with Session.open(study, context, create=True, accept_code_change=accept) as session:
        session.store.check_can_drive(session.stored)
        prefix = f"hpo-{study.name}-{session.stored.uid[:8]}-"
        known = jobs.listed(prefix)
        for job in (one for one, flies in known.items() if flies):
            raise StudyBusy(
                f"study {study.name!r} is submitted already, as job {job}.\n"
                f"Watch it with: hpo logs --study {study.name} --follow"
            )
        # Two who submit at once name it alike, and Ray takes only one of a name.
        job = f"{prefix}{1 + max((int(one.removeprefix(prefix)) for one in known), default=0)}"
        session.store.submitted(session.stored, job)  # before it can begin, for the driver looks whether it is meant
        try:
            jobs.submit(job, command, {JOB: job})
        except StudyBusy:
            raise
        except UsageError:
            session.store.submitted(session.stored, session.stored.job)
            raise
    return Submitted(study=study.name, job=job, command=command, jobs_address=masked(jobs_address))


def logs(name: str, config: RunConfig, *, follow: bool = False, jobs_address: str = JOBS_ADDRESS) -> Iterator[str]:
    """Yields what the study's newest job has printed, in pieces.

    Args:
        name: of the study.
        config: where it is kept.
        follow: whether to go on until the job ends.
        jobs_address: of the cluster's dashboard.

    Raises:
        UsageError: if there is no such study, or it was never submitted, or Ray knows no such job any more.
    """
    with storage(config.storage) as (store, _durable):
        job = stored_study(store, name).job
    if job is None:
        raise UsageError(
            f"study {name!r} was never submitted, so there is no job with a log; hpo run writes to its own terminal. "
            f"Submit it with: hpo submit --study {name}"
        )
    jobs = jobs_at(jobs_address)
    if follow:
        yield from jobs.followed(job)
    else:
        yield jobs.logs(job)


def jobs_at(address: str) -> Jobs:
    """Returns the jobs of a cluster.

    Raises:
        UsageError: if no Ray takes jobs there.
    """
    from hpo.backends.ray.jobs import Jobs  # a second to import

    return Jobs(address)


def _command(file: Path, options: Sequence[str]) -> str:
    run = ["python", "-m", "hpo", "run", "--study", str(file.absolute()), *options]
    return f"cd {shlex.quote(str(Path.cwd()))} && exec {shlex.join(run)}"  # exec: signals are for the driver


def _refuse_secrets(options: Sequence[str]) -> None:
    for option in options:
        if holds_secret(option):
            raise UsageError(
                "an option of the job holds a password or a token, which everybody could read who may look at the "
                "cluster's jobs; set it in the cluster's own environment instead: HPO_STORAGE, HPO_WORKDIR"
            )
