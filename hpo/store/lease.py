"""One driver per study: a lease with a fencing token, on the database's clock."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import ClassVar

from sqlalchemy import ColumnElement, Connection, Engine, event, insert, select, text, update
from sqlalchemy.exc import SQLAlchemyError

from hpo.core.errors import StudyBusy, StudyHeld, StudyPaused
from hpo.store.engine import READS
from hpo.store.process import end, host, is_dead, is_local_host, process_key
from hpo.store.running import RunningTraining, as_text
from hpo.store.tables import DriverRow, LeaseRow, StudyRow, now

LEASE_SECONDS = 30.0
"""How long a driver keeps the study without renewing its lease."""

SAVE_SECONDS = 2.0
"""How often a driver stores which trainings run, if that has changed."""

POLL_SECONDS = 1.0
"""How often a driver checks whether it should pause or stop."""

JOB = "HPO_JOB"
"""The environment variable that holds the Ray job id of a driver."""

TAKEN_OVER = "another driver has taken this study over, because this one did not renew its lease in time"


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """The driver of a study.

    Attributes:
        host: name of its machine.
        pid: id of its process.
        since: when it started, as HH:MM in UTC.
        silent_seconds: seconds since the last renewal.
        left_seconds: seconds until the lease expires unless it is renewed.
        alive: whether its lease is valid and its process may be alive.
        here: whether it is this process.
        verb: what it does, e.g. run or promote.
        process: key of the process, see `process_key`; None if unknown.
        stopping: whether it was asked to stop.
        job: its Ray job id; None outside Ray Jobs.
    """

    host: str
    pid: int
    since: str
    silent_seconds: float
    left_seconds: float
    alive: bool
    here: bool
    verb: str
    process: str | None
    stopping: bool
    job: str | None

    def __str__(self) -> str:
        job = f", job {self.job}" if self.job else ""
        return f"host {self.host}, pid {self.pid}{job}, since {self.since}"


def clock(connection: Connection) -> float:
    """Returns the database's time, in seconds since the Unix epoch."""
    sql = {
        "sqlite": "SELECT (julianday('now') - 2440587.5) * 86400.0",
        "postgresql": "SELECT extract(epoch FROM clock_timestamp())",
    }[connection.dialect.name]
    return float(connection.execute(text(sql)).scalar_one())


def holder_of(connection: Connection, study_id: int) -> Holder | None:
    """Returns the driver that holds the study, or the last one that did not release it."""
    driver = DriverRow
    query = (
        select(driver.__table__, LeaseRow.renewed, LeaseRow.expires)
        .join(LeaseRow, LeaseRow.driver_id == DriverRow.id)
        .where(LeaseRow.study_id == study_id)
    )
    row = connection.execute(query).first()
    if row is None:
        return None
    moment = clock(connection)
    return Holder(
        host=row.host,
        pid=row.pid,
        since=row.started_at.strftime("%H:%M UTC"),
        silent_seconds=max(0.0, moment - row.renewed),
        left_seconds=max(0.0, row.expires - moment),
        alive=row.expires > moment and not is_dead(row.host, row.pid, row.process),
        here=row.process is not None and row.process == process_key(os.getpid()),
        verb=row.verb,
        process=row.process,
        stopping=row.stopping_at is not None,
        job=row.job,
    )


def check_not_driven(holder: Holder | None, name: str) -> None:
    """Checks that nobody drives a study.

    Raises:
        StudyBusy: if a driver that is alive holds it.
    """
    if holder is not None and holder.alive:
        raise StudyBusy(
            f"study {name!r} is driven by {holder} (last seen {holder.silent_seconds:.0f} s ago; "
            f"if it is dead, the study is free in {holder.left_seconds:.0f} s).\n"
            f"Watch it with: hpo status --study {name}"
        )


