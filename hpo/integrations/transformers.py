"""Trainings with the Trainer of Hugging Face's Transformers that report every epoch."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from transformers import PrinterCallback, ProgressCallback, Trainer, TrainerCallback
from transformers.utils import logging

from hpo.core.errors import TrainableError, UsageError
from hpo.integrations.loaders import seed_loader

if TYPE_CHECKING:
    from hpo.training import Context

_TIMES = ("_runtime", "_per_second", "_time", "epoch")
"""Ends of the names of values in an evaluation that are no metrics; times differ between equal trainings."""

_NOT_SAVED = ("rng_state.pth", "training_args.bin")
"""Files of a checkpoint that are not saved: each epoch has its own seeds, and the Trainer has its arguments."""


class Report(TrainerCallback):  # type: ignore[misc]  # Transformers may not be installed
    """A callback for your own call of `Trainer.train`: reports each evaluation, with `eval_loss` as `val_loss`.

    `TrainingArguments(eval_strategy="epoch", num_train_epochs=ctx.budget)` evaluates once per epoch. It saves no
    checkpoint: an interrupted training starts again from the beginning and gives the same bits if the arguments have
    `seed=ctx.streams.order.random_state()`.

    Args:
        ctx: context of the training.
    """

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Any, **others: Any) -> None:
        """Reports the metrics; Transformers calls it after each evaluation."""
        self._ctx.report(_metrics(metrics))


def fit(trainer: Any, *, ctx: Context) -> None:
    """Trains epoch by epoch and reports the metrics; a resumed training gives the same bits.

    Each epoch is a call of `Trainer.train` that continues from the checkpoint of the previous one: weights, optimizer,
    scheduler and callbacks. The order of the data loader is seeded from the order stream of the epoch, its workers from
    the augment stream, and everything else from the dropout stream. Each epoch ends with an evaluation of
    `eval_dataset`. The metrics are `train_loss`, the mean of the epoch, and those of the evaluation, `eval_loss` as
    `val_loss`. A callback that stops the Trainer, such as EarlyStoppingCallback, ends the training. At the end the
    model has the weights of the selected epoch.

    Args:
        trainer: a Trainer whose model was initialized from the init stream; `fit` sets its number of epochs.
        ctx: context of the training.

    Raises:
        UsageError: if it is not a Trainer, or has arguments that do not allow training epoch by epoch.
        TrainableError: if an epoch ends before its last step, but the training does not.
    """
    _refuse_unusable(trainer, ctx)
    args, state = trainer.args, _TrainerState()
    args.num_train_epochs = ctx.budget
    args.restore_callback_states_from_checkpoint = True  # e.g. the counter of EarlyStoppingCallback
    for shown in (PrinterCallback, ProgressCallback):  # hpo shows the reports
        trainer.remove_callback(shown)
    for epoch in ctx.epochs(model=trainer.model, trainer=state):
        epoch_end = _OneEpoch(ctx, epoch, state, evaluates=trainer.eval_dataset is not None)
        trainer.add_callback(epoch_end)
        with state.folder() as folder, _without_bars():
            done = trainer.train(resume_from_checkpoint=folder)
        trainer.remove_callback(epoch_end)
        if epoch_end.stopped and epoch < ctx.budget:
            ctx.stop("a callback stopped the Trainer")
        elif trainer.state.epoch != epoch:
            raise TrainableError(
                f"fit: epoch {epoch} ended before its last step and cannot be resumed; remove should_epoch_stop"
            )
        ctx.report({"train_loss": done.training_loss, **epoch_end.metrics})


class _TrainerState:
    """The state of the training between two epochs: the files of the Trainer's checkpoint.

    Attributes:
        files: content of each file by its name; empty before the first checkpoint.
    """

    def __init__(self) -> None:
        self.files: dict[str, npt.NDArray[np.uint8]] = {}

    def read(self, folder: Path) -> None:
        """Reads the files of a checkpoint."""
        paths = sorted(path for path in folder.iterdir() if path.name not in _NOT_SAVED)
        self.files = {path.name: np.fromfile(path, np.uint8) for path in paths}

    @contextmanager
    def folder(self) -> Iterator[str | None]:
        """Yields a temporary folder with the files; None before the first checkpoint."""
        if not self.files:
            yield None
            return
        with TemporaryDirectory(prefix="checkpoint-", dir=".") as folder:  # "." is removed after the training
            for name, content in self.files.items():
                content.tofile(Path(folder) / name)
            yield folder

    def state_dict(self) -> dict[str, Any]:
        """Returns the state for `Context.epochs`."""
        return self.files

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Sets the state from which the next call of `Trainer.train` continues."""
        self.files = dict(state)


