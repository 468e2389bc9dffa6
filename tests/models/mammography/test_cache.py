"""Images decoded once, whoever asks for them and however often."""

from __future__ import annotations

import dataclasses
import json
import multiprocessing
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import models.mammography.cache
from models.mammography import decoding
from models.mammography.cache import prepared
from models.mammography.decoding import WHITE
from models.mammography.images import read_image
from models.mammography.listing import Case


@pytest.fixture
def cases(tmp_path):
    (tmp_path / "in").mkdir()
    made = []
    for number in range(6):
        path = tmp_path / "in" / f"{number}.png"
        Image.fromarray(np.random.default_rng(number).integers(0, 255, (20, 30), np.uint8)).save(path)
        made.append(Case(path=path, name=path.name, label=number % 4, raw="A", accession=path.stem))
    return made


def read(cases, tmp_path, **options):
    return prepared(cases, cache=tmp_path / "cache", **{"size": 16, "crop": False, "processes": 1, **options})


def test_the_array_matches_the_files(cases, tmp_path):
    found = read(cases, tmp_path)
    assert found.image_N1SS.shape == (6, 1, 16, 16)
    for case, image_1SS in zip(cases, found.image_N1SS, strict=True):
        assert image_1SS[0] / WHITE == pytest.approx(read_image(case.path, 16, crop=False)[0], abs=1 / WHITE)
    with pytest.raises(ValueError, match="read-only"):
        found.image_N1SS[0] = 0


def test_a_second_call_reads_nothing(cases, tmp_path, monkeypatch):
    first = read(cases, tmp_path)
    monkeypatch.setattr(decoding, "read_image", None)  # whoever calls it fails
    monkeypatch.setattr(Path, "open", forbidding(Path.open, cases))
    again = read(cases, tmp_path)
    assert (again.digest, again.inputs) == (first.digest, first.inputs)
    assert (again.image_N1SS == first.image_N1SS).all()


def forbidding(opened, cases):
    names = {case.path for case in cases}

    def guarded(self, *args, **options):
        assert self not in names, "a file was read again"
        return opened(self, *args, **options)

    return guarded


@pytest.mark.parametrize("change", [{"size": 20}, {"crop": True}])
def test_other_settings_are_another_array(cases, tmp_path, change):
    read(cases, tmp_path)
    read(cases, tmp_path, **change)
    assert len(list((tmp_path / "cache").glob("*/images.npy"))) == 2


def test_the_array_depends_on_content(cases, tmp_path):
    first = read(cases, tmp_path)
    content = cases[0].path.read_bytes()
    Image.new("L", (20, 30), 200).save(cases[0].path)
    assert read(cases, tmp_path).digest != first.digest
    cases[0].path.write_bytes(content)
    os.utime(cases[0].path, ns=(1, 1))
    assert read(cases, tmp_path).digest == first.digest
    assert len(list((tmp_path / "cache").glob("*/images.npy"))) == 2


def test_bad_files_are_left_out(cases, tmp_path):
    cases[2].path.write_bytes(b"not an image")
    cases[4].path.unlink()
    found = read(cases, tmp_path)
    assert found.kept == (0, 1, 3, 5)
    assert found.image_N1SS.shape == (4, 1, 16, 16)
    assert found.image_N1SS[2, 0] / WHITE == pytest.approx(read_image(cases[3].path, 16, crop=False)[0], abs=1 / WHITE)
    assert set(found.unreadable) == {"2.png", "4.png"}
    assert "No such file" in found.unreadable["4.png"]
    assert read(cases, tmp_path).unreadable == found.unreadable


def test_old_leftovers_are_removed(cases, tmp_path):
    old, new = (tmp_path / "cache" / f".abc.{number}" for number in (1, 2))
    for folder in (old, new):
        folder.mkdir(parents=True)
    os.utime(old, (1e9, 1e9))
    read(cases, tmp_path)
    assert (old.exists(), new.exists()) == (False, True)


def test_process_count_changes_nothing(cases, tmp_path):
    alone = read(cases, tmp_path)
    together = prepared(cases, size=16, crop=False, cache=tmp_path / "other", processes=2)
    assert together.digest == alone.digest


def test_concurrent_calls_build_once(cases, tmp_path):
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=read, args=(cases, tmp_path)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0] * 4
    left = [path.name for path in (tmp_path / "cache").iterdir() if path.name.startswith(".")]
    assert left == []
    [index] = (tmp_path / "cache").glob("*/index.json")
    assert json.loads(index.read_text())["kept"] == list(range(6))


def test_incomplete_arrays_are_not_used(cases, tmp_path, monkeypatch):
    decode = models.mammography.cache.decode

    def broken(work):
        if work[0] == cases[3].path:
            raise KeyboardInterrupt
        return decode(work)

    monkeypatch.setattr(models.mammography.cache, "decode", broken)
    with pytest.raises(KeyboardInterrupt):
        read(cases, tmp_path)
    assert not list((tmp_path / "cache").glob("*/index.json"))
    monkeypatch.undo()
    assert read(cases, tmp_path).kept == tuple(range(6))


def test_progress_is_reported(cases, tmp_path, monkeypatch):
    monkeypatch.setattr(models.mammography.cache, "PROGRESS_SECONDS", -1.0)
    heard = []
    read(cases, tmp_path, tell=lambda *said: heard.append(said))
    assert any(message.startswith("checking files: 6 of 6, ") for message, *_ in heard)
    message, *count = heard[-1]
    assert message.startswith("reading images: 6 of 6, ")
    assert message.endswith("about 0 s left")
    assert count == [6, 6]


def test_non_text_names_are_read(cases, tmp_path):
    odd = tmp_path / "in" / os.fsdecode(b"scan-\xff.png")
    cases[0].path.rename(odd)
    renamed = [dataclasses.replace(cases[0], path=odd), *cases[1:]]
    assert read(renamed, tmp_path).kept == tuple(range(6))
    assert read(renamed, tmp_path).digest == read(renamed, tmp_path / "other").digest
