"""Trainings of scikit-learn's estimators, step by step: those with `partial_fit`, and ensembles that grow."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import is_classifier
from threadpoolctl import threadpool_limits

from hpo.core.errors import UsageError
from hpo.core.records import Metrics

if TYPE_CHECKING:
    from hpo.training import Context

_STATELESS = ("sklearn._loss", "sklearn.linear_model._sgd_fast")
"""Modules of compiled losses. They are made again with the estimator, and no epoch changes them."""


def fit_epochs(model: Any, x: Any, y: Any, ctx: Context, *, score: Callable[[Any], Metrics], **options: Any) -> None:
    """Calls `partial_fit` once in each epoch and reports; a training that goes on has the same bits.

    The first call draws from the init stream, each later one from the order stream of its epoch.

    Args:
        model: estimator with `partial_fit`, not fitted yet.
        x: what is trained on, all rows.
        y: targets of the rows; a classifier must find each class among them.
        ctx: context of the training.
        score: returns the metrics of the model as it is.
        **options: further arguments of `partial_fit`; a classifier's `classes` need not be said.

    Raises:
        UsageError: if the estimator has no `partial_fit`.
        TrainableError: if its state is of a kind that no checkpoint holds.
    """
    if not hasattr(model, "partial_fit"):
        raise UsageError(f"fit_epochs: expected an estimator with partial_fit, got {type(model).__name__}")
    if is_classifier(model):
        options.setdefault("classes", np.unique(y))
    seeded = "random_state" in model.get_params()
    saved = ctx.load()
    with threadpool_limits(ctx.threads):
        if saved is not None:  # one call makes the objects that the state is of
            model.partial_fit(x, y, **options)
            _restore(model, saved["model"])
        for epoch in range(len(ctx.reports) + 1, ctx.budget + 1):
            if seeded:
                drawn = ctx.streams.init.random_state() if epoch == 1 else ctx.streams.order.random_state(epoch)
                model.set_params(random_state=drawn)
            model.partial_fit(x, y, **({} if epoch > 1 else options))
            ctx.report(score(model), checkpoint={"model": _state(model)})


def fit_growing(
    model: Any, x: Any, y: Any, ctx: Context, *, score: Callable[[Any], Metrics], trees: int = 10, **options: Any
) -> None:
    """Lets an ensemble grow by some trees in each step and reports; it is seeded from the init stream.

    Trees cannot be kept without a pickle, so a training that goes on grows them anew, to the same bits.

    Args:
        model: estimator with `warm_start`, e.g. a forest or boosting, not fitted yet.
        x: what is trained on, all rows.
        y: targets of the rows.
        ctx: context of the training.
        score: returns the metrics of the model as it is.
        trees: how many are added in a step.
        **options: further arguments of `fit`.

    Raises:
        UsageError: if the estimator cannot grow.
    """
    known = model.get_params()
    size = next((name for name in ("n_estimators", "max_iter") if name in known), None)
    if size is None or "warm_start" not in known:
        raise UsageError(
            "fit_growing: expected an estimator with warm_start and n_estimators or max_iter, "
            f"got {type(model).__name__}"
        )
    model.set_params(warm_start=True, random_state=ctx.streams.init.random_state())
    with threadpool_limits(ctx.threads):
        for step in range(1, ctx.budget + 1):
            model.set_params(**{size: step * trees})
            model.fit(x, y, **options)
            ctx.report(score(model))


def _state(thing: Any) -> dict[str, Any]:
    """Returns the attributes of an estimator or of a part of one."""
    found: dict[str, Any] = {}
    for name, value in vars(thing).items():
        if isinstance(value, np.random.RandomState):
            found[name] = value.get_state()
        elif _is_part(value):
            found[name] = _state(value)
        elif not type(value).__module__.startswith(_STATELESS):
            found[name] = value
    return found


def _restore(thing: Any, state: dict[str, Any]) -> None:
    for name, value in state.items():
        now = getattr(thing, name, None)
        if isinstance(now, np.random.RandomState):
            now.set_state(value)
        elif _is_part(now):
            _restore(now, value)
        else:
            setattr(thing, name, value)


def _is_part(value: Any) -> bool:
    return type(value).__module__.startswith("sklearn.") and hasattr(value, "__dict__")
