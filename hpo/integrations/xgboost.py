"""Boosting by XGBoost, reported step by step."""

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
    """A callback that reports after each round what XGBoost has evaluated, e.g. as `val_auc`.

    It saves nothing: a training that goes on begins anew, to the same bits if it is seeded by
    `seed=ctx.streams.init.random_state()` and `nthread` is `ctx.threads`.

    Args:
        ctx: context of the training.
    """

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx

    def after_iteration(self, model: Any, epoch: int, evals_log: Mapping[str, Any]) -> bool:
        """Is called by XGBoost after each round."""
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
    """Boosts `rounds` rounds in each step and reports `val_` metrics; a training that goes on has the same bits.

    Each step goes on from the saved model alone and draws from the init stream of that step.

    Args:
        params: of XGBoost, without a seed.
        data: what is trained on.
        ctx: context of the training.
        valid: what is judged on.
        rounds: how many in a step.
        **options: further arguments of `xgboost.train`.

    Returns:
        The model after the last step.

    Raises:
        UsageError: if the params have a seed.
    """
    if seeds := [name for name in _SEEDS if name in params]:
        raise UsageError(f"train: the seed comes from ctx.streams; leave out of the params: {', '.join(seeds)}")
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
        model = _booster(raw)  # as a training that goes on has it, without what is cached of the data
        ctx.report(_last(found), checkpoint={"model": raw})
    assert model is not None  # a budget is 1 or more
    return model


def _booster(raw: Any) -> xgboost.Booster:
    return xgboost.Booster(model_file=bytearray(raw.tobytes()))


def _last(found: Mapping[str, Mapping[str, list[float]]]) -> dict[str, float]:
    return {f"{data}_{name}": values[-1] for data, metrics in found.items() for name, values in metrics.items()}
