from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from hpo import UsageError
from models.images import read_folder, read_image


@pytest.fixture
def folder(tmp_path):
    """One 8 x 4 image of grey value 51 for each class."""
    for name in "ABCD":
        (tmp_path / name).mkdir()
        Image.new("L", (8, 4), 51).save(tmp_path / name / "one.png")
    return tmp_path


def test_images_come_by_class_then_by_name_with_their_paths(folder):
    Image.new("L", (8, 4), 255).save(folder / "B" / "a.jpg")
    image_N1SS, label_N, paths = read_folder(folder, 16)
    assert paths == ("A/one.png", "B/a.jpg", "B/one.png", "C/one.png", "D/one.png")
    assert label_N.tolist() == [0, 1, 1, 2, 3]
    assert (image_N1SS.shape, image_N1SS.dtype) == ((5, 1, 16, 16), np.float32)
    assert image_N1SS[1].max() == pytest.approx(1.0)


def test_the_shape_of_the_breast_is_kept(folder):
    image_SS = read_image(folder / "A" / "one.png", 16)
    assert image_SS[4:12] == pytest.approx(51 / 255)
    assert not image_SS[:4].any()
    assert not image_SS[12:].any()


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "P", "I;16"])
def test_every_kind_of_grey_reads_the_same(mode, tmp_path):
    grey_SS = np.tile(np.linspace(0, 255, 16).astype(np.uint8), (16, 1))
    image = Image.fromarray(grey_SS.astype(np.uint16) * 257) if mode == "I;16" else Image.fromarray(grey_SS)
    (image if mode == "I;16" else image.convert(mode)).save(tmp_path / "x.png")
    assert read_image(tmp_path / "x.png", 16) == pytest.approx(grey_SS / 255, abs=0.01)


def test_sixteen_bits_are_not_cut_to_eight(tmp_path):
    Image.fromarray(np.full((4, 4), 1000, np.uint16)).save(tmp_path / "x.png")
    assert read_image(tmp_path / "x.png", 4) == pytest.approx(1000 / 65535)


def test_upper_case_suffixes_count_and_foreign_files_do_not(folder):
    Image.new("L", (8, 4), 1).save(folder / "A" / "TWO.PNG")
    (folder / "A" / ".hidden.png").write_bytes(b"")
    (folder / "A" / "notes.txt").write_text("not an image")
    (folder / "LICENSE").write_text("not an image")
    assert len(read_folder(folder, 16)[2]) == 5


def test_a_folder_that_is_not_there_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match="there is no such folder"):
        read_folder(tmp_path / "none", 16)


def test_a_missing_class_is_named_with_what_was_found(folder):
    (folder / "C").rename(folder / "c-old")
    with pytest.raises(UsageError, match=r"C is missing \(subfolders found: A, B, D, c-old\)"):
        read_folder(folder, 16)


def test_an_empty_class_is_named_with_what_was_found(folder):
    (folder / "D" / "one.png").rename(folder / "D" / "one.dcm")
    with pytest.raises(UsageError, match=r"D has none \(found: \.dcm\)"):
        read_folder(folder, 16)


@pytest.mark.parametrize("content", [b"", b"not an image", b"\x89PNG\r\n\x1a\n" + b"\0" * 40])
def test_a_damaged_file_is_named(folder, content):
    (folder / "B" / "bad.png").write_bytes(content)
    with pytest.raises(UsageError, match=r"bad\.png cannot be read"):
        read_folder(folder, 16)


def test_a_file_cut_short_is_named(folder):
    whole = folder / "B" / "noise.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)).save(whole)
    whole.write_bytes(whole.read_bytes()[:500])
    with pytest.raises(UsageError, match=r"noise\.png cannot be read"):
        read_folder(folder, 16)
