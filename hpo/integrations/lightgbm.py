"""Boosting by LightGBM, reported step by step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import lightgbm

from hpo.core.errors import UsageError

if TYPE_CHECKING:
    from hpo.training import Context

_SEEDS = ("seed", "random_seed", "random_state", "data_random_seed", "bagging_seed", "feature_fraction_seed")


class Report:
    """A callback that reports after each round what LightGBM has evaluated, e.g. as `val_auc`.

    It saves nothing: a training that goes on begins anew, to the same bits if it is seeded by
    `seed=ctx.streams.init.random_state()` and `num_threads` is `ctx.threads`.

    Args:
        ctx: context of the training.
    """

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx

    def __call__(self, env: Any) -> None:
        """Is called by LightGBM after each round."""
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
    """Boosts `rounds` rounds in each step and reports `val_` metrics; a training that goes on has the same bits.

    Each step goes on from the model's text alone and draws from the init stream of that step.

    Args:
        params: of LightGBM, without a seed.
        data: what is trained on; made with `free_raw_data=False`, since each step looks at it again.
        ctx: context of the training.
        valid: what is judged on, made with `reference=data` and `free_raw_data=False`.
        rounds: how many in a step.
        **options: further arguments of `lightgbm.train`.

    Returns:
        The model after the last step.

    Raises:
        UsageError: if the params have a seed, or a dataset frees its raw data.
    """
    if seeds := [name for name in _SEEDS if name in params]:
        raise UsageError(f"train: the seed comes from ctx.streams; leave out of the params: {', '.join(seeds)}")
    if data.free_raw_data or valid.free_raw_data:
        raise UsageError("train: each step looks at the data again; make both datasets with free_raw_data=False")
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
        model = lightgbm.Booster(model_str=text)  # as a training that goes on has it
        ctx.report({f"val_{name}": values[-1] for name, values in found["val"].items()}, checkpoint={"model": text})
    assert model is not None  # a budget is 1 or more
    return model
