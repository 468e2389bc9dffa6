"""What a trainable's module may offer beside the trainable: functions of agreed names, each optional."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, Protocol

from hpo.core.protocols import Tell

HookName = Literal["prepare", "audit", "write_phantoms", "refuse_unusable"]


class TrainableHooks(Protocol):
    """Functions that are called if the trainable's module has them; a module may have any of them, or none.

    They run in the project's folder, in the process that drives the study. What they print goes to stderr, what they
    change in the process is put back, and what they raise is reported as a UsageError.
    """

    def prepare(self, params: Mapping[str, object], cache: Path, tell: Tell, /) -> None:
        """Gets ready what all trainings read, once, before the first of them.

        Args:
            params: the params that the study fixes, by name.
            cache: folder in which prepared data may be kept; all trainings of the study see the same one.
            tell: told how far the work is.

        Raises:
            UsageError: if the data cannot be used; then nothing is trained and a new study is not written.
        """

    def audit(self, params: Mapping[str, object], cache: Path, tell: Tell, /) -> Mapping[str, object]:
        """Reads all data that trainings would read and returns a manifest of it, for `hpo data audit`.

        Args:
            params: the params that the study fixes, by name.
            cache: folder in which prepared data may be kept.
            tell: told how far the work is.

        Raises:
            UsageError: if nothing can be used.
        """

    def write_phantoms(self, out: Path, count: int, /, *, dicom: bool, size: int, seed: int, tell: Tell) -> Path:
        """Writes synthetic data for `hpo data phantoms` and returns what a study's `data` has to name.

        Args:
            out: the folder to write; it is empty or missing.
            count: number of examinations, or of images.
            dicom: whether to write DICOM files with a CSV file; otherwise pictures in one folder per class.
            size: pixels along each side.
            seed: the same one writes the same bytes.
            tell: told how far the work is.

        Raises:
            UsageError: if the folder cannot be written, or a number makes no sense.
        """

    def refuse_unusable(self, values: Mapping[str, Sequence[object]], /, folds: int = 0) -> None:
        """Raises where a study cannot be trained on this machine; `hpo check` and every command call it first.

        Args:
            values: the values that a study may give each param, by its name: all of a choice, both ends of a range.
            folds: number of folds of the cross-validation, 0 without one; passed only if the function takes it.

        Raises:
            UsageError: if a package or a file is missing, or the data cannot be used.
        """
