"""A training's epochs as TensorBoard's event files, in its folder; the package `tensorboard` writes them.

Nothing is taken back: a training that goes on after an interruption begins another file, which says from which step on
those before it no longer count.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from hpo.core.errors import UsageError
from hpo.core.installed import install_line
from hpo.core.records import Job, Objective, Report
from hpo.training.monitoring.alerts import Seen

if TYPE_CHECKING:
    from torch import Tensor

_SCALARS = ("lr", "grad_norm", "grad_norm_max", "grad_norm_sum", "clipped", "nonfinite_steps")
"""Of what a watch sees, numbers that are a curve each; the metrics are there by their own names."""


def refuse_missing_tensorboard() -> None:
    """Raises where event files could not be written.

    Raises:
        UsageError: if TensorBoard is not installed.
    """
    if find_spec("tensorboard") is None:
        raise UsageError(f"event files need TensorBoard, which is not installed: {install_line('tensorboard')}")


class Events:
    """The event files of one training. A fault ends them, never the training.

    Tags: `metrics/NAME`, `watch/NAME`, `gradient_norm/LAYER`, `update_ratio/LAYER`, `dead_units/LAYER`, histograms
    `weights/LAYER` and `gradients/LAYER`, texts `alerts/KIND`; in the table of hyperparameters the params, the seed and
    the budget, beside the objective's metric.

    Args:
        folder: the training's own.
        job: which it is.
        objective: whose metric stands beside the hyperparameters.
        tell: told once if they cannot be written.
    """

    def __init__(self, folder: Path, job: Job, objective: Objective, tell: Callable[[str], None]) -> None:
        self._folder = folder
        self._hyperparameters = {**job.params, "seed": job.seed, "budget": job.budget}
        self._metric = f"metrics/{objective.metric}"
        self._tell = tell
        self._writer: Any = None
        self._end: Any = None
        self._broken = False

    def epoch(self, report: Report, seen: Seen | None, tensors: Mapping[str, Tensor]) -> None:
        """Writes an epoch, which can be looked at from then on.

        Args:
            report: report of the epoch.
            seen: what a watch saw; None without one.
            tensors: those whose histograms are drawn, by tag.
        """
        if self._broken:
            return
        with self._guarded(f"from epoch {report.step} on"):
            if self._writer is None:
                self._open(report.step)
            numbers = {f"metrics/{name}": value for name, value in report.metrics.items()}
            for tag, value in [*numbers.items(), *(_curves(seen) if seen else ())]:
                if value is not None:
                    self._writer.add_scalar(tag, value, report.step, report.at)
            for tag, tensor in tensors.items():
                finite = tensor[tensor.isfinite()]
                if finite.numel():
                    self._writer.add_histogram(tag, finite.float(), report.step, walltime=report.at)
            for alert in report.alerts:
                self._writer.add_text(f"alerts/{alert.kind}", alert.message, report.step, report.at)
            self._writer.flush()

    def close(self, *, complete: bool) -> None:
        """Ends the file.

        Args:
            complete: whether the training is over, rather than interrupted.
        """
        writer, self._writer = self._writer, None
        if writer is None or self._broken:
            return
        with self._guarded("of its end"):
            if complete:
                writer.file_writer.add_summary(self._end)
            writer.close()

    def _open(self, step: int) -> None:
        # By this name TensorBoard is told to do without TensorFlow, which it would else import if it is there: seconds,
        # and another thing in the process that could change a result.
        sys.modules.setdefault("tensorboard.compat.notf", ModuleType("notf"))
        from torch.utils.tensorboard import SummaryWriter
        from torch.utils.tensorboard.summary import hparams

        # Files are read in the order of their names, which begin with the second they were made in; what the older
        # ones say of this step and of later ones no longer counts.
        self._writer = SummaryWriter(str(self._folder), purge_step=step, filename_suffix=f".from-{step:06d}")
        experiment, start, self._end = hparams(self._hyperparameters, {self._metric: 0.0})  # type: ignore[no-untyped-call]
        for summary in (experiment, start):
            self._writer.file_writer.add_summary(summary)

    @contextmanager
    def _guarded(self, what: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:  # a full disk costs the curves, not the training
            self._broken = True
            self._tell(f"no event files {what}: {error.strerror or error}")


def _curves(seen: Seen) -> Iterator[tuple[str, float | None]]:
    for name in _SCALARS:
        yield f"watch/{name}", getattr(seen, name)
    for name, layer in seen.layers.items():
        yield f"gradient_norm/{name}", layer.grad_norm
        yield f"update_ratio/{name}", layer.update_ratio
    for name, activation in seen.activations.items():
        yield f"dead_units/{name}", activation.dead
