"""Optional functions of a trainable's module that hpo calls by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, Protocol

from hpo.core.protocols import Tell

HookName = Literal["prepare", "audit", "write_phantoms", "write_embeddings", "check_values"]


class TrainableHooks(Protocol):
    """Functions that hpo calls if the trainable's module has them; each is optional.

    They run in the project's folder, in the driver process of the study. Their output goes to stderr, their changes to
    the process are undone, and their exceptions are reported as a UsageError.
    """

    def prepare(self, params: Mapping[str, object], cache: Path, tell: Tell, /) -> None:
        """Prepares the data of all trainings once, before the first of them.

        Args:
            params: the params that the study fixes, by name.
            cache: folder for prepared data, shared by all trainings of the study.
            tell: called with the progress.

        Raises:
            UsageError: if the data cannot be used; then nothing is trained and a new study is not stored.
        """

    def audit(self, params: Mapping[str, object], cache: Path, tell: Tell, /) -> Mapping[str, object]:
        """Reads all data that trainings would read and returns a manifest of it, for `hpo data audit`.

        Args:
            params: the params that the study fixes, by name.
            cache: folder for prepared data.
            tell: called with the progress.

        Raises:
            UsageError: if nothing can be used.
        """

    def write_phantoms(self, out: Path, count: int, /, *, dicom: bool, size: int, seed: int, tell: Tell) -> Path:
        """Writes synthetic data for `hpo data phantoms` and returns the value for a study's `data`.

        Args:
            out: the folder to write; it is empty or missing.
            count: number of examinations, or of images.
            dicom: whether to write DICOM files with a CSV file; otherwise pictures in one folder per class.
            size: pixels along each side.
            seed: seed of the data; the same seed writes the same bytes.
            tell: called with the progress.

        Raises:
            UsageError: if the folder cannot be written, or a number is out of range.
        """

    def write_embeddings(
        self, params: Mapping[str, object], cache: Path, out: Path, weights: Path, tell: Tell, /
    ) -> Path:
        """Computes a vector of each image of a study for `hpo data embed` and returns the folder with them.

        Args:
            params: the params that the study fixes, by name.
            cache: folder for prepared data.
            out: the folder to write; it is empty or missing, or has the same vectors.
            weights: file with the weights of the backbone.
            tell: called with the progress.

        Raises:
            UsageError: if the data or the weights cannot be used, or the folder cannot be written.
        """

    def check_values(self, values: Mapping[str, Sequence[object]], /, folds: int = 0, units: str = "") -> None:
        """Raises if a study cannot be trained on this machine; `hpo check` and every command call it first.

        Args:
            values: possible values by param: all values of a choice, both ends of a range.
            folds: number of folds of the cross-validation, 0 without one; passed only if the function takes it.
            units: name of the units over which metrics are reported, empty without any; passed only if the function
                takes it.

        Raises:
            UsageError: if a package or a file is missing, or the data cannot be used.
        """
