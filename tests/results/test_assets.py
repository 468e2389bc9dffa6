"""What a report needs of a promotion's results."""

from __future__ import annotations

import csv
import json
import re
import statistics

import pytest
from PIL import Image

from hpo.core.errors import OutputRefused, UsageError
from hpo.results import write_assets

REFERENCE = {
    "acc": (0.676, 0.733, 0.679),
    "kappa_quadratic": (0.697, 0.756, 0.710),
    "macro_f1": (0.584, 0.588, 0.564),
    "auc_ovr": (0.913, 0.922, 0.896),
}
"""The reference run: three seeds of one configuration."""


@pytest.fixture
def results(tmp_path):
    """Three directories with the reference run's metrics."""

    def made(block="one", seeds=(42, 43, 44), **changes):
        folders = []
        for place, seed in enumerate(seeds):
            folder = tmp_path / block / f"results_{7 + place}"
            (folder / "metrics").mkdir(parents=True)
            (folder / "gradcam").mkdir()
            own = {
                "study": "unet_density & more",
                "trial": 14,
                "params": {"lr": 0.0004123456, "optimizer": "adamw"},
                "rule": "mean-std",
                "metric": "val_kappa",
                "ddof": 0,
                "block": block,
                "search_value": 0.7561,
                "search_seed": 41,
            }
            (folder / "summary.json").write_text(json.dumps({"seed": seed, "run_id": folder.name, "hpo": own}))
            metrics = {key: values[place] for key, values in {**REFERENCE, **changes}.items()}
            (folder / "metrics" / "val_metrics.json").write_text(json.dumps(metrics))
            for name in ("train_history.png", "metrics/val_metrics.png", "metrics/roc.png", "gradcam/gradcam.png"):
                Image.new("L", (4, 4), seed).save(folder / name)
            folders.append(folder)
        return folders

    return made


def test_reference_table_is_reproduced(results, tmp_path):
    write_assets(results(), tmp_path / "out", prefix="density")
    tex = (tmp_path / "out" / "density_metrics.tex").read_text()
    found = dict(re.findall(r"^ ([a-zA-Z][^&]*?) +&.*& ([\d.]+ ± [\d.]+) *\\\\", tex, re.MULTILINE))
    assert found == {
        "accuracy": "0.696 ± 0.026",
        "quadratic kappa": "0.721 ± 0.025",
        "macro F1": "0.579 ± 0.010",
        "AUC (one against the rest)": "0.910 ± 0.011",
    }
    with (tmp_path / "out" / "density_metrics.csv").open() as file:
        rows = {row["metric"]: row for row in csv.DictReader(file)}
    assert float(rows["accuracy"]["sigma"]) == pytest.approx(statistics.pstdev(REFERENCE["acc"]))
    assert float(rows["accuracy"]["seed 43"]) == 0.733


def test_another_ddof_can_be_chosen(results, tmp_path):
    write_assets(results(), tmp_path / "out", prefix="density", ddof=1)
    with (tmp_path / "out" / "density_metrics.csv").open() as file:
        rows = {row["metric"]: row for row in csv.DictReader(file)}
    assert float(rows["accuracy"]["sigma"]) == pytest.approx(statistics.stdev(REFERENCE["acc"]))
    assert "sigma with ddof 1" in (tmp_path / "out" / "density_metrics.md").read_text()


def test_each_seed_has_its_figures(results, tmp_path):
    written = write_assets(reversed(results()), tmp_path / "out", prefix="density")
    names = {path.name for path in written}
    for word in ("train", "confusion", "roc", "gradcam"):
        for seed in (42, 43, 44):
            path = tmp_path / "out" / f"density_{word}_seed{seed}.png"
            assert path.name in names
            with Image.open(path) as image:
                assert image.getpixel((0, 0)) == seed


def test_the_text_is_complete_and_latex_safe(results, tmp_path):
    write_assets(results(seeds=(50, 51, 52)), tmp_path / "out", prefix="x")
    said = (tmp_path / "out" / "x_text.tex").read_text()
    assert r"Study unet\_density \& more: trial 14 (lr = 0.000412, optimizer = adamw)" in said
    assert "seeds 50, 51 and 52" in said
    assert "The search had seen 0.756 under seed 41." in said


def test_undefined_metrics_are_left_out(results, tmp_path):
    write_assets(results(auc_ovr=(0.9, None, 0.9)), tmp_path / "out", prefix="x")
    assert "AUC" not in (tmp_path / "out" / "x_metrics.md").read_text()


def test_assets_are_deterministic(results, tmp_path):
    ours, other = results(), results("other")
    first = {path: path.read_bytes() for path in write_assets(ours, tmp_path / "out", prefix="density")}
    assert {path: path.read_bytes() for path in write_assets(ours, tmp_path / "out", prefix="density")} == first
    with pytest.raises(OutputRefused, match="contains the files density_\\* of another promotion"):
        write_assets(other, tmp_path / "out", prefix="density")
    assert {path: path.read_bytes() for path in first} == first
    write_assets(other, tmp_path / "out", prefix="another")
    write_assets(other, tmp_path / "out", prefix="density", force=True)


def test_mixed_results_are_refused(results, tmp_path):
    ours, other = results(), results("other")
    for folders in ([*ours[:2], other[2]], [ours[0], ours[0]]):
        with pytest.raises(UsageError, match="expected the results of one promotion, one for each seed"):
            write_assets(folders, tmp_path / "out", prefix="x")


@pytest.mark.parametrize("content", [None, "", "[]", "{}", '{"seed": 42}'])
def test_other_directories_are_refused(results, tmp_path, content):
    folders = results()
    (folders[1] / "summary.json").unlink()
    if content is not None:
        (folders[1] / "summary.json").write_text(content)
    with pytest.raises(UsageError, match=r"results_8 (is not a folder of results|was not written by a promotion)"):
        write_assets(folders, tmp_path / "out", prefix="x")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("prefix", ["", "../x", "a/b", ".x"])
def test_a_prefix_is_a_plain_name(results, tmp_path, prefix):
    with pytest.raises(UsageError, match="expected a prefix of letters"):
        write_assets(results(), tmp_path / "out", prefix=prefix)
