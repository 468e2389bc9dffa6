"""Embeddings of a frozen backbone: read, computed once, and further inputs of the head."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from hpo import UsageError
from models.density import check_values
from models.mammography.data import DataParams, data_set, sources_of
from models.mammography.embedding import write_embeddings
from models.mammography.embeddings import read_embeddings
from models.mammography.unet import UNet
from tests.support.extras import needs

ROOT = Path(__file__).parents[3]
MAMMOGRAMS = ROOT.parent / "shared" / "data" / "density-samples"
DENSITY = "models.density:train"
TINY = {"lr": 0.01, "images": 60, "size": 16, "width": 2, "depth": 1}
SOURCES = sources_of(DataParams(images=60))


def written(folder, vector_ME, rows, header="path"):
    folder.mkdir(exist_ok=True)
    np.save(folder / "features.npy", vector_ME)
    (folder / "metadata.csv").write_text("\n".join([header, *rows]))
    return folder


def vectors(components=3):
    return np.random.default_rng(0).normal(size=(60, components)).astype(np.float32)


@pytest.fixture
def folder(tmp_path):
    """Vectors of 60 phantoms, in reverse order."""
    return written(tmp_path / "embeddings", vectors()[::-1], [one.name for one in SOURCES[::-1]])


def test_vectors_have_the_order_of_the_images(folder):
    assert np.array_equal(read_embeddings(folder, SOURCES).vector_NE, vectors())
    by_accession = written(folder, vectors(), [one.accession for one in SOURCES], "accession")
    assert read_embeddings(by_accession, SOURCES[5:7]).vector_NE.tolist() == vectors()[5:7].tolist()


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (
            {"rows": [one.name for one in SOURCES[:-1]] + ["x"]},
            "1 of 60 images have no vector, first phantoms",
        ),
        ({"rows": [one.name for one in SOURCES[:-1]] + [SOURCES[0].name]}, "several vectors of phantoms/0/000000"),
        ({"rows": [one.name for one in SOURCES[:-1]]}, "metadata.csv has 59 usable rows, but features.npy has 60"),
        ({"header": "file"}, "expected the column path or image_path or accession in metadata.csv, found: file"),
        (
            {"vector_ME": np.where(np.eye(60, 3) > 0, np.nan, 1.0)},
            "3 of 60 images have others, first phantoms",
        ),
        ({"vector_ME": np.ones(60)}, "got float64 of shape (60,)"),
        ({"vector_ME": np.ones((60, 0))}, "expected 1 .. 100000 components"),
        ({"vector_ME": np.ones((60, 2), dtype=int)}, "got int64 of shape (60, 2)"),
    ],
)
def test_unusable_folders_are_refused(tmp_path, change, problem):
    usual = {"vector_ME": vectors(), "rows": [one.name for one in SOURCES]}
    folder = written(tmp_path / "embeddings", **{**usual, **change})
    with pytest.raises(UsageError, match=re.escape(problem)):
        check_values({"embeddings_dir": (str(folder),), "images": (60,)})


def test_missing_folders_are_refused(tmp_path):
    with pytest.raises(UsageError, match=r"features\.npy cannot be read \(No such file"):
        check_values({"embeddings_dir": (str(tmp_path / "none"),)})


def test_the_head_takes_them():
    model = UNet(classes=3, width=2, depth=1, vectors=4)
    vector_TE = torch.cat([torch.randn(9, 3) * 50 + 7, torch.ones(9, 1)], dim=1)
    model.vectors.fit(vector_TE)
    scaled_TE = model.vectors(vector_TE)
    assert scaled_TE[:, :3].mean(0) == pytest.approx(np.zeros(3), abs=1e-5)
    assert scaled_TE[:, :3].std(0, correction=0) == pytest.approx(np.ones(3), abs=1e-5)
    assert scaled_TE[:, 3].tolist() == [0.0] * 9
    image_B1HW = torch.rand(1, 1, 8, 8).expand(2, 1, 8, 8)
    one, other = model.eval()(image_B1HW, vector_TE[:2]).logit_BC
    assert not torch.equal(one, other)


@pytest.mark.slow
def test_they_are_a_part_of_the_data(trained, folder):
    params = {**TINY, "embeddings_dir": str(folder)}
    without, found, again = (trained(DENSITY, one) for one in (TINY, params, params))
    assert found.error is None
    assert found.digests == again.digests
    assert found.facts["components"] == 3
    written(folder, vectors() + 1, [one.name for one in SOURCES])
    changed = trained(DENSITY, params)
    assert len({one.facts["data"] for one in (without, found, changed)}) == 3
    assert changed.facts["embeddings"] != found.facts["embeddings"]


@needs("monai", "monai")
@pytest.mark.slow
def test_they_are_computed_once(tmp_path, monkeypatch):
    from models.mammography import embedding
    from models.mammography.efficientnet import EfficientNetB0

    torch.manual_seed(0)
    model = EfficientNetB0(classes=5)
    torch.save(model.state_dict(), tmp_path / "weights.pt")
    params, said = {"images": 10, "size": 32, "classes": "binary", "lr": 1.0}, []

    def out(name, **changes):
        told = [params | changes, tmp_path / "cache", tmp_path / name, tmp_path / "weights.pt"]
        return write_embeddings(*told, lambda text, *_: said.append(text))

    first = out("first")
    sources = sources_of(DataParams(images=10))
    found = read_embeddings(first, sources).vector_NE
    image_N1SS = torch.tensor(data_set(DataParams(images=10, size=32), tmp_path).image_N1SS)
    with torch.no_grad():
        model.eval()
        assert found == pytest.approx(model.pooled(image_N1SS).numpy(), abs=1e-5)
        expected = model.net(image_N1SS)
        assert model.net.get_submodule("_fc")(model.pooled(image_N1SS)).equal(expected)
    monkeypatch.setattr(embedding, "_computed", None)  # a second computation would fail
    assert (out("second") / "features.npy").read_bytes() == (first / "features.npy").read_bytes()
    assert out("second") == tmp_path / "second"
    assert json.loads((first / "embeddings.json").read_text())["components"] == 1280
    with pytest.raises(TypeError):
        out("third", size=48)
    (tmp_path / "fourth").mkdir()
    (tmp_path / "fourth" / "note.txt").write_text("mine")
    with pytest.raises(UsageError, match="has other files"):
        out("fourth")


@needs("monai", "monai")
@pytest.mark.slow
@pytest.mark.skipif(not MAMMOGRAMS.is_dir(), reason="the sample mammograms are not beside this checkout")
def test_real_mammograms_with_their_embeddings(trained, tmp_path):
    from models.mammography.efficientnet import EfficientNetB0

    torch.save(EfficientNetB0(classes=2).state_dict(), tmp_path / "weights.pt")
    params = {"data": str(MAMMOGRAMS), "size": 32, "classes": "A+B, C, D"}
    folder = write_embeddings(params, tmp_path / "cache", tmp_path / "out", tmp_path / "weights.pt", lambda *_: None)
    check_values({name: (value,) for name, value in params.items()} | {"embeddings_dir": (str(folder),)})
    for arch in ("unet", "efficientnet-b0"):
        found = trained(DENSITY, {"lr": 0.01, **params, "arch": arch, "embeddings_dir": str(folder), "batch": 8})
        assert found.error is None
        assert found.facts["components"] == 1280
        assert found.predictions.names == ("AB", "C", "D")
