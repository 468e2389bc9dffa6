"""Converts evaluations to table rows and back; every function runs inside the caller's transaction."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, insert, select, update

from hpo.core.code import Code, code_from
from hpo.core.records import Alert, Evaluation, Job, JobKey, Metrics, Report, Stage, Status
from hpo.store.retrying import failure_remarks
from hpo.store.tables import EvaluationRow

LARGEST_NUMBER = 2**31 - 1
"""The largest trial number that the databases' columns can hold."""

ROW = EvaluationRow
KEY = (ROW.trial, ROW.stage, ROW.seed, ROW.fold, ROW.budget, ROW.variant)


def insert_evaluation(connection: Connection, study: int, job: Job, values: Mapping[str, Any]) -> None:
    """Inserts the first evaluation of a job.

    Args:
        connection: one within a transaction.
        study: the study's id in this database.
        job: the job that was trained.
        values: values of the other columns, by name.

    Raises:
        sqlalchemy.exc.IntegrityError: if the job already has an evaluation.
    """
    key = {"trial": job.trial, "stage": str(job.stage), "seed": job.seed, "fold": job.fold}
    key |= {"budget": job.budget, "variant": job.variant}
    # The values are passed separately, so that SQLAlchemy compiles the statement once.
    connection.execute(insert(ROW), {"study_id": study, **key, "attempts": 1, **values})


def replace_evaluation(connection: Connection, study: int, stored: Evaluation, values: Mapping[str, Any]) -> bool:
    """Replaces an evaluation that failed or ran other code; returns False if it has changed in the meantime.

    Args:
        connection: one within a transaction.
        study: the study's id in this database.
        stored: the evaluation that was found.
        values: values of the columns outside the key, by name.
    """
    replaced = *_matches(study, stored.job), ROW.status == str(stored.status)
    row = connection.execute(select(ROW.__table__).where(*replaced)).first()
    if row is None:
        return False
    failure = failure_remarks(row.remarks, row.attempts, row.error) if row.status == Status.FAILED else []
    new = {**values, "remarks": [*failure, *values["remarks"]], "attempts": row.attempts + 1}
    connection.execute(update(ROW).where(*replaced).values(**new))
    return True


def stored_evaluation(connection: Connection, study: int, job: Job) -> Evaluation | None:
    """Returns the evaluation of a job, None if it has none."""
    row = connection.execute(select(ROW.__table__).where(*_matches(study, job))).first()
    return None if row is None else _evaluation(row)


def stored_evaluations(
    connection: Connection, study: int, stage: Stage | None = None, trial: int | None = None
) -> list[Evaluation]:
    """Returns evaluations in the order of trial, stage and seed.

    Args:
        connection: to the database.
        study: the study's id in this database.
        stage: stage of the evaluations; None: all trainings, without the evaluations on the test part.
        trial: number of the trial; None: all trials.
    """
    if trial is not None and not 0 <= trial <= LARGEST_NUMBER:
        return []
    query = (
        select(ROW.__table__)
        .where(ROW.study_id == study)
        .order_by(ROW.trial, ROW.stage.desc(), ROW.seed, ROW.fold, ROW.variant)
    )
    query = query.where(ROW.stage != str(Stage.TEST) if stage is None else ROW.stage == str(stage))
    if trial is not None:
        query = query.where(ROW.trial == trial)
    return [_evaluation(found) for found in connection.execute(query)]


def finished_jobs(connection: Connection, study: int) -> list[tuple[JobKey, Status, dt.datetime]]:
    """Returns the key of each evaluated job, with the status and the time of recording."""
    rows = connection.execute(select(*KEY, ROW.status, ROW.recorded_at).where(ROW.study_id == study))
    return [
        ((r.trial, Stage(r.stage), r.seed, r.fold, r.budget, r.variant), Status(r.status), r.recorded_at) for r in rows
    ]


def codes_of(connection: Connection, study: int) -> list[tuple[Code, Status]]:
    """Returns the code and the status of each evaluation."""
    rows = connection.execute(select(ROW.fingerprint, ROW.status).where(ROW.study_id == study))
    return [(code_from(r.fingerprint.get("code")), Status(r.status)) for r in rows]


def completed_after(connection: Connection, study: int, moment: dt.datetime) -> set[int]:
    """Returns the trials with a search training that was recorded as complete after a moment in UTC."""
    query = (
        select(ROW.trial)
        .where(
            ROW.study_id == study,
            ROW.stage == str(Stage.SEARCH),
            ROW.status == str(Status.COMPLETE),
            ROW.recorded_at > moment,
        )
        .distinct()
    )
    return set(connection.execute(query).scalars())


def last_activity(connection: Connection, study: int) -> str | None:
    """Returns when the newest evaluation was recorded, as an ISO text in UTC."""
    query = select(ROW.recorded_at).where(ROW.study_id == study).order_by(ROW.id.desc()).limit(1)
    moment = connection.execute(query).scalar()
    return None if moment is None else moment.isoformat(timespec="seconds")


def _matches(study: int, job: Job) -> tuple[Any, ...]:
    return (
        ROW.study_id == study,
        ROW.trial == job.trial,
        ROW.stage == str(job.stage),
        ROW.seed == job.seed,
        ROW.fold == job.fold,
        ROW.budget == job.budget,
        ROW.variant == job.variant,
    )


def _evaluation(row: Any) -> Evaluation:
    job = Job(
        trial=row.trial,
        params=row.params,
        seed=row.seed,
        budget=row.budget,
        fold=row.fold,
        stage=Stage(row.stage),
        stream_seeds=row.streams,
        variant=row.variant,
    )
    return Evaluation(
        job=job,
        status=Status(row.status),
        value=row.value,
        step=row.step,
        error=row.error,
        seconds=row.seconds,
        reports=tuple(_report(*stored) for stored in row.reports),
        digests=row.digests,
        fingerprint=row.fingerprint,
        files=row.files,
        remarks=tuple(one for one in row.remarks if isinstance(one, str)),
        last_alerts=tuple(Alert(**one) for one in row.remarks if not isinstance(one, str)),
    )


def _report(step: int, at: float, metrics: Metrics, alerts: Sequence[Mapping[str, Any]] = ()) -> Report:
    return Report(step=step, at=at, metrics=metrics, alerts=tuple(Alert(**alert) for alert in alerts))
