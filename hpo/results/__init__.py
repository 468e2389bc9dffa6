"""Replicates as directories `results_7`, `results_8`, ... that the report step reads; matplotlib's room."""

from hpo.results.block import refuse_unwritable, unwritten, write_results
from hpo.results.promotion import write_promotion
from hpo.results.winner import Winner

__all__ = ["Winner", "refuse_unwritable", "unwritten", "write_promotion", "write_results"]
