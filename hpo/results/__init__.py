"""Replicates as directories `results_7`, `results_8`, ... that the report step reads.

The only package that uses matplotlib.
"""

from hpo.results.assets import write_assets
from hpo.results.block import LEAST_ROOM, clear_probes, clear_unpublished, refuse_unwritable, unwritten, write_results
from hpo.results.plain import json_text
from hpo.results.promotion import latex_text, markdown_text, table_text, write_promotion
from hpo.results.winner import Winner

__all__ = [
    "LEAST_ROOM",
    "Winner",
    "clear_probes",
    "clear_unpublished",
    "json_text",
    "latex_text",
    "markdown_text",
    "refuse_unwritable",
    "table_text",
    "unwritten",
    "write_assets",
    "write_promotion",
    "write_results",
]
