"""`promote` for a finished Optuna study and its objective function, beside the one for studies of hpo."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields
from functools import wraps
from typing import TYPE_CHECKING, Any

from hpo.core.arguments import require_known, require_type
from hpo.core.run_config import RunConfig
from hpo.promotion import promote as own
from hpo.promotion.external import External
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
    """Trains the best trials of a finished Optuna study again under other seeds, and says how much of them was luck.

    Args:
        study: the Optuna study itself; nothing is written to it.
        objective: the function that it optimized, `objective(trial)` or `objective(trial, seed)`.
        seeds: seeds of the replicates.
        top: number of candidates.
        name: name under which it is stored; None: that of the Optuna study, or of the function.
        config: where it is stored and run; None: the defaults.
        options: further fields of `PromotionOptions`.

    Raises:
        NothingToPromote: if no trial has completed.
        UsageError: if the study has several objectives, or something given cannot be used.
    """
    require_known(options, [one.name for one in fields(PromotionOptions)], "promote() of an Optuna study takes")
    require_type("seeds", seeds, (list, tuple), "a list of whole numbers")
    made = study_of(study, objective, seeds, top, name)
    trials, left_out = best_of(study, made)
    found = External(trials=trials, left_out=left_out, recognized=())
    return promote_found(made, config, PromotionOptions(top=top, **options), found)


@wraps(own.promote)
def _promote(study: Any, *args: Any, **given: Any) -> PromotionOutcome:
    if is_optuna_study(study):
        return promote_objective(study, *args, **given)
    return own.promote(study, *args, **given)


promote = own.promote if TYPE_CHECKING else _promote
"""Promotes a study; of a finished Optuna study, followed by its objective function, see `promote_objective`."""
