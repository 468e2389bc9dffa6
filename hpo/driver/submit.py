"""`submit`: a study driven on a cluster as a Ray job; the database ensures that only one job drives it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hpo.core.errors import StudyBusy, UsageError
from hpo.core.redaction import holds_secret, masked
from hpo.core.run_config import RunConfig
from hpo.driver.code_changes import ACCEPT
from hpo.driver.options import SubmitOptions, accepts_options
from hpo.driver.session import RunContext, Session
from hpo.driver.storage import name_of
from hpo.store import JOB
from hpo.study import Study
from hpo.study.loading import find, load_study

if TYPE_CHECKING:
    from hpo.backends.ray.submitted import Jobs


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmitOutcome:
    """The job that was submitted.

    Attributes:
        study: name of the study.
        job: its submission ID in Ray.
        command: the command that it runs, visible to everyone who can see the cluster's jobs.
        jobs_address: address of the cluster's dashboard that took the job.
    """

    study: str
    job: str
    command: str
    jobs_address: str


@accepts_options(SubmitOptions)
def submit(name: Study | str, config: RunConfig | None, options: SubmitOptions) -> SubmitOutcome:
    """Lets a cluster drive a study in this folder, which its head node must see under the same path.

    The database's address is not part of the job: the driver reads it from HPO_STORAGE, or from the file that
    HPO_STORAGE_FILE names, in the cluster's environment, and refuses to run if that is another database.

    Args:
        name: name of the study, or the path of its file.
        config: where the study is stored; None: the defaults.
        options: what `hpo run` gets, and which cluster runs it.

    Raises:
        StudyBusy: if the study is being driven, or has a pending or running job.
        StudyPaused: if it is paused.
        UsageError: if no Ray accepts jobs at the address, or an option may contain a password.
    """
    file = find(name_of(name), options.folders)
    study = load_study(str(file))
    _require_no_secrets(options.arguments)
    command = _command(file, options.arguments)
    jobs = cluster_jobs(options.jobs_address)
    accept = ACCEPT in options.arguments
    context = RunContext.of(study, config)
    with Session.open(study, context, create=True, accept_code_change=accept) as session:
        session.store.check_can_drive(session.stored)
        prefix = f"hpo-{study.name}-{session.stored.uid[:8]}-"
        known = jobs.listed(prefix)
        for job in (one for one, active in known.items() if active):
            raise StudyBusy(
                f"study {study.name!r} was already submitted, as job {job}.\n"
                f"Watch it with: hpo logs --study {study.name} --follow"
            )
        # Two processes that submit at the same time choose the same name, and Ray accepts a name only once.
        job = f"{prefix}{1 + max((int(one.removeprefix(prefix)) for one in known), default=0)}"
        session.store.submitted(session.stored, job)  # before it can start, because the driver checks this entry
        try:
            jobs.submit(job, command, {JOB: job})
        except StudyBusy:
            raise
        except UsageError:
            session.store.submitted(session.stored, session.stored.job)
            raise
    return SubmitOutcome(study=study.name, job=job, command=command, jobs_address=masked(options.jobs_address))


def cluster_jobs(address: str) -> Jobs:
    """Returns a client for the jobs of a cluster.

    Raises:
        UsageError: if no Ray accepts jobs there.
    """
    from hpo.backends.ray.submitted import Jobs  # takes a second to import

    return Jobs(address)


def _command(file: Path, options: Sequence[str]) -> str:
    run = ["python", "-m", "hpo", "run", "--study", str(file.absolute()), *options]
    return f"cd {shlex.quote(str(Path.cwd()))} && exec {shlex.join(run)}"  # exec: signals reach the driver


def _require_no_secrets(options: Sequence[str]) -> None:
    for option in options:
        if holds_secret(option):
            raise UsageError(
                "an option of the job contains a password or a token, which everyone who can see the cluster's jobs "
                "could read; set it in the cluster's environment instead: HPO_STORAGE, HPO_WORKDIR"
            )
