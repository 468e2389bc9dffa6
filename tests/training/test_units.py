"""Results over units: several cases of one patient become one, at every level that a study shows."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, cohen_kappa_score

import hpo
from hpo.core.errors import StudyInvalid, TooManyFailures, TrainableError
from hpo.core.protocols import Units
from hpo.promotion.estimating import estimate_part
from hpo.results.metrics import unit_metrics
from hpo.stats.classification import NAMES
from hpo.training.predictions import Predictions
from hpo.training.units import by_unit, check_defined, unit_remark, unit_scores, with_units
from tests.project.toys.held import GROUPS, LABELS

MEAN = Units(name="exam", aggregate="mean")


def views(aggregate="mean", truth=(0, 0, 1, 1, 2), exams=("x", "x", "y", "y", "z"), classes=3):
    draw = np.random.default_rng(3)
    made = Predictions.of(
        truth=truth,
        probabilities=draw.dirichlet(np.ones(classes), len(truth)),
        labels=range(1, classes + 1),
        names="ABCDE"[:classes],
        cases={"exam": exams, "view": [("CC", "MLO")[row % 2] for row in range(len(truth))]},
    )
    return with_units(made, Units(name="exam", aggregate=aggregate), None)


def test_aggregates_follow_the_formula():
    for aggregate, together in (("mean", np.mean), ("max", np.max)):
        made = views(aggregate)
        found = by_unit(made)
        expected = np.array([together(made.probabilities[rows], axis=0) for rows in ([0, 1], [2, 3], [4])])
        expected /= expected.sum(axis=1, keepdims=True)
        assert found.predictions.probabilities == pytest.approx(expected)
        assert (found.predictions.truth.tolist(), found.left_out) == ([0, 1, 2], ())
        assert dict(found.predictions.cases) == {"exam": ("x", "y", "z")}


def test_mixed_units_are_left_out():
    made = views(truth=(0, 0, 1, 2, 2))
    assert by_unit(made).left_out == ("y",)
    assert by_unit(made).predictions.cases["exam"] == ("x", "z")
    assert "1 of 3 units (exam y) are left out of the metrics per exam" in unit_remark(made)


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_estimates_of_k_classes(classes):
    truth = np.arange(60) // 2 % classes
    models = [views(truth=truth, exams=[f"e{row // 2}" for row in range(60)], classes=classes) for _ in range(2)]
    part, together = estimate_part("validation", {42: models[:1], 43: models[1:]}, 0)
    found = {one.metric: one for one in part.metrics}
    assert list(found) == [*NAMES, *(f"unit_{name}" for name in NAMES)]
    assert (part.unit, part.units, part.per, part.of_units) == ("exam", 30, "exam", 30)
    units = by_unit(together).predictions
    assert found["unit_acc"].ensemble == accuracy_score(units.truth, units.probabilities.argmax(axis=1))
    for one in found.values():
        assert one.over_cases[0] <= one.mean <= one.over_cases[1]
    metrics = unit_metrics(together)
    assert np.array(metrics["unit_confusion_matrix"]).shape == (classes, classes)
    assert metrics["unit_auc_ovr"] == pytest.approx(found["unit_auc_ovr"].ensemble)


def test_units_are_kept_on_disk(tmp_path):
    views("max").save(tmp_path)
    found = Predictions.load(tmp_path)
    assert (found.units, found.unit) == (("x", "x", "y", "y", "z"), Units(name="exam", aggregate="max"))


def test_unknown_unit_lists_the_known():
    with pytest.raises(TrainableError, match=r"units is 'patient'.*\(known: exam, view\)"):
        with_units(views(), Units(name="patient", aggregate="mean"), None)


def test_undefined_metrics_fail_only_if_needed():
    made = views(truth=(0, 1, 1, 2, 2), exams=("x", "x", "y", "y", "y"))
    assert set(unit_scores(made).values()) == {None}
    check_defined(made, ("val_acc", "unit_size"))
    with pytest.raises(TrainableError, match=r"unit_acc is undefined: each of the 2 validation units \(exam\)"):
        check_defined(made, ("val_acc", "unit_acc"))
    part, _ = estimate_part("validation", {42: [made]}, 0)
    assert [one.metric for one in part.metrics] == list(NAMES)
    assert (part.of_units, part.left_out) == (0, 2)


def test_units_lie_within_groups():
    across = replace(views(), groups=np.array([0, 1, 2, 2, 3]))
    with pytest.raises(TrainableError, match="exam x has cases of several groups"):
        with_units(across, MEAN, None)


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ({"aggregate": "mean"}, "set units"),
        ({"units": "patient", "aggregate": "median"}, "expected mean or max, got 'median'"),
    ],
)
def test_wrong_tables_are_refused(curve, table, problem):
    content = curve().content() | {"validation": table}
    with pytest.raises(StudyInvalid, match=re.escape(problem)):
        hpo.Study(**content)


@pytest.fixture
def study(curve):
    def made(units="group", fixed=(), metric="unit_kappa_quadratic", **validation):
        return curve(
            name="exams",
            trainable="toys.held:train",
            objective={"metric": metric},
            space={"lr": {"float": [0.05, 1.0]}},
            search={"trials": 2, "budget": 2, "max_failures": 1},
            promotion={"top": 1, "seeds": (42, 43)},
            fixed={"sees": True, **dict(fixed)},
            validation={"units": units, **validation},
        )

    return made


def test_units_are_part_of_the_identity(study):
    texts = {study(aggregate=one).identity()["validation.units"] for one in ("mean", "max")}
    assert texts == {"group, mean", "group, max"}


@pytest.mark.slow
def test_objective_over_units(study, config):
    made = study(test=0.2)
    hpo.run(made, config)
    outcome = hpo.promote(made, config, test=True)
    folder = outcome.folder / "results_7"
    metrics = json.loads((folder / "metrics" / "val_metrics.json").read_text())
    rows = [line.split(",") for line in (folder / "unit_predictions.csv").read_text().splitlines()]
    true, predicted = zip(*[(row[2], row[3]) for row in rows[1:]], strict=True)
    assert rows[0][:4] == ["group", "raw_label", "y_true", "y_pred"]
    assert metrics["unit_acc"] == accuracy_score(true, predicted)
    assert metrics["unit_kappa_quadratic"] == cohen_kappa_score(
        list(map(int, true)), list(map(int, predicted)), weights="quadratic"
    )
    assert outcome.report.winner.candidate.values[42] == metrics["unit_kappa_quadratic"]
    assert json.loads((folder / "summary.json").read_text())["unit_acc"] == metrics["unit_acc"]
    assert (folder / "metrics" / "unit_metrics.png").is_file()
    for part in outcome.report.estimate.parts:
        (one,) = [one for one in part.metrics if one.metric == "unit_kappa_quadratic"]
        assert (one.name, part.per) == ("quadratic kappa per group", "group")
    part = outcome.report.estimate.parts[0]
    assert one.over_cases is None or one.over_cases[0] <= one.mean <= one.over_cases[1]
    text = " ".join(outcome.report.estimate.sentences)
    assert "The quadratic kappa per group of trial" in text
    assert "1 other left out, because their cases have different classes" in text
    assert "quadratic kappa per group" in str(outcome)


@pytest.mark.slow
def test_results_without_metrics_of_epochs(study, config):
    made = study(fixed={"sees": False}, metric="val_acc", folds=3)
    hpo.run(made, config)
    outcome = hpo.promote(made, config)
    folder = outcome.folder / "results_7"
    metrics = json.loads((folder / "metrics" / "val_metrics.json").read_text())
    mixed = {f"{GROUPS.index(one) // 3}" for one in ("patient-13", "patient-26")}
    assert metrics["units"] == 38
    assert len(metrics["units_left_out"]) == len(mixed)
    assert np.sum(metrics["confusion_matrix"]) == len(LABELS)


@pytest.mark.parametrize(
    ("units", "fixed", "problem"),
    [
        ("group", {"sees": False}, "'unit_kappa_quadratic' was not reported"),
        ("patient", {}, "(known: "),
        ("pair", {"pairs": True, "grouped": False}, "on both sides"),
    ],
)
def test_wrong_units_fail_with_a_sentence(study, config, units, fixed, problem):
    made = study(units, fixed)
    with pytest.raises(TooManyFailures, match=re.escape(problem)):
        hpo.run(made, config)