class _OneEpoch(TrainerCallback):  # type: ignore[misc]  # Transformers may not be installed
    """Seeds one epoch, saves the state at its end, and stops `Trainer.train`.

    Args:
        ctx: context of the training.
        epoch: number of the epoch, from 1.
        state: where the state is saved.
        evaluates: whether the epoch ends with an evaluation.

    Attributes:
        metrics: metrics of the last evaluation.
        stopped: whether another callback stopped the Trainer.
    """

    def __init__(self, ctx: Context, epoch: int, state: _TrainerState, *, evaluates: bool) -> None:
        self._streams = ctx.streams
        self._epoch = epoch
        self._state = state
        self._evaluates = evaluates
        self._at_end = self._is_wanted = False
        self.metrics: dict[str, float] = {}
        self.stopped = False

    def on_epoch_begin(self, args: Any, state: Any, control: Any, train_dataloader: Any = None, **others: Any) -> None:
        seed_loader(train_dataloader, self._streams, self._epoch)
        self._streams.dropout.seed_global(self._epoch)

    def on_epoch_end(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        self._at_end, self._is_wanted = True, control.should_save
        control.should_save = True
        control.should_evaluate = self._evaluates

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Any, **others: Any) -> None:
        self.metrics |= _metrics(metrics)

    def on_save(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        if not self._at_end:
            return
        self.stopped = control.should_training_stop
        control.should_training_stop = True
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        self._state.read(folder)
        if not self._is_wanted:
            shutil.rmtree(folder)


def _refuse_unusable(trainer: Any, ctx: Context) -> None:
    if not isinstance(trainer, Trainer):
        raise UsageError(f"fit: expected a transformers.Trainer, got {type(trainer).__name__}")
    args = trainer.args
    reasons = {
        f"max_steps={args.max_steps} (ctx.budget sets the number of epochs)": args.max_steps > 0,
        "load_best_model_at_end=True (hpo selects the epoch)": args.load_best_model_at_end,
        "save_strategy='best' (each epoch is saved)": args.save_strategy == "best",
        "save_only_model=True (the optimizer is saved too)": args.save_only_model,
        "model_init (pass a model that was initialized from ctx.streams.init)": trainer.model_init is not None,
    }
    if refused := [reason for reason, applies in reasons.items() if applies]:
        raise UsageError(
            f"fit: the Trainer has arguments that prevent training epoch by epoch; leave out: {', '.join(refused)}"
        )
    if args.device.type != ctx.device:
        raise UsageError(
            f"fit: expected a Trainer on {ctx.device}, the device of this training, got {args.device.type}; use "
            'TrainingArguments(use_cpu=ctx.device == "cpu")'
        )


def _metrics(found: Mapping[str, Any]) -> dict[str, float]:
    """Returns the metrics of an evaluation with the prefix `val_`, as other integrations name them."""
    kept = {name: float(value) for name, value in found.items() if not name.endswith(_TIMES)}
    return {f"val_{name.removeprefix('eval_')}": value for name, value in kept.items()}


@contextmanager
def _without_bars() -> Iterator[None]:
    """Hides the progress bars of writing and reading checkpoints."""
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
