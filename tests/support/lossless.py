"""Writes lossless JPEG (process 14, first predictor), which no library here does; ITU-T T.81, annex H."""

from __future__ import annotations

import struct

import numpy as np


def lossless_jpeg(value_HW: np.ndarray, bits: int) -> bytes:
    """Returns an image of one component as a lossless JPEG; every length of a difference has a code of five bits."""
    rows, columns = value_HW.shape
    value_HW = value_HW.astype(np.int64)
    predicted_HW = np.empty_like(value_HW)
    predicted_HW[:, 1:] = value_HW[:, :-1]
    predicted_HW[1:, 0] = value_HW[:-1, 0]
    predicted_HW[0, 0] = 1 << (bits - 1)
    coded = []
    for difference in (value_HW - predicted_HW).ravel().tolist():
        length = abs(difference).bit_length()
        said = difference if difference >= 0 else difference + (1 << length) - 1
        coded.append(f"{length:05b}" + (f"{said:0{length}b}" if length else ""))
    stream = "".join(coded)
    stream += "1" * (-len(stream) % 8)
    packed = int(stream, 2).to_bytes(len(stream) // 8, "big").replace(b"\xff", b"\xff\x00")
    lengths = bytes([0, 0, 0, 0, 17, *[0] * 11])
    return b"".join(
        [
            b"\xff\xd8",
            b"\xff\xc3" + struct.pack(">HBHHB3B", 11, bits, rows, columns, 1, 1, 0x11, 0),
            b"\xff\xc4" + struct.pack(">HB", 19 + 17, 0) + lengths + bytes(range(17)),
            b"\xff\xda" + struct.pack(">HB2B3B", 8, 1, 1, 0, 1, 0, 0),
            packed,
            b"\xff\xd9",
        ]
    )
