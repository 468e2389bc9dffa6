from __future__ import annotations

import os
import zlib

import numpy as np
import pytest
from PIL import Image

from models.mammography.dicom import Unreadable
from models.mammography.images import breast, read_image, square


def grey(path, size=16, **options):
    return read_image(path, size, **{"crop": False, **options})[0]


def test_aspect_ratios_are_kept(tmp_path):
    Image.new("L", (8, 4), 51).save(tmp_path / "one.png")
    image_SS = grey(tmp_path / "one.png")
    assert (image_SS.shape, image_SS.dtype) == ((16, 16), np.float32)
    assert image_SS[4:12] == pytest.approx(51 / 255)
    assert not image_SS[:4].any()
    assert not image_SS[12:].any()


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "P", "I;16"])
def test_all_gray_formats_read_the_same(mode, tmp_path):
    grey_SS = np.tile(np.linspace(0, 255, 16).astype(np.uint8), (16, 1))
    image = Image.fromarray(grey_SS.astype(np.uint16) * 257) if mode == "I;16" else Image.fromarray(grey_SS)
    (image if mode == "I;16" else image.convert(mode)).save(tmp_path / "x.png")
    assert grey(tmp_path / "x.png") == pytest.approx(grey_SS / 255, abs=0.01)


@pytest.mark.parametrize(("most", "scale"), [(1000, 4095), (4095, 4095), (4096, 16383), (40000, 65535)])
def test_16_bits_are_scaled_by_depth(tmp_path, most, scale):
    Image.fromarray(np.full((4, 4), most, np.uint16)).save(tmp_path / "x.png")
    assert grey(tmp_path / "x.png", 4) == pytest.approx(most / scale)


@pytest.mark.parametrize("content", [b"", b"not an image", b"\x89PNG\r\n\x1a\n" + b"\0" * 40])
def test_damaged_files_are_unreadable(tmp_path, content):
    (tmp_path / "bad.png").write_bytes(content)
    with pytest.raises(Unreadable, match="cannot be read as a jpg or png"):
        grey(tmp_path / "bad.png")


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n(x) print\nshowpage\n%%EOF\n"


@pytest.mark.parametrize("kind", ["EPS", "GIF", "TIFF", "BMP", "ICO", "PPM", "WEBP", "PDF", "TGA"])
def test_only_jpg_and_png_are_opened(tmp_path, monkeypatch, kind):
    started = tmp_path / "started"
    program = tmp_path / "bin" / "gs"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ntouch {started}\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
    path = tmp_path / "x.png"
    if kind == "EPS":
        path.write_bytes(EPS)
    else:
        Image.new("L", (8, 8), 7).save(path, kind)
    with pytest.raises(Unreadable, match="its content is neither"):
        grey(path)
    assert not started.exists()


def test_a_jpg_may_be_named_png(tmp_path):
    Image.new("L", (8, 8), 51).save(tmp_path / "x.png", "JPEG")
    assert grey(tmp_path / "x.png", 8) == pytest.approx(51 / 255)


def test_huge_headers_are_refused(tmp_path):
    path = tmp_path / "x.png"
    Image.new("L", (8, 8)).save(path)
    content = bytearray(path.read_bytes())
    content[16:24] = (12000).to_bytes(4, "big") * 2
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    path.write_bytes(content)
    with pytest.raises(Unreadable, match="claims to have 12000 x 12000 pixels"):
        grey(path)


def test_animations_are_refused(tmp_path):
    frames = [Image.new("L", (8, 8), value) for value in (1, 2, 3)]
    frames[0].save(tmp_path / "x.png", save_all=True, append_images=frames[1:])
    with pytest.raises(Unreadable, match="has 3 frames, expected one image"):
        grey(tmp_path / "x.png")


def test_reasons_name_no_folder(tmp_path):
    Image.new("L", (64, 64), 9).save(tmp_path / "x.jpg")
    (tmp_path / "x.jpg").write_bytes((tmp_path / "x.jpg").read_bytes()[:300])
    with pytest.raises(Unreadable) as found:
        grey(tmp_path / "x.jpg")
    assert str(tmp_path) not in str(found.value)


def test_truncated_files_are_unreadable(tmp_path):
    whole = tmp_path / "noise.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)).save(whole)
    whole.write_bytes(whole.read_bytes()[:500])
    with pytest.raises(Unreadable, match="cannot be read"):
        grey(whole)


def test_crops_exclude_markers():
    image_HW = np.zeros((400, 300), np.float32)
    image_HW[100:300, 0:150] = 0.5
    image_HW[10:30, 250:290] = 1.0  # a lead letter
    assert breast(image_HW).shape == (200, 150)


@pytest.mark.parametrize("image_HW", [np.zeros((40, 30)), np.pad(np.ones((2, 2)), 40)])
def test_images_without_breast_stay_whole(image_HW):
    assert breast(image_HW.astype(np.float32)).shape == image_HW.shape


def test_same_size_squares_are_unchanged():
    image_SS = np.random.default_rng(0).random((16, 16), np.float32)
    assert (square(image_SS, 16) == image_SS).all()
