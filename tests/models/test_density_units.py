"""Patients and examinations with several views, from the listing to the metrics over them."""

from __future__ import annotations

import pytest
from sklearn.metrics import accuracy_score

from hpo import UsageError
from hpo.core.protocols import Units
from hpo.training.units import by_unit
from models.density import check_values
from models.mammography.archive import write_phantoms

DENSITY = "models.density:train"
TINY = {"lr": 0.01, "size": 16, "width": 2, "depth": 1, "views": "all", "crop": False}


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """40 examinations of fewer patients, with two views each."""
    place = tmp_path_factory.mktemp("phantoms")
    return write_phantoms(place / "in", 40, dicom=True, size=32, seed=0, tell=lambda *_: None)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["examination", "patient"])
def test_views_become_one(trained, archive, name):
    units = Units(name=name, aggregate="mean")
    found = trained(DENSITY, {**TINY, "data": str(archive)}, metric="unit_acc", units=units)
    assert found.error is None
    made = by_unit(found.predictions)
    predicted = made.predictions.probabilities.argmax(axis=1)
    assert found.reports[-1].metrics["unit_acc"] == accuracy_score(made.predictions.truth, predicted)
    column = found.predictions.cases["accession"] if name == "examination" else found.predictions.groups
    assert len(made.predictions.truth) + len(made.left_out) == len(set(column))
    assert (len(made.left_out) > 0) == (name == "patient")  # examinations of a patient may differ


def test_phantoms_have_no_units():
    with pytest.raises(UsageError, match="each phantom is an examination of its own"):
        check_values({"data": ("phantoms",)}, units="patient")


def test_first_views_are_no_examination(archive):
    with pytest.raises(UsageError, match='set views = "all"'):
        check_values({"data": (str(archive),)}, units="examination")
