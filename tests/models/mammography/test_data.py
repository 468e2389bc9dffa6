from __future__ import annotations

import csv
import dataclasses
import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hpo import UsageError
from models.mammography.archive import write_phantoms
from models.mammography.data import DataParams, audit, data_set
from models.mammography.phantoms import phantoms
from models.mammography.written import write_split


def phantoms_of(**changes):
    return data_set(DataParams(**{"images": 8, "size": 16, **changes}), Path("unused"))


def test_data_are_shared_and_read_only():
    data = phantoms_of()
    assert phantoms_of().image_N1SS is data.image_N1SS
    for array in (data.image_N1SS, data.label_N, data.mask_NSS):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


@pytest.mark.parametrize("change", [{"images": 9}, {"size": 20}, {"data_seed": 1}])
def test_digests_distinguish_data(change):
    assert phantoms_of().digest != phantoms_of(**change).digest


def test_folders_are_relative_to_the_cwd(tmp_path, monkeypatch):
    for name in "ABCD":
        (tmp_path / "here" / name).mkdir(parents=True)
        Image.new("L", (8, 8), 9).save(tmp_path / "here" / name / "case-1.png")
    monkeypatch.chdir(tmp_path)
    data = data_set(DataParams(data="here", size=16), tmp_path / "cache")
    assert data.cases["path"] == ("A/case-1.png", "B/case-1.png", "C/case-1.png", "D/case-1.png")
    assert set(data.cases["accession"]) == {"case-1"}
    assert data.mask_NSS is None


def test_phantoms_have_accession_numbers():
    assert phantoms_of().cases["accession"][7] == "000007"


@pytest.mark.parametrize("change", [{"images": 0}, {"size": 8}])
def test_too_little_data_is_refused(change):
    with pytest.raises(UsageError, match="expected size >= 16 and images >= 1"):
        phantoms_of(**change)


@pytest.fixture
def archive(tmp_path):
    """A synthetic archive of forty examinations, as `hpo data phantoms --dicom` writes it."""
    pytest.importorskip("pydicom", reason="DICOM files need the extra dicom")
    return write_phantoms(tmp_path / "in", 40, dicom=True, size=48, seed=0, tell=silent)


def silent(message, done=0, total=0): ...


@pytest.mark.slow
def test_archive_round_trip(archive, tmp_path):
    found = data_set(DataParams(data=str(archive), size=48, crop=False), tmp_path / "cache")
    said = {row["AccessionNumber"]: row["Classification"] for row in csv.DictReader(archive.read_text().splitlines())}
    wanted = {accession: label for accession, label in said.items() if label != "5"}
    assert found.cases["accession"] == tuple(wanted)
    assert [str(label + 1) for label in found.label_N] == list(wanted.values())
    image_N1SS, label_N, _ = phantoms(40, size=48, seed=0)
    for accession, image_1SS in zip(found.cases["accession"], found.image_N1SS, strict=True):
        number = int(accession) - 1
        grey_SS = np.clip(image_N1SS[number, 0] / 1.3, 0, 1)
        stretched = (grey_SS - grey_SS.min()) / (grey_SS.max() - grey_SS.min())
        assert image_1SS[0] / 65535 == pytest.approx(stretched, abs=1e-3)
        assert label_N[number] == int(said[accession]) - 1
    assert set(found.cases["view"]) == {"CC"}
    assert len(set(found.groups)) < len(found.groups)


@pytest.mark.slow
def test_patients_are_never_named(archive, tmp_path):
    found = data_set(DataParams(data=str(archive), size=32, views="all"), tmp_path / "cache")
    patients = [pydicom_id(archive.parent / "archive" / path) for path in found.cases["path"]]
    pairs = set(zip(patients, found.groups, strict=True))
    assert len(pairs) == len(set(patients)) == len(set(found.groups))
    assert not any(patient in str([*found.cases.values(), found.groups, found.manifest]) for patient in patients)


@pytest.mark.slow
def test_written_files_reveal_no_patient(archive, tmp_path):
    found = data_set(DataParams(data=str(archive), size=32, views="all"), tmp_path / "cache")
    write_split(tmp_path, found, range(0, len(found.label_N), 2), range(1, len(found.label_N), 2), "patient")
    written = "".join(path.read_text() for path in tmp_path.rglob("*") if path.suffix in (".csv", ".json"))
    written = written.replace((tmp_path / "cache").name, "")
    for number in range(1, 60):
        for name in (f"P{number:05d}", f"{number:05d}", f"{number}"):
            for digest in (hashlib.sha256, hashlib.md5, hashlib.sha1):
                assert digest(name.encode()).hexdigest()[:8] not in written
    assert found.groups[:3] == ("g01", "g01", found.groups[2])
    assert found.group_keys[0] not in f"{found!r} {written}"


