"""Writes replicates as directories `results_7`, `results_8`, ... for the report step.

The only package that uses matplotlib.
"""

from hpo.results.assets import write_assets
from hpo.results.block import (
    MIN_FREE_BYTES,
    clear_probes,
    clear_unpublished,
    probes,
    require_writable,
    unpublished,
    unwritten,
    write_results,
)
from hpo.results.ensemble import write_ensembles
from hpo.results.plain import json_text, latex
from hpo.results.promotion import table_text, write_promotion
from hpo.results.trials import FOLDER, KeptFolder, KeptTrial, kept_folders, remove_trials, write_trial
from hpo.results.winner import TrialInfo, Winner

__all__ = [
    "FOLDER",
    "MIN_FREE_BYTES",
    "KeptFolder",
    "KeptTrial",
    "TrialInfo",
    "Winner",
    "clear_probes",
    "clear_unpublished",
    "json_text",
    "kept_folders",
    "latex",
    "probes",
    "remove_trials",
    "require_writable",
    "table_text",
    "unpublished",
    "unwritten",
    "write_assets",
    "write_ensembles",
    "write_promotion",
    "write_results",
    "write_trial",
]
