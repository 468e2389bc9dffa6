"""What a trainable left behind, whatever it is, becomes a directory of results or a sentence."""

from __future__ import annotations

import json
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
from hostile_trainings import trained

from hpo.core.records import Evaluation, Objective, Status
from hpo.results import Winner, write_results
from hpo.training.panels import Panels
from hpo.training.predictions import Predictions


def winner(*evaluations: Evaluation) -> Winner:
    return Winner(
        study="hostile",
        uid="u" * 32,
        objective=Objective(metric="val"),
        fixed={},
        rank=1,
        mean=0.8,
        sigma=0.0,
        score=0.8,
        rule="mean-std",
        lambda_=1.0,
        ddof=0,
        search_value=0.8,
        search_seed=41,
        trial={"number": 0, "state": "COMPLETE", "datetime_start": None, "datetime_complete": None},
        evaluations=evaluations,
        project={},
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "made",
    [
        {"value": "name-odd"},
        {"value": "name-slash"},
        {"effect": "predict-odd-cases"},
        {"effect": "predict-empty"},
        {"effect": "log-odd"},
        {"effect": "link-at-run.log"},
        {"effect": "pipe-at-run.log"},
        {"effect": "link-at-artifacts"},
        {"effect": "folder-at-artifacts/summary.json"},
        {"effect": "full-folder-at-artifacts/summary.json"},
        {"effect": "pipe-at-artifacts/thing"},
        {"effect": "loop-at-artifacts/thing"},
        {"effect": "socket-at-artifacts/thing"},
        {"effect": "full-folder-at-panels.npz"},
        {"effect": "pipe-at-panels.npz"},
    ],
    ids=lambda made: "-".join(made.values()),
)
def test_hostile_results_are_written(tmp_path: Path, made: dict[str, str]) -> None:
    evaluation = trained(tmp_path / "work", epoch=3, **made)
    assert evaluation.status is Status.COMPLETE
    [folder] = write_results(tmp_path / "out", winner(evaluation))
    assert json.loads((folder / "summary.json").read_text(encoding="utf-8"))["seed"] == 41
    hostname = Path("/etc/hostname")
    for path in folder.rglob("*"):
        assert path.is_dir() or (path.is_file() and not path.is_symlink())
        assert path.is_dir() or not hostname.is_file() or path.read_bytes() != hostname.read_bytes()


def pixels(path: Path) -> tuple[int, ...]:
    return matplotlib.image.imread(path).shape[:2]


def test_huge_metric_tables_are_cut(tmp_path: Path) -> None:
    evaluation = trained(tmp_path / "work", value="many", epoch=3)
    [folder] = write_results(tmp_path / "out", winner(evaluation))
    assert len(json.loads((folder / "metrics" / "val_metrics.json").read_text())) == 2_002
    height, width = pixels(folder / "metrics" / "val_metrics.png")
    assert height < 4 * width


@pytest.mark.slow
def test_hundreds_of_classes_are_drawn(tmp_path: Path) -> None:
    evaluation = trained(tmp_path / "work")
    random = np.random.default_rng(0)
    predictions = Predictions.of(
        truth=random.integers(0, 300, 600),
        probabilities=random.dirichlet(np.ones(300), 600),
        labels=range(300),
        names=[f"class {label}" for label in range(300)],
        cases={},
    )
    predictions.save(Path(evaluation.files))
    noise = random.random((60, 4, 4))
    Panels.of(image=noise, heat=noise, names=range(60), captions=range(60)).save(Path(evaluation.files))
    [folder] = write_results(tmp_path / "out", winner(evaluation))
    assert max(pixels(folder / "metrics" / "val_metrics.png")) < 8_000
    assert max(pixels(folder / "gradcam" / "gradcam.png")) < 16_000


def test_no_panels_draw_nothing(tmp_path: Path) -> None:
    evaluation = trained(tmp_path / "work")
    none = np.zeros((0, 4, 4))
    Panels.of(image=none, heat=none, names=[], captions=[]).save(Path(evaluation.files))
    [folder] = write_results(tmp_path / "out", winner(evaluation))
    assert not (folder / "gradcam").exists()
