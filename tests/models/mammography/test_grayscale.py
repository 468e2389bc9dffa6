"""What the header of a DICOM file says of its values; real files, right values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from lossless import lossless_jpeg

from models.mammography.dicom import Unreadable, read_dicom
from models.mammography.images import breast

pydicom = pytest.importorskip("pydicom", reason="DICOM files need the extra dicom")

FOUR_HW = np.array([[0, 1000], [2000, 4000]], np.uint16)


def grey(path):
    return read_dicom(path).grey_HW


def reason(path):
    with pytest.raises(Unreadable) as found:
        read_dicom(path)
    return str(found.value)


def table(entries, first=0, depth=16, count=None, kind="US"):
    item = pydicom.Dataset()
    item.add_new("LUTDescriptor", "SS" if first < 0 else "US", [len(entries) if count is None else count, first, depth])
    item.add_new("LUTData", kind, entries)
    return [item]


# Padding.


@pytest.mark.parametrize("interpretation", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("padding", [0, 65535])
def test_padding_is_black_and_ignored(file, padding, interpretation):
    value_HW = np.array([[padding, 1000, 1500], [padding, 2000, 3000]], np.uint16)
    found = grey(
        file(value_HW, BitsStored=16, HighBit=15, PixelPaddingValue=padding, PhotometricInterpretation=interpretation)
    )
    right_HW = np.array([[0, 0, 0.25], [0, 0.5, 1]])
    if interpretation == "MONOCHROME1":
        right_HW = np.array([[0, 1, 0.75], [0, 0.5, 0]])
    assert found == pytest.approx(right_HW, abs=1e-6)


def test_padding_is_black_under_a_window(file):
    value_HW = np.array([[4095, 1000], [2000, 3000]], np.uint16)
    path = file(value_HW, PixelPaddingValue=4095, WindowCenter="2000.5", WindowWidth="2001")
    assert grey(path) == pytest.approx(np.array([[0, 0], [0.5, 1]]))


@pytest.mark.parametrize(("value", "limit"), [(0, 90), (90, 0)])
def test_padding_ranges_are_inclusive(file, value, limit):
    value_HW = np.array([[0, 45, 90], [100, 150, 200]], np.uint16)
    assert grey(file(value_HW, PixelPaddingValue=value, PixelPaddingRangeLimit=limit)) == pytest.approx(
        np.array([[0, 0, 0], [0, 0.5, 1]])
    )


@pytest.mark.parametrize(("kind", "value"), [("SS", -2000), ("US", 63536)])
def test_signed_padding_is_found(file, kind, value):
    value_HW = np.array([[-2000, -100], [0, 100]], np.int16)
    path = file(value_HW, BitsStored=16, HighBit=15, PixelRepresentation=1)
    data = pydicom.dcmread(path)
    data.add_new("PixelPaddingValue", kind, value)
    data.save_as(path)
    assert grey(path) == pytest.approx(np.array([[0, 0], [0.5, 1]]))


def test_unsigned_padding_is_found(file):
    path = file(np.array([[65535, 100], [200, 300]], np.uint16), BitsStored=16, HighBit=15)
    data = pydicom.dcmread(path)
    data.add_new("PixelPaddingValue", "SS", -1)
    data.save_as(path)
    assert grey(path) == pytest.approx(np.array([[0, 0], [0.5, 1]]))


@pytest.mark.parametrize("padding", [4095, 65535, 511])
def test_impossible_padding_is_ignored(file, padding):
    value_HW = np.array([[0, 64], [128, 255]], np.uint8)
    found = grey(file(value_HW, BitsAllocated=8, BitsStored=8, HighBit=7, PixelPaddingValue=padding))
    assert found == pytest.approx(value_HW / 255)


def test_padding_may_fill_unused_bits(file):
    value_HW = np.array([[65535, 0, 4095]], np.uint16)
    assert grey(file(value_HW, PixelPaddingValue=65535)) == pytest.approx(np.array([[0, 0, 1]]))


def test_padding_is_before_the_slope(file):
    value_HW = np.array([[10, 0], [20, 40]], np.uint16)
    found = grey(file(value_HW, PixelPaddingValue=10, RescaleSlope=2, RescaleIntercept=-10))
    assert found == pytest.approx(np.array([[0, 0], [0.5, 1]]))


def test_only_padding_is_refused(file):
    assert reason(file(np.full((4, 4), 9, np.uint16), PixelPaddingValue=9)) == "contains only padding"


def test_breast_is_found_beside_padding(file):
    value_HW = np.full((40, 30), 65535, np.uint16)
    value_HW[10:30, :15] = np.random.default_rng(0).integers(500, 3000, (20, 15))
    path = file(value_HW, BitsStored=16, HighBit=15, PixelPaddingValue=65535)
    assert breast(grey(path)).shape == (20, 15)


# Bits.


@pytest.mark.parametrize("syntax", [None, "RLELossless", "JPEG2000Lossless", "JPEGLSLossless"])
def test_high_bit_overlays_are_ignored(file, syntax):
    value_HW = np.linspace(0, 4095, 64 * 48).round().astype(np.uint16).reshape(64, 48)
    drawn_HW = value_HW.copy()
    drawn_HW[::7] |= 0x8000
    tags = {"BitsStored": 16, "HighBit": 15} if syntax else {}
    path = file(drawn_HW, syntax and getattr(pydicom.uid, syntax), **tags)
    data = pydicom.dcmread(path)
    data.BitsStored, data.HighBit = 12, 11
    data.save_as(path)
    found = read_dicom(path)
    assert found.grey_HW == pytest.approx(value_HW / 4095, abs=1e-6)
    assert found.remarks == ("has data in the bits above the 12 stored ones, which is ignored",)


def test_values_may_use_the_high_bits(file):
    value_HW = (FOUR_HW << 4) | np.array([[1, 0], [5, 15]], np.uint16)  # an overlay in the low ones
    assert grey(file(value_HW, HighBit=15)) == pytest.approx(FOUR_HW / 4000)


def test_wrong_high_bits_are_a_remark(file):
    found = read_dicom(file(FOUR_HW | 1, HighBit=15))
    assert found.grey_HW == pytest.approx(FOUR_HW / 4000)
    assert found.remarks == ("claims HighBit 15 of 12 stored bits, but its values are in the lowest ones",)


def test_twelve_bit_values_keep_their_sign(file):
    value_HW = np.array([[-2048, -1024], [0, 2047]], np.int16)
    right_HW = (value_HW + 2048) / 4095
    assert grey(file(value_HW, PixelRepresentation=1)) == pytest.approx(right_HW)
    without_HW = (value_HW & 0x0FFF).astype(np.int16)  # the sign is not repeated in the four bits above
    assert grey(file(without_HW, PixelRepresentation=1)) == pytest.approx(right_HW)


def test_big_endian_files_are_read(file):
    entries = (np.arange(4096) ** 2 // 4096).astype(np.uint16)
    path = file(FOUR_HW, VOILUTSequence=table(entries.astype("<u2").tobytes(), count=4096, kind="OW"))
    little, right_HW = pydicom.dcmread(path), grey(path)
    big = pydicom.Dataset()  # a new one: a file's own does not change its order
    big.update({element.tag: element for element in little if element.keyword != "VOILUTSequence"})
    big.VOILUTSequence = table(entries.astype(">u2").tobytes(), count=4096, kind="OW")
    big.PixelData, big.file_meta = FOUR_HW.astype(">u2").tobytes(), little.file_meta
    big.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRBigEndian
    big.save_as(path, enforce_file_format=True)
    assert (grey(path) == right_HW).all()
    assert right_HW == pytest.approx(entries[FOUR_HW] / entries[4000])


def test_lossless_jpeg_is_exact(file):
    value_HW = np.random.default_rng(0).integers(0, 4096, (40, 30)).astype(np.uint16)
    path = file(value_HW)
    data = pydicom.dcmread(path)
    for name in ("JPEGLosslessSV1", "JPEGLossless"):
        data.file_meta.TransferSyntaxUID = getattr(pydicom.uid, name)
        data.PixelData = pydicom.encaps.encapsulate([lossless_jpeg(value_HW, 12)])
        data["PixelData"].VR, data["PixelData"].is_undefined_length = "OB", True
        data.save_as(path)
        low, high = int(value_HW.min()), int(value_HW.max())
        assert grey(path) == pytest.approx((value_HW - float(low)) / (high - low), abs=1e-6)


# Modality.


def test_negative_slopes_invert_once(file):
    plain = {"RescaleSlope": -1, "RescaleIntercept": 4000}
    right_HW = 1 - FOUR_HW / 4000
    assert grey(file(FOUR_HW, **plain)) == pytest.approx(right_HW)
    windowed = grey(file(FOUR_HW, **plain, WindowCenter=2000.5, WindowWidth=4001))
    assert windowed == pytest.approx(right_HW, abs=1e-6)


@pytest.mark.parametrize("one", [{"RescaleSlope": 2}, {"RescaleIntercept": 100}])
def test_slope_or_intercept_alone_applies(file, one):
    slope, intercept = one.get("RescaleSlope", 1), one.get("RescaleIntercept", 0)
    path = file(FOUR_HW, **one, WindowCenter=2000.5, WindowWidth=2001)
    right_HW = np.clip((FOUR_HW.astype(float) * slope + intercept - 1000) / 2000, 0, 1)
    assert grey(path) == pytest.approx(right_HW, abs=1e-6)


def test_modality_tables_precede_windows(file):
    value_HW = np.array([[0, 1], [2, 9]], np.uint16)  # 9 is above the last entry
    path = file(value_HW, ModalityLUTSequence=table([500, 100, 300, 400], first=0), WindowCenter=300.5, WindowWidth=401)
    assert grey(path) == pytest.approx(np.array([[1, 0], [0.5, 0.75]]))


# Values of interest.


def test_the_first_valid_window_applies(file):
    path = file(FOUR_HW, WindowCenter=["9", "2000.5"], WindowWidth=["0", "2001"])
    assert grey(path) == pytest.approx(np.array([[0, 0], [0.5, 1]]))


@pytest.mark.parametrize(
    ("tags", "said"),
    [
        ({"WindowCenter": 2000, "WindowWidth": 0}, "has WindowWidth 0"),
        ({"WindowCenter": 2000}, "has no WindowWidth"),
    ],
)
def test_no_window_shows_the_full_range(file, tags, said):
    found = read_dicom(file(FOUR_HW, **tags))
    assert found.grey_HW == pytest.approx(FOUR_HW / 4000)
    assert found.remarks == (f"{said} and is shown over its full range",)


def test_width_1_windows_are_thresholds(file):
    path = file(FOUR_HW, WindowCenter=1500, WindowWidth=1)
    assert grey(path).tolist() == [[0, 0], [1, 1]]


def test_exact_windows_are_wider(file):
    path = file(FOUR_HW, WindowCenter=2000, WindowWidth=4000, VOILUTFunction="LINEAR_EXACT")
    assert grey(path) == pytest.approx(FOUR_HW / 4000)


def test_sigmoid_windows_are_applied(file):
    path = file(FOUR_HW, WindowCenter=2000, WindowWidth=1000, VOILUTFunction="SIGMOID")
    at = 1 / (1 + np.exp(-4 * (FOUR_HW - 2000.0) / 1000))
    assert grey(path) == pytest.approx((at - at.min()) / (at.max() - at.min()), abs=1e-6)


def test_unknown_functions_are_refused(file):
    assert "VOILUTFunction 'CUBIC'" in reason(file(WindowCenter=9, WindowWidth=9, VOILUTFunction="CUBIC"))


@pytest.mark.parametrize(("first", "right"), [(0, [[0, 30], [20, 10]]), (1, [[0, 0], [30, 20]])])
def test_voi_tables_replace_windows(file, first, right):
    value_HW = np.array([[0, 1], [2, 3]], np.uint16)
    path = file(value_HW, VOILUTSequence=table([0, 30, 20, 10], first=first), WindowCenter=2, WindowWidth=1)
    assert grey(path) == pytest.approx(np.array(right) / 30)


def test_8_bit_tables_may_be_long(file):
    entries = (np.arange(4096) // 16).astype(np.uint8)
    path = file(FOUR_HW, VOILUTSequence=table(entries.tobytes(), depth=8, count=4096, kind="OW"))
    assert grey(path) == pytest.approx(FOUR_HW // 16 / 250)
    path = file(FOUR_HW, VOILUTSequence=table(entries.astype(np.uint16).tolist(), depth=8))
    assert grey(path) == pytest.approx(FOUR_HW // 16 / 250)


def test_tables_accept_negative_values(file):
    value_HW = np.array([[0, 1], [2, 3]], np.uint16)
    path = file(value_HW, RescaleSlope=1, RescaleIntercept=-2, VOILUTSequence=table([0, 10, 30, 40], first=-2))
    assert grey(path) == pytest.approx(np.array([[0, 0.25], [0.75, 1]]))


def test_monochrome1_inverts_after_tables(file):
    value_HW = np.array([[0, 1], [2, 3]], np.uint16)
    path = file(value_HW, PhotometricInterpretation="MONOCHROME1", VOILUTSequence=table([0, 10, 30, 40]))
    assert grey(path) == pytest.approx(np.array([[1, 0.75], [0.25, 0]]))


def test_short_tables_are_refused(file):
    assert reason(file(VOILUTSequence=table([1, 2, 3], count=4096))) == (
        "has a table of 3 entries in its VOILUTSequence, expected 4096"
    )


# Polarity.


@pytest.mark.parametrize(
    ("interpretation", "shape", "is_inverted"),
    [
        ("MONOCHROME2", None, False),
        ("MONOCHROME2", "IDENTITY", False),
        ("MONOCHROME2", "INVERSE", True),
        ("MONOCHROME1", None, True),
        ("MONOCHROME1", "IDENTITY", True),
        ("MONOCHROME1", "INVERSE", True),
    ],
)
def test_air_is_dark_for_every_polarity(file, interpretation, shape, is_inverted):
    tags = {} if shape is None else {"PresentationLUTShape": shape}
    found = grey(file(FOUR_HW, PhotometricInterpretation=interpretation, **tags))
    assert found == pytest.approx(1 - FOUR_HW / 4000 if is_inverted else FOUR_HW / 4000)


@pytest.mark.parametrize(
    ("tags", "said"),
    [
        ({"PresentationLUTShape": "LIN OD"}, "has a PresentationLUTShape 'LIN OD', expected IDENTITY or INVERSE"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "is PALETTE COLOR, expected MONOCHROME1 or MONOCHROME2"),
        ({"SamplesPerPixel": 3, "PlanarConfiguration": 1}, "is MONOCHROME2 of 3 samples per pixel, expected one"),
        ({"BitsStored": 17}, "claims that 17 of 16 bits are stored, expected 1 or more of 8, 16 or 32"),
        (
            {"BitsAllocated": 1, "BitsStored": 1},
            "claims that 1 of 1 bits are stored, expected 1 or more of 8, 16 or 32",
        ),
        ({"HighBit": 3}, "claims HighBit 3 of 12 stored bits, which is impossible"),
        ({"PixelRepresentation": 2}, "has a PixelRepresentation that is neither 0 nor 1"),
    ],
)
def test_unsupported_headers_are_refused(file, tags, said):
    assert reason(file(**tags)) == said


def test_functional_groups_are_read(file):
    window, shared = pydicom.Dataset(), pydicom.Dataset()
    window.WindowCenter, window.WindowWidth = "2000.5", "2001"
    shared.FrameVOILUTSequence = [window]
    path = file(FOUR_HW, NumberOfFrames=1, SharedFunctionalGroupsSequence=[shared])
    assert grey(path) == pytest.approx(np.array([[0, 0], [0.5, 1]]))


def test_decimal_commas_are_refused(file):
    path = file(WindowCenter="2000", WindowWidth="3000")
    path.write_bytes(path.read_bytes().replace(b"2000", b"20,0"))
    assert reason(path) == "has a WindowCenter that is not a number"


@pytest.mark.parametrize(
    ("written", "found", "said"),
    [
        (b"MONOCHROME2 ", b"monochrome2 ", None),
        (b"3000", b"inf ", "has a WindowWidth that is not finite"),
        (b"3000", b"wide", "has a WindowWidth that is not a number"),
    ],
)
def test_damaged_header_texts_are_refused(file, written, found, said):
    path = file(WindowCenter="2000", WindowWidth="3000", PatientID="900000")
    content = path.read_bytes()
    assert written in content
    path.write_bytes(content.replace(written, found))
    if said is None:
        assert grey(path).shape == (12, 10)
    else:
        assert reason(path) == said
