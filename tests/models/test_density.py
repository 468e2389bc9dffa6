from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image

MAMMOGRAMS = Path(__file__).parents[3] / "shared" / "data" / "density-samples"
TINY = {"lr": 0.01, "images": 80, "size": 16, "width": 2, "depth": 1}
BUSY = {**TINY, "dropout": 0.3, "mask_weight": 0.5, "clip": 1.0}
DENSITY = "models.density:train"


def test_each_epoch_reports_all_metrics(trained):
    found = trained(DENSITY, TINY, budget=2)
    assert found.error is None
    assert [report.step for report in found.reports] == [1, 2]
    assert list(found.reports[0].metrics) == [
        "train_loss",
        "train_acc",
        "val_loss",
        "val_acc",
        "val_kappa",
        "val_macro_f1",
        "val_auc",
        "val_bal_acc",
        "val_bal_acc_adj",
    ]
    assert found.facts["images"] == 80
    assert len(found.facts["data"]) == 64


@pytest.mark.parametrize("params", [BUSY, {**BUSY, "optimizer": "sgd", "norm": "group", "augment": False}])
def test_equal_jobs_are_bit_identical(trained, params):
    first, second = (trained(DENSITY, params, budget=2) for _ in range(2))
    assert first.error is None
    assert first.digests == second.digests
    assert [report.metrics for report in first.reports] == [report.metrics for report in second.reports]


def test_another_seed_changes_the_weights(trained):
    first, second = (trained(DENSITY, TINY, seed=seed) for seed in (42, 43))
    assert first.digests["weights"] != second.digests["weights"]


@pytest.mark.slow
@pytest.mark.parametrize("killed_in", [1, 2, 3])
@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_killed_trainings_resume_bit_exactly(trained, optimizer, killed_in):
    params = {**BUSY, "optimizer": optimizer}
    whole = trained(DENSITY, params, budget=3)
    resumed = trained(DENSITY, params, budget=3, killed_in=killed_in)
    assert resumed.error is None
    assert resumed.digests == whole.digests
    assert resumed.reports[-1].metrics == whole.reports[-1].metrics


def test_only_the_split_stream_splits(trained):
    paths = {
        name: trained(DENSITY, TINY, streams={name: 43}).predictions.cases["path"]
        for name in ("split", "init", "order", "augment", "dropout")
    }
    assert len(set(paths.values())) == 2
    assert paths["split"] != paths["init"] == paths["order"] == paths["augment"] == paths["dropout"]


def test_only_the_init_stream_initializes(trained):
    unmoved = {**TINY, "lr": 0.0, "norm": "none", "dropout": 0.3}
    weights = {
        name: trained(DENSITY, unmoved, streams={name: 43}).digests["weights"]
        for name in ("split", "init", "order", "augment", "dropout")
    }
    assert len(set(weights.values())) == 2
    assert weights["init"] != weights["split"] == weights["order"]


@pytest.mark.parametrize(
    ("stream", "params", "matters"),
    [
        ("order", {}, True),
        ("augment", {"augment": True}, True),
        ("augment", {"augment": False}, False),
        ("dropout", {"dropout": 0.3}, True),
        ("dropout", {"dropout": 0.0}, False),
    ],
)
def test_streams_matter_only_where_used(trained, stream, params, matters):
    plain, varied = (trained(DENSITY, {**TINY, **params}, streams=streams) for streams in ({}, {stream: 43}))
    assert (plain.digests["weights"] != varied.digests["weights"]) is matters


def test_predictions_are_of_the_best_epoch(trained):
    found = trained(DENSITY, {**TINY, "lr": 0.05}, metric="val_acc", budget=4)
    accuracy = (found.predictions.probabilities.argmax(1) == found.predictions.truth).mean()
    assert accuracy == max(report.metrics["val_acc"] for report in found.reports)
    assert found.predictions.labels == (1, 2, 3, 4)
    assert found.predictions.names == ("A", "B", "C", "D")
    assert found.predictions.cases["path"][0].endswith(found.predictions.cases["accession"][0])


@pytest.mark.slow
def test_it_learns(trained):
    params = {"lr": 0.01, "images": 300, "size": 16, "width": 4, "batch": 16}
    found = trained(DENSITY, params, metric="val_kappa", budget=5)
    assert max(report.metrics["val_kappa"] for report in found.reports) > 0.45


def test_mask_weight_needs_masks(trained, tmp_path):
    for name in "ABCD":
        (tmp_path / "images" / name).mkdir(parents=True)
        Image.new("L", (8, 8), 9).save(tmp_path / "images" / name / "one.png")
    found = trained(DENSITY, {**TINY, "data": str(tmp_path / "images"), "mask_weight": 0.5})
    assert "has no masks; set it to 0" in found.error


def test_divergence_is_one_sentence(trained):
    found = trained(DENSITY, {**TINY, "lr": 1e30, "norm": "none"}, budget=3)
    assert found.error.startswith("the training diverged")
    assert "Traceback" not in found.error


@pytest.mark.slow
@pytest.mark.skipif(not MAMMOGRAMS.is_dir(), reason="the sample mammograms are not beside this checkout")
def test_real_mammograms_train(trained):
    params = {"lr": 0.01, "data": str(MAMMOGRAMS), "size": 32, "width": 4, "batch": 6}
    found = trained(DENSITY, params, budget=2)
    assert found.error is None
    assert found.facts["images"] == 16
    assert sorted(found.predictions.truth) == [0, 1, 2, 3]
    assert sorted(name[0] for name in found.predictions.cases["path"]) == ["A", "B", "C", "D"]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no graphics card")
def test_equal_jobs_are_bit_identical_on_gpu(trained):
    first, second = (trained(DENSITY, BUSY, budget=2, gpu=1.0) for _ in range(2))
    assert first.error is None
    assert first.digests == second.digests
    assert trained(DENSITY, BUSY, budget=2, gpu=1.0, killed_in=2).digests == first.digests
