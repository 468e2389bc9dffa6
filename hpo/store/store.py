"""The records as the rest of the package sees them: plain values in, plain values out."""

from __future__ import annotations

import datetime as dt
import os
import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import Connection, insert, select, update
from sqlalchemy.exc import DBAPIError, IntegrityError

from hpo.core.code import Code
from hpo.core.errors import StorageDamaged, StorageUnavailable, StudyChanged
from hpo.core.records import Evaluation, Job, JobKey, Stage, Status
from hpo.core.redaction import masked
from hpo.store import schema
from hpo.store.damage import NOT_ONE, damage_of, damaged
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
from hpo.store.fit import content_of
from hpo.store.identity import changed_text, differences, knows_defaults, with_defaults
from hpo.store.lease import Holder, Lease, holder_of, refuse_paused, refuse_second
from hpo.store.outage import Outage
from hpo.store.promotions import StoredPromotion, newest, put, renew
from hpo.store.schema import Library
from hpo.store.survey import Survey, Tables, looking, readable, survey
from hpo.store.tables import DriverRow, LeaseRow, StudyRow, now
from hpo.store.unavailable import unavailable
from hpo.store.urls import normalised, sqlite_file
from hpo.study import NAME, Study

Answer = TypeVar("Answer")

MAKE_ONE = "make one with: hpo run --study NAME"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredStudy:
    """A study as it lies in the database.

    Attributes:
        id: ours, within this database.
        uid: unique among the studies of all databases.
        name: name of the study.
        content: the study file as it was last run.
        paused_at: since when it is paused; None: it is not.
        job: its newest of Ray's jobs, as it was submitted; None: it never was.
        codes: that it was trained with, the newest last: digest, files, since when, whether a change was accepted;
            empty where an earlier hpo stored it.
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

    Any method raises `StorageAway` while the database does not answer and `StorageLost` when it has not for too long.

    Args:
        url: database URL as SQLAlchemy takes it.
        outage: how long the database may be away; None: not at all.
        create: whether the tables are made if they are missing.
        writes: whether anything is to be changed in the database; else it refuses that.
        library: whose tables are made and repaired together with ours; None: none.

    Attributes:
        url: database URL as SQLAlchemy takes it.
        location: by which the database is opened: a file that cannot be written has another URL than its own.
        found: whose tables were there before it was opened.

    Raises:
        StorageUnavailable: if the database cannot be opened, is another program's, or has no tables of ours and they
            are not to be made.
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
        self.url = normalised(url)
        self._in_doubt: Evaluation | None = None
        self._outage = outage or Outage(masked(self.url))
        try:
            self.found = self._prepared(create, library, writes=writes or create)
            self.location = self.url if writes else readable(self.url)
            self._engine = make_engine(self.location, read_only=not writes)
        except DBAPIError as error:
            if (damage := damage_of(self.url)) not in (None, NOT_ONE):
                raise StorageDamaged(damaged(masked(self.url), str(damage))) from error
            raise StorageUnavailable(unavailable(self.url, error)) from error

    def _prepared(self, create: bool, library: Library | None, *, writes: bool) -> Tables:
        """Makes, migrates or repairs the tables where that is to be done, and returns whose there were before.

        Who only looks repairs nothing, and migrates what is surely ours.
        """
        path = sqlite_file(self.url)
        there = Survey(tables="none")
        if path is None or os.path.lexists(path) or not create:
            with looking(self.url) as connection:
                there = survey(connection, library)
        shown = masked(self.url)
        if there.tables in ("none", "others", "optuna") and not create:
            if there.tables == "others":
                raise StorageUnavailable(
                    f"storage {shown} holds no studies of hpo: it is another program's; choose another with --storage"
                )
            raise StorageUnavailable(f"storage {shown} holds no studies of hpo; {MAKE_ONE}")
        if there.tables == "others" and (path is not None or there.taken):
            which = f" that we would need ({', '.join(there.taken)})" if there.taken else ""
            raise StorageUnavailable(
                f"storage {shown} is another program's: it has tables{which} that neither hpo nor Optuna made, so "
                "nothing was written there. Choose another with --storage"
            )
        if there.tables == "old" and not writes:
            schema.refuse_unknown(there.migration, shown)
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
        """Returns a stored study, None if there is none of that name."""
        if not re.fullmatch(NAME, name):  # no study has it, and a database need not be able to store it
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

    def enrol(
        self,
        study: Study,
        defaults: Mapping[str, object] | None = None,
        code: Mapping[str, Any] | None = None,
    ) -> StoredStudy:
        """Stores a study, or finds it and refuses one that means something else.

        Args:
            study: what is stored.
            defaults: of the params that it does not set; None: they are not known, and are left as they are.
            code: that it is trained with from now on, see `StoredStudy.codes`; None: as before, or not known.

        Raises:
            StudyChanged: if a study of that name is stored whose trials would not compare; the message shows the
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
                self._refuse_difference(study.name, row.identity, identity)
                values: dict[str, Any] = {"content": study.content(), "digest": study.digest}
                values |= {"identity": identity} if knows_defaults(identity) else {}
                values |= {"codes": [*(row.codes or ()), code]} if code else {}
                if any(getattr(row, name) != value for name, value in values.items()):
                    connection.execute(update(StudyRow).where(StudyRow.id == row.id).values(**values))
        stored = self.find(study.name)
        assert stored is not None  # written above
        return stored

    def refuse_changed(self, study: Study, defaults: Mapping[str, object]) -> None:
        """Raises, and writes nothing, where a study of that name is stored that means something else.

        Raises:
            StudyChanged: if it is so; the message shows the difference.
        """
        query = select(StudyRow.identity).where(StudyRow.name == study.name)
        with self._reading() as connection:
            stored = connection.execute(query).scalar()
        if stored is not None:
            self._refuse_difference(study.name, stored, with_defaults(study.identity(), defaults))

    def _refuse_difference(self, name: str, stored: Mapping[str, str], identity: Mapping[str, str]) -> None:
        if differences(stored, identity):
            raise StudyChanged(changed_text(name, masked(self.url), stored, identity))

    def lease(self, study: StoredStudy, verb: str) -> Lease:
        """Takes the right to write for a study.

        Raises:
            StudyBusy: if another driver holds it.
        """
        return Lease(self._engine, study.id, study.name, verb)

    @contextmanager
    def held(self, study: StoredStudy) -> Iterator[Lease]:
        """Keeps drivers away while a whole study is changed; a pause is no hindrance.

        Raises:
            StudyBusy: if a driver holds the study.
        """
        lease = Lease(self._engine, study.id, study.name, "change", even_paused=True)
        try:
            yield lease
        finally:
            lease.release()

    def in_one_step(self, work: Callable[[Connection], Answer], lease: Lease) -> Answer:
        """Does something in one transaction that is committed only while the lease holds, and returns its answer.

        Raises:
            StudyBusy: if another driver has taken the study over.
        """
        with self._writing(lease) as connection:
            return work(connection)

    def refuse_replaced(self, lease: Lease) -> None:
        """Raises where another driver has taken the study over; asked right before what the database cannot guard.

        Raises:
            StudyBusy: if it has.
        """
        with self._reading() as connection:
            lease.refuse_if_lost(connection)

    def holder(self, study: StoredStudy) -> Holder | None:
        """Returns who drives the study, or did last."""
        with self._reading() as connection:
            return holder_of(connection, study.id)

    def pause(self, study: StoredStudy) -> bool:
        """Lets nothing new begin in a study; returns whether it was not paused before."""
        running = StudyRow.id == study.id, StudyRow.paused_at.is_(None)
        with self._writing() as connection:
            return connection.execute(update(StudyRow).where(*running).values(paused_at=now())).rowcount > 0

    def resume(self, study: StoredStudy) -> bool:
        """Lets a study go on; returns whether it was paused."""
        paused = StudyRow.id == study.id, StudyRow.paused_at.is_not(None)
        with self._writing() as connection:
            return connection.execute(update(StudyRow).where(*paused).values(paused_at=None)).rowcount > 0

    def ask_to_stop(self, study: StoredStudy) -> bool:
        """Asks the study's driver to end its work in order; returns whether it had not been asked before.

        The wish is that driver's, not the study's: whoever drives next knows nothing of it.
        """
        driver = select(LeaseRow.driver_id).where(LeaseRow.study_id == study.id).scalar_subquery()
        asked = update(DriverRow).where(DriverRow.id == driver, DriverRow.stopping_at.is_(None))
        with self._writing() as connection:
            return connection.execute(asked.values(stopping_at=now())).rowcount > 0

    def refuse_driving(self, study: StoredStudy) -> None:
        """Raises where the study could not be driven now.

        Raises:
            StudyBusy: if somebody does.
            StudyPaused: if it is paused.
        """
        with self._reading() as connection:
            refuse_second(holder_of(connection, study.id), study.name)
            refuse_paused(connection, study.id, study.name)

    def has_begun(self, study: StoredStudy, job: str) -> bool:
        """Whether one of Ray's jobs has driven the study, or drives it."""
        drivers = select(DriverRow.id).where(DriverRow.study_id == study.id, DriverRow.job == job)
        with self._reading() as connection:
            return connection.execute(drivers.limit(1)).first() is not None

    def submitted(self, study: StoredStudy, job: str | None) -> None:
        """Keeps which of Ray's jobs is the study's newest."""
        with self._writing() as connection:
            connection.execute(update(StudyRow).where(StudyRow.id == study.id).values(job=job))

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        options = {READS: True}
        with self._outage.watched(), self._engine.connect().execution_options(**options) as connection:
            yield connection

    @contextmanager
    def _writing(self, held: Lease | None = None) -> Iterator[Connection]:
        with self._outage.watched(), self._engine.begin() as connection:
            if held is not None:
                held.refuse_if_lost(connection)
            yield connection

    def put(self, study: StoredStudy, evaluation: Evaluation, held: Lease | None = None) -> None:
        """Stores an evaluation; only one that failed, or is of other code, is ever replaced.

        Raises:
            StudyBusy: if `held` has been taken over.
            sqlalchemy.exc.IntegrityError: if the job has an evaluation of the same code that is no failure.
        """
        job = evaluation.job
        values = {**content_of(evaluation), "recorded_at": now()}
        if self._in_doubt is evaluation:  # called again, because the database did not answer: it may be stored
            stored = self.get(study, job)
            if stored is not None and _result(stored) == _result(evaluation):
                return
        self._in_doubt = evaluation
        try:
            with self._writing(held) as connection:
                insert_evaluation(connection, study.id, job, values)
        except IntegrityError:
            stored = self.get(study, job)
            if stored is None or not (stored.status is Status.FAILED or stored.code.differs(evaluation.code)):
                raise
            with self._writing(held) as connection:
                is_replaced = replace_evaluation(connection, study.id, stored, values)
            if not is_replaced:
                raise
        self._in_doubt = None

    def get(self, study: StoredStudy, job: Job) -> Evaluation | None:
        """Returns the evaluation of a job, None if it has none."""
        with self._reading() as connection:
            return stored_evaluation(connection, study.id, job)

    def keys(self, study: StoredStudy) -> set[JobKey]:
        """Returns the keys of all jobs that have an evaluation."""
        return {key for key, _status, _moment in self.finished(study)}

    def finished(self, study: StoredStudy) -> list[tuple[JobKey, Status, dt.datetime]]:
        """Returns the keys of all jobs that have an evaluation, with its status and when it was recorded."""
        with self._reading() as connection:
            return finished_jobs(connection, study.id)

    def codes(self, study: StoredStudy) -> list[tuple[Code, Status]]:
        """Returns, of each evaluation, the code that it is of and how it ended."""
        with self._reading() as connection:
            return codes_of(connection, study.id)

    def evaluations(self, study: StoredStudy, stage: Stage | None = None, trial: int | None = None) -> list[Evaluation]:
        """Returns evaluations in the order of trial, stage and seed."""
        with self._reading() as connection:
            return stored_evaluations(connection, study.id, stage, trial)

    def put_promotion(self, study: StoredStudy, promotion: StoredPromotion, held: Lease | None = None) -> None:
        """Stores a ranking; of an equal one that was stored last only the time is stored.

        Raises:
            StudyBusy: if `held` has been taken over.
        """
        is_known = self.promotion(study) == promotion
        with self._writing(held) as connection:
            if is_known:
                renew(connection, study.id)
            else:
                put(connection, study.id, promotion)

    def promotion(self, study: StoredStudy) -> StoredPromotion | None:
        """Returns the newest promotion, None if there is none."""
        with self._reading() as connection:
            return newest(connection, study.id)

    def completed_after(self, study: StoredStudy, moment: dt.datetime) -> set[int]:
        """Returns the trials of which a training of the search was recorded complete after a moment in UTC."""
        with self._reading() as connection:
            return completed_after(connection, study.id, moment)

    def last_activity(self, study: StoredStudy) -> str | None:
        """Returns when the study's newest evaluation was recorded, as an ISO text in UTC."""
        with self._reading() as connection:
            return last_activity(connection, study.id)


def _result(evaluation: Evaluation) -> tuple[object, ...]:
    return evaluation.status, evaluation.value, evaluation.step, dict(evaluation.digests)
