"""Our tables, all named hpo_*; they share a database with Optuna's tables and do not reference them.

A study is linked by a uid in the Optuna study's user attributes, a trial by its number: a rename in Optuna's dashboard
changes Optuna's own ids.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    MetaData,
    String,
    Text,
    UniqueConstraint,
    false,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class UTC(TypeDecorator[dt.datetime]):
    """A time in UTC; SQLite drops the time zone, so it is added again."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: dt.datetime | None, dialect: Dialect) -> dt.datetime | None:
        return None if value is None else value.astimezone(dt.UTC)

    def process_result_value(self, value: dt.datetime | None, dialect: Dialect) -> dt.datetime | None:
        return value.replace(tzinfo=dt.UTC) if value is not None and value.tzinfo is None else value


def now() -> dt.datetime:
    """Returns the current time in UTC."""
    return dt.datetime.now(dt.UTC)


class Base(DeclarativeBase):
    """The base class of all tables."""

    metadata = MetaData(naming_convention=NAMES)
    type_annotation_map = {dict[str, Any]: JSON, list[Any]: JSON, dt.datetime: UTC()}  # noqa: RUF012  SQLAlchemy's form


class StudyRow(Base):
    """A study: its identity when it was first stored, its content at the last run, pause and newest Ray job."""

    __tablename__ = "hpo_studies"

    id: Mapped[int] = mapped_column(primary_key=True)
    uid: Mapped[str] = mapped_column(String(36), unique=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    content: Mapped[dict[str, Any]]
    identity: Mapped[dict[str, Any]]
    digest: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[dt.datetime] = mapped_column(default=now)
    paused_at: Mapped[dt.datetime | None]
    job: Mapped[str | None] = mapped_column(String(128))
    codes: Mapped[list[Any] | None]


class DriverRow(Base):
    """A process that drives or drove a study; when it was asked to stop, and its Ray job."""

    __tablename__ = "hpo_drivers"

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("hpo_studies.id", ondelete="CASCADE"), index=True)
    verb: Mapped[str] = mapped_column(String(16))
    host: Mapped[str] = mapped_column(String(255))
    pid: Mapped[int]
    process: Mapped[str | None] = mapped_column(String(128))
    started_at: Mapped[dt.datetime] = mapped_column(default=now)
    ended_at: Mapped[dt.datetime | None]
    stopping_at: Mapped[dt.datetime | None]
    job: Mapped[str | None] = mapped_column(String(128))


class LeaseRow(Base):
    """Who may write to a study. Times are seconds of the database's clock, the only one that all drivers share."""

    __tablename__ = "hpo_leases"

    study_id: Mapped[int] = mapped_column(ForeignKey("hpo_studies.id", ondelete="CASCADE"), primary_key=True)
    token: Mapped[int] = mapped_column(BigInteger)
    driver_id: Mapped[int] = mapped_column(ForeignKey("hpo_drivers.id", ondelete="CASCADE"))
    renewed: Mapped[float] = mapped_column(Float(53))
    expires: Mapped[float] = mapped_column(Float(53))
    running: Mapped[str | None] = mapped_column(Text)  # see hpo.store.running


class EvaluationRow(Base):
    """The evaluation of one job. The key is unique; a value is a finite number."""

    __tablename__ = "hpo_evaluations"

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("hpo_studies.id", ondelete="CASCADE"))
    trial: Mapped[int]
    stage: Mapped[str] = mapped_column(String(16))
    seed: Mapped[int] = mapped_column(BigInteger)
    fold: Mapped[int]
    budget: Mapped[int]
    variant: Mapped[str] = mapped_column(String(32), default="", server_default="")
    params: Mapped[dict[str, Any]]
    streams: Mapped[dict[str, Any]]
    status: Mapped[str] = mapped_column(String(16))
    value: Mapped[float | None] = mapped_column(Float(53))
    step: Mapped[int | None]
    reports: Mapped[list[Any]]
    error: Mapped[str | None] = mapped_column(Text)
    seconds: Mapped[float] = mapped_column(Float(53))
    digests: Mapped[dict[str, Any]]
    fingerprint: Mapped[dict[str, Any]]
    files: Mapped[str | None] = mapped_column(Text)
    attempts: Mapped[int] = mapped_column(default=1)
    remarks: Mapped[list[Any]] = mapped_column(default=list, server_default="[]")
    recorded_at: Mapped[dt.datetime] = mapped_column(default=now)

    __table_args__ = (
        # Named here, because Postgres truncates the name that would follow from the columns.
        UniqueConstraint(
            "study_id", "trial", "stage", "seed", "fold", "budget", "variant", name="uq_hpo_evaluations_job"
        ),
        CheckConstraint("seed >= 0 AND fold >= 0 AND budget >= 1 AND trial >= 0", "numbers"),
        CheckConstraint("status IN ('complete', 'pruned', 'failed')", "status"),
        CheckConstraint("status <> 'complete' OR value IS NOT NULL", "complete_has_value"),
        # Postgres sorts NaN above every number, SQLite stores it as NULL: this refuses both.
        CheckConstraint("value IS NULL OR (value > -1e308 AND value < 1e308)", "value_finite"),
    )


class CostRow(Base):
    """What one run of a training used; a job has several if it failed, was repeated, or was stopped and resumed."""

    __tablename__ = "hpo_costs"

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("hpo_studies.id", ondelete="CASCADE"), index=True)
    trial: Mapped[int]
    stage: Mapped[str] = mapped_column(String(16))
    seed: Mapped[int] = mapped_column(BigInteger)
    fold: Mapped[int]
    budget: Mapped[int]
    variant: Mapped[str] = mapped_column(String(32))
    seconds: Mapped[float] = mapped_column(Float(53))
    gpus: Mapped[float] = mapped_column(Float(53))


class PromotionRow(Base):
    """A stored ranking."""

    __tablename__ = "hpo_promotions"

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("hpo_studies.id", ondelete="CASCADE"), index=True)
    rule: Mapped[str] = mapped_column(String(32))
    lambda_: Mapped[float] = mapped_column("lambda", Float(53))
    ddof: Mapped[str] = mapped_column(String(16))
    seeds: Mapped[list[Any]]
    top: Mapped[int]
    results: Mapped[list[Any]]
    winner: Mapped[int | None]
    race: Mapped[dict[str, Any] | None]
    allow_ignored: Mapped[bool] = mapped_column(default=False, server_default=false())
    created_at: Mapped[dt.datetime] = mapped_column(default=now)


class RankRow(Base):
    """One candidate of a promotion; score and rank are null if a replicate is missing."""

    __tablename__ = "hpo_rankings"

    promotion_id: Mapped[int] = mapped_column(ForeignKey("hpo_promotions.id", ondelete="CASCADE"), primary_key=True)
    trial: Mapped[int] = mapped_column(primary_key=True)
    rank: Mapped[int | None]
    values: Mapped[dict[str, Any]]
    mean: Mapped[float | None] = mapped_column(Float(53))
    sigma: Mapped[float | None] = mapped_column(Float(53))
    score: Mapped[float | None] = mapped_column(Float(53))
    search_value: Mapped[float | None] = mapped_column(Float(53))
