"""What stands above the panels of a case, and texts that cannot be written as they are."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from hpo.results.curves import MAX_CURVES, look, panel_png, panels_png
from hpo.training.panels import Panels
from hpo.training.predictions import Predictions


def panels(*captions):
    image = np.full((len(captions), 8, 8), 0.5)
    return Panels.of(image=image, heat=0 * image, names=["x"] * len(captions), captions=captions)


def drawn(path):
    with Image.open(path) as picture:
        return np.asarray(picture.convert("L"), dtype=np.int64)


def test_each_curve_looks_different():
    assert len({look(place) for place in range(MAX_CURVES)}) == MAX_CURVES


def test_captions_are_above_their_panels(tmp_path):
    for name, words in (("a", "000272\ntrue A, said A (92%)"), ("b", "another caption\naltogether"), ("c", "")):
        panel_png(tmp_path / f"{name}.png", panels(words), 0)
    top = {name: drawn(tmp_path / f"{name}.png")[:120] for name in "abc"}
    assert (top["c"] == 255).all()
    assert (top["a"] < 128).sum() > 500
    assert (top["b"] < 128).sum() > 500
    assert (top["a"] != top["b"]).any()


def test_each_panel_has_its_caption(tmp_path):
    panels_png(tmp_path / "a.png", panels("one", "two", "three"), "the title")
    panels_png(tmp_path / "b.png", panels("one", "two", "other"), "the title")
    a, b = drawn(tmp_path / "a.png"), drawn(tmp_path / "b.png")
    rows, columns = np.nonzero(a != b)
    assert rows.min() > a.shape[0] // 2
    assert columns.max() < a.shape[1] // 2 + 20


@pytest.mark.parametrize("words", ["scan-\udcff.png", "two \0 parts", "$\\frac$", "\x1b[31mred"])
def test_unprintable_texts_are_escaped(tmp_path, words):
    shown = Panels.of(image=np.zeros((1, 8, 8)), heat=np.zeros((1, 8, 8)), names=[words], captions=[words])
    panel_png(tmp_path / "a.png", shown, 0)
    found = Predictions.of(
        truth=[0], probabilities=[[1.0, 0.0]], labels=(0, 1), names=("no", words), cases={"path": [words]}
    )
    found.save(tmp_path)
    again = Predictions.load(tmp_path)
    assert again.cases == found.cases
    "".join((*shown.names, *shown.captions, *again.names, *again.cases["path"])).encode()
