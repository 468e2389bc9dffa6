"""Checkpoints: what a training needs to go on after an epoch, in one file that is whole or absent.

The last two are kept. A file ends with the sha256 of what comes before it, so that a disk's or a copy's damage is
noticed, and the training goes on from the one before.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO, Protocol, cast

from hpo.core.errors import CheckpointInvalid
from hpo.core.files import atomic_write, is_file, remove
from hpo.core.records import Alert, Report
from hpo.training.monitoring.alerts import Seen, seen_from
from hpo.training.states import load_plain, refuse_unreadable, unsavable

# torch is imported where it is used: a trainable without epochs needs none.

NEWEST = "checkpoint.pt"
"""The file's name in the job's folder."""

PREVIOUS = "checkpoint-previous.pt"
"""The one before."""

_SUM = hashlib.sha256().digest_size


class Stateful(Protocol):
    """Anything that can say and take back its state: a model, an optimizer, a scheduler, a scaler."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any], /) -> object: ...


class Paused(BaseException):
    """Ends a training between two epochs, with its checkpoint written. No Exception: user code must not catch it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """The state after `epoch`.

    Attributes:
        job: digest of the job it belongs to.
        epoch: the last one done.
        states: state dicts by name.
        selected: the model's state dict at the selected epoch so far, None where no model was given.
        reports: all that was said so far. They travel along: what was said but not delivered before a crash is
            delivered again.
        seconds: spent in training so far.
        seen: what was recorded of each epoch, where the trainable is watched.
        code: digest of the files that the trainable is made of; empty where they were not known.
    """

    job: str
    epoch: int
    states: dict[str, Any]
    selected: dict[str, Any] | None
    reports: tuple[Report, ...]
    seconds: float
    seen: tuple[Seen, ...] = ()
    code: str = ""

    def save(self, folder: Path) -> None:
        """Writes the file atomically; the newest so far becomes the previous one.

        Raises:
            OSError: if it cannot be written; the older ones are as they were.
            TrainableError: if a state is of a kind that cannot be saved, or could not be read back.
        """
        import torch

        fields = {name: getattr(self, name) for name in self.__slots__}
        fields["reports"] = [asdict(report) for report in self.reports]
        fields["seen"] = [asdict(one) for one in self.seen]
        with atomic_write(folder / NEWEST, folder / PREVIOUS) as spare, spare.open("wb") as file:
            summed = _Summed(file)
            try:
                torch.save(fields, cast(IO[bytes], summed))  # it writes and flushes, no more
            except RuntimeError as error:  # how torch's writer passes on that a write failed
                raise summed.fault or unsavable(error) from error
            except (OSError, MemoryError):
                raise
            except Exception as error:  # whatever pickling a user's object raises
                raise unsavable(error) from error
            file.flush()
            refuse_unreadable(spare, self.states)
            file.write(summed.sum.digest())

    @classmethod
    def load(cls, path: Path, job: str, device: str, code: str = "") -> Checkpoint:
        """Reads a checkpoint of `job`; nothing in it is executed.

        Raises:
            CheckpointInvalid: if the file is damaged, or was written by another job or by other code.
        """
        if not is_file(path):  # a pipe would be waited for
            raise CheckpointInvalid(f"{path.name} is no file")
        try:
            content = path.read_bytes()
        except OSError as error:
            raise CheckpointInvalid(f"{path.name} cannot be read ({error.strerror or error})") from error
        if hashlib.sha256(content[:-_SUM]).digest() != content[-_SUM:]:
            raise CheckpointInvalid(f"{path.name} is damaged (its sha256 does not fit)")
        try:
            fields = load_plain(io.BytesIO(content[:-_SUM]), device)
            fields["reports"] = tuple(_report(**report) for report in fields["reports"])
            fields["seen"] = tuple(seen_from(one) for one in fields.get("seen", ()))
            checkpoint = cls(**fields)
        except Exception as error:  # torch raises a dozen kinds for what it cannot read; all mean the same here
            raise CheckpointInvalid(f"{path.name} cannot be read ({error})") from error
        if checkpoint.job != job:
            raise CheckpointInvalid(f"{path.name} belongs to another job")
        if code and checkpoint.code and checkpoint.code != code:
            raise CheckpointInvalid(f"{path.name} was written before the code was changed")
        return checkpoint


def _report(alerts: Sequence[Mapping[str, Any]] = (), **fields: Any) -> Report:
    return Report(alerts=tuple(Alert(**alert) for alert in alerts), **fields)


class _Summed:
    """A file that is written once from end to end, and summed on the way."""

    def __init__(self, file: BinaryIO) -> None:
        self.sum = hashlib.sha256()
        self.fault: OSError | None = None
        self._file = file

    def write(self, data: bytes) -> int:
        self.sum.update(data)
        try:
            return self._file.write(data)
        except OSError as error:
            self.fault = error
            raise

    def flush(self) -> None:
        """Nothing: the file is synced when it is whole."""


def newest(folder: Path, job: str, device: str, code: str = "") -> tuple[Checkpoint | None, list[str]]:
    """Returns the newest checkpoint that is sound, and a remark where another one had to be passed over.

    One that is not sound is removed: it must not become the previous one of the next.
    """
    faults: list[str] = []
    for name in (NEWEST, PREVIOUS):
        path = folder / name
        if not os.path.lexists(path):
            continue
        try:
            checkpoint = Checkpoint.load(path, job, device, code)
        except CheckpointInvalid as fault:
            faults.append(str(fault))
            remove(path)
            continue
        return checkpoint, [f"{fault}: went on from epoch {checkpoint.epoch}" for fault in faults]
    return None, [f"{fault}: trained anew" for fault in faults[-1:]]


def has_checkpoint(folder: Path) -> bool:
    """Whether there is a checkpoint in a folder, sound or not."""
    return any((folder / name).exists() for name in (NEWEST, PREVIOUS))


def discard(folder: Path) -> None:
    """Removes the checkpoints of a folder."""
    for name in (NEWEST, PREVIOUS):
        remove(folder / name)
