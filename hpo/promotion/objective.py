"""`promote` that also takes a finished Optuna study and its objective function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields
from functools import wraps
from typing import TYPE_CHECKING, Any

from hpo.core.arguments import require_known, require_type
from hpo.core.run_config import RunConfig
from hpo.promotion import promote as of_hpo
from hpo.promotion.external import ExternalCandidates
from hpo.promotion.options import PromotionOptions
from hpo.promotion.promote import PromotionOutcome, promote_found
from hpo.search.objective import best_of, is_optuna_study, study_of


def promote_objective(
    study: Any,
    objective: Callable[..., Any],
    *,
    seeds: Sequence[int] = (42, 43, 44),
    top: int = 5,
    name: str | None = None,
    config: RunConfig | None = None,
    **options: Any,
) -> PromotionOutcome:
    """Retrains the best trials of a finished Optuna study under other seeds, and tells how much was luck.

    Args:
        study: the Optuna study itself; nothing is written to it.
        objective: its objective function, `objective(trial)` or `objective(trial, seed)`.
        seeds: seeds of the replicates.
        top: number of candidates.
        name: name under which hpo stores it; None: that of the Optuna study, or of the function.
        config: where hpo stores and runs it; None: the defaults.
        options: further fields of `PromotionOptions`.

    Raises:
        NothingToPromote: if no trial has completed.
        UsageError: if the study has several objectives, or an option cannot be used.
    """
    require_known(options, [one.name for one in fields(PromotionOptions)], "promote() of an Optuna study takes")
    require_type("seeds", seeds, (list, tuple), "a list of whole numbers")
    made = study_of(study, objective, seeds, top, name)
    trials, left_out = best_of(study, made)
    found = ExternalCandidates(trials=trials, left_out=left_out, recognized=())
    return promote_found(made, config, PromotionOptions(top=top, **options), found)


@wraps(of_hpo.promote)
def _promote(study: Any, *args: Any, **given: Any) -> PromotionOutcome:
    if is_optuna_study(study):
        return promote_objective(study, *args, **given)
    return of_hpo.promote(study, *args, **given)


promote = of_hpo.promote if TYPE_CHECKING else _promote
"""Promotes a study. Also takes an Optuna study with its objective function; see `promote_objective`."""
