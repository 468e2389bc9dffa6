"""What is in one directory of results."""

from __future__ import annotations

import csv
import json
import logging
import math
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from hpo.core.errors import TrainableError
from hpo.core.records import Evaluation, Objective, Report
from hpo.results import Winner, write_results
from hpo.results.curves import panel_png
from hpo.results.history import history_csv, log_text
from hpo.training.context import ARTIFACTS
from hpo.training.outputs.artifacts import artifacts_folder
from hpo.training.panels import Panels

Make = Callable[..., Winner]
Written = tuple[Winner, tuple[Path, ...]]

FILES = {
    "best_model.pt",
    "metrics/best_metrics.json",
    "metrics/best_metrics.png",
    "metrics/roc.png",
    "metrics/val_metrics.json",
    "metrics/val_metrics.png",
    "optuna_trial.json",
    "ray_hpo_14.jsonl",
    "run.log",
    "summary.json",
    "train_history.csv",
    "train_history.json",
    "train_history.png",
    "val_predictions.csv",
}


def files(place: Path) -> set[str]:
    return {str(path.relative_to(place)) for path in place.rglob("*") if path.is_file()}


def strict(path: Path) -> dict[str, object]:
    """Reads JSON and refuses what only Python takes for JSON."""

    def refuse(word: str) -> object:
        raise AssertionError(f"{path.name} holds {word}")

    found = json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)
    assert isinstance(found, dict)
    return found


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_directories_hold_no_checkpoint(written: Written) -> None:
    for place in written[1]:
        assert files(place) == FILES
    assert not list(written[1][0].parent.rglob("checkpoint*"))


def test_model_and_log_are_copies(written: Written) -> None:
    place = written[1][1]
    assert (place / "best_model.pt").read_bytes() == b"weights of 43"
    assert (place / "run.log").read_text() == "2026-01-01 00:00:00 [INFO] said by the worker\n"


def test_summary_has_the_report_keys(written: Written) -> None:
    winner, (_, place, _) = written
    found, evaluation = strict(place / "summary.json"), winner.evaluations[1]
    assert (found["run_id"], found["seed"], found["epochs"]) == ("results_8", 43, 6)
    assert (found["best_metric_name"], found["best_metric"]) == ("val_kappa", evaluation.value)
    assert (found["best_epoch"], found["val_acc"]) == (5, evaluation.metrics["val_acc"])
    assert (found["created_at"], found["finished_at"]) == (
        "2023-11-14T22:13:12.500+00:00",
        "2023-11-14T22:14:10.000+00:00",
    )
    reproducibility = found["reproducibility"]
    assert isinstance(reproducibility, dict)
    assert {"git_commit": "abc", "git_dirty": False, "python_version": "3.11.7", "torch_version": "2.13.0"}.items() <= (
        reproducibility.items()
    )


def test_params_are_top_level_keys(written: Written) -> None:
    found = strict(written[1][0] / "summary.json")
    assert (found["lr"], found["optimizer"], found["data"], found["seed_word"]) == (3e-4, "adamw", "phantoms", "é")
    assert found["epochs"] == 6  # a fixed param has the name too
    assert found["params"] == {
        "data": "phantoms",
        "epochs": 99,
        "lr": 3e-4,
        "width": 8,
        "optimizer": "adamw",
        "seed_word": "é",
    }


def test_summary_section_has_the_provenance(written: Written) -> None:
    winner, (_, place, _) = written
    section = strict(place / "summary.json")["hpo"]
    assert isinstance(section, dict)
    expected = {
        "study": "unet-density",
        "uid": "u" * 32,
        "trial": 14,
        "rank": 1,
        "rule": "mean-std",
        "lambda": 1.0,
        "ddof": 0,
        "search_value": 0.7123,
        "search_seed": 41,
        "seed": 43,
        "fold": 0,
        "budget": 6,
        "threads": 1,
        "data": "d4" * 32,
        "versions": {"torch": "2.13.0", "numpy": "2.4.0"},
        "digests": dict(winner.evaluations[1].digests),
    }
    assert expected.items() <= section.items()


