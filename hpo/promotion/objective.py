"""`promote` that also takes a finished Optuna study and its objective function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields
from functools import wraps
from typing import Any, Protocol, cast, overload

from hpo.core.arguments import require_known, require_type
from hpo.core.protocols import Observer
from hpo.core.run_config import RunConfig
from hpo.driver.options import Keywords, Verb
from hpo.promotion import promote as of_hpo
from hpo.promotion.external import ExternalCandidates
from hpo.promotion.options import PromotionOptions
from hpo.promotion.promote import PromotionOutcome, promote_found
from hpo.search.objective import OptunaStudy, best_of, is_optuna_study, study_of
from hpo.study import Study


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


class _Promote(Protocol[Keywords]):
    """The signatures of `promote`: those of a study's promotion, and that of `promote_objective`.

    The latter names its options: with `**options` a type checker would no longer name a misspelled keyword.
    """

    @overload
    def __call__(
        self,
        study: OptunaStudy,
        objective: Callable[..., object],
        *,
        seeds: Sequence[int] = (42, 43, 44),
        top: int = 5,
        name: str | None = None,
        config: RunConfig | None = None,
        lambda_: float | None = None,
        confirm_seeds: Sequence[int] = (),
        observers: Sequence[Observer] = (),
        accept_code_change: bool = False,
        allow_ignored_seed: bool = False,
    ) -> PromotionOutcome: ...
    @overload
    def __call__(self, study: Study | str, config: RunConfig | None, options: PromotionOptions) -> PromotionOutcome: ...
    @overload
    def __call__(
        self, study: Study | str, config: RunConfig | None = None, *args: Keywords.args, **kwargs: Keywords.kwargs
    ) -> PromotionOutcome: ...


def _of_both(of_study: Verb[Keywords, PromotionOptions, PromotionOutcome]) -> _Promote[Keywords]:
    """Returns `promote` for both kinds of studies, from that for a study of hpo, whose keywords it has."""

    @wraps(of_study)
    def promote(study: Any, *args: Any, **given: Any) -> PromotionOutcome:
        return promote_objective(study, *args, **given) if is_optuna_study(study) else of_study(study, *args, **given)

    return cast("_Promote[Keywords]", promote)


promote = _of_both(of_hpo.promote)
"""Promotes a study. Also takes an Optuna study with its objective function; see `promote_objective`."""
