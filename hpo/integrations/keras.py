"""Trainings with Keras's `Model.fit` that report every epoch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import keras

from hpo.core.errors import UsageError
from hpo.training import KerasState

if TYPE_CHECKING:
    from hpo.training import Context


class Report(keras.callbacks.Callback):  # type: ignore[misc]  # Keras may not be installed
    """A callback for your own call of `Model.fit`: reports the metrics that Keras logs after each epoch.

    It saves no checkpoint: an interrupted training starts again from the beginning and gives the same bits.

    Args:
        ctx: context of the training.
    """

    def __init__(self, ctx: Context) -> None:
        super().__init__()
        self._ctx = ctx

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Reports the metrics; Keras calls it after each epoch."""
        self._ctx.report(dict(logs or {}))


def fit(model: Any, *data: Any, ctx: Context, **options: Any) -> None:
    """Calls `Model.fit` once per epoch and reports its metrics; a resumed training gives the same bits.

    Order, dropout and all other randomness are seeded before each epoch. At the end `model` has the weights of the
    selected epoch. A Keras callback that counts epochs, such as EarlyStopping, sees only one epoch per call.

    Args:
        model: a compiled and built model with its initial weights.
        *data: training data for `Model.fit`, e.g. `x, y`.
        ctx: context of the training.
        **options: further arguments of `Model.fit`, e.g. `validation_data=` and `batch_size=`.

    Raises:
        UsageError: if the model is not compiled or not built, or epochs are among the options.
    """
    if not model.built or getattr(model, "optimizer", None) is None:
        raise UsageError("fit: expected a compiled and built model; call model.compile(...) and model.build(shape)")
    if given := sorted({"epochs", "initial_epoch"} & set(options)):
        raise UsageError(f"fit: ctx.budget sets the number of epochs; leave out: {', '.join(given)}")
    model.optimizer.build(model.trainable_variables)
    for epoch in ctx.epochs(model=KerasState(model), optimizer=KerasState(model.optimizer)):
        found = model.fit(*data, **{"verbose": 0, **options}, initial_epoch=epoch - 1, epochs=epoch)
        ctx.report({name: values[-1] for name, values in found.history.items()})
