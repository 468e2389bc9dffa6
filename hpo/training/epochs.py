"""The resumable loop over epochs: a seed before each epoch, a checkpoint after each."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from hpo.core.errors import TrainableError
from hpo.core.isolation import clear_working_folder
from hpo.seeds.streams import Streams
from hpo.training import loop_checks
from hpo.training.checkpoint import Checkpoint, Paused, Stateful, load_newest
from hpo.training.progress import Progress
from hpo.training.states import load_plain
from hpo.training.weights import MODEL_FILE, start_digest

MODEL = "model"
"""Name of the argument of `Context.epochs` that is the model, whose weights are the result."""


class EpochLoop:
    """The single loop over the epochs of a training: over `Context.epochs`, or a reporting function's own.

    Args:
        progress: state of the training.
        streams: streams of the training's seed.
        device: device of restored tensors, `cpu` or `cuda`.
        saved: called after each checkpoint.

    Attributes:
        should_pause: set to end the training before its next epoch.
        has_paused: whether the training ended this way.
        is_running: whether the loop has begun and not ended.
        deliver: passes a function's reports to its `FunctionRun`; None if the trainable yields.
        tested: folder of the training whose model is evaluated on the test part; None: a model is trained.
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
        self.tested: Path | None = None
        self.deliver: Callable[[object], None] | None = None
        self.should_pause = self.has_paused = self.is_running = False

    def epochs(self, stateful: Mapping[str, Stateful]) -> Iterator[int]:
        """Yields the remaining epochs; see `Context.epochs`.

        Args:
            stateful: objects to save and restore, by name.
        """
        loop_checks.check_first_loop(self._looped)
        self._looped = True
        if self.tested is not None:
            self._load_tested(self.tested, stateful)
            return iter(())
        self.is_running = True
        return self._epochs(stateful)

    def stop(self, reason: str) -> None:
        """Makes the current epoch the last one; see `Context.stop`.

        Args:
            reason: text for the training's log.
        """
        if not self.is_running:
            raise TrainableError("ctx.stop() ends the loop over ctx.epochs(); call it inside that loop")
        self._stopped = True
        self._progress.log(f"stops before its budget of {self._progress.job.budget} epochs: {reason}")

    @property
    def can_save(self) -> bool:
        """Whether a checkpoint would be written before the next epoch."""
        return self.is_running or self._saves

    def load(self) -> dict[str, Any] | None:
        """Returns the states of the last checkpoint; see `Context.load`."""
        require_function(self.deliver, "ctx.load()", "restores its state with ctx.epochs(model=model)")
        if self._looped or self._progress.reports:
            raise TrainableError(
                "ctx.load() must be called before the first report, and not where ctx.epochs() is used"
            )
        self._loaded = True
        saved = self._resume()
        self._streams.dropout.seed_global(len(self._progress.reports) + 1)
        return dict(saved.states) if saved else None

    def report(self, metrics: object, checkpoint: Mapping[str, Any] | None) -> None:
        """Reports the metrics of a step and saves its checkpoint; see `Context.report`.

        Args:
            metrics: metrics of the step.
            checkpoint: states by name; None: nothing is saved.
        """
        deliver = require_function(self.deliver, "ctx.report()", "yields its metrics, e.g. `yield {'val_loss': loss}`")
        if checkpoint is not None:
            loop_checks.check_checkpoint(checkpoint, looped=self._looped, loaded=self._loaded)
        self._saves = checkpoint is not None
        deliver(metrics)
        self._saves = False
        epoch = len(self._progress.reports)
        if checkpoint is not None and epoch < self._progress.job.budget:
            self._save(checkpoint, epoch)
            if self.should_pause:
                self.has_paused = True
                raise Paused
            self._streams.dropout.seed_global(epoch + 1)

    def check_report_allowed(self) -> None:
        """Raises TrainableError if the next report would belong to no epoch."""
        step, loop_is_over = len(self._progress.reports) + 1, self._looped and not self.is_running
        loop_checks.check_report_allowed(step, self._progress.job.budget, loop_is_over=loop_is_over)

    def check_loop_finished(self) -> None:
        """Raises TrainableError if the loop over `epochs` was left before its end."""
        loop_checks.check_loop_finished(self.is_running, len(self._progress.reports), self._progress.job.budget)

    def _epochs(self, stateful: Mapping[str, Stateful]) -> Iterator[int]:
        progress, budget = self._progress, self._progress.job.budget
        progress.digests |= start_digest(stateful[MODEL]) if MODEL in stateful else {}
        done = self._restore(stateful)
        for epoch in range(done + 1, budget + 1):
            if self.should_pause:
                self.has_paused = True
                raise Paused
            self._streams.dropout.seed_global(epoch)
            yield epoch
            loop_checks.check_one_report(epoch, len(progress.reports))
            self._select(stateful, epoch)
            if self._stopped:
                break
            if epoch < budget:
                self._save({name: item.state_dict() for name, item in stateful.items()}, epoch)
        self.is_running = False
        if MODEL in stateful:
            if self._selected is not None:
                stateful[MODEL].load_state_dict(self._selected)
            progress.keep_weights(stateful[MODEL].state_dict())

    def _load_tested(self, folder: Path, stateful: Mapping[str, Stateful]) -> None:
        """Loads the weights of the selected epoch that a training kept, to be evaluated without an epoch.

        Args:
            folder: folder of the training.
            stateful: objects by name, among them the model.
        """
        try:
            weights = load_plain(folder / MODEL_FILE, self._device)
        except OSError as error:
            raise TrainableError(f"the weights to evaluate cannot be read: {error}") from error
        stateful[MODEL].load_state_dict(weights)
        if callable(evaluate := getattr(stateful[MODEL], "eval", None)):
            evaluate()  # after epochs a model is in this mode, and the trainable may count on that
        self._progress.keep_weights(stateful[MODEL].state_dict())

    def _restore(self, stateful: Mapping[str, Stateful]) -> int:
        saved = self._resume(stateful)
        return saved.epoch if saved else 0

    def _resume(self, stateful: Mapping[str, Stateful] | None = None) -> Checkpoint | None:
        """Resumes from the last checkpoint and returns it; None: there is none.

        Args:
            stateful: objects to restore, by name; None: the trainable restores them.
        """
        progress = self._progress
        saved, remarks = load_newest(progress.folder, progress.job.digest, self._device, progress.code)
        for remark in remarks:
            progress.remark(remark)
        if saved is None:
            if remarks:  # the checkpoints were invalid: start over without the files of the last attempt
                clear_working_folder(progress.folder, before=self._started)
            return None
        if stateful is not None:
            loop_checks.check_same_states(saved.states, stateful, progress.folder)
            for name, item in stateful.items():
                item.load_state_dict(saved.states[name])
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
            seen=progress.diagnostics.records if progress.diagnostics else (),
        )
        try:
            checkpoint.save(progress.folder)
            self._saved()
        except OSError as error:  # e.g. a full disk: the training continues, only a resume would start further back
            progress.remark(f"no checkpoint after epoch {epoch}: {error.strerror or error}")


def require_function(deliver: Callable[[object], None] | None, call: str, instead: str) -> Callable[[object], None]:
    """Returns `deliver` for a function; raises for a generator, which must not make this call.

    Args:
        deliver: passes a function's reports to its `FunctionRun`; None if the trainable yields.
        call: the call as text, for the message.
        instead: what a generator does instead, for the message.

    Raises:
        TrainableError: if the trainable yields.
    """
    if deliver is None:
        raise TrainableError(f"{call} is for functions; a generator {instead}")
    return deliver
