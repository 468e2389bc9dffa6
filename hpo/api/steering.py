"""`pause`, `resume` and `stop`: what is wished of a study's driver, wherever it runs, through the database."""

from __future__ import annotations

from dataclasses import dataclass

from hpo.api.session import storage, stored_study
from hpo.errors import UsageError
from hpo.place import Place
from hpo.store import Holder, Store, StoredStudy, end_driver

END_SECONDS = 3.0
"""How long a driver that is to stop now is given before it is killed; Ray gives its jobs as long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Steered:
    """What came of a wish.

    Attributes:
        study: its name.
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


def pause(study: str, place: Place) -> Steered:
    """Lets nothing new begin in a study until it is resumed; what runs goes to its end, and its driver waits.

    Raises:
        UsageError: if the storage has no such study.
    """
    with storage(place.storage, create=False) as (store, _durable):
        stored = stored_study(store, study)
        return steered(store, stored, changed=store.pause(stored))


def resume(study: str, place: Place) -> Steered:
    """Lets a paused study go on: at once, if its driver waits.

    Raises:
        UsageError: if the storage has no such study.
    """
    with storage(place.storage, create=False) as (store, _durable):
        stored = stored_study(store, study)
        return steered(store, stored, changed=store.resume(stored))


def stop(study: str, place: Place, *, now: bool = False) -> Steered:
    """Asks a study's driver to end: nothing new begins, what runs ends its epoch and is checkpointed.

    Args:
        study: its name.
        place: where it is kept.
        now: whether the driver is ended at once, after a few seconds by force; the epochs in flight are lost.

    Raises:
        UsageError: if the storage has no such study, or the driver is to be ended at once and is out of reach.
    """
    with storage(place.storage, create=False) as (store, _durable):
        stored = stored_study(store, study)
        driver = driver_of(store, stored)
        if driver is None:
            return steered(store, stored, changed=False)
        if now:
            _end(study, driver)
            return steered(store, stored, changed=True)
        return steered(store, stored, changed=store.ask_to_stop(stored))


def driver_of(store: Store, stored: StoredStudy) -> Holder | None:
    """Returns who drives a study, None if nobody does."""
    holder = store.holder(stored)
    return holder if holder is not None and holder.alive else None


def steered(store: Store, stored: StoredStudy, *, changed: bool) -> Steered:
    """Returns what came of a wish, as the database has it now."""
    found = stored_study(store, stored.name)
    driver = driver_of(store, found)
    return Steered(study=found.name, changed=changed, driver=driver, paused=found.paused_at is not None, job=found.job)


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
