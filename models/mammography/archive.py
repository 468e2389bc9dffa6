"""A synthetic archive: phantoms as DICOM files with the CSV file that lists them, to test the whole pipeline.

A patient has one or more examinations, an examination has two views, the second upside down; values have 12 bits, some
files have bright air (MONOCHROME1), and there are several transfer syntaxes. Everything depends only on seed and
number.
"""

from __future__ import annotations

import csv
import datetime as dt
import os
import shutil
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from hpo import Tell, UsageError
from models.mammography.classes import CLASSES
from models.mammography.dicom import require_package
from models.mammography.phantoms import phantoms

CSV_FILE = "classificacao.csv"
FOLDER = "archive"
VIEWS = ("CC", "MLO")

LARGEST_VALUE = 4095
BRIGHTEST = 1.3
"""The approximate maximum of a phantom."""

UNREAD = 0.05
"""Share of the examinations with class 5, i.e. without a density."""

_ROOT = "1.2.826.0.1.3680043.8.498"
"""Prefix of the made-up unique identifiers."""


def write_phantoms(out: Path, count: int, *, dicom: bool, size: int, seed: int, tell: Tell) -> Path:
    """Writes phantoms to a new folder and returns the value for a study's `data`.

    Args:
        out: the folder; it must be empty or missing.
        count: number of examinations, or of images for a folder of images.
        dicom: whether to write DICOM files with a CSV file, or 8-bit images in folders A, B, C, D.
        size: pixels along each side, at least 16, for DICOM files at least 32.
        seed: seed of the phantoms.
        tell: called with the progress.

    Raises:
        UsageError: if the folder is not empty or cannot be written, or a number is out of range.
    """
    least = 32 if dicom else 16  # JPEG 2000 in its usual six resolutions needs 2 ** 5 pixels
    if not 4 <= count <= 999_999 or not least <= size <= 4096:
        kind = "phantoms as DICOM files" if dicom else "phantoms"
        raise UsageError(f"expected 4 .. 999999 {kind} of {least} .. 4096 pixels, not {count} of {size}")
    if dicom:
        require_package()
    out = out.absolute()
    spare = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise UsageError(f"{out} is not empty; choose another folder")
        out.parent.mkdir(parents=True, exist_ok=True)
        spare.mkdir()
        try:
            named = _archive(spare, count, size, seed, tell) if dicom else _folders(spare, count, size, seed, tell)
            if out.exists():
                out.rmdir()
            os.rename(spare, out)
        finally:
            shutil.rmtree(spare, ignore_errors=True)
    except OSError as error:
        raise UsageError(f"cannot write {out}: {error.strerror or error}") from error
    return out / named


def _folders(folder: Path, count: int, size: int, seed: int, tell: Tell) -> str:
    for name in CLASSES:
        (folder / name).mkdir()
    for number in range(count):
        image_11SS, label_1, _ = phantoms(1, size=size, seed=seed, start=number)
        grey_SS = np.rint(np.clip(image_11SS[0, 0] / BRIGHTEST, 0, 1) * 255).astype(np.uint8)
        Image.fromarray(grey_SS).save(folder / CLASSES[label_1[0]] / f"{number:06d}.png")
        _say(number + 1, count, tell)
    return "."


def _archive(folder: Path, count: int, size: int, seed: int, tell: Tell) -> str:
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(2**32 - 1,))))
    day, patient, rows = dt.datetime(2020, 1, 1, 8), 0, []
    for number in range(count):
        if number == 0 or rng.random() < 0.7:  # the others are the patient's next examination
            patient += 1
        unread, day = rng.random() < UNREAD, day + dt.timedelta(minutes=int(rng.integers(10, 600)))
        image_11SS, label_1, _ = phantoms(1, size=size, seed=seed, start=number)
        accession = f"{number + 1:06d}"
        place = folder / FOLDER / accession / "series-1"
        place.mkdir(parents=True)
        for view in range(2):
            kind = int(rng.integers(3))
            name = f"{accession}-{VIEWS[view]}.dcm"
            uid = f"{_ROOT}.{seed % 2**31}.{number}.{view}"
            value_SS = np.rint(np.clip(image_11SS[0, 0, :: 1 - 2 * view] / BRIGHTEST, 0, 1) * LARGEST_VALUE).astype(
                np.uint16
            )
            _write(place / name, value_SS, accession, f"P{patient:05d}", VIEWS[view], uid, kind)
        density = "5" if unread else str(int(label_1[0]) + 1)
        rows.append((accession, density, day.strftime("%Y-%m-%d %H:%M:%S")))
        _say(number + 1, count, tell)
    with (folder / CSV_FILE).open("w", encoding="ascii", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("AccessionNumber", "Classification", "ClassificationDate"))
        writer.writerows(rows)
    return CSV_FILE


def _write(
    path: Path, value_SS: npt.NDArray[np.uint16], accession: str, patient: str, view: str, uid: str, kind: int
) -> None:
    """Writes one file: uncompressed, run-length encoded, or lossless JPEG 2000; the second kind has bright air."""
    from pydicom import Dataset
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import UID, ExplicitVRLittleEndian, JPEG2000Lossless, RLELossless
    from pydicom.uid import DigitalMammographyXRayImageStorageForPresentation as Mammogram

    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID = Mammogram
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID = UID(uid)
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.StudyInstanceUID, data.SeriesInstanceUID = UID(uid.rpartition(".")[0]), UID(f"{uid.rpartition('.')[0]}.9")
    data.Modality, data.AccessionNumber, data.PatientID, data.ViewPosition = "MG", accession, patient, view
    data.PatientName = "Phantom"
    data.SamplesPerPixel, data.PixelRepresentation = 1, 0
    data.Rows, data.Columns = value_SS.shape
    data.BitsAllocated, data.BitsStored, data.HighBit = 16, 12, 11
    data.PhotometricInterpretation = "MONOCHROME1" if kind == 1 else "MONOCHROME2"
    data.PixelData = (LARGEST_VALUE - value_SS if kind == 1 else value_SS).tobytes()
    if kind == 1:
        data.compress(RLELossless, generate_instance_uid=False)
    elif kind == 2:
        data.compress(JPEG2000Lossless, generate_instance_uid=False)
    data.save_as(path, enforce_file_format=True)


def _say(done: int, count: int, tell: Tell) -> None:
    if done % max(1, count // 10) == 0:
        tell(f"{done} of {count} written", done, count)
