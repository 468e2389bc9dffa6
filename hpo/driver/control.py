"""`pause`, `resume` and `stop`: requests to a study's driver, wherever it runs, sent through the database."""

from __future__ import annotations

import time
from dataclasses import dataclass

from hpo.core.errors import UsageError
from hpo.core.run_config import RunConfig
from hpo.driver.options import StopOptions, accepts_options
from hpo.driver.session import checked_config
from hpo.driver.storage import name_of, storage, stored_study
from hpo.driver.submit import cluster_jobs
from hpo.store import Holder, Store, StoredStudy, end_driver
from hpo.study import Study

END_SECONDS = 3.0
"""Seconds that `stop --now` gives a driver before it is killed; Ray gives its jobs as long."""

JOB_SECONDS = 30.0
"""Seconds to wait for a stopped job to end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlOutcome:
    """Result of a request to a study's driver.

    Attributes:
        study: name of the study.
        changed: whether the request changed anything.
        driver: the process that drives the study; None: there is none.
        paused: whether the study is paused now.
        job: the study's newest Ray job; None: it was never submitted.
    """

    study: str
    changed: bool
    driver: Holder | None
    paused: bool
    job: str | None


def pause(study: Study | str, config: RunConfig | None = None) -> ControlOutcome:
    """Pauses a study: no new training starts until it is resumed; running ones finish, and the driver waits.

    Raises:
        UsageError: if the storage has no such study.
    """
    name, config = name_of(study), checked_config(config)
    with storage(config.storage, writes=True) as (store, _durable):
        stored = stored_study(store, name)
        return control_outcome(store, stored, changed=store.pause(stored))


def resume(study: Study | str, config: RunConfig | None = None) -> ControlOutcome:
    """Resumes a paused study; a waiting driver continues at once.

    Raises:
        UsageError: if the storage has no such study.
    """
    name, config = name_of(study), checked_config(config)
    with storage(config.storage, writes=True) as (store, _durable):
        stored = stored_study(store, name)
        return control_outcome(store, stored, changed=store.resume(stored))


@accepts_options(StopOptions)
def stop(study: Study | str, config: RunConfig | None, options: StopOptions) -> ControlOutcome:
    """Asks a study's driver to stop: no new training starts, running ones finish their epoch and are checkpointed.

    Args:
        study: the study, or its name.
        config: where the study is stored; None: the defaults.
        options: whether at once, and the cluster of a driver that is or will be a Ray job.

    Raises:
        UsageError: if the storage has no such study, or `now` is given and the driver cannot be reached from here.
    """
    name, config = name_of(study), checked_config(config)
    with storage(config.storage, writes=True) as (store, _durable):
        stored = stored_study(store, name)
        driver = driver_of(store, stored)
        if driver is None:
            return control_outcome(store, stored, changed=_stop_pending_job(store, stored, options.jobs_address))
        if options.now:
            if driver.job is None:
                _end(name, driver)
            else:
                _stop_job(driver.job, options.jobs_address)
            return control_outcome(store, stored, changed=True)
        return control_outcome(store, stored, changed=store.request_stop(stored))


def driver_of(store: Store, stored: StoredStudy) -> Holder | None:
    """Returns the process that drives a study; None if there is none."""
    holder = store.holder(stored)
    return holder if holder is not None and holder.alive else None


def control_outcome(store: Store, stored: StoredStudy, *, changed: bool) -> ControlOutcome:
    """Returns the result of a request, from the current state of the database."""
    found = stored_study(store, stored.name)
    driver = driver_of(store, found)
    return ControlOutcome(
        study=found.name, changed=changed, driver=driver, paused=found.paused_at is not None, job=found.job
    )


def is_pending(store: Store, stored: StoredStudy) -> bool:
    """Whether a study's newest job has not started to drive it; the job may have ended before it could."""
    return stored.job is not None and not store.has_driven(stored, stored.job)


def _stop_pending_job(store: Store, stored: StoredStudy, jobs_address: str) -> bool:
    """Stops a job that has not started to drive the study; returns whether there was one."""
    if stored.job is None or not is_pending(store, stored):
        return False
    jobs = cluster_jobs(jobs_address)
    if not jobs.is_in_flight(stored.job):
        return False
    _stop_job(stored.job, jobs_address)
    return True


def _stop_job(job: str, jobs_address: str) -> None:
    """Stops a job and waits until it has ended, which Ray's own call does not."""
    jobs = cluster_jobs(jobs_address)
    jobs.stop(job)
    end = time.monotonic() + JOB_SECONDS
    while jobs.is_in_flight(job) and time.monotonic() < end:
        time.sleep(0.2)


def _end(study: str, driver: Holder) -> None:
    try:
        reached = end_driver(driver, END_SECONDS)
    except PermissionError as error:
        raise UsageError(
            f"the driver of study {study!r} ({driver}) belongs to another user; stop it without --now"
        ) from error
    if not reached:
        raise UsageError(
            f"the driver of study {study!r} runs on another machine ({driver}), so it cannot be killed from here. "
            f"Stop it without --now, or run this there: kill {driver.pid}"
        )
