"""Damaged files that end, hang or confuse whatever decodes them; none of them ends what is asked for."""

from __future__ import annotations

import os
import signal
import time

import numpy as np
import pytest
from PIL import Image

import models.mammography.images
from models.mammography import decoding
from models.mammography.archive import write_phantoms
from models.mammography.decoding import decode, decoded
from models.mammography.images import Picture


@pytest.fixture
def work(tmp_path):
    made = []
    for number in range(6):
        path = tmp_path / f"{number}.png"
        Image.fromarray(np.random.default_rng(number).integers(0, 255, (20, 30), np.uint8)).save(path)
        made.append((path, 16, False))
    return made


@pytest.mark.slow
def test_crashing_files_are_left_out(work):
    fatal = {work[1][0], work[5][0]}

    def deadly(one):  # as a decoder in C may be on a damaged file
        if one[0] in fatal:
            os.kill(os.getpid(), signal.SIGKILL)
        return Picture(one[0].name, "", "", ())

    found = list(decoded(work, deadly, 2))
    assert [isinstance(one, str) for one in found] == [False, True, False, False, False, True]
    assert "crashed the process that decoded it" in found[1]
    assert [one.grey_SS for one in found if not isinstance(one, str)] == ["0.png", "2.png", "3.png", "4.png"]


@pytest.mark.slow
def test_hanging_files_are_left_out(work, monkeypatch):
    monkeypatch.setattr(decoding, "SECONDS", 1.5)
    slow = work[2][0]

    def hanging(one):
        if one[0] == slow:
            time.sleep(1000)
        return Picture(one[0].name, "", "", ())

    found = list(decoded(work, hanging, 2))
    assert [isinstance(one, str) for one in found] == [False, False, True, False, False, False]
    assert found[2] == "cannot be decoded within 2 s"


def test_single_files_use_a_process_too(work):
    def elsewhere(one):
        return str(os.getpid())

    assert next(decoded(work[:1], elsewhere)) != str(os.getpid())


def test_decoder_output_is_discarded(work, capfd):
    def loud(one):
        os.write(1, b"loud")
        os.write(2, b"loud")
        return "done"

    assert list(decoded(work, loud, 2)) == ["done"] * 6
    assert capfd.readouterr() == ("", "")


class PanicError(BaseException):
    """As pyo3's PanicException, which is no Exception."""


@pytest.mark.parametrize(
    "raised", [PanicError("index out of bounds"), SystemExit(3), RecursionError(), MemoryError(), EOFError()]
)
def test_any_decoder_error_is_a_reason(work, monkeypatch, raised):
    def broken(*_, **__):
        raise raised

    monkeypatch.setattr(models.mammography.images.Image, "open", broken)
    said = str(raised) or type(raised).__name__
    assert decode(work[0]) == f"cannot be read as a jpg or png ({said})"


FLIPS = 300


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(1, 15))])
def test_damaged_dicom_files_never_crash(tmp_path, seed):
    pytest.importorskip("pydicom", reason="DICOM files need the extra dicom")
    data = write_phantoms(tmp_path / "in", 6, dicom=True, size=32, seed=0, tell=lambda *_: None)
    whole = [path.read_bytes() for path in sorted(data.parent.rglob("*.dcm"))]
    rng = np.random.default_rng(seed)
    work = []
    for number in range(FLIPS):
        content = bytearray(whole[number % len(whole)])
        reach = len(content) if number % 2 else 900  # half of them in the header alone
        for place in rng.integers(0, reach, rng.integers(1, 6)):
            content[place] = rng.integers(256)
        (tmp_path / f"{number}.dcm").write_bytes(content[: rng.integers(len(content))] if number % 10 == 9 else content)
        work.append((tmp_path / f"{number}.dcm", 16, True))
    found = list(decoded(work, decode, 2))
    unreadable = [one for one in found if isinstance(one, str)]
    assert len(found) == FLIPS
    assert 30 < len(unreadable) < FLIPS - 30
    assert not any("crashed the process" in one or str(tmp_path) in one for one in unreadable)
    assert all(np.ptp(one.grey_SS) > 0 for one in found if not isinstance(one, str))
