"""Reads DICOM files as gray values with pydicom, from the extra `dicom`."""

from __future__ import annotations

import re
import struct
import warnings
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hpo import UsageError, install_line
from models.mammography.grayscale import Unreadable, grey_values, whole

__all__ = ["LARGEST", "LARGEST_FILE", "Dicom", "Unreadable", "read_dicom", "read_patient", "require_package"]

LARGEST = 100_000_000
"""Maximum pixels. A mammogram has a tenth of that; a header with more is damaged, and nothing is allocated for it."""

LARGEST_FILE = 1_000_000_000
"""Maximum bytes of a file, and of a decompressed header and its pixels."""

_NEEDED = ("Rows", "Columns", "PhotometricInterpretation", "BitsAllocated", "BitsStored", "PixelRepresentation")
_GROUPS = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
_GROUPED = ("PixelValueTransformationSequence", "FrameVOILUTSequence")
_MOVED = ("RescaleSlope", "RescaleIntercept", "WindowCenter", "WindowWidth", "VOILUTFunction")

_END_OF_IMAGE = b"\xff\xd9"
"""The end marker of JPEG images, which occurs nowhere else in them."""

_JPEG_LS = 0xF7
_NO_FRAMES = (0xC4, 0xC8, 0xCC)
"""Markers between 0xC0 and 0xCF that do not start a frame."""

_META_STARTS = 144
"""Byte at which the meta header starts: after 128 bytes, the prefix and the length element."""

