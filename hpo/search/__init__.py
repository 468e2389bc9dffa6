"""The search as a source of jobs; Optuna's room."""

from hpo.search.durable import Durable
from hpo.search.imports import Foreign, chosen, read_foreign
from hpo.search.limits import Limits
from hpo.search.mixed import MixedSampler
from hpo.search.replicated import ReplicatedSource
from hpo.search.retrying import failed_together, kind_of, last_line
from hpo.search.source import SearchSource
from hpo.search.tables import OPTUNA

__all__ = [
    "OPTUNA",
    "Durable",
    "Foreign",
    "Limits",
    "MixedSampler",
    "ReplicatedSource",
    "SearchSource",
    "chosen",
    "failed_together",
    "kind_of",
    "last_line",
    "read_foreign",
]
