"""What trainings have cost: a row for each time that a training ran, also if it failed, was repeated or was stopped."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, and_, exists, func, insert, select

from hpo.core.costs import Cost, Spent
from hpo.core.records import JobKey, Stage, Status
from hpo.store.tables import CostRow, EvaluationRow

COST, ROW = CostRow, EvaluationRow
KEY = (COST.trial, COST.stage, COST.seed, COST.fold, COST.budget, COST.variant)


def insert_costs(connection: Connection, study: int, costs: Sequence[Cost]) -> None:
    """Inserts what runs of trainings have used.

    Args:
        connection: one within a transaction.
        study: the study's id in this database.
        costs: the runs, in any order; there may be none.
    """
    rows = [
        {
            "study_id": study,
            "trial": one.job.trial,
            "stage": str(one.job.stage),
            "seed": one.job.seed,
            "fold": one.job.fold,
            "budget": one.job.budget,
            "variant": one.job.variant,
            "seconds": one.seconds if math.isfinite(one.seconds) else 0.0,
            "gpus": one.gpus,
        }
        for one in costs
    ]
    if rows:
        connection.execute(insert(COST), rows)


def spent_by(connection: Connection, study: int, gpus: float, price_per_hour: float | None) -> Spent:
    """Returns what a study has used; an evaluation without a row here, such as an old one, counts its own seconds.

    Args:
        connection: to the database.
        study: the study's id in this database.
        gpus: number of GPUs of a training without a row.
        price_per_hour: price of the resources of one training per hour; None: not known.
    """
    of_costs = select(func.sum(COST.seconds), func.sum(COST.seconds * COST.gpus)).where(COST.study_id == study)
    seconds, gpu_seconds = connection.execute(of_costs).one()
    same = [getattr(COST, one.key) == getattr(ROW, one.key) for one in KEY]
    has_row = exists().where(and_(COST.study_id == ROW.study_id, *same))
    rest = select(func.sum(ROW.seconds)).where(ROW.study_id == study, ~has_row)
    old = connection.execute(rest).scalar() or 0.0
    return Spent(
        seconds=(seconds or 0.0) + old,
        gpu_seconds=(gpu_seconds or 0.0) + old * gpus,
        price_per_hour=price_per_hour,
    )


def spent_by_stage(connection: Connection, study: int) -> dict[Stage, tuple[int, float]]:
    """Returns the number of runs of trainings of each stage, and their seconds; see `spent_by`."""
    found: dict[Stage, tuple[int, float]] = {}
    same = [getattr(COST, one.key) == getattr(ROW, one.key) for one in KEY]
    has_row = exists().where(and_(COST.study_id == ROW.study_id, *same))
    for row, conditions in ((COST, [COST.study_id == study]), (ROW, [ROW.study_id == study, ~has_row])):
        query = select(row.stage, func.count(), func.sum(row.seconds)).where(*conditions).group_by(row.stage)
        for name, count, seconds in connection.execute(query):
            runs, used = found.get(Stage(name), (0, 0.0))
            found[Stage(name)] = runs + count, used + (seconds or 0.0)
    return found


def used_by_jobs(connection: Connection, study: int) -> dict[JobKey, float]:
    """Returns the seconds that each job with a row has used so far, by its key."""
    query = select(*KEY, func.sum(COST.seconds).label("used")).where(COST.study_id == study).group_by(*KEY)
    return {_key(one): one.used for one in connection.execute(query)}


def complete_jobs(connection: Connection, study: int) -> dict[JobKey, float]:
    """Returns the seconds of each complete evaluation by its key, without those answered by an identical trial."""
    of_job = [getattr(ROW, one.key) for one in KEY]
    whole = ROW.study_id == study, ROW.status == str(Status.COMPLETE), ROW.seconds > 0
    return {_key(one): one.seconds for one in connection.execute(select(*of_job, ROW.seconds).where(*whole))}


def _key(row: Any) -> JobKey:
    return row.trial, Stage(row.stage), row.seed, row.fold, row.budget, row.variant
