"""One driver per study: a lease with a fencing token, on the database's clock."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import ClassVar

from sqlalchemy import ColumnElement, Connection, Engine, event, insert, select, text, update
from sqlalchemy.exc import SQLAlchemyError

from hpo.core.errors import StudyBusy, StudyHeld, StudyPaused
from hpo.store.engine import READS
from hpo.store.process import end, host, is_dead, is_local_host, mark
from hpo.store.tables import DriverRow, LeaseRow, StudyRow, now

LEASE_SECONDS = 30.0
"""How long a driver that gives no sign keeps the study."""

LOOK_SECONDS = 1.0
"""How often a driver looks whether it is to pause or to stop."""

JOB = "HPO_JOB"
"""The variable that tells a driver which of Ray's jobs it is."""

TAKEN_OVER = "another driver has taken this study over, because this one gave no sign for too long"


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Who drives a study.

    Attributes:
        host: name of its machine.
        pid: id of its process.
        since: when it began, as HH:MM in UTC.
        silent_seconds: since its last sign.
        left_seconds: until its lease ends if it gives none.
        alive: whether its lease holds.
        here: whether it is this very process.
        verb: what it does, e.g. run or promote.
        process: what tells it from all others of its machine, None where that is not known.
        stopping: whether it has been asked to stop.
        job: which of Ray's jobs it is; None: none.
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
    """Returns who holds the study, or held it last and did not let go."""
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
        here=row.process is not None and row.process == mark(os.getpid()),
        verb=row.verb,
        process=row.process,
        stopping=row.stopping_at is not None,
        job=row.job,
    )


def refuse_second(holder: Holder | None, name: str) -> None:
    """Raises where a study is driven.

    Raises:
        StudyBusy: if its holder is alive.
    """
    if holder is not None and holder.alive:
        raise StudyBusy(
            f"study {name!r} is driven by {holder} (last sign {holder.silent_seconds:.0f} s ago; "
            f"if it is dead, the study is free in {holder.left_seconds:.0f} s).\n"
            f"Watch it with: hpo status --study {name}"
        )


def refuse_paused(connection: Connection, study_id: int, name: str) -> None:
    """Raises where a study is paused.

    Raises:
        StudyPaused: if it is.
    """
    since = connection.execute(select(StudyRow.paused_at).where(StudyRow.id == study_id)).scalar()
    if since is not None:
        raise StudyPaused(
            f"study {name!r} is paused since {since:%Y-%m-%d %H:%M} UTC, so nothing was begun. "
            f"Let it go on with: hpo resume --study {name}"
        )


def end_driver(holder: Holder, seconds: float) -> bool:
    """Ends a driver of this machine, by force if it is still there after so many seconds.

    Returns:
        False where it runs elsewhere, and nothing was done.

    Raises:
        PermissionError: if it is another user's.
    """
    if holder.process is None or not is_local_host(holder.host, holder.process):
        return False
    end(holder.pid, holder.process, seconds)
    return True


