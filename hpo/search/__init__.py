"""The search as a job source, on Optuna's samplers and pruners."""

from hpo.search.imports import Foreign, chosen, read_foreign
from hpo.search.limits import Limits
from hpo.search.mixed import MixedSampler
from hpo.search.replicated import ReplicatedSource
from hpo.search.source import SearchSource

__all__ = [
    "Foreign",
    "Limits",
    "MixedSampler",
    "ReplicatedSource",
    "SearchSource",
    "chosen",
    "read_foreign",
]
