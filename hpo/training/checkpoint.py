"""Checkpoints: what a training needs to go on after an epoch, in one file that is whole or absent."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hpo.errors import CheckpointInvalid
from hpo.files import replacing
from hpo.records import Report

# torch is imported where it is used: a trainable without epochs needs none.


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
    """

    job: str
    epoch: int
    states: dict[str, Any]
    selected: dict[str, Any] | None
    reports: tuple[Report, ...]
    seconds: float

    def save(self, path: Path) -> None:
        """Writes the file atomically."""
        import torch

        fields = {name: getattr(self, name) for name in self.__slots__}
        fields["reports"] = [asdict(report) for report in self.reports]
        with replacing(path) as spare:
            torch.save(fields, spare)

    @classmethod
    def load(cls, path: Path, job: str, device: str) -> Checkpoint:
        """Reads a checkpoint of `job`; nothing in it is executed.

        Raises:
            CheckpointInvalid: if the file is damaged or belongs to another job.
        """
        import torch

        try:
            fields = torch.load(path, map_location=device, weights_only=True)
            fields["reports"] = tuple(Report(**report) for report in fields["reports"])
            checkpoint = cls(**fields)
        except Exception as error:  # torch raises a dozen kinds for damaged files; all mean the same here
            raise CheckpointInvalid(f"checkpoint {path} cannot be read ({error}); delete it to train anew") from error
        if checkpoint.job != job:
            raise CheckpointInvalid(f"checkpoint {path} belongs to another job; delete it to train anew")
        return checkpoint