def test_sigma_is_the_population_sigma(written: Written) -> None:
    sections = [strict(place / "summary.json")["hpo"] for place in written[1]]
    values = [section["value"] for section in sections]  # type: ignore[index]
    for section in sections:
        assert isinstance(section, dict)
        assert section["sigma"] == pytest.approx(statistics.pstdev(values), rel=1e-12)
        assert section["mean"] == pytest.approx(statistics.fmean(values), rel=1e-12)
        assert section["score"] == section["mean"] - section["lambda"] * section["sigma"]


def test_report_step_finds_its_files(written: Written) -> None:
    # As it reads: macro F1 from the classification report alone, every number through float(), sigma with ddof 0.
    for place in written[1]:
        summary, metrics = strict(place / "summary.json"), strict(place / "metrics" / "val_metrics.json")
        assert isinstance(summary["seed"], int)
        report = metrics["classification_report"]
        assert isinstance(report, dict)
        for value in (metrics["acc"], metrics["kappa_quadratic"], metrics["auc_ovr"], report["macro avg"]["recall"]):
            assert 0 < float(value) <= 1  # type: ignore[arg-type]
        assert float(report["macro avg"]["f1-score"]) == metrics["macro_f1"]
        assert report["weighted avg"]["f1-score"] > 0


def test_rewritten_summaries_are_still_ours(make: Make, tmp_path: Path) -> None:
    winner = make(density=False, epochs=2)
    first = write_results(tmp_path / "out", winner)
    summary = strict(first[0] / "summary.json")
    rewritten = json.dumps({**summary, "updated_at": "now"}, ensure_ascii=False)
    (first[0] / "summary.json").write_text(rewritten, encoding="utf-8")
    assert write_results(tmp_path / "out", winner) == first


def test_metrics_are_of_the_selected_epoch(written: Written) -> None:
    winner, (_, place, _) = written
    for suffix in ("json", "png"):
        one, other = (place / "metrics" / f"{name}_metrics.{suffix}" for name in ("val", "best"))
        assert one.read_bytes() == other.read_bytes()
    found = strict(place / "metrics" / "val_metrics.json")
    assert winner.evaluations[1].step == 5  # not the last
    assert (found["epoch"], found["loss"]) == (5, winner.evaluations[1].metrics["val_loss"])


def test_labels_are_the_same_in_all_files(written: Written) -> None:
    place = written[1][0]
    found = strict(place / "metrics" / "val_metrics.json")
    assert set(found) == {
        "epoch",
        "acc",
        "kappa_quadratic",
        "auc_ovr",
        "macro_f1",
        "bal_acc",
        "bal_acc_adj",
        "confusion_matrix",
        "classification_report",
        "loss",
        "val_rows",
    }
    assert list(found["classification_report"]) == ["1", "2", "3", "4", "accuracy", "macro avg", "weighted avg"]  # type: ignore[call-overload]
    counts, rows = np.array(found["confusion_matrix"]), found["val_rows"]
    assert isinstance(rows, list)
    assert list(rows[0]) == [
        "path",
        "accession",
        "raw_label",
        "y_true",
        "y_pred",
        "p_class_0",
        "p_class_1",
        "p_class_2",
        "p_class_3",
    ]
    lines = table(place / "val_predictions.csv")
    assert list(lines[0]) == ["path", "accession", "raw_label", "y_true", "y_pred", "p_A", "p_B", "p_C", "p_D"]
    assert len(lines) == len(rows) == counts.sum() == 60
    again = np.zeros((4, 4), dtype=int)
    for line, row in zip(lines, rows, strict=True):
        assert [int(line["raw_label"]), int(line["y_true"])] == [row["raw_label"], row["y_true"]]
        probabilities = [float(line[f"p_{name}"]) for name in "ABCD"]
        assert int(line["y_pred"]) == row["y_pred"] == 1 + int(np.argmax(probabilities))
        assert probabilities == [row[f"p_class_{index}"] for index in range(4)]
        again[int(line["y_true"]) - 1, int(line["y_pred"]) - 1] += 1
    assert (again == counts).all()  # rows are the true classes
    assert [line["accession"] for line in lines[:2]] == ["000000", "000001"]


