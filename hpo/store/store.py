"""Reads and writes our tables as plain values."""

from __future__ import annotations

import datetime as dt
import os
import re
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import Connection, insert, select, update
from sqlalchemy.exc import DBAPIError, IntegrityError

from hpo.core.code import Code
from hpo.core.costs import Cost
from hpo.core.errors import StorageDamaged, StorageUnavailable, StudyChanged
from hpo.core.records import Evaluation, Job, JobKey, Stage, Status
from hpo.core.redaction import masked
from hpo.store import schema
from hpo.store.costs import insert_costs
from hpo.store.damage import NOT_A_DATABASE, damaged, find_damage
from hpo.store.engine import READS, make_engine
from hpo.store.evaluations import (
    codes_of,
    completed_after,
    finished_jobs,
    insert_evaluation,
    last_activity,
    replace_evaluation,
    stored_evaluation,
    stored_evaluations,
)
from hpo.store.identity import changed_text, differences, knows_defaults, with_defaults
from hpo.store.lease import Holder, Lease, check_not_driven, check_not_paused, holder_of
from hpo.store.outage import Outage
from hpo.store.promotions import StoredPromotion, newest, put, renew
from hpo.store.schema import Library
from hpo.store.storable import evaluation_columns
from hpo.store.survey import Survey, Tables, read_only_connection, readable, survey
from hpo.store.tables import DriverRow, LeaseRow, StudyRow, now
from hpo.store.unavailable import unavailable
from hpo.store.urls import normalize_url, sqlite_file
from hpo.study import NAME, Study

Answer = TypeVar("Answer")

MAKE_ONE = "make one with: hpo run --study NAME"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredStudy:
    """A study as it is stored.

    Attributes:
        id: our id within this database.
        uid: id that is unique across all databases.
        name: name of the study.
        content: the study file of the last run.
        paused_at: when it was paused; None: it is not paused.
        job: id of its newest Ray job; None: never submitted.
        codes: versions of the code, newest last: digest, files, since when, whether a change was accepted; empty if an
            earlier hpo stored it.
    """

    id: int
    uid: str
    name: str
    content: Mapping[str, Any]
    paused_at: dt.datetime | None = None
    job: str | None = None
    codes: tuple[Mapping[str, Any], ...] = ()


