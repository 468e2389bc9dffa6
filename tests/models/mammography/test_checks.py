"""Data that cannot be used is found before anything is trained."""

from __future__ import annotations

import csv
import shutil

import pytest
from PIL import Image

from hpo import UsageError
from models.density import check_values, prepare
from models.mammography.archive import write_phantoms


def values(**said):
    return {name: value if isinstance(value, tuple) else (value,) for name, value in said.items()}


@pytest.fixture
def folder(tmp_path):
    return write_phantoms(tmp_path / "pictures", 32, dicom=False, size=16, seed=0, tell=lambda *_: None)


@pytest.fixture
def archive(tmp_path):
    pytest.importorskip("pydicom", reason="DICOM files need the extra dicom")
    return write_phantoms(tmp_path / "in", 40, dicom=True, size=32, seed=0, tell=lambda *_: None)


def rewrite(archive, change):
    rows = list(csv.DictReader(archive.read_text().splitlines()))
    kept = [row for row in (change(number, row) for number, row in enumerate(rows)) if row]
    with archive.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(kept)


def test_usable_data_pass(folder, archive):
    for data in ("phantoms", str(folder), str(archive)):
        check_values(values(data=data))
    check_values(values(data=str(archive), classes="binary", views="all", validation=(0.1, 0.4)), folds=3)


def test_missing_paths_are_refused(tmp_path):
    with pytest.raises(UsageError, match="there is no such folder or CSV file"):
        check_values(values(data=str(tmp_path / "none.csv")))
    with pytest.raises(UsageError, match="there is no such folder or CSV file"):
        check_values(values(data=("phantoms", str(tmp_path / "none.csv"))))


def test_empty_classes_are_refused(folder, archive):
    for path in (folder / "D").iterdir():
        path.unlink()
    with pytest.raises(UsageError, match="D has none"):
        check_values(values(data=str(folder)))
    shutil.rmtree(folder / "D")
    with pytest.raises(UsageError, match="D is missing"):
        check_values(values(data=str(folder)))


def test_missing_classes_are_refused(archive):
    rewrite(archive, lambda _, row: row if row["Classification"] != "4" else None)
    with pytest.raises(UsageError, match=r"class D has no images of no patients \(found: \d+ A, \d+ B, \d+ C, 0 D\)"):
        check_values(values(data=str(archive)))
    check_values(values(data=str(archive), classes="binary"))


def test_class_5_needs_images(archive):
    rewrite(archive, lambda _, row: row if row["Classification"] != "5" else None)
    check_values(values(data=str(archive)))
    with pytest.raises(UsageError, match="class 5 has no images"):
        check_values(values(data=str(archive), include_class_5=True))


def test_patients_count_not_images(tmp_path):
    rows = ["image_path,label,patient_id"]
    for number in range(40):
        Image.new("L", (8, 8), number).save(tmp_path / f"{number}.png")
        rows.append(f"{number}.png,{number % 4 + 1},P{number % 12}")
    (tmp_path / "list.csv").write_text("\n".join(rows))
    check_values(values(data=str(tmp_path / "list.csv")), folds=3)
    with pytest.raises(UsageError, match=r"class A has 10 images of 3 patients .* use fewer folds"):
        check_values(values(data=str(tmp_path / "list.csv")), folds=4)


def test_dicom_headers_name_the_patients(archive):
    import pydicom

    for path in archive.parent.rglob("*.dcm"):
        data = pydicom.dcmread(path)
        data.PatientID = "one and the same"
        data.save_as(path)
    with pytest.raises(UsageError, match=r"class A has .* of 1 patient "):
        check_values(values(data=str(archive)))


def test_only_phantoms_have_masks(folder):
    check_values(values(data="phantoms", mask_weight=(0.0, 0.5)))
    check_values(values(data=str(folder), mask_weight=0.0))
    with pytest.raises(UsageError, match=r"mask_weight is 0\.5, but .* has no masks; set it to 0"):
        check_values(values(data=str(folder), mask_weight=(0.0, 0.5)))


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"validation": 1.0}, "validation: expected a fraction"),
        ({"size": 8}, "expected size >= 16"),
        ({"images": 7}, "images: expected at least 2 of each of 4 classes, got 7"),
    ],
)
def test_numbers_out_of_range_are_refused(said, words):
    with pytest.raises(UsageError, match=words):
        check_values(values(**said))


def test_unreadable_files_count_early(folder, tmp_path):
    for path in (folder / "D").iterdir():
        path.write_bytes(b"damaged")
    check_values(values(data=str(folder)))  # the listing alone does not say it
    with pytest.raises(UsageError, match="class D has no images of no patients that can be read"):
        prepare({"data": str(folder), "size": 16}, tmp_path / "cache", lambda *_: None)
