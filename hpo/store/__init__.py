"""The database: studies, evaluations, promotions and drivers. The only package that uses SQLAlchemy."""

from hpo.core.redaction import masked
from hpo.store.engine import engine_options, make_engine, prepare_optuna
from hpo.store.health import Health, health
from hpo.store.lease import JOB, Holder, Lease, end_driver
from hpo.store.outage import Outage, explain_errors, outage_reason
from hpo.store.process import host, is_dead, process_key
from hpo.store.promotions import StoredPromotion, StoredRank
from hpo.store.read_only import read_only
from hpo.store.recorded import RecordedSource
from hpo.store.retrying import reopen
from hpo.store.running import RunningTraining
from hpo.store.schema import Library, ensure, scripts_of
from hpo.store.store import MAKE_ONE, Store, StoredStudy
from hpo.store.study_ops import copy_study, delete_study, rename_study
from hpo.store.survey import Tables
from hpo.store.urls import absolute_url, normalize_url, sqlite_file

__all__ = [
    "JOB",
    "MAKE_ONE",
    "Health",
    "Holder",
    "Lease",
    "Library",
    "Outage",
    "RecordedSource",
    "RunningTraining",
    "Store",
    "StoredPromotion",
    "StoredRank",
    "StoredStudy",
    "Tables",
    "absolute_url",
    "copy_study",
    "delete_study",
    "end_driver",
    "engine_options",
    "ensure",
    "explain_errors",
    "health",
    "host",
    "is_dead",
    "make_engine",
    "masked",
    "normalize_url",
    "outage_reason",
    "prepare_optuna",
    "process_key",
    "read_only",
    "rename_study",
    "reopen",
    "scripts_of",
    "sqlite_file",
]
