"""Writes replicates as directories `results_7`, `results_8`, ... for the report step.

The only package that uses matplotlib.
"""

from hpo.results.assets import write_assets
from hpo.results.block import (
    MIN_FREE_BYTES,
    clear_probes,
    clear_unpublished,
    require_writable,
    unwritten,
    write_results,
)
from hpo.results.ensemble import write_ensembles
from hpo.results.plain import json_text, latex
from hpo.results.promotion import table_text, write_promotion
from hpo.results.winner import Winner

__all__ = [
    "MIN_FREE_BYTES",
    "Winner",
    "clear_probes",
    "clear_unpublished",
    "json_text",
    "latex",
    "require_writable",
    "table_text",
    "unwritten",
    "write_assets",
    "write_ensembles",
    "write_promotion",
    "write_results",
]