class Lease:
    """The right to write for one study, renewed by a thread until it is released.

    Args:
        engine: of the store.
        study_id: our id of the study.
        name: the study's, for the message.
        verb: what the driver does: run or promote.
        seconds: how long the study is kept without a sign.
        even_paused: whether a paused study is taken too, by what trains nothing.

    Attributes:
        paused: whether nothing new is to begin, as the last look at the database found.
        stopping: whether the driver is to end its work in order.

    Raises:
        StudyBusy: if another driver that is alive holds it.
        StudyPaused: if the study is paused.
    """

    _held: ClassVar[set[tuple[str, int]]] = set()
    """What this process holds: a lease that it could not give back, because the database was away, is not among it."""

    _taking: ClassVar[threading.Lock] = threading.Lock()
    """Held from the look to the note in `_held`: between commit and note a lease would look like one not given back."""

    def __init__(
        self,
        engine: Engine,
        study_id: int,
        name: str,
        verb: str,
        seconds: float = LEASE_SECONDS,
        *,
        even_paused: bool = False,
    ) -> None:
        self._engine = engine
        self._study_id = study_id
        self._seconds = seconds
        self._over = threading.Event()
        self._lost = False
        self.paused = self.stopping = False
        # Asked at each commit, so it is built once; read to be held, so that nobody takes over before the commit.
        self._newest = select(LeaseRow.token).where(LeaseRow.study_id == study_id).with_for_update(read=True)
        with self._taking:
            with engine.begin() as connection:
                if connection.dialect.name == "postgresql":  # SQLite's transactions exclude each other anyway
                    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": 0x68706F00000000 + study_id})
                self._refuse_second(connection, name)
                if not even_paused:
                    refuse_paused(connection, study_id, name)
                self.token = self._take(connection, verb)
            self._held.add(self._key)
        looking = select(StudyRow.paused_at, DriverRow.stopping_at).join(DriverRow, DriverRow.study_id == StudyRow.id)
        self._wishes = looking.join(LeaseRow, LeaseRow.driver_id == DriverRow.id).where(*self._mine)
        self._thread = threading.Thread(target=self._keep_renewing, name="hpo-lease", daemon=True)
        self._thread.start()

    def release(self) -> None:
        """Lets the study go. If the database is away, the lease ends by itself."""
        self._over.set()
        self._thread.join()
        self._held.discard(self._key)
        with suppress(SQLAlchemyError), self._engine.begin() as connection:
            row = connection.execute(select(LeaseRow.driver_id).where(*self._mine)).first()
            if row is not None:
                connection.execute(update(LeaseRow).where(*self._mine).values(expires=0.0))
                connection.execute(update(DriverRow).where(DriverRow.id == row.driver_id).values(ended_at=now()))

    def refuse_if_lost(self, connection: Connection) -> None:
        """Raises, within a transaction that is about to write, if another driver has taken over.

        Raises:
            StudyBusy: if the token is no longer the newest.
        """
        token = connection.execute(self._newest).scalar()
        if token != self.token:
            raise StudyBusy(TAKEN_OVER)

    def refuse_if_known_lost(self) -> None:
        """Raises, without asking the database, if the last renewal found that another driver has taken over.

        Raises:
            StudyBusy: if it did.
        """
        if self._lost:
            raise StudyBusy(TAKEN_OVER)

    def hold_if_paused(self) -> None:
        """Raises, without asking the database, if nothing new is to begin.

        Raises:
            StudyHeld: if the study is paused.
        """
        if self.paused:
            raise StudyHeld("the study is paused, so nothing new begins", LOOK_SECONDS / 4)

    @contextmanager
    def fencing(self, engine: Engine) -> Iterator[None]:
        """Lets `engine` commit only while this lease is the newest: for Optuna's tables, which know of no token."""

        def check(connection: Connection) -> None:
            if not connection.get_execution_options().get(READS):
                self.refuse_if_lost(connection)

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

    def _refuse_second(self, connection: Connection, name: str) -> None:
        other = holder_of(connection, self._study_id)
        if other is None or not (other.here and self._key not in self._held):
            refuse_second(other, name)

    def _take(self, connection: Connection, verb: str) -> int:
        driver = insert(DriverRow).values(
            study_id=self._study_id,
            verb=verb,
            host=host(),
            pid=os.getpid(),
            process=mark(os.getpid()),
            started_at=now(),
            job=os.environ.get(JOB),
        )
        driver_id = connection.execute(driver.returning(DriverRow.id)).scalar_one()
        moment = clock(connection)
        values = {"driver_id": driver_id, "renewed": moment, "expires": moment + self._seconds}
        newer = update(LeaseRow).where(LeaseRow.study_id == self._study_id).values(token=LeaseRow.token + 1, **values)
        if connection.execute(newer).rowcount == 0:
            connection.execute(insert(LeaseRow).values(study_id=self._study_id, token=1, **values))
        return int(connection.execute(select(LeaseRow.token).where(LeaseRow.study_id == self._study_id)).scalar_one())

    def _keep_renewing(self) -> None:
        due = time.monotonic() + self._seconds / 4
        while not self._over.wait(min(self._seconds / 4, LOOK_SECONDS)):
            try:
                if time.monotonic() >= due:
                    self._renew()
                    due = time.monotonic() + self._seconds / 4
                self._look()
            except SQLAlchemyError:
                continue  # the database is away; the next write says so, and the token guards it all the same

    def _renew(self) -> None:
        with self._engine.begin() as connection:
            moment = clock(connection)
            values = {"renewed": moment, "expires": moment + self._seconds}
            self._lost = connection.execute(update(LeaseRow).where(*self._mine).values(**values)).rowcount == 0

    def _look(self) -> None:
        """Reads what is wished; of a lease that was taken over nobody wishes anything."""
        with self._engine.connect().execution_options(**{READS: True}) as connection:
            row = connection.execute(self._wishes).first()
        if row is not None:
            self.paused = row.paused_at is not None
            self.stopping = self.stopping or row.stopping_at is not None
