"""The session that `ray.tune` asks for, so that a Ray Tune function trains unchanged.

Ray is not imported here: a function that calls `tune.report` has imported it.
"""

from __future__ import annotations

import io
import shutil
import sys
import tarfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from hpo.core.errors import TrainableError, did_you_mean
from hpo.core.isolation import TUNE, working_folder
from hpo.core.optional_torch import has_torch
from hpo.training.context import Context
from hpo.training.reported import as_number

SESSION = "ray.train._internal.session"
"""The module in which Ray Tune looks for the session of a training."""

STATE = "ray-checkpoint"
"""Name of the state that holds the files of a checkpoint, and of the folders that they are unpacked to."""


class TuneSession:
    """One training as Ray Tune's session: `tune.report`, `tune.get_checkpoint` and `tune.get_context` use it.

    Args:
        context: Context of the training.
        remark: adds a remark to the training.

    Attributes:
        trial_resources: None, as the resources are those of the study.
        world_rank: None, by which Ray tells a Tune function from a worker of Ray Train.
    """

    def __init__(self, context: Context, remark: Callable[[str], None]) -> None:
        self._context = context
        self._remark = remark
        self._loaded = self._is_inside = False
        self._files: Any = None
        self._left_out: set[str] = set()
        self.trial_resources = self.world_rank = None

    def __getattr__(self, name: str) -> Any:
        known = [one for one in (*dir(type(self)), *vars(self)) if not one.startswith("_")]
        raise AttributeError(
            f"the session of Ray Tune in hpo has no {name!r} (it has: {', '.join(known)}).{did_you_mean(name, known)}"
        )

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Is the session of `ray.tune` until the end of the block."""
        before = getattr(sys.modules.get(SESSION), "_session", None)
        self._is_inside = True
        self.install()
        try:
            yield
        finally:
            self._is_inside = False
            _set_session(before)

    def install(self) -> None:
        """Becomes the session of `ray.tune` within the block, if it is imported; call it again once it is."""
        if self._is_inside:
            _set_session(self)

    @property
    def trial_id(self) -> str:
        """The trial's number in the study."""
        return str(self._context.trial_number)

    @property
    def trial_name(self) -> str:
        """The trial's number and the training's seed."""
        return f"trial-{self.trial_id}-seed-{self._context.seed}"

    @property
    def trial_dir(self) -> str:
        """The training's working directory."""
        return str(working_folder(self._context.folder))

    @property
    def loaded_checkpoint(self) -> Any:
        """The checkpoint that was reported last, also before an interruption; None: there is none."""
        if not self._loaded and not self._context.reports:
            self._loaded = True
            saved = self._context.load()
            self._files = saved[STATE] if saved else None
        if self._files is None:
            return None
        folder = Path(self.trial_dir) / f"{STATE}-{len(self._context.reports)}"
        _unpack(self._files, folder)
        return sys.modules[TUNE].Checkpoint.from_directory(folder)

    def report(self, metrics: Mapping[str, Any], checkpoint: Any = None) -> None:
        """Reports the metrics of the next step; what is not a number is left out, and a remark names it.

        The checkpoint is saved only if the function has asked for one before: otherwise it starts over after an
        interruption, and reports the same bits again. Where artifacts are kept, so are the files of the step whose
        value counts.

        Args:
            metrics: metrics by name, also nested.
            checkpoint: Ray's Checkpoint of a folder; None: there is none at this step.
        """
        numbers = self._numbers(metrics) if isinstance(metrics, Mapping) else metrics
        if checkpoint:
            self._files = _packed(checkpoint)
            if self._context.keeps and self._is_selected(numbers):
                shutil.rmtree(self._context.artifacts / STATE, ignore_errors=True)
                _unpack(self._files, self._context.artifacts / STATE)
        states = {STATE: self._files} if checkpoint and self._loaded else None
        self._context.report(numbers, checkpoint=states)

    def _is_selected(self, metrics: Any) -> bool:
        """Whether the value of the next step counts, unless a later one is better."""
        objective, reports = self._context.objective, tuple(self._context.reports)
        if objective.epoch == "last" or not reports:
            return True
        value = metrics.get(objective.metric) if isinstance(metrics, Mapping) else None
        best = objective.value(objective.select(reports))
        return _is_number(value) and objective.is_better(as_number(value, ""), best)

    def _numbers(self, metrics: Mapping[str, Any]) -> dict[str, Any]:
        needed = self._context.objective.needed
        flat = dict(_flat(metrics))
        numbers = {name: value for name, value in flat.items() if name in needed or _is_number(value)}
        if others := sorted(set(flat) - set(numbers) - self._left_out):
            self._left_out.update(others)
            self._remark(f"reported to Ray Tune, but no finite numbers, so left out: {', '.join(others)}")
        return numbers


def _set_session(session: object) -> None:
    if (module := sys.modules.get(SESSION)) is not None:
        module._session = session  # type: ignore[attr-defined]  # a module does not declare its names


def _packed(checkpoint: Any) -> Any:
    """Returns the files of a checkpoint's folder as one tensor of bytes, an array without torch.

    hpo's own checkpoint can hold both.
    """
    content = io.BytesIO()
    with checkpoint.as_directory() as folder, tarfile.open(fileobj=content, mode="w") as archive:
        archive.add(folder, arcname=".")
    if not has_torch():
        return np.frombuffer(content.getvalue(), dtype=np.uint8)
    import torch  # is imported anyway where the checkpoint is saved

    return torch.frombuffer(bytearray(content.getbuffer()), dtype=torch.uint8)


def _unpack(files: Any, folder: Path) -> None:
    """Writes the files of a checkpoint into a folder."""
    array = files if isinstance(files, np.ndarray) else files.cpu().numpy()
    with tarfile.open(fileobj=io.BytesIO(array.tobytes())) as archive:
        archive.extractall(folder, filter="data")


def _flat(metrics: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yields the metrics by name; nested ones are named `outer/inner`, as Ray Tune names them."""
    for name, value in metrics.items():
        if isinstance(value, Mapping):
            yield from ((f"{name}/{inner}", one) for inner, one in _flat(value))
        else:
            yield str(name), value


def _is_number(value: object) -> bool:
    if isinstance(value, str | bytes):  # which float() would read
        return False
    try:
        as_number(value, "")
    except TrainableError:
        return False
    return True