def check_not_paused(connection: Connection, study_id: int, name: str) -> None:
    """Checks that a study is not paused.

    Raises:
        StudyPaused: if it is paused.
    """
    since = connection.execute(select(StudyRow.paused_at).where(StudyRow.id == study_id)).scalar()
    if since is not None:
        raise StudyPaused(
            f"study {name!r} is paused since {since:%Y-%m-%d %H:%M} UTC, so nothing was started. "
            f"Resume it with: hpo resume --study {name}"
        )


def end_driver(holder: Holder, seconds: float) -> bool:
    """Terminates a driver on this machine, and kills it if it is still alive after `seconds`.

    Returns:
        False if it runs on another machine; nothing is done then.

    Raises:
        PermissionError: if another user owns the process.
    """
    if holder.process is None or not is_local_host(holder.host, holder.process):
        return False
    end(holder.pid, holder.process, seconds)
    return True


class Lease:
    """The exclusive right to write to a study, renewed by a thread until it is released.

    Args:
        engine: engine of the store.
        study_id: our id of the study.
        name: name of the study, for messages.
        verb: what the driver does: run or promote.
        seconds: seconds that the lease lasts without renewal.
        allow_paused: whether a paused study may be leased, by a command that trains nothing.

    Attributes:
        paused: whether the study was paused at the last check.
        stopping: whether the driver was asked to stop.
        running: returns the trainings that run now; they are stored for those who watch.

    Raises:
        StudyBusy: if another live driver holds it.
        StudyPaused: if the study is paused.
    """

    _held: ClassVar[set[tuple[str, int]]] = set()
    """The leases of this process, without those that it could not release because the database was away."""

    _taking: ClassVar[threading.Lock] = threading.Lock()
    """Held from the commit until the lease is in `_held`: in between it would look like an unreleased one."""

    def __init__(
        self,
        engine: Engine,
        study_id: int,
        name: str,
        verb: str,
        seconds: float = LEASE_SECONDS,
        *,
        allow_paused: bool = False,
    ) -> None:
        self._engine = engine
        self._study_id = study_id
        self._seconds = seconds
        self._over = threading.Event()
        self._lost = False
        self.paused = self.stopping = False
        self.running: Callable[[], tuple[RunningTraining, ...]] = tuple
        self._saved: tuple[RunningTraining, ...] = ()
        # Built once, for it runs at each commit; it locks the row, so that nobody takes over before the commit.
        self._newest = select(LeaseRow.token).where(LeaseRow.study_id == study_id).with_for_update(read=True)
        with self._taking:
            with engine.begin() as connection:
                if connection.dialect.name == "postgresql":  # SQLite's transactions exclude each other anyway
                    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": 0x68706F00000000 + study_id})
                self._check_not_driven(connection, name)
                if not allow_paused:
                    check_not_paused(connection, study_id, name)
                self.token = self._take(connection, verb)
            self._held.add(self._key)
        looking = select(StudyRow.paused_at, DriverRow.stopping_at).join(DriverRow, DriverRow.study_id == StudyRow.id)
        self._requests = looking.join(LeaseRow, LeaseRow.driver_id == DriverRow.id).where(*self._mine)
        self._thread = threading.Thread(target=self._keep_renewing, name="hpo-lease", daemon=True)
        self._thread.start()

    def release(self) -> None:
        """Releases the study. If the database is away, the lease expires by itself."""
        self._over.set()
        self._thread.join()
        self._held.discard(self._key)
        with suppress(SQLAlchemyError), self._engine.begin() as connection:
            row = connection.execute(select(LeaseRow.driver_id).where(*self._mine)).first()
            if row is not None:
                connection.execute(update(LeaseRow).where(*self._mine).values(expires=0.0, running=None))
                connection.execute(update(DriverRow).where(DriverRow.id == row.driver_id).values(ended_at=now()))

    def check_not_lost(self, connection: Connection) -> None:
        """Checks, within a transaction that is about to write, that no other driver has taken over.

        Raises:
            StudyBusy: if the token is no longer the newest.
        """
        token = connection.execute(self._newest).scalar()
        if token != self.token:
            raise StudyBusy(TAKEN_OVER)

    def check_not_known_lost(self) -> None:
        """Checks, without a query, that the last renewal did not find another driver.

        Raises:
            StudyBusy: if it did.
        """
        if self._lost:
            raise StudyBusy(TAKEN_OVER)

    def check_pause(self) -> None:
        """Checks, without a query, that new jobs may start.

        Raises:
            StudyHeld: if the study is paused.
        """
        if self.paused:
            raise StudyHeld("the study is paused, so no new job starts", POLL_SECONDS / 4)

    @contextmanager
    def fencing(self, engine: Engine) -> Iterator[None]:
        """Lets `engine` commit only while this lease is the newest; for Optuna's tables, which have no token."""

        def check(connection: Connection) -> None:
            if not connection.get_execution_options().get(READS):
                self.check_not_lost(connection)

        event.listen(engine, "commit", check)
        try:
            yield
        finally:
            event.remove(engine, "commit", check)

    @property
    def _key(self) -> tuple[str, int]:
        return str(self._engine.url), self._study_id

    @property
    def _mine(self) -> tuple[ColumnElement[bool], ...]:
        return LeaseRow.study_id == self._study_id, LeaseRow.token == self.token

    def _check_not_driven(self, connection: Connection, name: str) -> None:
        other = holder_of(connection, self._study_id)
        if other is None or not (other.here and self._key not in self._held):
            check_not_driven(other, name)

    def _take(self, connection: Connection, verb: str) -> int:
        driver = insert(DriverRow).values(
            study_id=self._study_id,
            verb=verb,
            host=host(),
            pid=os.getpid(),
            process=process_key(os.getpid()),
            started_at=now(),
            job=os.environ.get(JOB),
        )
        driver_id = connection.execute(driver.returning(DriverRow.id)).scalar_one()
        moment = clock(connection)
        values = {"driver_id": driver_id, "renewed": moment, "expires": moment + self._seconds, "running": None}
        newer = update(LeaseRow).where(LeaseRow.study_id == self._study_id).values(token=LeaseRow.token + 1, **values)
        if connection.execute(newer).rowcount == 0:
            connection.execute(insert(LeaseRow).values(study_id=self._study_id, token=1, **values))
        return int(connection.execute(select(LeaseRow.token).where(LeaseRow.study_id == self._study_id)).scalar_one())

    def _keep_renewing(self) -> None:
        due = time.monotonic() + self._seconds / 4
        due_to_save = time.monotonic()
        while not self._over.wait(min(self._seconds / 4, POLL_SECONDS)):
            try:
                if time.monotonic() >= due:
                    self._renew()
                    due = time.monotonic() + self._seconds / 4
                if time.monotonic() >= due_to_save:
                    self._save_running()
                    due_to_save = time.monotonic() + SAVE_SECONDS
                self._read_requests()
            except SQLAlchemyError:
                continue  # the database is away; the next write reports it, and the token still protects the study

    def _renew(self) -> None:
        with self._engine.begin() as connection:
            moment = clock(connection)
            values = {"renewed": moment, "expires": moment + self._seconds}
            self._lost = connection.execute(update(LeaseRow).where(*self._mine).values(**values)).rowcount == 0

    def _save_running(self) -> None:
        running = self.running()
        if running != self._saved:
            with self._engine.begin() as connection:
                connection.execute(update(LeaseRow).where(*self._mine).values(running=as_text(running)))
            self._saved = running

    def _read_requests(self) -> None:
        """Reads whether to pause or stop; a lease that was taken over gets no requests."""
        with self._engine.connect().execution_options(**{READS: True}) as connection:
            row = connection.execute(self._requests).first()
        if row is not None:
            self.paused = row.paused_at is not None
            self.stopping = self.stopping or row.stopping_at is not None
