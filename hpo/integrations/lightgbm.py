"""Boosting with LightGBM that reports step by step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import lightgbm

from hpo.core.errors import UsageError

if TYPE_CHECKING:
    from hpo.training import Context

_SEEDS = ("seed", "random_seed", "random_state", "data_random_seed", "bagging_seed", "feature_fraction_seed")


class Report:
    """A callback that reports LightGBM's evaluations after each round, e.g. as `val_auc`.

    It saves no checkpoint: an interrupted training starts again from the beginning. It gives the same bits if it uses
    `seed=ctx.streams.init.random_state()` and `num_threads=ctx.threads`.

    Args:
        ctx: context of the training.
    """

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx

    def __call__(self, env: Any) -> None:
        """Reports the evaluations; LightGBM calls it after each round."""
        self._ctx.report({f"{data}_{name}": value for data, name, value, *_ in env.evaluation_result_list})


def train(
    params: Mapping[str, Any],
    data: lightgbm.Dataset,
    ctx: Context,
    *,
    valid: lightgbm.Dataset,
    rounds: int = 10,
    **options: Any,
) -> lightgbm.Booster:
    """Trains `rounds` boosting rounds per step and reports `val_` metrics; a resumed training gives the same bits.

    Each step continues from the model's text and draws from the init stream of that step.

    Args:
        params: parameters of LightGBM without a seed.
        data: training data, made with `free_raw_data=False` because each step reads it again.
        ctx: context of the training.
        valid: validation data, made with `reference=data` and `free_raw_data=False`.
        rounds: boosting rounds per step.
        **options: further arguments of `lightgbm.train`.

    Returns:
        The model after the last step.

    Raises:
        UsageError: if the params have a seed, or a dataset frees its raw data.
    """
    if seeds := [name for name in _SEEDS if name in params]:
        raise UsageError(f"train: the seed comes from ctx.streams; remove from the params: {', '.join(seeds)}")
    if data.free_raw_data or valid.free_raw_data:
        raise UsageError("train: each step reads the data again; make both datasets with free_raw_data=False")
    fixed = {"deterministic": True, "force_row_wise": True, "verbosity": -1, "num_threads": ctx.threads, **params}
    saved = ctx.load()
    text: str | None = saved["model"] if saved else None
    model = lightgbm.Booster(model_str=text) if text else None
    for step in range(len(ctx.reports) + 1, ctx.budget + 1):
        found: dict[str, dict[str, list[float]]] = {}
        model = lightgbm.train(
            {**fixed, "seed": ctx.streams.init.random_state(step)},
            data,
            rounds,
            valid_sets=[valid],
            valid_names=["val"],
            init_model=model,
            **{**options, "callbacks": [*options.get("callbacks", ()), lightgbm.record_evaluation(found)]},
        )
        text = model.model_to_string()
        model = lightgbm.Booster(model_str=text)  # the same object as in a resumed training
        ctx.report({f"val_{name}": values[-1] for name, values in found["val"].items()}, checkpoint={"model": text})
    assert model is not None  # a budget is 1 or more
    return model
