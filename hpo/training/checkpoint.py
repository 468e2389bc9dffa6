"""Checkpoints: the state of a training after an epoch, in one file that is written atomically.

The last two are kept. A file ends with the sha256 of its content, so that damage is detected and the training resumes
from the previous checkpoint.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import IO, Any, BinaryIO, Protocol, cast

from hpo.core.errors import CheckpointInvalid, TrainableError
from hpo.core.files import atomic_write, is_file, remove
from hpo.core.optional_torch import has_torch
from hpo.core.records import Alert, Report
from hpo.training.monitoring.alerts import EpochRecord, record_from
from hpo.training.states import check_loadable, load_plain, save_plain, unsavable

NEWEST = "checkpoint.pt"
"""Name of the newest checkpoint in the job's folder."""

PREVIOUS = "checkpoint-previous.pt"
"""Name of the checkpoint before it."""

_DIGEST_SIZE = hashlib.sha256().digest_size


class Stateful(Protocol):
    """An object with a state_dict: a model, an optimizer, a scheduler, a scaler."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any], /) -> object: ...


class Paused(BaseException):
    """Ends a training between two epochs, after its checkpoint. Not an `Exception`: user code must not catch it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """The state of a training after an epoch.

    Attributes:
        job: digest of the job that is trained.
        epoch: number of the last finished epoch.
        states: state dicts by name.
        selected: the model's state dict at the epoch selected so far; None if there is no model.
        reports: all reports so far, because those that were lost in a crash must be delivered again.
        seconds: seconds of training so far.
        seen: records of the epochs if the model is watched.
        code: digest of the trainable's source files; empty if they are not known.
    """

    job: str
    epoch: int
    states: dict[str, Any]
    selected: dict[str, Any] | None
    reports: tuple[Report, ...]
    seconds: float
    seen: tuple[EpochRecord, ...] = ()
    code: str = ""

    def save(self, folder: Path) -> None:
        """Writes the file atomically; the newest checkpoint becomes the previous one.

        Args:
            folder: folder of the job.

        Raises:
            OSError: if the file cannot be written; the older checkpoints are unchanged.
            TrainableError: if a state cannot be saved, or could not be loaded again.
        """
        try:
            if has_torch():
                import_module("torch")
        except OSError as error:  # it would be taken for one of the file
            raise TrainableError(f"torch, which writes checkpoints, cannot be imported: {error}") from error

        fields = {name: getattr(self, name) for name in self.__slots__}
        fields["reports"] = [asdict(report) for report in self.reports]
        fields["seen"] = [asdict(record) for record in self.seen]
        with atomic_write(folder / NEWEST, folder / PREVIOUS) as temporary, temporary.open("wb") as file:
            hashing = _HashingWriter(file)
            try:
                save_plain(fields, cast(IO[bytes], hashing))  # it only writes and flushes
            except RuntimeError as error:  # torch's writer raises it when a write fails
                raise hashing.error or unsavable(error) from error
            except (OSError, MemoryError):
                raise
            except Exception as error:  # pickling a user's object may raise anything
                raise unsavable(error) from error
            file.flush()
            check_loadable(temporary, self.states)
            file.write(hashing.sha256.digest())

    @classmethod
    def load(cls, path: Path, job: str, device: str, code: str = "") -> Checkpoint:
        """Loads a checkpoint of a job; nothing in the file is executed.

        Args:
            path: path of the file.
            job: digest of the job.
            device: device of the tensors, `cpu` or `cuda`.
            code: digest of the trainable's source files; empty: not checked.

        Raises:
            CheckpointInvalid: if the file is damaged, or was written by another job or by other code.
        """
        if not is_file(path):  # opening a pipe would block
            raise CheckpointInvalid(f"{path.name} is no file")
        try:
            content = path.read_bytes()
        except OSError as error:
            raise CheckpointInvalid(f"{path.name} cannot be read ({error.strerror or error})") from error
        if hashlib.sha256(content[:-_DIGEST_SIZE]).digest() != content[-_DIGEST_SIZE:]:
            raise CheckpointInvalid(f"{path.name} is damaged (its sha256 does not match)")
        try:
            fields = load_plain(io.BytesIO(content[:-_DIGEST_SIZE]), device)
            fields["reports"] = tuple(_report(**report) for report in fields["reports"])
            fields["seen"] = tuple(record_from(record) for record in fields.get("seen", ()))
            checkpoint = cls(**fields)
        except Exception as error:  # torch raises a dozen kinds of errors for an unreadable file
            raise CheckpointInvalid(f"{path.name} cannot be read ({error})") from error
        if checkpoint.job != job:
            raise CheckpointInvalid(f"{path.name} belongs to another job")
        if code and checkpoint.code and checkpoint.code != code:
            raise CheckpointInvalid(f"{path.name} was written before the code was changed")
        return checkpoint


def _report(alerts: Sequence[Mapping[str, Any]] = (), **fields: Any) -> Report:
    return Report(alerts=tuple(Alert(**alert) for alert in alerts), **fields)


class _HashingWriter:
    """A file that computes the sha256 of the data while they are written in order."""

    def __init__(self, file: BinaryIO) -> None:
        self.sha256 = hashlib.sha256()
        self.error: OSError | None = None
        self._file = file

    def write(self, data: bytes) -> int:
        self.sha256.update(data)
        try:
            return self._file.write(data)
        except OSError as error:
            self.error = error
            raise

    def flush(self) -> None:
        """Does nothing: the file is synced when it is complete."""


def load_newest(folder: Path, job: str, device: str, code: str = "") -> tuple[Checkpoint | None, list[str]]:
    """Returns the newest valid checkpoint, and a remark on each invalid one.

    An invalid checkpoint is removed, so that it does not become the previous one.

    Args:
        folder: folder of the job.
        job: digest of the job.
        device: device of the tensors, `cpu` or `cuda`.
        code: digest of the trainable's source files; empty: not checked.
    """
    errors: list[str] = []
    for name in (NEWEST, PREVIOUS):
        path = folder / name
        if not os.path.lexists(path):
            continue
        try:
            checkpoint = Checkpoint.load(path, job, device, code)
        except CheckpointInvalid as error:
            errors.append(str(error))
            remove(path)
            continue
        return checkpoint, [f"{error}: resumed after epoch {checkpoint.epoch}" for error in errors]
    return None, [f"{error}: started over" for error in errors[-1:]]


def has_checkpoint(folder: Path) -> bool:
    """Whether a folder has a checkpoint, valid or not."""
    return any((folder / name).exists() for name in (NEWEST, PREVIOUS))


def discard(folder: Path) -> None:
    """Removes the checkpoints of a folder."""
    for name in (NEWEST, PREVIOUS):
        remove(folder / name)
