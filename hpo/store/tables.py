"""The tables, all named hpo_*; they stand beside Optuna's in one database and refer to none of them.

Studies are known by a uid that is kept in the Optuna study's user attributes too, and trials by their number: a rename
in Optuna's dashboard changes Optuna's own ids.
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
    """A moment, kept in UTC; SQLite forgets the zone, so it is put back."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: dt.datetime | None, dialect: Dialect) -> dt.datetime | None:
        return None if value is None else value.astimezone(dt.UTC)

    def process_result_value(self, value: dt.datetime | None, dialect: Dialect) -> dt.datetime | None:
        return value.replace(tzinfo=dt.UTC) if value is not None and value.tzinfo is None else value


def now() -> dt.datetime:
    """Returns this moment."""
    return dt.datetime.now(dt.UTC)


class Base(DeclarativeBase):
    """The tables' common ground."""

    metadata = MetaData(naming_convention=NAMES)
    type_annotation_map = {dict[str, Any]: JSON, list[Any]: JSON, dt.datetime: UTC()}  # noqa: RUF012  SQLAlchemy's form


class StudyRow(Base):
    """A study as it was first stored, and as it was last run; since when it is paused, and its newest job of Ray's."""

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
    """A process that drove a study, or drives it; since when it is to stop, and which of Ray's jobs it is."""

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
    """Who may write for a study. Moments are seconds by the database's clock, the only one all drivers share."""

    __tablename__ = "hpo_leases"

    study_id: Mapped[int] = mapped_column(ForeignKey("hpo_studies.id", ondelete="CASCADE"), primary_key=True)
    token: Mapped[int] = mapped_column(BigInteger)
    driver_id: Mapped[int] = mapped_column(ForeignKey("hpo_drivers.id", ondelete="CASCADE"))
    renewed: Mapped[float] = mapped_column(Float(53))
    expires: Mapped[float] = mapped_column(Float(53))


class EvaluationRow(Base):
    """What became of one job. The key exists once; a value is a finite number."""

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
        # Named here: Postgres cuts the name that would follow from the columns.
        UniqueConstraint(
            "study_id", "trial", "stage", "seed", "fold", "budget", "variant", name="uq_hpo_evaluations_job"
        ),
        CheckConstraint("seed >= 0 AND fold >= 0 AND budget >= 1 AND trial >= 0", "numbers"),
        CheckConstraint("status IN ('complete', 'pruned', 'failed')", "status"),
        CheckConstraint("status <> 'complete' OR value IS NOT NULL", "complete_has_value"),
        # Postgres takes NaN for equal to itself and above every number, SQLite stores it as NULL: both end here.
        CheckConstraint("value IS NULL OR (value > -1e308 AND value < 1e308)", "value_finite"),
    )


class PromotionRow(Base):
    """A ranking that was made."""

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
    """One candidate of a promotion; score and rank are empty where a replicate is missing."""

    __tablename__ = "hpo_rankings"

    promotion_id: Mapped[int] = mapped_column(ForeignKey("hpo_promotions.id", ondelete="CASCADE"), primary_key=True)
    trial: Mapped[int] = mapped_column(primary_key=True)
    rank: Mapped[int | None]
    values: Mapped[dict[str, Any]]
    mean: Mapped[float | None] = mapped_column(Float(53))
    sigma: Mapped[float | None] = mapped_column(Float(53))
    score: Mapped[float | None] = mapped_column(Float(53))
    search_value: Mapped[float | None] = mapped_column(Float(53))
