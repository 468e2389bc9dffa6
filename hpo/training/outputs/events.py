"""TensorBoard event files of a training, in its folder; the package `tensorboard` writes them.

Written events stay: a resumed training starts a new file, which tells TensorBoard from which step on the older files no
longer count.
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
from hpo.core.optional_torch import has_torch
from hpo.core.records import Job, Objective, Report
from hpo.training.monitoring.alerts import EpochRecord

if TYPE_CHECKING:
    from torch import Tensor

_SCALARS = ("lr", "grad_norm", "grad_norm_max", "grad_norm_sum", "clipped", "nonfinite_steps")
"""Fields of `EpochRecord` that are drawn as curves; the metrics are curves by their own names."""


def check_tensorboard() -> None:
    """Checks that event files can be written.

    Raises:
        UsageError: if TensorBoard, or torch, which writes for it, is not installed.
    """
    if find_spec("tensorboard") is None:
        raise UsageError(f"event files need TensorBoard, which is not installed: {install_line('tensorboard')}")
    if not has_torch():
        raise UsageError(f"event files need torch, which is not installed: {install_line('tensorboard')}")


class Events:
    """The event files of one training. An error in writing ends them, but not the training.

    Tags: `metrics/NAME`, `watch/NAME`, `gradient_norm/LAYER`, `update_ratio/LAYER`, `dead_units/LAYER`, histograms
    `weights/LAYER` and `gradients/LAYER`, texts `alerts/KIND`. The table of hyperparameters has the params, the seed,
    the budget and the objective's metric.

    Args:
        folder: folder of the training.
        job: job that is trained.
        objective: objective whose metric is shown with the hyperparameters.
        remark: called once with a message if the files cannot be written.
    """

    def __init__(self, folder: Path, job: Job, objective: Objective, remark: Callable[[str], None]) -> None:
        self._folder = folder
        self._hyperparameters = {**job.params, "seed": job.seed, "budget": job.budget}
        self._metric = f"metrics/{objective.metric}"
        self._remark = remark
        self._writer: Any = None
        self._end: Any = None
        self._broken = False

    def write_epoch(self, report: Report, record: EpochRecord | None, tensors: Mapping[str, Tensor]) -> None:
        """Writes and flushes the events of an epoch.

        Args:
            report: report of the epoch.
            record: record of the watched model; None without a watch.
            tensors: tensors whose histograms are drawn, by tag.
        """
        if self._broken:
            return
        with self._guarded(f"from epoch {report.step} on"):
            if self._writer is None:
                self._open(report.step)
            numbers = {f"metrics/{name}": value for name, value in report.metrics.items()}
            for tag, value in [*numbers.items(), *(_curves(record) if record else ())]:
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
        """Closes the file.

        Args:
            complete: whether the training is over, rather than interrupted.
        """
        writer, self._writer = self._writer, None
        if writer is None or self._broken:
            return
        with self._guarded("for its end"):
            if complete:
                writer.file_writer.add_summary(self._end)
            writer.close()

    def _open(self, step: int) -> None:
        # This module makes TensorBoard work without TensorFlow. It would import an installed TensorFlow, which takes
        # seconds and could change results of this process.
        sys.modules.setdefault("tensorboard.compat.notf", ModuleType("notf"))
        from torch.utils.tensorboard import SummaryWriter
        from torch.utils.tensorboard.summary import hparams

        # TensorBoard reads files in the order of their names, which begin with their time in seconds. `purge_step`
        # discards this step and later ones from the older files.
        self._writer = SummaryWriter(str(self._folder), purge_step=step, filename_suffix=f".from-{step:06d}")
        experiment, start, self._end = hparams(self._hyperparameters, {self._metric: 0.0})  # type: ignore[no-untyped-call]
        for summary in (experiment, start):
            self._writer.file_writer.add_summary(summary)

    @contextmanager
    def _guarded(self, what: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:  # a full disk ends the curves, not the training
            self._broken = True
            self._remark(f"no event files {what}: {error.strerror or error}")


def _curves(record: EpochRecord) -> Iterator[tuple[str, float | None]]:
    for name in _SCALARS:
        yield f"watch/{name}", getattr(record, name)
    for name, layer in record.layers.items():
        yield f"gradient_norm/{name}", layer.grad_norm
        yield f"update_ratio/{name}", layer.update_ratio
    for name, activation in record.activations.items():
        yield f"dead_units/{name}", activation.dead
