"""Studies as data: the schema and validation of studies/*.toml."""

from hpo.study.configurations import Configuration, checked_configurations
from hpo.study.external import FIRST_EXTERNAL, ExternalTrial, Origin
from hpo.study.fitting import fitted
from hpo.study.objective import SECONDS
from hpo.study.options import PRUNERS, SAMPLERS, non_defaults, require_package
from hpo.study.schema import NAME, PromotionRules, Search, Study, json_schema
from hpo.study.table import dotted
from hpo.study.trial import TIMING, Trial, front, incumbent, not_reproducible, sort_best_first
from hpo.study.validation import dimensions_of, fixed_of, notes, parse

__all__ = [
    "FIRST_EXTERNAL",
    "NAME",
    "PRUNERS",
    "SAMPLERS",
    "SECONDS",
    "TIMING",
    "Configuration",
    "ExternalTrial",
    "Origin",
    "PromotionRules",
    "Search",
    "Study",
    "Trial",
    "checked_configurations",
    "dimensions_of",
    "dotted",
    "fitted",
    "fixed_of",
    "front",
    "incumbent",
    "json_schema",
    "non_defaults",
    "not_reproducible",
    "notes",
    "parse",
    "require_package",
    "sort_best_first",
]
