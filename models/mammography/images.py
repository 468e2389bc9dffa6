"""Reads an image file as gray values: decoded, cropped to the breast, padded to a square.

Shapes: H by W pixels of the file, S pixels along each side of the result.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError
from scipy import ndimage

from models.mammography.dicom import LARGEST, Unreadable, read_dicom
from models.mammography.listing import DICOM

Grey = npt.NDArray[np.float32]

FORMATS = ("JPEG", "PNG")
"""Allowed formats, independent of the file name: Pillow starts other programs for some others."""

_WIDE_MODES = ("I", "I;16", "I;16B", "I;16L")
"""Pillow's names for 16-bit gray values."""

_DEPTHS = (4095, 16383, 65535)
"""Largest values of 12, 14 and 16 bits: detectors use fewer bits than a 16-bit file has."""

BRIGHT = 0.1
"""Threshold between air and tissue, as a share of the 99th percentile."""

SMALLEST_BREAST = 0.05
"""Minimum share of the image; a smaller area is a marker, and the image is not cropped."""

_COARSE = 256
"""Pixels along the longer side of the image in which the breast is located."""


class Picture(NamedTuple):
    """An image as read from a file.

    Attributes:
        grey_SS: gray values from 0 to 1, padded with black to a square.
        view: `CC`, `MLO`, ...; empty if unknown.
        patient: the patient's id; empty if unknown.
        remarks: ambiguities of the file and how they were resolved, as parts of sentences.
    """

    grey_SS: Grey
    view: str
    patient: str
    remarks: tuple[str, ...]


def read_image(path: Path, size: int, *, crop: bool = True) -> Picture:
    """Reads one image, a jpg, png or DICOM file.

    Args:
        path: path of the file.
        size: pixels along each side of the result.
        crop: whether to crop it to the breast first.

    Raises:
        Unreadable: if it cannot be decoded.
    """
    if path.suffix.lower() == DICOM:
        found = read_dicom(path)
        grey_HW, view, patient, remarks = found.grey_HW, found.view, found.patient, found.remarks
    else:
        grey_HW, view, patient, remarks = _picture(path), "", "", ()
    return Picture(square(breast(grey_HW) if crop else grey_HW, size), view, patient, remarks)


def breast(grey_HW: Grey) -> Grey:
    """Returns the bounding box of an image's largest bright area; the whole image if there is none."""
    step = max(1, max(grey_HW.shape) // _COARSE)
    coarse_HW = grey_HW[::step, ::step]
    part_HW, count = ndimage.label(coarse_HW > BRIGHT * np.percentile(coarse_HW, 99))
    if not count:
        return grey_HW
    sizes = np.bincount(part_HW.ravel())[1:]
    rows, columns = ndimage.find_objects(part_HW)[int(sizes.argmax())]
    if sizes.max() < SMALLEST_BREAST * coarse_HW.size:
        return grey_HW
    return grey_HW[rows.start * step : rows.stop * step, columns.start * step : columns.stop * step]


def square(grey_HW: Grey, size: int) -> Grey:
    """Returns an image (S, S) with its aspect ratio, centered in a black square."""
    grey = Image.fromarray(np.ascontiguousarray(grey_HW))
    scale = size / max(grey.size)
    inner = grey.resize(
        (max(1, round(grey.width * scale)), max(1, round(grey.height * scale))), Image.Resampling.BILINEAR
    )
    whole = Image.new("F", (size, size))
    whole.paste(inner, ((size - inner.width) // 2, (size - inner.height) // 2))
    return np.asarray(whole, dtype=np.float32)


def _picture(path: Path) -> Grey:
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(path, formats=FORMATS) as file:
            if file.width * file.height > LARGEST:
                raise Unreadable(f"claims to have {file.height} x {file.width} pixels")
            if (frames := getattr(file, "n_frames", 1)) != 1 and file.format == "PNG":
                raise Unreadable(f"has {frames} frames, expected one image")
            upright = ImageOps.exif_transpose(file)
            wide = upright.mode in _WIDE_MODES  # Pillow would clip 16-bit values at 255
            value_HW = np.asarray(upright if wide else upright.convert("L"), dtype=np.float32)
    except (KeyboardInterrupt, Unreadable):
        raise
    except UnidentifiedImageError:
        raise Unreadable("cannot be read as a jpg or png (its content is neither)") from None
    except BaseException as error:  # decoders raise anything on damaged files, even panics
        reason = str(error).replace(str(path), path.name) or type(error).__name__
        raise Unreadable(f"cannot be read as a jpg or png ({reason})") from error
    most = next((depth for depth in _DEPTHS if value_HW.max() <= depth), _DEPTHS[-1]) if wide else 255
    return value_HW / np.float32(most)
