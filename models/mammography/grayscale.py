"""Converts stored values of a DICOM image to gray values: DICOM PS3.3, C.7.5.1.1.2, C.7.6.3, C.11.1, C.11.2.

The order is the standard's: unused bits, padding, modality, window or table, polarity. pydicom decodes; the later steps
are here, because its functions ignore padding and HighBit, wrap 8-bit tables, and invert a window if the rescale slope
is negative.

Shapes: H by W pixels.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[Any]
"""Integers or floats, as the previous step returns them."""

Reals = npt.NDArray[np.float64]


class Unreadable(Exception):
    """The reason why a file cannot be used, as a part of a sentence."""


def grey_values(data: Any, raw_HW: Values, remarks: list[str]) -> npt.NDArray[np.float32]:
    """Returns gray values from 0 to 1 (H, W), where padding is 0 and air is dark.

    Args:
        data: the header, a pydicom data set with its image attributes.
        raw_HW: integers from the decoder, including unused bits.
        remarks: receives ambiguities of the header and how they were resolved, as parts of sentences.

    Raises:
        Unreadable: if the header is contradictory, or the image is empty.
    """
    is_inverted = _is_inverted(data)
    raw_HW = raw_HW.astype(raw_HW.dtype.newbyteorder("="), copy=False)
    stored_HW = _stored(data, raw_HW, remarks)
    padding_HW = _padding(data, raw_HW, stored_HW)
    seen_HW = ~padding_HW
    if not seen_HW.any():
        raise Unreadable("contains only padding")
    value_HW = _displayed(data, _rescaled(data, stored_HW), remarks)
    if not np.isfinite(value_HW[seen_HW]).all():
        raise Unreadable("has values that are not finite")
    low, high = float(value_HW[seen_HW].min()), float(value_HW[seen_HW].max())
    if low == high:
        raise Unreadable(f"has the value {low:g} everywhere")
    grey_HW = ((value_HW - low) / (high - low)).astype(np.float32)
    if is_inverted:
        grey_HW = 1 - grey_HW
    grey_HW[padding_HW] = 0
    return grey_HW


def whole(data: Any, name: str) -> int | None:
    """Returns an integer attribute; None if it is missing or empty.

    Raises:
        Unreadable: if it is not an integer.
    """
    found = data.get(name)
    if found is None or found == "":
        return None
    try:
        if float(found) == int(found):
            return int(found)
    except (TypeError, ValueError, OverflowError):
        pass
    raise Unreadable(f"has a {name} that is not an integer")


def _stored(data: Any, raw_HW: Values, remarks: list[str]) -> Values:
    """Returns the values without unused bits, which old devices used for overlays (PS3.5, 8.1.1)."""
    allocated, stored = 8 * raw_HW.dtype.itemsize, int(data.BitsStored)
    if stored >= allocated:
        return raw_HW
    bits_HW = raw_HW.view(f"u{raw_HW.dtype.itemsize}")
    shift = _shift(data, bits_HW, stored, remarks)
    left = allocated - stored - shift
    signed_HW = (bits_HW << left).view(raw_HW.dtype)  # the dtype determines whether the shift back extends the sign
    found_HW = signed_HW >> (allocated - stored)
    if shift == 0 and not (found_HW == raw_HW).all():
        remarks.append(f"has data in the bits above the {stored} stored ones, which is ignored")
    return np.asarray(found_HW)


def _shift(data: Any, bits_HW: Values, stored: int, remarks: list[str]) -> int:
    """Returns the number of bits below the values."""
    high = whole(data, "HighBit")
    shift = 0 if high is None else high + 1 - stored
    if shift == 0 or _is_jpeg(data):  # JPEG stores values only
        return 0
    if shift < 0 or shift + stored > 8 * bits_HW.dtype.itemsize:
        raise Unreadable(f"claims HighBit {high} of {stored} stored bits, which is impossible")
    if (bits_HW & ((1 << shift) - 1)).any() and int(bits_HW.max()) < 1 << stored:
        remarks.append(f"claims HighBit {high} of {stored} stored bits, but its values are in the lowest ones")
        return 0
    return shift


def _padding(data: Any, raw_HW: Values, stored_HW: Values) -> npt.NDArray[np.bool_]:
    """Returns the mask of padding (H, W): the value, or range of values, in the header."""
    named = [
        value for name in ("PixelPaddingValue", "PixelPaddingRangeLimit") if (value := _first(data, name)) is not None
    ]
    found_HW = np.zeros(stored_HW.shape, dtype=np.bool_)
    if not named:
        return found_HW
    typed = [_with_sign(value, raw_HW.dtype) for value in named]
    for values_HW in (raw_HW, stored_HW):  # some devices also fill the unused bits
        found_HW |= (values_HW >= min(typed)) & (values_HW <= max(typed))
    return found_HW


def _with_sign(value: int, kind: np.dtype[Any]) -> int:
    """Converts a value to the sign of the pixels, because it is often written with the wrong one.

    Its type in the file depends on another attribute. A value outside the pixels' range is unchanged.
    """
    limit = np.iinfo(kind)
    is_signed = limit.min < 0
    if (value > limit.max) if is_signed else (value < 0):
        other = value - 2**limit.bits if is_signed else value + 2**limit.bits
        return other if limit.min <= other <= limit.max else value
    return value


def _first(data: Any, name: str) -> int | None:
    """Returns the first value of an attribute that should have only one."""
    element = data.get(name)
    if element is None or isinstance(element, str | bytes):
        if element:
            raise Unreadable(f"has a {name} that is not an integer")
        return None
    try:
        return int(element[0]) if hasattr(element, "__len__") else int(element)
    except (IndexError, TypeError, ValueError):
        raise Unreadable(f"has a {name} that is not an integer") from None


def _rescaled(data: Any, stored_HW: Values) -> Values:
    """Applies the modality table, or rescale slope and intercept."""
    if data.get("ModalityLUTSequence"):
        return _looked_up(data, data.ModalityLUTSequence[0], stored_HW, "ModalityLUTSequence")
    slope, intercept = _number(data, "RescaleSlope"), _number(data, "RescaleIntercept")
    if slope is None and intercept is None:
        return stored_HW
    return np.asarray(stored_HW.astype(np.float64) * (1 if slope is None else slope) + (intercept or 0))


def _displayed(data: Any, value_HW: Values, remarks: list[str]) -> Reals:
    """Applies the first VOI table, or else the first valid window."""
    if data.get("VOILUTSequence"):
        item = data.VOILUTSequence[0]
        if item.get("LUTDescriptor") and item.get("LUTData") is not None:
            return _looked_up(data, item, value_HW, "VOILUTSequence").astype(np.float64)
        remarks.append("has a VOILUTSequence without a table, which is ignored")
    value_HW = value_HW.astype(np.float64)
    centers, widths = _numbers(data, "WindowCenter"), _numbers(data, "WindowWidth")
    function = str(data.get("VOILUTFunction") or "LINEAR").strip().upper()
    if function not in ("LINEAR", "LINEAR_EXACT", "SIGMOID"):
        raise Unreadable(f"has a VOILUTFunction {function[:16]!r}, expected LINEAR, LINEAR_EXACT or SIGMOID")
    for center, width in zip(centers, widths, strict=False):
        if width >= 1 or (width > 0 and function != "LINEAR"):
            return _windowed(value_HW, center, width, function)
    if centers or widths:
        problem = f"has WindowWidth {widths[0]:g}" if widths else "has no WindowWidth"
        remarks.append(f"{problem} and is shown over its full range")
    return value_HW


def _windowed(value_HW: Reals, center: float, width: float, function: str) -> Reals:
    """Returns values from 0 to 1 (PS3.3, C.11.2.1.2 and C.11.2.1.3)."""
    if function == "SIGMOID":
        with np.errstate(over="ignore"):  # far below the window: 1 / inf is 0, as desired
            return np.asarray(1 / (1 + np.exp(-4 * (value_HW - center) / width)))
    if function == "LINEAR":
        center, width = center - 0.5, width - 1
    if width == 0:  # one value wide: everything above is white
        return (value_HW > center).astype(np.float64)
    return np.clip((value_HW - center) / width + 0.5, 0, 1)


def _looked_up(data: Any, item: Any, value_HW: Values, where: str) -> Values:
    """Applies a table; values below its first entry get the first, values above its last the last (PS3.3, C.11.1.1)."""
    described = [int(number) for number in item.LUTDescriptor]
    if len(described) != 3:
        raise Unreadable(f"has a LUTDescriptor of {len(described)} numbers in its {where}, expected 3")
    count, first, depth = described[0] % 2**16 or 2**16, described[1], described[2]
    if not 8 <= depth <= 16:
        raise Unreadable(f"has a table of {depth} bits in its {where}, expected 8 .. 16")
    if first >= 2**15 and int(data.PixelRepresentation) == 1:  # a negative number, read as unsigned
        first -= 2**16
    elif first < 0 and where == "ModalityLUTSequence" and int(data.PixelRepresentation) == 0:
        first += 2**16
    table = _table(data, item, count, depth)
    if len(table) < count:
        raise Unreadable(f"has a table of {len(table)} entries in its {where}, expected {count}")
    if not np.isfinite(value_HW).all():
        raise Unreadable("has values that are not finite")
    place_HW = np.clip(np.rint(value_HW.astype(np.float64)) - first, 0, count - 1).astype(np.int64)
    return np.asarray(table[place_HW])


def _table(data: Any, item: Any, count: int, depth: int) -> npt.NDArray[np.uint16]:
    entries = item.LUTData
    if not isinstance(entries, bytes):
        words = np.atleast_1d(np.asarray(entries, dtype=np.int64)).astype(np.uint16)  # negative if read as another type
    else:
        if depth == 8 and count <= len(entries) < 2 * count:
            return np.frombuffer(entries, dtype=np.uint8)[:count].astype(np.uint16)
        order = "<" if data.file_meta.TransferSyntaxUID.is_little_endian else ">"
        words = np.frombuffer(entries[: len(entries) // 2 * 2], dtype=f"{order}u2").astype(np.uint16)
    if depth == 8 and len(words) < count:  # two entries per word, the first in the lower byte
        words = np.stack([words & 0xFF, words >> 8], axis=1).ravel()
    return words[:count]


def _is_inverted(data: Any) -> bool:
    """Whether the largest value is dark. MONOCHROME1 and INVERSE mean the same (PS3.3, C.8.11.3.1.2)."""
    if data.get("PresentationLUTSequence"):
        raise Unreadable("has a PresentationLUTSequence, which cannot be applied")
    shape = str(data.get("PresentationLUTShape") or "IDENTITY").strip().upper()
    if shape not in ("IDENTITY", "INVERSE"):
        raise Unreadable(f"has a PresentationLUTShape {shape[:16]!r}, expected IDENTITY or INVERSE")
    return shape == "INVERSE" or str(data.PhotometricInterpretation).strip().upper() == "MONOCHROME1"


def _is_jpeg(data: Any) -> bool:
    syntax = data.file_meta.TransferSyntaxUID
    return bool(syntax.is_encapsulated) and "RLE" not in syntax.name


def _number(data: Any, name: str) -> float | None:
    found = _numbers(data, name)
    return found[0] if found else None


def _numbers(data: Any, name: str) -> list[float]:
    """Returns the numbers of an attribute in order; none if it is missing or empty."""
    try:
        found = data.get(name)
        if found is None or found == "":
            return []
        listed = [found] if isinstance(found, str) or not hasattr(found, "__iter__") else list(found)
        numbers = [float(one) for one in listed if one not in (None, "")]
    except (TypeError, ValueError):
        raise Unreadable(f"has a {name} that is not a number") from None
    if not np.isfinite(numbers).all():
        raise Unreadable(f"has a {name} that is not finite")
    return numbers
