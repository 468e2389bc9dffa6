"""DICOM files, whole ones and damaged ones; all are real files, written by pydicom."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import models.mammography.dicom
from hpo import install_line
from models.mammography.dicom import LARGEST, Unreadable, read_dicom

pydicom = pytest.importorskip("pydicom", reason="DICOM files need the extra dicom")
ROOT = Path(__file__).parents[3]

RAMP_HW = np.linspace(0, 4095, 12 * 10).round().astype(np.uint16).reshape(12, 10)
LARGE_HW = np.linspace(0, 4095, 64 * 48).round().astype(np.uint16).reshape(64, 48)


def reason(path):
    with pytest.raises(Unreadable) as found:
        read_dicom(path)
    return str(found.value)


def test_twelve_bits_fill_the_gray_scale(file):
    found = read_dicom(file(ViewPosition="MLO", PatientID="P7"))
    assert found.grey_HW == pytest.approx(RAMP_HW / 4095, abs=1e-6)
    assert (found.grey_HW.dtype, found.view, found.patient) == (np.float32, "MLO", "P7")


def test_air_is_always_dark(file):
    upright = read_dicom(file()).grey_HW
    assert read_dicom(file(4095 - RAMP_HW, PhotometricInterpretation="MONOCHROME1")).grey_HW == pytest.approx(upright)


@pytest.mark.parametrize("name", ["RLELossless", "JPEG2000Lossless", "JPEGLSLossless"])
def test_compression_changes_nothing(file, name):
    upright = read_dicom(file(LARGE_HW)).grey_HW
    assert (read_dicom(file(LARGE_HW, getattr(pydicom.uid, name))).grey_HW == upright).all()


def test_embedded_jpeg_equals_the_jpeg(file):
    eight_HW = (LARGE_HW // 16).astype(np.uint8)
    content = io.BytesIO()
    Image.fromarray(eight_HW).save(content, "JPEG", quality=95)
    path = file(LARGE_HW)
    data = pydicom.dcmread(path)
    data.file_meta.TransferSyntaxUID = pydicom.uid.JPEGBaseline8Bit
    data.BitsAllocated, data.BitsStored, data.HighBit = 8, 8, 7
    data.PixelData = pydicom.encaps.encapsulate([content.getvalue()])
    data["PixelData"].VR = "OB"
    data["PixelData"].is_undefined_length = True
    data.save_as(path)
    upright_HW = np.asarray(Image.open(content), dtype=np.float32)
    low, high = upright_HW.min(), upright_HW.max()
    assert read_dicom(path).grey_HW == pytest.approx((upright_HW - low) / (high - low), abs=2 / 255)


def test_windows_clip_and_slopes_cancel(file):
    windowed = read_dicom(file(WindowCenter=[2048.0, 9.0], WindowWidth=[1024.0, 3.0])).grey_HW
    assert windowed[RAMP_HW < 1500].max() == 0
    assert windowed[RAMP_HW > 2600].min() == 1
    middle = (RAMP_HW > 1600) & (RAMP_HW < 2500)
    assert windowed[middle] == pytest.approx((RAMP_HW[middle] - 2047.5) / 1023 + 0.5, abs=0.01)
    assert read_dicom(file(RescaleSlope=2.5, RescaleIntercept=-7.0)).grey_HW == pytest.approx(
        read_dicom(file()).grey_HW, abs=1e-6
    )


@pytest.mark.parametrize("name", ["Rows", "Columns", "PhotometricInterpretation"])
def test_missing_tags_are_named(file, name):
    assert reason(file(without=[name])) == f"lacks {name}"


def test_missing_pixels_are_reported(file):
    assert reason(file(without=["PixelData"])) == "has no pixels"


def test_absurd_sizes_are_refused_early(file):
    assert reason(file(Rows=65535, Columns=65535)) == "claims to have 65535 x 65535 pixels"
    assert LARGEST < 65535 * 65535
    assert "cannot be decoded" in reason(file(Rows=5000, Columns=5000))  # fewer bytes than that


def test_frames_and_colors_are_refused(file):
    assert reason(file(NumberOfFrames=3)) == "has 3 frames, expected one image"
    assert reason(file(PhotometricInterpretation="RGB")) == "is RGB, expected MONOCHROME1 or MONOCHROME2"


def test_constant_images_are_refused(file):
    assert reason(file(np.full((4, 4), 7, np.uint16))) == "has the value 7 everywhere"


@pytest.mark.parametrize("content", [b"", b"no DICOM at all", b"\0" * 128 + b"DICM"])
def test_other_files_are_not_dicom(tmp_path, content):
    (tmp_path / "x.dcm").write_bytes(content)
    assert reason(tmp_path / "x.dcm") in ("is not a DICOM file", "has no pixels")


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
@pytest.mark.parametrize("name", [None, "RLELossless", "JPEG2000Lossless"])
def test_truncated_files_are_refused(file, share, name):
    path = file(
        np.random.default_rng(0).integers(0, 4095, (64, 64)).astype(np.uint16),
        syntax=name and getattr(pydicom.uid, name),
    )
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    assert any(word in reason(path) for word in ("cannot be decoded", "lacks", "has no pixels"))


def test_wrong_transfer_syntaxes_are_named(file):
    path = file()
    data = pydicom.dcmread(path)
    data.file_meta.TransferSyntaxUID = pydicom.uid.JPEGBaseline8Bit
    data.PixelData = pydicom.encaps.encapsulate([b"\0" * 64])
    data["PixelData"].VR = "OB"
    data["PixelData"].is_undefined_length = True
    data.save_as(path)
    assert "cannot be decoded (JPEG Baseline (Process 1)" in reason(path)


def test_files_without_preamble_are_read(file):
    path = file()
    right_HW = read_dicom(path).grey_HW
    path.write_bytes(path.read_bytes()[132:])
    assert (read_dicom(path).grey_HW == right_HW).all()


def test_missing_transfer_syntax_is_a_remark(file):
    path = file()
    right_HW = read_dicom(path).grey_HW
    bare = pydicom.Dataset()
    bare.update({element.tag: element for element in pydicom.dcmread(path)})
    pydicom.dcmwrite(path, bare, implicit_vr=True, little_endian=True)
    found = read_dicom(path)
    assert (found.grey_HW == right_HW).all()
    assert found.remarks == ("has no transfer syntax and is read as Implicit VR Little Endian",)


def recompressed(path, frame, syntax):
    data = pydicom.dcmread(path)
    data.file_meta.TransferSyntaxUID = syntax
    data.PixelData = pydicom.encaps.encapsulate([frame])
    data["PixelData"].VR, data["PixelData"].is_undefined_length = "OB", True
    data.save_as(path)


@pytest.mark.parametrize("name", ["JPEG2000Lossless", "JPEGLSLossless"])
def test_truncated_jpegs_are_refused(file, name):
    path = file(LARGE_HW, getattr(pydicom.uid, name))
    frame = next(pydicom.encaps.generate_frames(pydicom.dcmread(path).PixelData, number_of_frames=1))
    recompressed(path, frame[: len(frame) * 2 // 3 // 2 * 2], getattr(pydicom.uid, name))
    assert "the compressed image has no end" in reason(path)


@pytest.mark.parametrize("name", ["JPEG2000Lossless", "JPEGLSLossless"])
def test_jpeg_size_mismatches_are_refused(file, name):
    path = file(LARGE_HW, getattr(pydicom.uid, name))
    data = pydicom.dcmread(path)
    data.Rows = 32
    data.save_as(path)
    assert reason(path) == "claims 32 x 48 pixels, but its compressed image has 64 x 48"


def test_deflate_bombs_are_refused(file, monkeypatch):
    path = file(np.tile(LARGE_HW, (20, 20)))
    data = pydicom.dcmread(path)
    data.file_meta.TransferSyntaxUID = pydicom.uid.DeflatedExplicitVRLittleEndian
    data.save_as(path)
    assert read_dicom(path).grey_HW.shape == (1280, 960)
    monkeypatch.setattr(models.mammography.dicom, "LARGEST_FILE", 1_000_000)
    assert reason(path) == "unpacks to more than 1 MB, too large for a mammogram"
    monkeypatch.setattr(models.mammography.dicom, "LARGEST_FILE", 1000)
    assert reason(path) == "has 0 MB, too large for a mammogram"


def test_reasons_reveal_no_name(file):
    path = file(PatientName="SOUZA^MARIA", PatientID="4711", PatientBirthDate="19610203")
    content, rng, said = path.read_bytes(), np.random.default_rng(0), []
    for _ in range(300):
        damaged = bytearray(content)
        for place in rng.integers(200, len(content) - 240, 3):
            damaged[place] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            read_dicom(path)
        except Unreadable as error:
            said.append(str(error))
    assert len(said) > 20
    assert not [one for one in said if any(name in one for name in ("SOUZA", "MARIA", "4711", "1961"))]


def test_float_pixels_are_refused(file):
    path = file()
    data = pydicom.dcmread(path)
    del data.PixelData
    data.FloatPixelData = LARGE_HW.astype(np.float32).tobytes()
    data.save_as(path)
    assert reason(path) == "has floating point pixels, expected integers"


def test_only_view_codes_are_kept(file):
    assert read_dicom(file(ViewPosition="MLO")).view == "MLO"
    path = file(ViewPosition="MLO")
    path.write_bytes(path.read_bytes().replace(b"MLO ", b"=1+1"))
    assert read_dicom(path).view == ""


def test_missing_pydicom_names_the_extra():
    code = (
        "import sys; sys.modules['pydicom'] = None\n"
        "from models.mammography.dicom import require_package\n"
        "from hpo import install_line, UsageError\n"
        "try: require_package()\n"
        "except UsageError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == f"reading DICOM files needs pydicom: {install_line('dicom')}\n"
