"""Real images through the smoke study."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

import hpo

ROOT = Path(__file__).parents[2]
MAMMOGRAMS = ROOT.parent / "shared" / "data" / "density-samples"


@pytest.mark.slow
@pytest.mark.skipif(not MAMMOGRAMS.is_dir(), reason="the sample mammograms are not beside this checkout")
def test_smoke_study_on_mammograms(config):
    content = hpo.load_study(str(ROOT / "studies" / "unet-density-smoke.toml")).content()
    content["fixed"] |= {"data": str(MAMMOGRAMS)}
    content["space"].pop("mask_weight", None)  # these images have no masks
    study = hpo.Study.model_validate(content).located(ROOT)
    searched = hpo.run(study, config)
    assert searched.count("failed") == 0
    outcome = hpo.promote(study, config)
    with (outcome.results[0] / "val_predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["y_true"] for row in rows} == {"1", "2", "3", "4"}
    assert all(Path(row["path"]).suffix == ".jpg" for row in rows)
    assert {row["raw_label"] for row in rows} == {"1", "2", "3", "4"}