def test_history_starts_with_report_columns(written: Written) -> None:
    winner, (place, *_) = written
    lines = table(place / "train_history.csv")
    assert list(lines[0]) == [
        "epoch",
        "train_loss",
        "train_acc",
        "val_loss",
        "val_acc",
        "val_auc",
        "val_kappa",
        "val_macro_f1",
        "val_bal_acc",
        "val_bal_acc_adj",
        "lr",
    ]
    assert lines[0]["val_auc"] == ""
    assert json.loads((place / "train_history.json").read_text())[0]["val_auc"] is None
    assert [int(line["epoch"]) for line in lines] == [1, 2, 3, 4, 5, 6]
    reports = winner.evaluations[0].reports
    assert [float(line["val_kappa"]) for line in lines] == [report.metrics["val_kappa"] for report in reports]


def test_each_epoch_is_a_json_line(written: Written) -> None:
    winner, (place, *_) = written
    lines = (place / "ray_hpo_14.jsonl").read_text(encoding="utf-8").splitlines()
    found = [json.loads(line) for line in lines]
    assert [line["epoch"] for line in found] == [1, 2, 3, 4, 5, 6]
    assert list(found[0])[:8] == [
        "trial_name",
        "timestamp",
        "epoch",
        "val_acc",
        "kappa_quadratic",
        "macro_f1",
        "macro_recall",
        "auc_ovr",
    ]
    assert (found[1]["trial_name"], found[1]["timestamp"]) == ("hpo_14", "2023-11-14T22:13:30.000+00:00")
    for line, report in zip(found, winner.evaluations[0].reports, strict=True):
        assert line["kappa_quadratic"] == line["val_kappa"]
        assert line["macro_recall"] == line["val_bal_acc"]
        assert report.metrics.items() <= line.items()


def test_optuna_trial_has_both_values(written: Written) -> None:
    winner, (place, *_) = written
    found = strict(place / "optuna_trial.json")
    assert (found["trial_id"], found["number"], found["state"]) == (14, 14, "COMPLETE")
    assert found["datetime_complete"] is None
    assert (found["value"], found["objective"]) == (0.7123, winner.evaluations[0].value)
    assert (found["search_seed"], found["seed"], found["datetime_start"]) == (41, 42, "2026-01-01T00:00:00")
    assert found["params"] == dict(winner.evaluations[0].job.params)
    metrics = found["metrics"]
    assert isinstance(metrics, dict)
    assert set(metrics) == {"epoch", "val_acc", "kappa_quadratic", "macro_f1", "macro_recall", "auc_ovr"}


def test_absent_classes_have_no_auc(make: Make, tmp_path: Path) -> None:
    place = write_results(tmp_path / "out", make(absent=0, epochs=2, seeds=(42,)))[0]
    found = strict(place / "metrics" / "val_metrics.json")
    counts = np.array(found["confusion_matrix"])
    assert counts.shape == (4, 4)
    assert counts[0].sum() == 0
    assert found["auc_ovr"] is None
    report = found["classification_report"]
    assert isinstance(report, dict)
    assert report["1"]["support"] == 0
    assert "accuracy" in report
    recalls = np.diag(counts)[1:] / counts[1:].sum(axis=1)
    assert found["bal_acc"] == pytest.approx(recalls.sum() / 4)


