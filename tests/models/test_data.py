from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from hpo import UsageError
from models.data import DataParams, data_set


def phantoms_of(**changes):
    return data_set(DataParams(**{"images": 8, "size": 16, **changes}), Path("unused"))


def test_the_same_data_are_made_once_and_cannot_be_written_to():
    data = phantoms_of()
    assert phantoms_of().image_N1SS is data.image_N1SS
    for array in (data.image_N1SS, data.label_N, data.mask_NSS):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


@pytest.mark.parametrize("change", [{"images": 9}, {"size": 20}, {"data_seed": 1}])
def test_the_digest_tells_data_apart(change):
    assert phantoms_of().digest != phantoms_of(**change).digest


def test_a_folder_is_relative_to_the_current_one(tmp_path, monkeypatch):
    for name in "ABCD":
        (tmp_path / "here" / name).mkdir(parents=True)
        Image.new("L", (8, 8), 9).save(tmp_path / "here" / name / "case-1.png")
    monkeypatch.chdir(tmp_path)
    data = data_set(DataParams(data="here", size=16), tmp_path / "cache")
    assert data.cases["path"] == ("A/case-1.png", "B/case-1.png", "C/case-1.png", "D/case-1.png")
    assert set(data.cases["accession"]) == {"case-1"}
    assert data.mask_NSS is None


def test_phantoms_have_accession_numbers_of_six_digits():
    assert phantoms_of().cases["accession"][7] == "000007"


@pytest.mark.parametrize("change", [{"images": 0}, {"size": 8}])
def test_too_little_data_is_a_usage_error(change):
    with pytest.raises(UsageError, match="expected size >= 16 and images >= 1"):
        phantoms_of(**change)