@pytest.mark.slow
def test_patient_numbers_keep_the_splits(archive, tmp_path):
    found = data_set(DataParams(data=str(archive), size=32, views="all"), tmp_path / "cache")
    ids = [pydicom_id(archive.parent / "archive" / path) for path in found.cases["path"]]
    before = tuple(hashlib.sha256(one.encode()).hexdigest()[:12] for one in ids)
    assert found.group_keys == before
    assert len(set(zip(found.groups, before, strict=True))) == len(set(before))


def test_missing_patient_uses_exam(tmp_path):
    rows = ["image_path,label,accession,patient_id"]
    for number in range(8):
        Image.new("L", (8, 8), 20 * number + 20).save(tmp_path / f"{number}.png")
        rows.append(f"{number}.png,{number % 4 + 1},{number // 2},{'' if number % 2 else f'-{number // 4}'}")
    (tmp_path / "list.csv").write_text("\n".join(rows))
    found = data_set(DataParams(data=str(tmp_path / "list.csv"), size=16), tmp_path / "cache")
    assert found.groups == ("g1",) * 4 + ("g2",) * 4


@pytest.mark.slow
def test_pseudonyms_only_replace_names(archive, tmp_path):
    damaged = next((archive.parent / "archive" / "000002").rglob("*.dcm"))
    damaged.write_bytes(damaged.read_bytes()[:300])
    shutil.rmtree(archive.parent / "archive" / "000003")
    (archive.parent / "archive" / "999999").mkdir()
    params = DataParams(data=str(archive), size=32, views="all")
    named = data_set(params, tmp_path / "cache")
    found = data_set(dataclasses.replace(params, pseudonyms=True), tmp_path / "cache")
    assert (found.digest, found.groups, found.group_keys) == (named.digest, named.groups, named.group_keys)
    assert (found.image_N1SS == named.image_N1SS).all()
    assert found.cases["path"][0] == "image-00001"
    exams = zip(found.cases["accession"], named.cases["accession"], strict=True)
    assert len(set(exams)) == len(set(found.cases["accession"])) == len(set(named.cases["accession"]))
    said = found.manifest
    assert list(said["inputs"].values()) == list(named.manifest["inputs"].values())
    assert len(said["left_out"]) == len(named.manifest["left_out"])
    assert {"what": "row 4", "reason": "its examination has no folder"} in said["left_out"]
    assert said["exams_missing_dir"] == ["row 4"]
    write_split(tmp_path, found, range(0, len(found.label_N), 2), range(1, len(found.label_N), 2), "patient")
    written = "".join(path.read_text() for path in [*tmp_path.glob("*.json"), *(tmp_path / "splits").iterdir()])
    shown = f"{written} {found.summary} {found.cases}"
    for path in (archive.parent / "archive").rglob("*"):
        assert path.name not in shown
    audited = audit({"data": str(archive), "size": 32, "pseudonyms": True}, tmp_path / "cache", silent)
    assert any("000001" in name for name in audited["inputs"])


@pytest.mark.slow
def test_the_cache_is_private(archive, tmp_path):
    data_set(DataParams(data=str(archive), size=32), tmp_path / "cache")
    assert (tmp_path / "cache" / "images").stat().st_mode & 0o077 == 0


@pytest.mark.slow
def test_remarks_are_in_manifest_and_summary(archive, tmp_path):
    import pydicom

    path = next((archive.parent / "archive" / "000001").rglob("*-CC.dcm"))
    data = pydicom.dcmread(path)
    data.WindowCenter, data.WindowWidth = "2000", "0"
    data.save_as(path)
    found = data_set(DataParams(data=str(archive), size=32), tmp_path / "cache")
    [remark] = found.manifest["remarks"]
    assert remark["what"] == path.relative_to(archive.parent / "archive").as_posix()
    assert "read with a remark: 1 (" in found.summary
    assert "WindowWidth 0" in remark["reason"]


def pydicom_id(path):
    import pydicom

    return str(pydicom.dcmread(path, stop_before_pixels=True).PatientID)


