"""Trainings of scikit-learn estimators that report step by step: with `partial_fit`, or by growing an ensemble."""

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
"""Modules of compiled losses, which are created with the estimator and never change."""


def fit_epochs(model: Any, x: Any, y: Any, ctx: Context, *, score: Callable[[Any], Metrics], **options: Any) -> None:
    """Calls `partial_fit` once per epoch and reports; a resumed training gives the same bits.

    The first call draws from the init stream, each later one from the order stream of its epoch.

    Args:
        model: an unfitted estimator with `partial_fit`.
        x: all rows of the training data.
        y: targets of the rows; for a classifier, every class must occur.
        ctx: context of the training.
        score: returns the metrics of the current model.
        **options: further arguments of `partial_fit`; the `classes` of a classifier may be omitted.

    Raises:
        UsageError: if the estimator has no `partial_fit`.
        TrainableError: if a checkpoint cannot store its state.
    """
    if not hasattr(model, "partial_fit"):
        raise UsageError(f"fit_epochs: expected an estimator with partial_fit, got {type(model).__name__}")
    if is_classifier(model):
        options.setdefault("classes", np.unique(y))
    seeded = "random_state" in model.get_params()
    saved = ctx.load()
    with threadpool_limits(ctx.threads):
        if saved is not None:  # one call creates the objects that hold the state
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
    """Adds trees to an ensemble in each step and reports; it is seeded from the init stream.

    Trees cannot be stored without pickle, so an interrupted training trains them again and gives the same bits.

    Args:
        model: an unfitted estimator with `warm_start`, e.g. a forest or gradient boosting.
        x: all rows of the training data.
        y: targets of the rows.
        ctx: context of the training.
        score: returns the metrics of the current model.
        trees: number of trees that a step adds.
        **options: further arguments of `fit`.

    Raises:
        UsageError: if the estimator has no `warm_start`, or neither `n_estimators` nor `max_iter`.
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
    """Returns the attributes of an estimator or of one of its parts."""
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
