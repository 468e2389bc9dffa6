"""Trainings with Lightning's `Trainer.fit` that report every epoch."""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.plugins import TorchCheckpointIO

from hpo.core.errors import TrainableError, UsageError
from hpo.integrations.loaders import seed_loader

if TYPE_CHECKING:
    from hpo.training import Context

_OURS = {
    **dict.fromkeys(("max_epochs", "min_epochs", "max_steps", "min_steps", "fast_dev_run"), "ctx.budget"),
    **dict.fromkeys(("accelerator", "devices", "num_nodes"), "ctx.device"),
    "max_time": "[resources] time",
}
"""Arguments of a Trainer that `fit` sets, and where each value comes from."""

_ACCELERATORS = {"cpu": ("cpu",), "cuda": ("gpu", "cuda")}
"""Names of the accelerator by the training's device."""

_IN_MEMORY = "in memory of hpo"
"""The path at which a Trainer saves its checkpoint to `_TrainerState` and loads it."""

_IGNORED = (
    ".*does not have many workers",
    "Checkpoint directory .* exists and is not empty",  # from the previous epoch
    ".*treespec, LeafSpec.* is deprecated",  # in Lightning's own code
)
"""Warnings that the Trainer of each epoch would repeat, as regular expressions."""


class Report(Callback):  # type: ignore[misc]  # Lightning may not be installed
    """A callback for your own `Trainer`: reports the logged metrics after each training epoch.

    It saves no checkpoint: an interrupted training starts again from the beginning and gives the same bits. It does not
    report what the module logs in its own `on_train_epoch_end`, because Lightning calls that later.

    Args:
        ctx: context of the training.
    """

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Reports the metrics; Lightning calls it after each training epoch and its validation."""
        self._ctx.report(_metrics(trainer))


def fit(model: Any, *data: Any, ctx: Context, **options: Any) -> None:
    """Trains epoch by epoch and reports the logged metrics; a resumed training gives the same bits.

    Each epoch has its own `Trainer`, which continues from the complete state of the previous one: weights, optimizers,
    schedulers, callbacks and loops. All randomness is seeded before each epoch: `setup` of a data module from the split
    stream, with the same seed in every epoch; the order of data loaders from the order stream and their workers from
    the augment stream; everything else from the dropout stream. A callback that stops the Trainer, such as
    EarlyStopping, ends the training. At the end `model` has the weights of the selected epoch.

    Args:
        model: a LightningModule with all its layers, initialized from the init stream.
        *data: data loaders for `Trainer.fit`, e.g. `train_loader, valid_loader`.
        ctx: context of the training.
        **options: further arguments of `Trainer`, e.g. `callbacks=`, and `datamodule=` instead of loaders. The
            accelerator and devices may be given as they are in this training: `accelerator="cpu"`, `devices=1`.

    Raises:
        UsageError: if the model is not a LightningModule or creates layers during training, or an option is not
            allowed.
        TrainableError: if there are no batches or there is no `training_step`.
    """
    if not isinstance(model, LightningModule):
        kind = f"{type(model).__module__}.{type(model).__qualname__}"
        raise UsageError(
            f"fit: expected a LightningModule of the package lightning (not pytorch_lightning), got {kind}"
        )
    same = {"accelerator": ("auto", *_ACCELERATORS[ctx.device]), "devices": (1, "1", "auto"), "num_nodes": (1,)}
    own = {name: options.pop(name) for name in _OURS if name in options}
    if given := [f"{name} (set by {_OURS[name]})" for name, value in own.items() if value not in same.get(name, ())]:
        raise UsageError(f"fit: hpo sets some arguments of the Trainer; leave out: {', '.join(given)}")
    datamodule = options.pop("datamodule", None)
    callbacks, plugins = _listed(options.pop("callbacks", None)), _listed(options.pop("plugins", None))
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "num_sanity_val_steps": 0}
    names, state = list(model.state_dict()), _TrainerState()
    for epoch in ctx.epochs(model=model, trainer=state):
        epoch_end = _OneEpoch(ctx, epoch)
        with _warnings_only():
            trainer = Trainer(
                **{
                    **quiet,
                    **options,
                    "enable_checkpointing": True,
                },  # `epoch_end` replaces the default ModelCheckpoint
                accelerator=_ACCELERATORS[ctx.device][0],
                devices=1,
                max_epochs=ctx.budget,  # schedules see the complete number
                callbacks=[*callbacks, epoch_end],
                plugins=[*plugins, state],
            )
            epoch_end.seed_loaders(trainer)
            ctx.streams.split.seed_global()
            trainer.fit(model, *data, datamodule=datamodule, ckpt_path=_IN_MEMORY if epoch > 1 else None)
            trainer.save_checkpoint(_IN_MEMORY)
        if list(model.state_dict()) != names:
            raise UsageError("fit: the model created layers or buffers during training; create all of them in __init__")
        if trainer.current_epoch != epoch:
            raise TrainableError(f"fit: epoch {epoch} was not trained; expected a training_step and at least one batch")
        if epoch_end.stopped:
            ctx.stop("a callback or the model stopped the Trainer")
        ctx.report(_metrics(trainer))


class _TrainerState(TorchCheckpointIO):  # type: ignore[misc]  # Lightning may not be installed
    """The state of the training between two epochs; as a plugin it saves and loads the Trainers' checkpoints.

    Attributes:
        saved: Lightning's checkpoint after the last epoch; empty before the first.
    """

    def __init__(self) -> None:
        self.saved: dict[str, Any] = {}

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        if path == _IN_MEMORY:
            self.saved = copy.deepcopy(checkpoint)  # its tensors are shared with the model
        else:  # a file of a ModelCheckpoint
            super().save_checkpoint(checkpoint, path, storage_options)

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        return self.saved

    def state_dict(self) -> dict[str, Any]:
        """Returns the state for `Context.epochs`."""
        return self.saved

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Sets the state from which the next Trainer continues."""
        self.saved = dict(state)