class Store:
    """Our tables in one database.

    Every method raises `StorageAway` while the database does not answer, and `StorageLost` once the limit is over.

    Args:
        url: database URL as SQLAlchemy takes it.
        outage: how long the database may be away; None: no wait.
        create: whether missing tables are created.
        writes: whether the store may change the database.
        library: the library whose tables are created and repaired together with ours; None: none.

    Attributes:
        url: database URL as SQLAlchemy takes it.
        location: the URL that opens the database; it differs from `url` for a file that cannot be written.
        found: whose tables existed before.

    Raises:
        StorageUnavailable: if the database cannot be opened, belongs to another program, or has none of our tables and
            `create` is off.
        StorageDamaged: if its file is damaged.
    """

    def __init__(
        self,
        url: str,
        outage: Outage | None = None,
        *,
        create: bool = True,
        writes: bool = True,
        library: Library | None = None,
    ) -> None:
        self.url = normalize_url(url)
        self._in_doubt: Evaluation | None = None
        self._outage = outage or Outage(masked(self.url))
        try:
            self.found = self._prepared(create, library, writes=writes or create)
            self.location = self.url if writes else readable(self.url)
            self._engine = make_engine(self.location, read_only=not writes)
        except DBAPIError as error:
            if (damage := find_damage(self.url)) not in (None, NOT_A_DATABASE):
                raise StorageDamaged(damaged(masked(self.url), str(damage))) from error
            raise StorageUnavailable(unavailable(self.url, error)) from error

    def _prepared(self, create: bool, library: Library | None, *, writes: bool) -> Tables:
        """Creates, migrates or repairs the tables if needed, and returns whose tables existed before.

        A read-only store repairs nothing, and migrates only tables that are certainly ours.
        """
        path = sqlite_file(self.url)
        there = Survey(tables="none")
        if path is None or os.path.lexists(path) or not create:
            with read_only_connection(self.url) as connection:
                there = survey(connection, library)
        shown = masked(self.url)
        if there.tables in ("none", "others", "optuna") and not create:
            if there.tables == "others":
                raise StorageUnavailable(
                    f"storage {shown} holds no studies of hpo: it belongs to another program; choose another with "
                    "--storage"
                )
            raise StorageUnavailable(f"storage {shown} holds no studies of hpo; {MAKE_ONE}")
        if there.tables == "others" and (path is not None or there.taken):
            which = f" with names that hpo needs ({', '.join(there.taken)})" if there.taken else ""
            raise StorageUnavailable(
                f"storage {shown} belongs to another program: it has tables{which} that neither hpo nor Optuna "
                "created, so nothing was written there. Choose another with --storage"
            )
        if there.tables == "old" and not writes:
            schema.check_migration(there.migration, shown)
        if there.tables != "current" or (there.lacking and writes):
            engine = make_engine(self.url)
            try:
                schema.ensure(engine, library)
            finally:
                engine.dispose()
        return there.tables

    def close(self) -> None:
        """Closes all connections."""
        self._engine.dispose()

    def find(self, name: str) -> StoredStudy | None:
        """Returns the stored study of that name, None if there is none."""
        if not re.fullmatch(NAME, name):  # no study has such a name, and the database may not accept it
            return None
        with self._reading() as connection:
            row = connection.execute(select(StudyRow.__table__).where(StudyRow.name == name)).first()
        if row is None:
            return None
        fields = {key: getattr(row, key) for key in ("id", "uid", "name", "content", "paused_at", "job")}
        return StoredStudy(**fields, codes=tuple(row.codes or ()))

    def names(self) -> list[str]:
        """Returns the names of all stored studies, the oldest first."""
        with self._reading() as connection:
            return list(connection.execute(select(StudyRow.name).order_by(StudyRow.id)).scalars())

    def store_study(
        self,
        study: Study,
        defaults: Mapping[str, object] | None = None,
        code: Mapping[str, Any] | None = None,
    ) -> StoredStudy:
        """Stores a study, or updates the stored one if its trials stay comparable.

        Args:
            study: the study to store.
            defaults: defaults of the params that it does not set; None: unknown, the stored ones are kept.
            code: the code from now on, see `StoredStudy.codes`; None: unchanged or unknown.

        Raises:
            StudyChanged: if the stored study of that name has trials that are not comparable; the message shows the
                difference.
        """
        identity = study.identity() if defaults is None else with_defaults(study.identity(), defaults)
        with self._writing() as connection:
            row = connection.execute(select(StudyRow.__table__).where(StudyRow.name == study.name)).first()
            if row is None:
                connection.execute(
                    insert(StudyRow).values(
                        uid=str(uuid.uuid4()),
                        name=study.name,
                        content=study.content(),
                        identity=identity,
                        digest=study.digest,
                        codes=[code] if code else None,
                        created_at=now(),
                    )
                )
            else:
                self._check_same_identity(study.name, row.identity, identity)
                values: dict[str, Any] = {"content": study.content(), "digest": study.digest}
                values |= {"identity": identity} if knows_defaults(identity) else {}
                values |= {"codes": [*(row.codes or ()), code]} if code else {}
                if any(getattr(row, name) != value for name, value in values.items()):
                    connection.execute(update(StudyRow).where(StudyRow.id == row.id).values(**values))
        stored = self.find(study.name)
        assert stored is not None  # written above
        return stored

    def check_unchanged(self, study: Study, defaults: Mapping[str, object]) -> None:
        """Checks, without writing, that trials of the stored study of that name are comparable.

        Raises:
            StudyChanged: if they are not; the message shows the difference.
        """
        query = select(StudyRow.identity).where(StudyRow.name == study.name)
        with self._reading() as connection:
            stored = connection.execute(query).scalar()
        if stored is not None:
            self._check_same_identity(study.name, stored, with_defaults(study.identity(), defaults))

    def _check_same_identity(self, name: str, stored: Mapping[str, str], identity: Mapping[str, str]) -> None:
        if differences(stored, identity):
            raise StudyChanged(changed_text(name, masked(self.url), stored, identity))

    def lease(self, study: StoredStudy, verb: str) -> Lease:
        """Takes the lease of a study.

        Raises:
            StudyBusy: if another driver holds it.
        """
        return Lease(self._engine, study.id, study.name, verb)

    @contextmanager
    def held(self, study: StoredStudy) -> Iterator[Lease]:
        """Holds the lease while a whole study is changed; a paused study can be changed too.

        Raises:
            StudyBusy: if a driver holds the study.
        """
        lease = Lease(self._engine, study.id, study.name, "change", allow_paused=True)
        try:
            yield lease
        finally:
            lease.release()

    def transact(self, work: Callable[[Connection], Answer], lease: Lease) -> Answer:
        """Runs `work` in one transaction that commits only while the lease is valid, and returns its result.

        Raises:
            StudyBusy: if another driver has taken the study over.
        """
        with self._writing(lease) as connection:
            return work(connection)

    def read(self, work: Callable[[Connection], Answer]) -> Answer:
        """Returns the result of `work`, which only reads."""
        with self._reading() as connection:
            return work(connection)

    def check_lease(self, lease: Lease) -> None:
        """Checks that no other driver has taken over; called right before a change outside the database.

        Raises:
            StudyBusy: if another driver has.
        """
        with self._reading() as connection:
            lease.check_not_lost(connection)

    def holder(self, study: StoredStudy) -> Holder | None:
        """Returns the current driver of the study, or the last one."""
        return self.read(lambda one: holder_of(one, study.id))

    def pause(self, study: StoredStudy) -> bool:
        """Pauses a study; returns whether that changed anything."""
        running = StudyRow.id == study.id, StudyRow.paused_at.is_(None)
        with self._writing() as connection:
            return connection.execute(update(StudyRow).where(*running).values(paused_at=now())).rowcount > 0

    def resume(self, study: StoredStudy) -> bool:
        """Resumes a study; returns whether it was paused."""
        paused = StudyRow.id == study.id, StudyRow.paused_at.is_not(None)
        with self._writing() as connection:
            return connection.execute(update(StudyRow).where(*paused).values(paused_at=None)).rowcount > 0

    def request_stop(self, study: StoredStudy) -> bool:
        """Asks the study's driver to stop; returns whether that is new.

        The request is stored with the driver, not the study: the next driver is not affected.
        """
        driver = select(LeaseRow.driver_id).where(LeaseRow.study_id == study.id).scalar_subquery()
        asked = update(DriverRow).where(DriverRow.id == driver, DriverRow.stopping_at.is_(None))
        with self._writing() as connection:
            return connection.execute(asked.values(stopping_at=now())).rowcount > 0

    def check_can_drive(self, study: StoredStudy) -> None:
        """Checks that the study could be driven now.

        Raises:
            StudyBusy: if it is driven.
            StudyPaused: if it is paused.
        """
        with self._reading() as connection:
            check_not_driven(holder_of(connection, study.id), study.name)
            check_not_paused(connection, study.id, study.name)

    def has_driven(self, study: StoredStudy, job: str) -> bool:
        """Whether a Ray job drives the study, or has driven it."""
        drivers = select(DriverRow.id).where(DriverRow.study_id == study.id, DriverRow.job == job)
        with self._reading() as connection:
            return connection.execute(drivers.limit(1)).first() is not None

    def submitted(self, study: StoredStudy, job: str | None) -> None:
        """Stores the id of the study's newest Ray job."""
        with self._writing() as connection:
            connection.execute(update(StudyRow).where(StudyRow.id == study.id).values(job=job))

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        options = {READS: True}
        with self._outage.guard(), self._engine.connect().execution_options(**options) as connection:
            yield connection

    @contextmanager
    def _writing(self, held: Lease | None = None) -> Iterator[Connection]:
        with self._outage.guard(), self._engine.begin() as connection:
            if held is not None:
                held.check_not_lost(connection)
            yield connection

    def put(
        self, study: StoredStudy, evaluation: Evaluation, held: Lease | None = None, costs: Sequence[Cost] = ()
    ) -> None:
        """Stores an evaluation with its costs; it replaces only one that failed or is of other code.

        Raises:
            StudyBusy: if another driver has taken over `held`.
            sqlalchemy.exc.IntegrityError: if the job has a successful evaluation of the same code.
        """
        job = evaluation.job
        values = {**evaluation_columns(evaluation), "recorded_at": now()}
        if self._in_doubt is evaluation:  # a retry after an outage: it may be stored already
            stored = self.get(study, job)
            if stored is not None and _result(stored) == _result(evaluation):
                return
        self._in_doubt = evaluation
        try:
            with self._writing(held) as connection:
                insert_evaluation(connection, study.id, job, values)
                insert_costs(connection, study.id, costs)
        except IntegrityError:
            stored = self.get(study, job)
            if stored is None or not (stored.status is Status.FAILED or stored.code.differs(evaluation.code)):
                raise
            with self._writing(held) as connection:
                if not replace_evaluation(connection, study.id, stored, values):
                    raise
                insert_costs(connection, study.id, costs)
        self._in_doubt = None

    def get(self, study: StoredStudy, job: Job) -> Evaluation | None:
        """Returns the evaluation of a job, None if it has none."""
        return self.read(lambda one: stored_evaluation(one, study.id, job))

    def keys(self, study: StoredStudy) -> set[JobKey]:
        """Returns the keys of all jobs that have an evaluation."""
        return {key for key, _status, _moment in self.finished(study)}

    def finished(self, study: StoredStudy) -> list[tuple[JobKey, Status, dt.datetime]]:
        """Returns the key of each evaluated job, with the status and the time of recording."""
        return self.read(lambda one: finished_jobs(one, study.id))

    def codes(self, study: StoredStudy) -> list[tuple[Code, Status]]:
        """Returns the code and the status of each evaluation."""
        return self.read(lambda one: codes_of(one, study.id))

    def evaluations(self, study: StoredStudy, stage: Stage | None = None, trial: int | None = None) -> list[Evaluation]:
        """Returns evaluations in the order of trial, stage and seed; see `stored_evaluations`."""
        return self.read(lambda one: stored_evaluations(one, study.id, stage, trial))

    def put_promotion(self, study: StoredStudy, promotion: StoredPromotion, held: Lease | None = None) -> None:
        """Stores a ranking; if it equals the last one, only the time is updated.

        Raises:
            StudyBusy: if another driver has taken over `held`.
        """
        is_known = self.promotion(study) == promotion
        with self._writing(held) as connection:
            if is_known:
                renew(connection, study.id)
            else:
                put(connection, study.id, promotion)

    def promotion(self, study: StoredStudy) -> StoredPromotion | None:
        """Returns the newest promotion, None if there is none."""
        return self.read(lambda one: newest(one, study.id))

    def completed_after(self, study: StoredStudy, moment: dt.datetime) -> set[int]:
        """Returns the trials with a search training that was recorded as complete after a moment in UTC."""
        return self.read(lambda one: completed_after(one, study.id, moment))

    def last_activity(self, study: StoredStudy) -> str | None:
        """Returns when the study's newest evaluation was recorded, as an ISO text in UTC."""
        return self.read(lambda one: last_activity(one, study.id))


def _result(evaluation: Evaluation) -> tuple[object, ...]:
    return evaluation.status, evaluation.value, evaluation.step, dict(evaluation.digests)
