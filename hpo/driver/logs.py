"""`logs`: the logs of a trial's trainings, or the output of a submitted study's job."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from hpo.core.errors import UsageError
from hpo.core.records import LAST_TRIAL, Stage
from hpo.core.run_config import RunConfig
from hpo.driver.options import LogsOptions, accepts_options
from hpo.driver.resources import work_folder
from hpo.driver.session import checked_config
from hpo.driver.status import show
from hpo.driver.storage import name_of, storage, stored_study
from hpo.driver.submit import cluster_jobs
from hpo.results import FOLDER
from hpo.study import Study
from hpo.training import work_dir

NAME = re.compile(
    r"(?P<stage>\w+)/trial-(?P<trial>\d+)-seed-(?P<seed>\d+)-fold-(?P<fold>\d+)-budget-\d+(?P<variant>-[\w-]+)?"
)
"""The folder of a job, below which a log is, or which names it."""


@accepts_options(LogsOptions)
def logs(study: Study | str, config: RunConfig | None, options: LogsOptions) -> Iterator[str]:
    """Yields the logs of a trial's trainings, or the output of the study's newest job, in chunks.

    Args:
        study: the study, or its name.
        config: where the study is stored and its files are; None: the defaults.
        options: which trial; or whether to continue until the job ends, and which cluster runs it.

    Raises:
        UsageError: if there is no such study or trial, it has no log, it was never submitted, or Ray no longer knows
            the job.
    """
    name = name_of(study)
    if options.trial is not None:
        if options.follow:
            raise UsageError("--follow continues the output of a job; the logs of --trial are printed as they are")
        yield from _training_logs(name, options.trial, config)
        return
    with storage(checked_config(config).storage) as (store, _durable):
        job = stored_study(store, name).job
    if job is None:
        raise UsageError(
            f"study {name!r} was never submitted, so there is no job with a log; hpo run writes to its own terminal. "
            f"The log of a trial's trainings: hpo logs --study {name} --trial 0. "
            f"Submit it with: hpo submit --study {name}"
        )
    jobs = cluster_jobs(options.jobs_address)
    if options.follow:
        yield from jobs.followed(job)
    else:
        yield jobs.logs(job)


def _training_logs(name: str, trial: int, config: RunConfig | None) -> Iterator[str]:
    """Yields the logs of a trial's trainings, each after a line that names it; those of running trainings too.

    Args:
        name: name of the stored study.
        trial: number of the trial.
        config: where the study is stored and its files are; None: the defaults.

    Raises:
        UsageError: if the storage has no such study, the study no such trial, or there is no log.
    """
    config = checked_config(config)
    if not 0 <= trial <= LAST_TRIAL:
        raise UsageError(f"trial must be 0 to {LAST_TRIAL}, not {trial}")
    show(name, trial, config)
    with storage(config.storage) as (store, _durable):
        work = work_folder(stored_study(store, name), config)
    kept = config.outputs / name / FOLDER / str(trial)
    try:
        found = {_training_of(path): path for path in work_dir(work).logs(trial)}
    except OSError as error:
        raise UsageError(f"the logs in {work} cannot be read: {error}") from error
    if kept.is_dir() and not any(one.startswith(f"trial {trial}, {Stage.SEARCH}") for one in found):
        for path in sorted(kept.rglob("run.log")):
            found[f"trial {trial}, {Stage.SEARCH}, {path.parent.relative_to(config.outputs)}"] = path
    if not found:
        raise UsageError(
            f"trial {trial} of study {name!r} has no log below {work}. Logs are there since the trainings of this "
            "version, unless the work folder was removed, or --workdir or --outputs name another place now"
        )
    stages = [str(stage) for stage in Stage]
    for training in sorted(found, key=lambda one: (stages.index(one.split(", ")[1]), one)):
        yield f"{training}:\n"
        text = found[training].read_text(encoding="utf-8", errors="replace")
        yield text if text.endswith("\n") else f"{text}\n"


def _training_of(path: Path) -> str:
    """Returns what a log is of: `trial 4, search, seed 41`."""
    found = NAME.search("/".join(path.parts[-3:]))
    assert found is not None  # the work folder finds them by this name
    fold = "" if found["fold"] == "0" else f" fold {found['fold']}"
    variant = f" {found['variant'][1:]}" if found["variant"] else ""
    return f"trial {int(found['trial'])}, {found['stage']}, seed {found['seed']}{fold}{variant}"
