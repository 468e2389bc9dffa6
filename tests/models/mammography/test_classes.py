"""Two, three and five classes, merged or of any name, from a listing to the metrics."""

from __future__ import annotations

import re

import numpy as np
import pytest
from PIL import Image

from hpo import UsageError
from models.mammography.classes import named
from models.mammography.data import DataParams, data_set
from models.mammography.listing import listing
from models.mammography.phantoms import phantoms

TINY = {"lr": 0.01, "size": 16, "width": 2, "depth": 1, "crop": False}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """40 phantoms as pictures, with a CSV file that names five findings."""
    folder = tmp_path_factory.mktemp("findings")
    image_N1SS, _, _ = phantoms(40, size=16, seed=0)
    rows = ["image_path,label,patient_id"]
    for number, image_1SS in enumerate(image_N1SS):
        Image.fromarray((image_1SS[0].clip(0, 1.3) / 1.3 * 255).astype(np.uint8)).save(folder / f"{number}.png")
        rows.append(f"{number}.png,{('normal', 'cyst', 'Benign', 'probable', 'malignant')[number % 5]},P{number // 2}")
    (folder / "list.csv").write_text("\n".join(rows))
    return folder / "list.csv"


@pytest.mark.parametrize(
    ("text", "names", "labels"),
    [
        ("A+B, C, D", ("AB", "C", "D"), {"A": 0, "2": 0, "C": 1, "4": 2}),
        ("1, 2+3+4", ("A", "BCD"), {"1": 0, "D": 1}),
        ("A+B, C+D, 5", ("AB", "CD", "5"), {"B": 0, "5": 2}),
        ("normal, Benign + cyst", ("normal", "Benign+cyst"), {"NORMAL": 0, "CYST": 1, "BENIGN": 1}),
    ],
)
def test_named_classes(text, names, labels):
    found = named(text)
    assert found.names == names
    assert {key: found.labels[key] for key in labels} == labels


@pytest.mark.parametrize("text", ["three", "A", "A,,B", "A+A, B", "normal, Normal", "A, 1"])
def test_other_texts_are_refused(text):
    with pytest.raises(UsageError, match=r"^classes: "):
        named(text)


def test_class_5_is_named_like_others():
    with pytest.raises(UsageError, match="name 5 as a class"):
        named("A+B, C+D", include_class_5=True)


def test_merged_phantoms_keep_their_images(tmp_path):
    four, three = (data_set(DataParams(images=40, classes=one), tmp_path) for one in ("density", "A+B, C, D"))
    assert np.array_equal(np.maximum(four.label_N - 1, 0), three.label_N)
    assert (three.names, three.readers) == (("AB", "C", "D"), (0, 1, 2))
    assert four.digest != three.digest


def test_named_density_has_its_own_merge(tmp_path):
    """`A+B, C+D` has the labels of `binary`."""
    first, second = (data_set(DataParams(images=40, classes=one), tmp_path) for one in ("binary", "A+B, C+D"))
    assert (first.names, first.readers) == (second.names, second.readers)
    assert np.array_equal(first.label_N, second.label_N)


def test_unnamed_labels_are_left_out(pictures):
    found = listing(pictures, classes=named("normal, cyst+benign, malignant"))
    assert [case.label for case in found.cases[:4]] == [0, 1, 1, 2]
    assert {one.reason for one in found.dropped} == {"class 'probable' is not one of NORMAL, CYST, BENIGN, MALIGNANT"}


def test_folders_have_the_names_of_classes(pictures, tmp_path):
    for name in ("normal", "malignant", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.png").write_bytes((pictures.parent / "1.png").read_bytes())
    found = listing(tmp_path, classes=named("normal, malignant"))
    assert [(case.label, case.raw) for case in found.cases] == [(0, "normal"), (1, "malignant")]
    assert [one.what for one in found.dropped] == ["other"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "classes", ["normal, malignant", "normal, cyst+benign, malignant", "normal, cyst, benign, probable, malignant"]
)
def test_k_classes_are_trained(trained, pictures, classes):
    found = trained("models.density:train", {**TINY, "data": str(pictures), "classes": classes}, metric="val_kappa")
    assert found.error is None
    assert found.predictions.names == tuple(part.strip() for part in classes.split(","))
    assert found.predictions.probabilities.shape[1] == len(found.predictions.names)


def test_phantoms_have_four_classes(tmp_path):
    with pytest.raises(UsageError, match=re.escape("name all four, got 'A+B, C'")):
        data_set(DataParams(images=40, classes="A+B, C"), tmp_path)
