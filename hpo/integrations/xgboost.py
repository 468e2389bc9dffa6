"""Boosting with XGBoost that reports step by step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import xgboost

from hpo.core.errors import UsageError

if TYPE_CHECKING:
    from hpo.training import Context

_SEEDS = ("seed", "random_state")


class Report(xgboost.callback.TrainingCallback):
    """A callback that reports XGBoost's evaluations after each round, e.g. as `val_auc`.

    It saves no checkpoint: an interrupted training starts again from the beginning. It gives the same bits if it uses
    `seed=ctx.streams.init.random_state()` and `nthread=ctx.threads`.

    Args:
        ctx: context of the training.
    """

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx

    def after_iteration(self, model: Any, epoch: int, evals_log: Mapping[str, Any]) -> bool:
        """Reports the evaluations; XGBoost calls it after each round."""
        self._ctx.report(_last(evals_log))
        return False


def train(
    params: Mapping[str, Any],
    data: xgboost.DMatrix,
    ctx: Context,
    *,
    valid: xgboost.DMatrix,
    rounds: int = 10,
    **options: Any,
) -> xgboost.Booster:
    """Trains `rounds` boosting rounds per step and reports `val_` metrics; a resumed training gives the same bits.

    Each step continues from the saved model and draws from the init stream of that step.

    Args:
        params: parameters of XGBoost without a seed.
        data: training data as a DMatrix.
        ctx: context of the training.
        valid: validation data as a DMatrix.
        rounds: boosting rounds per step.
        **options: further arguments of `xgboost.train`.

    Returns:
        The model after the last step.

    Raises:
        UsageError: if the params have a seed.
    """
    if seeds := [name for name in _SEEDS if name in params]:
        raise UsageError(f"train: the seed comes from ctx.streams; remove from the params: {', '.join(seeds)}")
    saved = ctx.load()
    model = _booster(saved["model"]) if saved else None
    for step in range(len(ctx.reports) + 1, ctx.budget + 1):
        found: dict[str, dict[str, list[float]]] = {}
        model = xgboost.train(
            {"nthread": ctx.threads, **params, "seed": ctx.streams.init.random_state(step)},
            data,
            rounds,
            evals=[(valid, "val")],
            evals_result=found,
            xgb_model=model,
            verbose_eval=False,
            **options,
        )
        raw = np.frombuffer(model.save_raw("ubj"), np.uint8)
        model = _booster(raw)  # the same object as in a resumed training, without cached data
        ctx.report(_last(found), checkpoint={"model": raw})
    assert model is not None  # a budget is 1 or more
    return model


def _booster(raw: Any) -> xgboost.Booster:
    return xgboost.Booster(model_file=bytearray(raw.tobytes()))


def _last(found: Mapping[str, Mapping[str, list[float]]]) -> dict[str, float]:
    return {f"{data}_{name}": values[-1] for data, metrics in found.items() for name, values in metrics.items()}
