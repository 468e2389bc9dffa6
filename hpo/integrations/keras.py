"""Trainings by Keras's `Model.fit`, reported epoch by epoch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import keras

from hpo.core.errors import UsageError
from hpo.training import KerasState

if TYPE_CHECKING:
    from hpo.training import Context


class Report(keras.callbacks.Callback):  # type: ignore[misc]  # Keras may not be installed
    """A callback for a `Model.fit` of your own, that reports after each epoch what Keras has logged.

    It saves nothing: a training that goes on begins anew, to the same bits.

    Args:
        ctx: context of the training.
    """

    def __init__(self, ctx: Context) -> None:
        super().__init__()
        self._ctx = ctx

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Is called by Keras after each epoch."""
        self._ctx.report(dict(logs or {}))


def fit(model: Any, *data: Any, ctx: Context, **options: Any) -> None:
    """Calls `Model.fit` for one epoch after another and reports; a training that goes on has the same bits.

    Order, dropout and whatever else draws is seeded before each epoch, and `model` has the weights of the selected
    epoch in the end. A callback of Keras that counts epochs, such as EarlyStopping, sees only one of them at a time.

    Args:
        model: compiled and built, with the weights that it begins with.
        *data: what `Model.fit` trains on, e.g. `x, y`.
        ctx: context of the training.
        **options: further arguments of `Model.fit`, e.g. `validation_data=` and `batch_size=`.

    Raises:
        UsageError: if the model is not compiled or not built, or epochs are among the options.
    """
    if not model.built or getattr(model, "optimizer", None) is None:
        raise UsageError("fit: expected a compiled and built model; call model.compile(...) and model.build(shape)")
    if said := sorted({"epochs", "initial_epoch"} & set(options)):
        raise UsageError(f"fit: the epochs are those of ctx.budget; leave out: {', '.join(said)}")
    model.optimizer.build(model.trainable_variables)
    for epoch in ctx.epochs(model=KerasState(model), optimizer=KerasState(model.optimizer)):
        found = model.fit(*data, **{"verbose": 0, **options}, initial_epoch=epoch - 1, epochs=epoch)
        ctx.report({name: values[-1] for name, values in found.history.items()})
