"""From an archive of DICOM files to the files of a report, by the command line."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import sys
from pathlib import Path

import forked
import pytest

from hpo import api
from hpo.core.errors import UsageError

ROOT = Path(__file__).parents[2]
pytest.importorskip("pydicom", reason="DICOM files need the extra dicom")


def hpo(folder, *arguments, status=0):
    done = forked.run(
        [sys.executable, "-c", "from hpo.cli import main; main()", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == status, f"{done.stdout}\n{done.stderr}"
    return done.stdout, done.stderr


@pytest.fixture
def project(tmp_path):
    """A copy of the repository's models and studies, with one that reads `in/classificacao.csv`."""
    for name in ("models", "studies"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    text = (tmp_path / "studies" / "unet-density-smoke.toml").read_text()
    text = re.sub(r"data +=.*", 'data = "in/classificacao.csv"', text).replace('"unet-density-smoke"', '"arch-density"')
    (tmp_path / "studies" / "arch-density.toml").write_text(text)
    return tmp_path


@pytest.mark.slow
def test_archive_to_results_and_assets(project):
    printed, stderr = hpo(project, "data", "phantoms", "--out", "in", "--n", "48", "--dicom", "--size", "64")
    assert 'data = "' in printed
    assert "48 of 48 written" in stderr
    damaged = sorted((project / "in" / "archive").rglob("*-CC.dcm"))[0]
    damaged.write_bytes(b"cut off")
    printed, _ = hpo(project, "data", "audit", "--study", "arch-density", "--out", "manifest.json")
    manifest = json.loads((project / "manifest.json").read_text())
    assert re.match(rf"{manifest['images']} images: \d+ A, \d+ B, \d+ C, \d+ D\n", printed)
    assert "is not a DICOM file" in printed
    assert f"Digest: {manifest['digest']}" in printed
    run = ["run", "--study", "arch-density", "--trials", "2", "--backend", "local", "--promote"]
    _, stderr = hpo(project, *run)
    assert "reading images" not in stderr  # the audit has filled the cache
    folder = project / "outputs" / "arch-density" / "results_7"
    assert json.loads((folder / "data_manifest.json").read_text()) == manifest
    told = json.loads((folder / "summary.json").read_text())["hpo"]
    assert told["data"] == manifest["digest"]
    assert told["fingerprint"]["facts"]["left_out"] == len(manifest["left_out"]) > 0
    sides = {}
    for side in ("train", "val"):
        with (folder / "splits" / f"{side}.csv").open() as file:
            sides[side] = list(csv.DictReader(file))
    assert len(sides["train"]) + len(sides["val"]) == manifest["images"]
    assert not {row["group"] for row in sides["train"]} & {row["group"] for row in sides["val"]}
    with (folder / "val_predictions.csv").open() as file:
        assert [row["path"] for row in csv.DictReader(file)] == [row["path"] for row in sides["val"]]
    split = json.loads((folder / "splits" / "split_manifest.json").read_text())
    assert (split["split_mode"], split["val_rows"]) == ("patient", len(sides["val"]))
    assert "left out" in (folder / "run.log").read_text()
    assert list((folder / "gradcam").glob("gradcam_0_*.png"))
    printed, _ = hpo(project, "assets", "--study", "arch-density", "--out", "report")
    names = {path.name for path in (project / "report").iterdir()}
    assert {
        f"density_{word}_seed{seed}.png" for word in ("train", "confusion", "gradcam") for seed in (42, 43, 44)
    } < names
    assert {"density_metrics.tex", "density_metrics.csv", "density_text.tex"} < names
    _, stderr = hpo(project, "verify", "--study", "arch-density", "--promotion", "--backend", "local")
    assert "DIFFERS" not in stderr


@pytest.mark.slow
def test_other_network_on_the_same_archive(project):
    pytest.importorskip("monai", reason="EfficientNet needs the extra monai")
    hpo(project, "data", "phantoms", "--out", "in", "--n", "24", "--dicom", "--size", "32")
    text = (project / "studies" / "efficientnet-density.toml").read_text()
    for line, instead in (("name +=.*", 'name = "eff"'), ("data +=.*", 'data = "in/classificacao.csv"')):
        text = re.sub(f"^{line}", instead, text, flags=re.MULTILINE)
    text = (
        re.sub(r"budget += 6", "budget = 1", text)
        .replace("[0, 1, 2]", "[0]")
        .replace("warmup_epochs = 2", "warmup_epochs = 0")
    )
    text = re.sub(r"^top +=.*", "top = 1", text, flags=re.MULTILINE)
    (project / "studies" / "eff.toml").write_text(text)
    run = ["run", "--study", "eff", "--trials", "2", "--backend", "local", "--promote", "--json"]
    found = json.loads(hpo(project, *run)[0])["search"]
    lrs = [trial["params"]["lr"] for trial in found["trials"]]
    assert lrs == [1e-4, 4e-4], "the reference run, and then the one that its users know"
    for number in (7, 8, 9):
        folder = project / "outputs" / "eff" / f"results_{number}"
        summary = json.loads((folder / "summary.json").read_text())
        assert (summary["arch"], summary["seed"]) == ("efficientnet-b0", number + 35)
        assert summary["hpo"]["fingerprint"]["facts"]["monai"]
        assert list((folder / "gradcam").glob("gradcam_0_*.png"))


@pytest.mark.slow
def test_audit_of_another_source_as_json(project):
    hpo(project, "data", "phantoms", "--out", "pictures", "--n", "12", "--size", "32", "--json")
    audit = ["data", "audit", "--study", "arch-density", "--data", "pictures", "--json"]
    found = json.loads(hpo(project, *audit)[0])
    assert (found["source"], found["images"]) == ("folders", 12)


@pytest.mark.slow
def test_bad_data_is_refused_first(project):
    _, stderr = hpo(project, "run", "--study", "arch-density", "--backend", "local", status=2)
    assert "trainable  data in/classificacao.csv: there is no such folder or CSV file" in stderr
    assert "Traceback" not in stderr


@pytest.mark.slow
def test_phantoms_overwrite_nothing(project):
    (project / "in").mkdir()
    (project / "in" / "mine").write_text("precious")
    _, stderr = hpo(project, "data", "phantoms", "--out", "in", "--n", "12", "--dicom", status=2)
    assert "is not empty; choose another folder" in stderr
    assert [path.name for path in (project / "in").iterdir()] == ["mine"]


def test_trainable_without_data_hooks(curve, config, tmp_path):
    with pytest.raises(UsageError, match=r"its module has no function audit\(params, cache, tell\)"):
        api.audit(curve(), config)
    with pytest.raises(UsageError, match="none of the trainables of 2 studies can write phantoms"):
        api.write_phantoms(tmp_path / "out", api.PhantomOptions(n=12), folders=[ROOT / "tests" / "project" / "studies"])
    with pytest.raises(UsageError, match="the trainable of study 'digits' cannot write phantoms"):
        api.write_phantoms(tmp_path / "out", api.PhantomOptions(n=12), study="digits", folders=[ROOT / "studies"])


def test_assets_need_a_promotion(curve, config, tmp_path):
    import hpo
    from hpo.core.errors import NothingToPromote

    hpo.run(curve(search={"trials": 2}), config)
    with pytest.raises(NothingToPromote, match="make them with: hpo promote --study curve"):
        api.assets(curve(), config, out=tmp_path / "out")
