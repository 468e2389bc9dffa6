"""What must not be lost: studies, evaluations, promotions, and who drives. The only package that uses SQLAlchemy."""

from hpo.core.redaction import masked
from hpo.store.engine import engine_options, make_engine, prepare_optuna
from hpo.store.health import Health, health
from hpo.store.lease import JOB, Holder, Lease, end_driver
from hpo.store.outage import Outage, away, explained
from hpo.store.process import host, is_dead, mark
from hpo.store.promotions import StoredPromotion, StoredRank
from hpo.store.reading import read_only
from hpo.store.recorded import RecordedSource
from hpo.store.retrying import reopen
from hpo.store.schema import Library, ensure
from hpo.store.store import MAKE_ONE, Store, StoredStudy
from hpo.store.survey import Tables
from hpo.store.urls import normalised, sqlite_file
from hpo.store.whole import copy_study, delete_study, rename_study

__all__ = [
    "JOB",
    "MAKE_ONE",
    "Health",
    "Holder",
    "Lease",
    "Library",
    "Outage",
    "RecordedSource",
    "Store",
    "StoredPromotion",
    "StoredRank",
    "StoredStudy",
    "Tables",
    "away",
    "copy_study",
    "delete_study",
    "end_driver",
    "engine_options",
    "ensure",
    "explained",
    "health",
    "host",
    "is_dead",
    "make_engine",
    "mark",
    "masked",
    "normalised",
    "prepare_optuna",
    "read_only",
    "rename_study",
    "reopen",
    "sqlite_file",
]