class _OneEpoch(Checkpoint):  # type: ignore[misc]  # Lightning may not be installed
    """Stops a Trainer after one epoch; a Checkpoint, because Lightning calls checkpoint callbacks last.

    Args:
        ctx: context of the training.
        epoch: number of the epoch, from 1.

    Attributes:
        stopped: whether another callback or the model stopped the Trainer.
    """

    def __init__(self, ctx: Context, epoch: int) -> None:
        self._streams = ctx.streams
        self._epoch = epoch
        self._loaders = 0
        self.stopped = False

    def seed_loaders(self, trainer: Any) -> None:
        """Makes the Trainer seed each data loader before its workers start."""
        process = trainer.strategy.process_dataloader

        def seeded(loader: Any) -> Any:
            self._loaders += 1
            seed_loader(loader, self._streams, self._epoch, self._loaders)
            return process(loader)

        trainer.strategy.process_dataloader = seeded

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        self._streams.dropout.seed_global(self._epoch)

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        self.stopped = trainer.should_stop
        trainer.should_stop = True


def _metrics(trainer: Any) -> dict[str, float]:
    return {name: value.item() for name, value in trainer.callback_metrics.items()}


def _listed(things: Any) -> list[Any]:
    """Returns an argument of a Trainer as a list; it may be one object, several, or None."""
    return list(things) if isinstance(things, list | tuple) else [] if things is None else [things]


@contextmanager
def _warnings_only() -> Iterator[None]:
    """Hides the messages and warnings that the Trainer of each epoch would repeat."""
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    logger.setLevel(max(level, logging.WARNING))
    try:
        with warnings.catch_warnings():
            for message in _IGNORED:
                warnings.filterwarnings("ignore", message)
            yield
    finally:
        logger.setLevel(level)
