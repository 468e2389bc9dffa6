"""What must not be lost: studies, evaluations, promotions, and who drives; SQLAlchemy's and alembic's room."""

from hpo.store.engine import masked, normalised, prepare, sqlite_file
from hpo.store.lease import Holder, Lease
from hpo.store.recorded import Recorded
from hpo.store.store import Store, StoredPromotion, StoredRank, StoredStudy

__all__ = [
    "Holder",
    "Lease",
    "Recorded",
    "Store",
    "StoredPromotion",
    "StoredRank",
    "StoredStudy",
    "masked",
    "normalised",
    "prepare",
    "sqlite_file",
]