@pytest.mark.slow
def test_other_metrics_keep_their_names(make: Make, tmp_path: Path) -> None:
    winner = make(density=False, model=False, log=False)
    place = write_results(tmp_path / "out", winner)[0]
    assert files(place) == FILES - {"best_model.pt", "val_predictions.csv", "metrics/roc.png"}
    evaluation = winner.evaluations[0]
    assert strict(place / "metrics" / "val_metrics.json") == {"epoch": evaluation.step, **evaluation.metrics}
    assert strict(place / "summary.json")["val_acc"] is None
    assert list(table(place / "train_history.csv")[0]) == ["epoch", "reward", "entropy", "best"]
    stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(1.7e9))
    first = (place / "run.log").read_text().splitlines()[0]
    assert first.startswith(f"{stamp} [INFO] epoch 1/6  reward ")
    assert first.endswith("best -")


def test_models_without_predictions(make: Make, tmp_path: Path) -> None:
    place = write_results(tmp_path / "out", make(density=False))[0]
    assert files(place) == FILES - {"val_predictions.csv", "metrics/roc.png"}


def with_reports(winner: Winner, metrics: list[dict[str, float | None]]) -> Winner:
    """Returns the winner with other reports and its objective's first value."""
    reports = tuple(Report(step=step, metrics=each, at=1.7e9 + step) for step, each in enumerate(metrics, 1))
    value = next(iter(metrics[0].values()))
    objective = Objective(metric=next(iter(metrics[0])), epoch="best")
    evaluations = tuple(replace(each, reports=reports, step=1, value=value) for each in winner.evaluations)
    return replace(winner, evaluations=evaluations, objective=objective)


@pytest.mark.slow
@pytest.mark.parametrize(
    "metrics",
    [
        [{"val_loss": 0.5}, {"val_loss": 0.4}],
        [{"epoch": 7.0, "timestamp": 3.0}],
        [{"a $b_ {c}": 1.0, "_hidden": 2.0, "Verlust \N{CJK UNIFIED IDEOGRAPH-6F22}": None}],
        [{"score": 1e308}, {"score": -1e308, "loss": 1.0}, {"score": 0.0}],
        [{"x" * 300: 1e-320}],
        [{f"loss_{n}_loss": float(n) for n in range(9)}],
    ],
)
def test_hostile_metrics_are_written(make: Make, tmp_path: Path, metrics: list[dict[str, float | None]]) -> None:
    place = write_results(tmp_path / "out", with_reports(make(density=False, seeds=(42,)), metrics))[0]
    for path in place.rglob("*.json"):
        if path.name != "train_history.json":
            strict(path)
    assert [int(line["epoch"]) for line in table(place / "train_history.csv")] == list(range(1, len(metrics) + 1))


def test_files_hold_finite_numbers_only(make: Make, tmp_path: Path) -> None:
    winner = make(density=False, seeds=(42,), changes={"mean": math.inf, "sigma": math.nan, "search_value": -math.inf})
    winner = with_reports(winner, [{"score": 1.0, "gap": math.nan, "burst": math.inf}])
    place = write_results(tmp_path / "out", winner)[0]
    texts = [path.read_text(encoding="utf-8") for path in place.rglob("*.json*")]
    assert len(texts) == 6
    for text in texts:
        assert "NaN" not in text
        assert "Infinity" not in text
    section = strict(place / "summary.json")["hpo"]
    assert isinstance(section, dict)
    assert (section["mean"], section["sigma"], section["search_value"]) == (None, None, None)
    assert table(place / "train_history.csv") == [{"epoch": "1", "score": "1.0", "gap": "", "burst": ""}]


