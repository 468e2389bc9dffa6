"""`pause`, `resume` and `stop`: what is wished of a study's driver, wherever it runs, through the database."""

from __future__ import annotations

import time
from dataclasses import dataclass

from hpo.core.errors import UsageError
from hpo.core.run_config import JOBS_ADDRESS, RunConfig
from hpo.driver.storage import storage, stored_study
from hpo.driver.submit import jobs_at
from hpo.store import Holder, Store, StoredStudy, end_driver

END_SECONDS = 3.0
"""How long a driver that is to stop now is given before it is killed; Ray gives its jobs as long."""

JOB_SECONDS = 30.0
"""How long a job that was stopped is waited for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlOutcome:
    """What came of a wish.

    Attributes:
        study: name of the study.
        changed: whether it was not so already.
        driver: who drives the study; None: nobody does.
        paused: whether the study is paused now.
        job: the study's newest of Ray's jobs; None: it was never submitted.
    """

    study: str
    changed: bool
    driver: Holder | None
    paused: bool
    job: str | None


def pause(study: str, config: RunConfig) -> ControlOutcome:
    """Lets nothing new begin in a study until it is resumed; what runs goes to its end, and its driver waits.

    Raises:
        UsageError: if the storage has no such study.
    """
    with storage(config.storage, writes=True) as (store, _durable):
        stored = stored_study(store, study)
        return steered(store, stored, changed=store.pause(stored))


def resume(study: str, config: RunConfig) -> ControlOutcome:
    """Lets a paused study go on: at once, if its driver waits.

    Raises:
        UsageError: if the storage has no such study.
    """
    with storage(config.storage, writes=True) as (store, _durable):
        stored = stored_study(store, study)
        return steered(store, stored, changed=store.resume(stored))


def stop(study: str, config: RunConfig, *, now: bool = False, jobs_address: str = JOBS_ADDRESS) -> ControlOutcome:
    """Asks a study's driver to end: nothing new begins, what runs ends its epoch and is checkpointed.

    Args:
        study: name of the study.
        config: where it is kept.
        now: whether the driver is ended at once, after a few seconds by force; the epochs in flight are lost.
        jobs_address: of the cluster's dashboard, for a driver that is one of Ray's jobs, or is going to be.

    Raises:
        UsageError: if the storage has no such study, or the driver is to be ended at once and is out of reach.
    """
    with storage(config.storage, writes=True) as (store, _durable):
        stored = stored_study(store, study)
        driver = driver_of(store, stored)
        if driver is None:
            return steered(store, stored, changed=_withdrawn(store, stored, jobs_address))
        if now:
            if driver.job is None:
                _end(study, driver)
            else:
                _end_job(driver.job, jobs_address)
            return steered(store, stored, changed=True)
        return steered(store, stored, changed=store.request_stop(stored))


def driver_of(store: Store, stored: StoredStudy) -> Holder | None:
    """Returns who drives a study, None if nobody does."""
    holder = store.holder(stored)
    return holder if holder is not None and holder.alive else None


def steered(store: Store, stored: StoredStudy, *, changed: bool) -> ControlOutcome:
    """Returns what came of a wish, as the database has it now."""
    found = stored_study(store, stored.name)
    driver = driver_of(store, found)
    return ControlOutcome(
        study=found.name, changed=changed, driver=driver, paused=found.paused_at is not None, job=found.job
    )


def is_pending(store: Store, stored: StoredStudy) -> bool:
    """Whether a study's newest job has not begun to drive it; it may never have, and be over."""
    return stored.job is not None and not store.has_driven(stored, stored.job)


def _withdrawn(store: Store, stored: StoredStudy, jobs_address: str) -> bool:
    """Stops a job that has not begun to drive the study; returns whether there was one."""
    if stored.job is None or not is_pending(store, stored):
        return False
    jobs = jobs_at(jobs_address)
    if not jobs.is_in_flight(stored.job):
        return False
    _end_job(stored.job, jobs_address)
    return True


def _end_job(job: str, jobs_address: str) -> None:
    """Ends a job and waits until it is over, which Ray itself does not."""
    jobs = jobs_at(jobs_address)
    jobs.stop(job)
    end = time.monotonic() + JOB_SECONDS
    while jobs.is_in_flight(job) and time.monotonic() < end:
        time.sleep(0.2)


def _end(study: str, driver: Holder) -> None:
    try:
        reached = end_driver(driver, END_SECONDS)
    except PermissionError as error:
        raise UsageError(f"the driver of study {study!r} ({driver}) is another user's; ask without --now") from error
    if not reached:
        raise UsageError(
            f"the driver of study {study!r} runs elsewhere ({driver}), so it cannot be ended from here. "
            f"Ask it without --now, or give this there: kill {driver.pid}"
        )
