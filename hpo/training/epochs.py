"""What makes a training resumable: before each epoch a seed, after each a checkpoint."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from hpo.core.errors import TrainableError
from hpo.core.isolation import clear_working_folder
from hpo.seeds.streams import Streams
from hpo.training import loops
from hpo.training.checkpoint import Checkpoint, Paused, Stateful, newest
from hpo.training.progress import Progress
from hpo.training.weights import start_digest

MODEL = "model"
"""The name under which `Context.epochs` is given the model; its weights are what a result consists of."""


class EpochLoop:
    """The one pass over the epochs of a training: the loop over `Context.epochs`, or that of a function of its own.

    Args:
        progress: what is known of the training.
        streams: its sources of randomness.
        device: where what is restored goes, `cpu` or `cuda`.
        saved: called after each checkpoint.

    Attributes:
        pausing: set to end the training before its next epoch.
        left_off: whether it was ended so.
        is_running: whether the trainable is between two epochs, or in one.
        deliver: hands what a function reports to the runner; None where the trainable yields.
    """

    def __init__(self, progress: Progress, streams: Streams, device: str, saved: Callable[[], None]) -> None:
        self._progress = progress
        self._streams = streams
        self._device = device
        self._saved = saved
        self._started = time.time()
        self._selected: dict[str, Any] | None = None
        self._looped = False
        self._stopped = False
        self._loaded = self._saves = False
        self.deliver: Callable[[object], None] | None = None
        self.pausing = self.left_off = self.is_running = False

    def epochs(self, stateful: Mapping[str, Stateful]) -> Iterator[int]:
        """Yields the epochs that are left; see `Context.epochs`.

        Args:
            stateful: by name, what is restored and saved.
        """
        loops.refuse_second_loop(self._looped)
        self._looped = self.is_running = True
        return self._epochs(stateful)

    def stop(self, reason: str) -> None:
        """Lets the epoch that is under way be the last; see `Context.stop`.

        Args:
            reason: why, for the training's log.
        """
        if not self.is_running:
            raise TrainableError("ctx.stop() ends the loop over ctx.epochs(); call it in one of its epochs")
        self._stopped = True
        self._progress.log(f"stops before its budget of {self._progress.job.budget} epochs: {reason}")

    @property
    def can_save(self) -> bool:
        """Whether a checkpoint would be written before the next epoch."""
        return self.is_running or self._saves

    def load(self) -> dict[str, Any] | None:
        """Returns the states of the last checkpoint; see `Context.load`."""
        refuse_generator(self.deliver, "ctx.load()", "restores its state by ctx.epochs(model=model)")
        if self._looped or self._progress.reports:
            raise TrainableError(
                "ctx.load() must be called before the first report, and not where ctx.epochs() is used"
            )
        self._loaded = True
        saved = self._resumed()
        self._streams.dropout.seed_global(len(self._progress.reports) + 1)
        return dict(saved.states) if saved else None

    def report(self, metrics: object, checkpoint: Mapping[str, Any] | None) -> None:
        """Hands over the metrics of a step, and saves its state; see `Context.report`.

        Args:
            metrics: the metrics of the step.
            checkpoint: states by name; None: nothing is saved.
        """
        deliver = refuse_generator(self.deliver, "ctx.report()", "yields its metrics, e.g. `yield {'val_loss': loss}`")
        if checkpoint is not None:
            loops.refuse_checkpoint(checkpoint, looped=self._looped, loaded=self._loaded)
        self._saves = checkpoint is not None
        deliver(metrics)
        self._saves = False
        epoch = len(self._progress.reports)
        if checkpoint is not None and epoch < self._progress.job.budget:
            self._save(checkpoint, epoch)
            if self.pausing:
                self.left_off = True
                raise Paused
            self._streams.dropout.seed_global(epoch + 1)

    def refuse_extra_report(self) -> None:
        """Raises TrainableError where the next report would belong to no epoch."""
        step = len(self._progress.reports) + 1
        loops.refuse_unknown_names(step, self._progress.job.budget, loop_is_over=self._looped and not self.is_running)

    def refuse_early_end(self) -> None:
        """Raises TrainableError where the loop over `epochs` was left before its end."""
        loops.refuse_broken_loop(self.is_running, len(self._progress.reports), self._progress.job.budget)

    def _epochs(self, stateful: Mapping[str, Stateful]) -> Iterator[int]:
        progress, budget = self._progress, self._progress.job.budget
        progress.digests |= start_digest(stateful[MODEL]) if MODEL in stateful else {}
        done = self._restore(stateful)
        for epoch in range(done + 1, budget + 1):
            if self.pausing:
                self.left_off = True
                raise Paused
            self._streams.dropout.seed_global(epoch)
            yield epoch
            loops.refuse_unreported(epoch, len(progress.reports))
            self._select(stateful, epoch)
            if self._stopped:
                break
            if epoch < budget:
                self._save({name: thing.state_dict() for name, thing in stateful.items()}, epoch)
        self.is_running = False
        if MODEL in stateful:
            if self._selected is not None:
                stateful[MODEL].load_state_dict(self._selected)
            progress.keep_weights(stateful[MODEL].state_dict())

    def _restore(self, stateful: Mapping[str, Stateful]) -> int:
        saved = self._resumed(stateful)
        return saved.epoch if saved else 0

    def _resumed(self, stateful: Mapping[str, Stateful] | None = None) -> Checkpoint | None:
        """Goes on from the last checkpoint and returns it; None: there is none.

        Args:
            stateful: by name, what is restored; None: the trainable does that.
        """
        progress = self._progress
        saved, remarks = newest(progress.folder, progress.job.digest, self._device, progress.code)
        for remark in remarks:
            progress.remark(remark)
        if saved is None:
            if remarks:  # there were checkpoints, of no use: it begins anew, without what its last attempt has written
                clear_working_folder(progress.folder, before=self._started)
            return None
        if stateful is not None:
            loops.refuse_other_states(saved.states, stateful, progress.folder)
            for name, thing in stateful.items():
                thing.load_state_dict(saved.states[name])
        self._selected = saved.selected
        if progress.diagnostics is not None:
            progress.diagnostics.restore(saved.seen)
        progress.reports[:] = saved.reports
        progress.begin(saved.seconds)
        progress.log(f"resumed after epoch {saved.epoch}")
        return saved

    def _select(self, stateful: Mapping[str, Stateful], epoch: int) -> None:
        objective = self._progress.objective
        if MODEL in stateful and objective.epoch == "best":
            chosen = objective.select(tuple(self._progress.reports))
            if chosen.step == epoch:
                self._selected = copy.deepcopy(stateful[MODEL].state_dict())

    def _save(self, states: Mapping[str, Any], epoch: int) -> None:
        progress = self._progress
        checkpoint = Checkpoint(
            job=progress.job.digest,
            code=progress.code,
            epoch=epoch,
            selected=self._selected,
            reports=tuple(progress.reports),
            states=dict(states),
            seconds=progress.seconds,
            seen=progress.diagnostics.seen if progress.diagnostics else (),
        )
        try:
            checkpoint.save(progress.folder)
            self._saved()
        except OSError as error:  # a full disk costs the epochs since the last checkpoint at worst, not the training
            progress.remark(f"no checkpoint after epoch {epoch}: {error.strerror or error}")


def refuse_generator(deliver: Callable[[object], None] | None, call: str, instead: str) -> Callable[[object], None]:
    """Raises where a generator calls what is for functions; returns how a function's reports are handed over.

    Args:
        deliver: hands what a function reports to the runner; None where the trainable yields.
        call: what was called.
        instead: what a generator does instead.

    Raises:
        TrainableError: if the trainable yields.
    """
    if deliver is None:
        raise TrainableError(f"{call} is for functions; a generator {instead}")
    return deliver