@pytest.mark.slow
def test_figures_are_drawn_silently(
    make: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    name = "Größe \N{CJK UNIFIED IDEOGRAPH-6F22} $x_1 \\frac " + "long" * 40
    winner = make(changes={"study": name}, epochs=40, seeds=(42,))
    with caplog.at_level(logging.WARNING):
        place = write_results(tmp_path / "out", winner)[0]
    assert not caplog.records
    assert capfd.readouterr() == ("", "")
    for name in ("train_history.png", "metrics/val_metrics.png"):
        height, width, _ = imread(place / name).shape
        assert min(height, width) > 600
        assert imread(place / name)[..., :3].std() > 0.05  # something is drawn


def test_results_import_is_light() -> None:
    code = "import sys, hpo.results; print(sorted({'matplotlib', 'sklearn', 'pandas', 'torch'} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"


def test_winners_must_be_complete(make: Make) -> None:
    winner = make(density=False, epochs=2)
    with pytest.raises(ValueError, match="at least one evaluation"):
        replace(winner, evaluations=())
    with pytest.raises(ValueError, match="must be complete and have its reports"):
        replace(winner, evaluations=(replace(winner.evaluations[0], reports=()),))
    other: Evaluation = replace(winner.evaluations[0], job=replace(winner.evaluations[0].job, trial=3))
    with pytest.raises(ValueError, match="of one trial"):
        replace(winner, evaluations=(*winner.evaluations, other))


def test_late_metrics_reach_history_and_log(make: Make) -> None:
    winner = with_reports(make(density=False, seeds=(42,)), [{"score": 1.0}, {"score": 2.0, "late": 3.0}])
    assert history_csv(winner.evaluations[0]) == "epoch,score,late\n1,1.0,\n2,2.0,3.0\n"
    assert log_text(winner.evaluations[0]).splitlines()[1].endswith("epoch 2/6  score 2.0000  late 3.0000")


@pytest.mark.slow
def test_artifacts_are_copied_safely(make: Make, tmp_path: Path) -> None:
    winner = make(seeds=(42, 43), epochs=2)
    own = Path(winner.evaluations[0].files) / ARTIFACTS
    (own / "splits").mkdir(parents=True)
    (own / "splits" / "train.csv").write_text("path\n")
    (own / "checkpoint.pt").write_bytes(b"")
    (own / "splits" / "checkpoint.pt").write_bytes(b"")
    (own / "summary.json").write_text("another")
    (own / "secret").symlink_to("/etc/hostname")
    first, second = write_results(tmp_path / "out", winner)
    assert files(first) == FILES | {"splits/train.csv", "splits/checkpoint.pt"}
    assert files(second) == FILES
    assert json.loads((first / "summary.json").read_text())["seed"] == 42


def test_each_case_has_its_caption(tmp_path: Path) -> None:
    blank = np.zeros((1, 8, 8))
    drawn = []
    for caption in ("000272\ntrue A, said B", "another", "another"):
        panel_png(tmp_path / "one.png", Panels.of(image=blank, heat=blank, names=["x"], captions=[caption]), 0)
        drawn.append((tmp_path / "one.png").read_bytes())
    assert drawn[0] != drawn[1]
    assert drawn[1] == drawn[2]


def test_heat_maps_are_drawn(make: Make, tmp_path: Path) -> None:
    winner = make(seeds=(42,), epochs=2)
    noise_NHW = np.random.default_rng(0).random((3, 8, 8))
    panels = Panels.of(image=noise_NHW, heat=noise_NHW, names=["000001", "../x", "3"], captions=["one", "two", "$3"])
    panels.save(Path(winner.evaluations[0].files))
    first, *_ = write_results(tmp_path / "out", winner)
    names = ("gradcam", "gradcam_0_000001", "gradcam_1_..-x", "gradcam_2_3")
    assert files(first) == FILES | {f"gradcam/{name}.png" for name in names}
    with pytest.raises(TrainableError, match="of the same shape with N names and captions"):
        Panels.of(image=noise_NHW, heat=noise_NHW[:2], names="abc", captions="abc")


def test_earlier_folder_of_artifacts(tmp_path):
    (tmp_path / "artefacts").mkdir()
    assert artifacts_folder(tmp_path) == tmp_path / "artefacts"
    (tmp_path / "artifacts").mkdir()
    assert artifacts_folder(tmp_path) == tmp_path / "artifacts"