_VIEW = re.compile(r"[A-Z0-9 _]{1,16}")
"""A code as DICOM allows it; free text could name a person, and results are shared."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Dicom:
    """One image of a DICOM file.

    Attributes:
        grey_HW: gray values from 0, air, to 1.
        view: `CC`, `MLO`, ...; empty if unknown.
        patient: the patient's id; empty if unknown.
        remarks: ambiguities of the header and how they were resolved, as parts of sentences.
    """

    grey_HW: npt.NDArray[np.float32]
    view: str
    patient: str
    remarks: tuple[str, ...] = ()


def require_package() -> None:
    """Checks that DICOM files can be read.

    Raises:
        UsageError: if pydicom is not installed.
    """
    try:
        import pydicom  # noqa: F401
    except ModuleNotFoundError:
        raise UsageError(f"reading DICOM files needs pydicom: {install_line('dicom')}") from None


def read_dicom(path: Path) -> Dicom:
    """Reads a file as gray values: black padding, rescaled, windowed as in the header, dark air; see `grayscale`.

    Values are scaled to the range of the image without its padding.

    Raises:
        Unreadable: if it is not a single gray image that can be decoded.
    """
    step = "header"
    try:
        with warnings.catch_warnings():  # pydicom warns of every deviation; relevant ones are handled here
            warnings.simplefilter("ignore")
            data, remarks = _header(path), list[str]()
            _check_header(data)
            _with_syntax(data, remarks)
            step = _syntax(data)
            grey_HW = grey_values(data, _decoded(data), remarks)
            if str(data.get("BurnedInAnnotation") or "").strip().upper() == "YES":
                remarks.append("says that text is burned into the image, which may name the patient")
            return Dicom(grey_HW=grey_HW, view=_view(data), patient=_patient(data), remarks=tuple(remarks))
    except Unreadable:
        raise
    except KeyboardInterrupt:
        raise
    except OSError as error:
        if error.errno is not None:  # an error of the disk; a decoder's has no errno
            raise Unreadable(f"cannot be read: {error.strerror}") from None
        raise Unreadable(f"cannot be decoded ({step}): {_message(error)}") from error
    except BaseException as error:  # decoders raise anything on damaged files, even panics
        # An error on a header may quote it, and with it the patient's name.
        reason = type(error).__name__ if step == "header" else _message(error)
        raise Unreadable(f"cannot be decoded ({step}): {reason}") from error


def read_patient(path: Path) -> str:
    """Returns the patient's id from a file's header; empty if it has none or cannot be read."""
    from pydicom import dcmread

    try:
        with warnings.catch_warnings(action="ignore"):
            return _patient(dcmread(path, stop_before_pixels=True, specific_tags=["PatientID"]))
    except KeyboardInterrupt:
        raise
    except BaseException:  # as in `read_dicom`, which reports the error
        return ""


def _header(path: Path) -> Any:
    """Returns the data set of a file with encoded pixels, and with the values of functional groups at the top level."""
    from pydicom import dcmread
    from pydicom.errors import InvalidDicomError

    size = path.stat().st_size
    if size > LARGEST_FILE:
        raise Unreadable(f"has {size / 1e6:.0f} MB, too large for a mammogram")
    _check_deflated_size(path)
    try:
        data = dcmread(path)
    except InvalidDicomError:  # without the DICOM prefix: an old file, or not DICOM
        data = dcmread(path, force=True)
        if "PixelData" not in data or "Rows" not in data:
            raise Unreadable("is not a DICOM file") from None
    for groups in (data[name].value for name in _GROUPS if data.get(name)):
        for item in (groups[0][name].value[0] for name in _GROUPED if groups[0].get(name)):
            for name in (name for name in _MOVED if name in item and name not in data):
                data[name] = item[name]
    return data


def _check_deflated_size(path: Path) -> None:
    """Refuses a file whose deflated part is too large when decompressed; pydicom would decompress all of it."""
    from pydicom.filereader import read_file_meta_info
    from pydicom.uid import DeflatedExplicitVRLittleEndian

    try:
        meta = read_file_meta_info(str(path))
        if meta.get("TransferSyntaxUID") != DeflatedExplicitVRLittleEndian:
            return
        packed = path.read_bytes()[_META_STARTS + int(meta.FileMetaInformationGroupLength) :]
    except Exception:  # the actual reading reports any error
        return
    unpacking, unpacked = zlib.decompressobj(-zlib.MAX_WBITS), 0
    while packed:
        unpacked += len(unpacking.decompress(packed, 1 << 24))
        packed = unpacking.unconsumed_tail
        if unpacked > LARGEST_FILE:
            raise Unreadable(f"unpacks to more than {LARGEST_FILE / 1e6:.0f} MB, too large for a mammogram")


def _check_header(data: Any) -> None:
    """Checks the header before anything is allocated."""
    if not _is_image(data):
        raise Unreadable("has no pixels")
    for name in _NEEDED:
        if data.get(name) in (None, ""):
            raise Unreadable(f"lacks {name}")
    if "PixelData" not in data:
        raise Unreadable("has floating point pixels, expected integers")
    rows, columns = whole(data, "Rows") or 0, whole(data, "Columns") or 0
    if rows < 1 or columns < 1 or rows * columns > LARGEST:
        raise Unreadable(f"claims to have {rows} x {columns} pixels")
    if (frames := whole(data, "NumberOfFrames") or 1) != 1:
        raise Unreadable(f"has {frames} frames, expected one image")
    kind = str(data.PhotometricInterpretation).strip().upper()
    if kind not in ("MONOCHROME1", "MONOCHROME2"):
        raise Unreadable(f"is {kind[:16]}, expected MONOCHROME1 or MONOCHROME2")
    if (samples := whole(data, "SamplesPerPixel") or 1) != 1:
        raise Unreadable(f"is {kind} of {samples} samples per pixel, expected one")
    allocated, stored = whole(data, "BitsAllocated") or 0, whole(data, "BitsStored") or 0
    if allocated not in (8, 16, 32) or not 1 <= stored <= allocated:
        raise Unreadable(f"claims that {stored} of {allocated} bits are stored, expected 1 or more of 8, 16 or 32")
    if whole(data, "PixelRepresentation") not in (0, 1):
        raise Unreadable("has a PixelRepresentation that is neither 0 nor 1")


def _is_image(data: Any) -> bool:
    return any(name in data for name in ("PixelData", "FloatPixelData", "DoubleFloatPixelData"))


def _decoded(data: Any) -> npt.NDArray[Any]:
    """Returns the pixels (H, W) as stored, including unused bits."""
    if data.file_meta.TransferSyntaxUID.is_encapsulated:
        _check_compressed(data)
    # Normalized, because pydicom compares it and some devices write spaces or lower case.
    data.PhotometricInterpretation = str(data.PhotometricInterpretation).strip().upper()
    data.SamplesPerPixel = 1
    data.pixel_array_options(raw=True, correct_unused_bits=False)
    raw_HW = np.asarray(data.pixel_array)
    if raw_HW.ndim != 2:
        raise Unreadable(f"has pixels of shape {raw_HW.shape}, expected one gray image")
    if raw_HW.dtype.kind not in "iu":
        raise Unreadable(f"has pixels of type {raw_HW.dtype}, expected integers")
    return raw_HW


def _check_compressed(data: Any) -> None:
    """Refuses a truncated compressed image, which decoders would fill up, or one of another size than in the header."""
    from pydicom.encaps import generate_frames

    frame = next(generate_frames(data.PixelData, number_of_frames=1))
    if "RLE" in data.file_meta.TransferSyntaxUID.name:
        return
    if _END_OF_IMAGE not in frame:
        raise Unreadable(f"cannot be decoded ({_syntax(data)}): the compressed image has no end")
    stated, found = (int(data.Rows), int(data.Columns)), _size(frame)
    if found is not None and found != stated:
        raise Unreadable(
            f"claims {stated[0]} x {stated[1]} pixels, but its compressed image has {found[0]} x {found[1]}"
        )


def _size(frame: bytes) -> tuple[int, int] | None:
    """Returns the rows and columns from a compressed image itself; None if they are not found."""
    place = frame.find(b"\xff\x4f\xff\x51")  # JPEG 2000: start, then the marker SIZ
    if place >= 0:
        right, bottom, left, top = struct.unpack_from(">4I", frame, place + 8)
        return bottom - top, right - left
    place = 2
    while frame[:2] == b"\xff\xd8" and place + 9 <= len(frame) and frame[place] == 0xFF:
        marker, length = frame[place + 1], int.from_bytes(frame[place + 2 : place + 4], "big")
        if marker == _JPEG_LS or (0xC0 <= marker <= 0xCF and marker not in _NO_FRAMES):
            rows, columns = struct.unpack_from(">2H", frame, place + 5)
            return rows, columns
        place += 2 + length if marker != 0xFF else 1
    return None


def _with_syntax(data: Any, remarks: list[str]) -> None:
    """Adds the transfer syntax to a file without one, as pydicom detected it."""
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

    if getattr(getattr(data, "file_meta", None), "TransferSyntaxUID", None):
        return
    if "PixelData" in data and data["PixelData"].is_undefined_length:
        raise Unreadable("has no transfer syntax, so the compression of its pixels is unknown")
    is_implicit, is_little = data.original_encoding
    syntax = ImplicitVRLittleEndian if is_implicit else ExplicitVRLittleEndian if is_little else ExplicitVRBigEndian
    if not isinstance(getattr(data, "file_meta", None), FileMetaDataset):
        data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = syntax
    remarks.append(f"has no transfer syntax and is read as {syntax.name}")


def _syntax(data: Any) -> str:
    syntax = data.file_meta.TransferSyntaxUID
    return str(getattr(syntax, "name", syntax))


def _message(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def _view(data: Any) -> str:
    view = str(data.get("ViewPosition") or "").strip(" \0").upper()
    return view if _VIEW.fullmatch(view) else ""


def _patient(data: Any) -> str:
    """Returns the id unchanged: it only distinguishes patients and is never written."""
    return str(data.get("PatientID") or "").strip(" \0")
