"""A study as data: what a studies/*.toml may say, and what is wrong with one."""

from hpo.study.configurations import Configuration, refuse_unfit
from hpo.study.fitting import fitted
from hpo.study.options import PRUNERS, SAMPLERS, said
from hpo.study.reading import dimensions_of, fixed_of, notes, parse
from hpo.study.table import dotted
from hpo.study.tables import NAME, PromotionRules, Search, Study, json_schema

__all__ = [
    "NAME",
    "PRUNERS",
    "SAMPLERS",
    "Configuration",
    "PromotionRules",
    "Search",
    "Study",
    "dimensions_of",
    "dotted",
    "fitted",
    "fixed_of",
    "json_schema",
    "notes",
    "parse",
    "refuse_unfit",
    "said",
]
