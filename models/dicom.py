"""DICOM files as grey values. The room of pydicom, an extra: `pip install hpo[dicom]`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hpo import UsageError

LARGEST = 100_000_000
"""Pixels. A mammogram has a tenth of it; a header that says more is damaged, and nothing is allocated for it."""


class Unreadable(Exception):
    """Says why a file cannot be used, as a part of a sentence."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Dicom:
    """One image of a DICOM file.

    Attributes:
        grey_HW: from 0, air, to 1.
        view: `CC`, `MLO`, ...; empty where the file does not say.
        patient: the patient's id; likewise.
    """

    grey_HW: npt.NDArray[np.float32]
    view: str
    patient: str


def refuse_missing_package() -> None:
    """Raises where DICOM files cannot be read at all.

    Raises:
        UsageError: if pydicom is not installed.
    """
    try:
        import pydicom  # noqa: F401
    except ModuleNotFoundError:
        raise UsageError("reading DICOM files needs pydicom: pip install 'hpo[dicom]'") from None


def read_dicom(path: Path) -> Dicom:
    """Reads a file as grey values: rescaled, windowed as the file says (the first window or table), air dark.

    Values are scaled to the range that the image then has.

    Raises:
        Unreadable: if it is no single grey image that can be decoded.
    """
    from pydicom import dcmread
    from pydicom.errors import InvalidDicomError
    from pydicom.pixels.processing import apply_rescale, apply_voi_lut

    try:
        data = dcmread(path)
        _refuse_odd(data)
        value_HW = data.pixel_array
        if value_HW.ndim != 2:
            raise Unreadable(f"has pixels of shape {value_HW.shape}, expected one grey image")
        value_HW = np.asarray(apply_voi_lut(apply_rescale(value_HW, data), data, index=0), dtype=np.float64)
    except InvalidDicomError:
        raise Unreadable("is no DICOM file") from None
    except Unreadable:
        raise
    except (MemoryError, RecursionError) as error:
        raise Unreadable(f"cannot be decoded: {type(error).__name__}") from error
    except Exception as error:  # decoders raise whatever they like on damaged files
        said = " ".join(str(error).split())[:200]
        raise Unreadable(f"cannot be decoded ({_syntax(data) if 'data' in locals() else 'header'}): {said}") from error
    if not np.isfinite(value_HW).all():
        raise Unreadable("has values that are no finite numbers")
    low, high = float(value_HW.min()), float(value_HW.max())
    if low == high:
        raise Unreadable(f"has the value {low:g} everywhere")
    grey_HW = ((value_HW - low) / (high - low)).astype(np.float32)
    if data.PhotometricInterpretation == "MONOCHROME1":
        grey_HW = 1 - grey_HW
    return Dicom(grey_HW=grey_HW, view=_text(data, "ViewPosition"), patient=_text(data, "PatientID"))


def _refuse_odd(data: Any) -> None:
    """Raises before anything is allocated for an image that is none of ours."""
    for name in ("Rows", "Columns", "PhotometricInterpretation", "BitsAllocated"):
        if data.get(name) in (None, ""):
            raise Unreadable(f"lacks {name}")
    if "PixelData" not in data:
        raise Unreadable("has no pixels")
    rows, columns, frames = int(data.Rows), int(data.Columns), int(data.get("NumberOfFrames") or 1)
    if rows < 1 or columns < 1 or rows * columns > LARGEST:
        raise Unreadable(f"says that it has {rows} x {columns} pixels")
    if frames != 1:
        raise Unreadable(f"has {frames} frames, expected one image")
    if data.PhotometricInterpretation not in ("MONOCHROME1", "MONOCHROME2"):
        raise Unreadable(f"is {data.PhotometricInterpretation}, expected MONOCHROME1 or MONOCHROME2")


def _syntax(data: Any) -> str:
    syntax = getattr(getattr(data, "file_meta", None), "TransferSyntaxUID", None)
    return "no transfer syntax" if syntax is None else str(getattr(syntax, "name", syntax))


def _text(data: Any, name: str) -> str:
    said = str(data.get(name) or "").strip()
    return "" if said[:1] in "=+-@" else said  # it ends up in tables, where it would be a formula