@pytest.mark.slow
def test_the_manifest_is_complete(archive, tmp_path):
    damaged = next((archive.parent / "archive" / "000002").rglob("*.dcm"))
    damaged.write_bytes(damaged.read_bytes()[:300])
    shutil.rmtree(archive.parent / "archive" / "000003")
    (archive.parent / "archive" / "999999").mkdir()
    found = data_set(DataParams(data=str(archive), size=32), tmp_path / "cache")
    said = found.manifest
    rows = {row["AccessionNumber"]: row["Classification"] for row in csv.DictReader(archive.read_text().splitlines())}
    unread = sum(label == "5" for label in rows.values())
    assert said["total_csv_entries"] == 40
    assert said["exams_missing_dir"] == ["row 4"]
    assert said["dirs_missing_csv"] == ["999999"]
    assert (said["total_dicom_files"], said["total_readable_files"]) == (39 - unread, 38 - unread)
    assert sum(said["class_histogram"].values()) == said["images"] == 38 - unread
    assert len(said["left_out"]) == unread + 2
    assert any("000002" in one["what"] and one["reason"] for one in said["left_out"])
    assert len(said["inputs"]) == 39 - unread
    assert said["digest"] == found.digest
    assert f"left out: {unread + 2} (" in found.summary
    json.dumps(said)


@pytest.mark.slow
def test_the_digest_is_of_the_content(archive, tmp_path):
    params = DataParams(data=str(archive), size=32)
    first = data_set(params, tmp_path / "cache").digest
    shutil.copytree(archive.parent, tmp_path / "moved")
    moved = DataParams(data=str(tmp_path / "moved" / archive.name), size=32)
    assert data_set(moved, tmp_path / "another cache").digest == first
    assert data_set(DataParams(data=str(archive), size=36), tmp_path / "cache").digest != first


@pytest.mark.slow
def test_binary_is_ab_against_cd(archive, tmp_path):
    four = data_set(DataParams(data=str(archive), size=32), tmp_path / "cache")
    two = data_set(DataParams(data=str(archive), size=32, classes="binary"), tmp_path / "cache")
    assert two.label_N.tolist() == [label // 2 for label in four.label_N]
    assert (two.names, two.readers) == (("AB", "CD"), (0, 1))
    assert two.manifest["digest"] == two.digest != four.digest
    assert sum(two.manifest["class_histogram"].values()) == len(two.label_N)
    assert set(two.manifest["class_histogram"]) == {"AB", "CD"}


@pytest.mark.slow
def test_changed_files_are_read_again(archive, tmp_path):
    first = data_set(DataParams(data=str(archive), size=32), tmp_path / "cache")
    archive.write_text("".join(archive.read_text().splitlines(keepends=True)[:-8]))
    again = data_set(DataParams(data=str(archive), size=32), tmp_path / "cache")
    assert len(again.label_N) < len(first.label_N)
    assert again.digest != first.digest


@pytest.mark.slow
def test_class_5_can_be_a_class(archive, tmp_path):
    found = data_set(DataParams(data=str(archive), size=32, include_class_5=True), tmp_path / "cache")
    assert (found.names, found.readers) == (("A", "B", "C", "D", "5"), (1, 2, 3, 4, 5))
    assert found.manifest["class_histogram"]["5"] == sum(label == 4 for label in found.label_N) > 0


def test_subsets_are_stratified_and_fixed():
    whole, part = phantoms_of(images=200), phantoms_of(images=200, subset=40)
    assert len(part.label_N) == part.manifest["images"] == sum(part.manifest["class_histogram"].values()) == 40
    assert part.manifest["digest"] == part.digest != whole.digest
    assert np.abs(np.bincount(part.label_N) - np.bincount(whole.label_N) / 5).max() < 1
    assert part.cases["accession"] == phantoms_of(images=200, subset=40).cases["accession"]
    assert part.cases["accession"] != phantoms_of(images=200, subset=40, data_seed=1).cases["accession"]
    with pytest.raises(UsageError, match=r"subset: expected 4 \.\. 200 images, got 201"):
        phantoms_of(images=200, subset=201)


def test_too_small_for_dicom(tmp_path):
    with pytest.raises(UsageError, match=r"phantoms as DICOM files of 32 \.\. 4096 pixels, not 4 of 16"):
        write_phantoms(tmp_path / "in", 4, dicom=True, size=16, seed=0, tell=silent)
    assert not (tmp_path / "in").exists()


def test_writing_phantoms_is_deterministic(archive, tmp_path):
    again = write_phantoms(tmp_path / "again", 40, dicom=True, size=48, seed=0, tell=silent)
    files = sorted(path.relative_to(again.parent) for path in again.parent.rglob("*") if path.is_file())
    assert all((again.parent / path).read_bytes() == (archive.parent / path).read_bytes() for path in files)
    with pytest.raises(UsageError, match="is not empty"):
        write_phantoms(tmp_path / "again", 40, dicom=True, size=48, seed=0, tell=silent)
    pictures = write_phantoms(tmp_path / "pictures", 40, dicom=False, size=48, seed=0, tell=silent)
    assert len(data_set(DataParams(data=str(pictures), size=32), tmp_path / "cache").label_N) == 40
