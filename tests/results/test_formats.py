"""Figures for papers: their formats, their words, and maps that are empty."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hpo.results import Winner, unwritten, write_assets, write_results
from hpo.results.curves import panel_png, panels_png, roc_png
from hpo.results.metrics import classifier_metrics
from hpo.results.pictures import history_png, metrics_png
from hpo.training.panels import Panels
from hpo.training.predictions import Predictions

Make = Callable[..., Winner]


def words(path: Path) -> list[str]:
    """Returns the texts of an SVG figure, which matplotlib repeats as comments."""
    return re.findall(r"<!-- (.*?) -->", path.read_text(), re.DOTALL)


def pictures(folder: Path) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for path in folder.rglob("*"):
        if path.suffix in (".png", ".pdf", ".svg"):
            found.setdefault(str(path.relative_to(folder).with_suffix("")), set()).add(path.suffix)
    return found


def heated(*heats: float) -> Panels:
    """Returns panels whose heat is as given in one corner, and 0 elsewhere."""
    image_NHW = np.full((len(heats), 8, 8), 0.5)
    heat_NHW = np.zeros_like(image_NHW)
    heat_NHW[:, :2, :2] = np.array(heats)[:, None, None]
    names = [f"case {place}" for place in range(len(heats))]
    return Panels.of(image=image_NHW, heat=heat_NHW, names=names, captions=names, method="Grad-CAM of B")


def with_panels(winner: Winner, panels: Panels) -> Winner:
    for one in winner.evaluations:
        panels.save(Path(str(one.files)))
    return winner


@pytest.mark.slow
def test_figures_have_all_formats(make: Make, tmp_path: Path) -> None:
    winner = with_panels(make(seeds=(42,), epochs=2, changes={"formats": ("pdf", "svg")}), heated(1.0))
    [folder] = write_results(tmp_path / "out", winner)
    found = pictures(folder)
    assert {"train_history", "metrics/best_metrics", "metrics/roc", "gradcam/gradcam_0_case-0"} <= set(found)
    assert set(map(frozenset, found.values())) == {frozenset({".png", ".pdf", ".svg"})}
    assert (folder / "train_history.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.slow
def test_formats_are_added_later(make: Make, tmp_path: Path) -> None:
    winner = make(seeds=(42, 43), epochs=2)
    folders = write_results(tmp_path / "out", winner)
    before = {path: path.read_bytes() for folder in folders for path in folder.rglob("*") if path.is_file()}
    wanted = replace(winner, formats=("png", "svg"))
    assert unwritten(tmp_path / "out", winner) == ()
    assert unwritten(tmp_path / "out", wanted) == winner.evaluations
    assert write_results(tmp_path / "out", wanted) == folders
    assert unwritten(tmp_path / "out", wanted) == ()
    assert {path: path.read_bytes() for path in before} == before
    for folder in folders:
        assert set(map(frozenset, pictures(folder).values())) == {frozenset({".png", ".svg"})}
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [folder.name for folder in folders]


def test_formats_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        panel_png(tmp_path / f"{name}.png", heated(1.0), 0, ("pdf", "svg"))
    for suffix in ("png", "pdf", "svg"):
        assert (tmp_path / f"a.{suffix}").read_bytes() == (tmp_path / f"b.{suffix}").read_bytes()


@pytest.mark.slow
def test_assets_have_all_formats(make: Make, tmp_path: Path) -> None:
    folders = write_results(tmp_path / "out", make(epochs=2, changes={"formats": ("pdf",)}))
    written = {path.name for path in write_assets(folders, tmp_path / "report", prefix="density")}
    assert {"density_train_seed42.png", "density_train_seed42.pdf", "density_roc_seed44.pdf"} <= written


def test_roc_axes_are_rates(tmp_path: Path) -> None:
    found = Predictions.of(
        truth=[0, 1], probabilities=[[0.9, 0.1], [0.2, 0.8]], labels=(0, 1), names="AB", cases={"path": ["x", "y"]}
    )
    assert roc_png(tmp_path / "roc.png", found, "title", ("svg",))
    assert {"false positive rate", "true positive rate"} <= set(words(tmp_path / "roc.svg"))


def test_figures_say_what_is_pooled(make: Make, tmp_path: Path) -> None:
    winner = make(epochs=2, changes={"formats": ("svg",)})
    whole = replace(winner.evaluations[0], folds=winner.evaluations[:2])
    predictions = Predictions.load(Path(str(whole.files)))
    assert predictions is not None
    history_png(tmp_path / "history.png", winner, whole)
    metrics_png(tmp_path / "metrics.png", winner, whole, classifier_metrics(predictions), predictions)
    each = "over 2 folds, each at its selected epoch"
    assert f"mean {each}" in " ".join(words(tmp_path / "history.svg"))
    assert f"validation pooled {each}" in " ".join(words(tmp_path / "metrics.svg"))


def test_axes_have_the_label(make: Make, tmp_path: Path) -> None:
    winner = make(epochs=2, changes={"formats": ("svg",)})
    labels = (("val_kappa", "Quadratic kappa"), ("val_loss", "Loss"))
    named = replace(winner, objective=replace(winner.objective, labels=labels))
    history_png(tmp_path / "history.png", named, named.evaluations[0])
    shown = words(tmp_path / "history.svg")
    assert {"Quadratic kappa", "Loss", "val_acc"} <= set(shown)
    assert not any("val_kappa" in text for text in shown)


def test_one_curve_names_its_axis(make: Make, tmp_path: Path) -> None:
    winner = make(density=False, epochs=2, changes={"formats": ("svg",)})
    named = replace(winner, objective=replace(winner.objective, labels=(("reward", "Mean reward"),)))
    history_png(tmp_path / "history.png", named, named.evaluations[0])
    assert words(tmp_path / "history.svg").count("Mean reward") == 2  # on the axis and in the legend


def test_heat_maps_say_their_method(make: Make, tmp_path: Path) -> None:
    winner = with_panels(make(seeds=(42,), epochs=2, changes={"formats": ("svg",)}), heated(1.0))
    [folder] = write_results(tmp_path / "out", winner)
    shown = words(folder / "gradcam" / "gradcam.svg")
    assert any("Grad-CAM of B" in text for text in shown)
    assert "relative weight" in shown


@pytest.mark.slow
def test_folds_share_their_heat_maps(make: Make, tmp_path: Path) -> None:
    """The report step looks above the folds: the first case of the first fold, the second of the second."""
    winner = make(seeds=(42, 43), epochs=2, changes={"formats": ("svg",)})
    folds = [
        replace(one, job=replace(one.job, seed=42, fold=number)) for number, one in enumerate(winner.evaluations, 1)
    ]
    for one, heat in zip(folds, (1.0, 0.0), strict=True):
        heated(heat, heat).save(Path(str(one.files)))
    cross_validated = replace(winner, evaluations=(replace(folds[0], folds=tuple(folds)),))
    [folder] = write_results(tmp_path / "out", cross_validated)
    names = sorted(path.name for path in (folder / "gradcam").glob("gradcam_*.svg"))
    assert names == [f"gradcam_{place}_case-{place}.svg" for place in range(2)]
    shown = [words(folder / "gradcam" / name) for name in names]
    assert [f"case {place}, fold {1 + place % 2}" in texts for place, texts in enumerate(shown)] == [True] * 2
    assert ["empty map:" in " ".join(texts) for texts in shown] == [False, True]
    assert (folder / "fold_2" / "gradcam" / "gradcam_1_case-1.png").is_file()
    pdf = replace(cross_validated, formats=("pdf",))
    assert write_results(tmp_path / "out", pdf) == (folder,)
    assert {".png", ".svg", ".pdf"} in pictures(folder).values()
    assert all(".pdf" in suffixes for suffixes in pictures(folder).values())


def test_empty_maps_are_explained(tmp_path: Path) -> None:
    panels_png(tmp_path / "both.png", heated(1.0, 0.0), "title", ("svg",))
    assert sum("empty map" in text for text in words(tmp_path / "both.svg")) == 1
    panel_png(tmp_path / "one.png", heated(1.0, 0.0), 0, ("svg",))
    assert not any("empty map" in text for text in words(tmp_path / "one.svg"))


@pytest.mark.slow
def test_files_of_panels_are_in_order(make: Make, tmp_path: Path) -> None:
    winner = with_panels(make(seeds=(42,), epochs=2), heated(*[1.0] * 11))
    [folder] = write_results(tmp_path / "out", winner)
    names = sorted(path.name for path in (folder / "gradcam").glob("gradcam_*.png"))
    assert [name.rpartition("-")[2] for name in names] == [f"{place}.png" for place in range(11)]


def test_earlier_panels_have_no_method(tmp_path: Path) -> None:
    panels = heated(1.0)
    values = {name: getattr(panels, name) for name in ("image", "heat", "names", "captions")}
    np.savez(tmp_path / "panels.npz", **values)
    again = Panels.load(tmp_path)
    assert again is not None
    assert again.method == "heat maps"
    panels.save(tmp_path)
    saved = Panels.load(tmp_path)
    assert saved is not None
    assert saved.method == "Grad-CAM of B"
