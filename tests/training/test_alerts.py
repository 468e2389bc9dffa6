"""Each alert from a real training that raises it, and from one that does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpo.core.protocols import Resources, TrainableRef
from hpo.core.records import Evaluation, Job, Objective, Stage, Status
from hpo.stats.collapse import collapses
from hpo.training import TrainingRun
from hpo.training.monitoring.alerts import CHECKS, Activation, EpochRecord, Layer, find_alerts

PROJECT = Path(__file__).parents[1] / "project"

SOUND = {"lr": 0.005, "optimizer": "adamw"}
RAISED = {
    "non-finite": {"lr": 1e30},
    "exploding": {"jump": 1000.0},
    "vanishing": {"depth": 12, "activation": "sigmoid"},
    "dead-units": {"shift": -100.0},
    "one-class-predictions": {"shift": -100.0},
    "plateau": {"lr": 1e-7},
    "oscillation": {"lr": 1.0, "noise": 0.5, "epochs": 40},
    "train-validation-gap": {"noise": 1.0, "lr": 0.03, "optimizer": "adamw", "epochs": 40},
    "unnormalised-data": {"scale": 200.0, "lr": 1e-4},
    "one-class-data": {"classes": 1},
}
"""Params of the toy that raise each kind of alert, perhaps with others."""


def alerts(work, epochs=8, **params):
    ref = TrainableRef(path="toys.watched:train", root=str(PROJECT), objective=Objective(metric="val_acc"), fixed={})
    job = Job(trial=0, params=params, seed=42, budget=epochs, stage=Stage.SEARCH)
    training = TrainingRun(job, ref, Resources(), work)
    found = []
    while True:
        update = training.advance()
        found += [alert for report in update.reports for alert in report.alerts]
        if update.status is not None:
            training.close()
            return [*found, *(update.outcome.last_alerts if update.outcome else ())]


@pytest.mark.slow
@pytest.mark.parametrize("kind", CHECKS)
def test_bad_training_alerts_once(tmp_path, kind):
    found = alerts(tmp_path, **RAISED[kind])
    assert [alert.kind for alert in found].count(kind) == 1
    assert all(alert.message for alert in found)


@pytest.mark.parametrize("epochs", [8, 20])
def test_sound_training_raises_no_alert(tmp_path, epochs):
    assert alerts(tmp_path, epochs, **SOUND) == []


def test_unwatched_raises_no_alert(tmp_path):
    assert alerts(tmp_path, watched=False, **RAISED["exploding"]) == []


def losses(values, other=None):
    other = values if other is None else other
    return [
        EpochRecord(epoch=step + 1, train_loss=a, val_loss=b)
        for step, (a, b) in enumerate(zip(other, values, strict=True))
    ]


@pytest.mark.parametrize(
    ("kind", "values", "other"),
    [
        ("plateau", [1.0, 0.9, 0.9, 0.9, 0.9, 0.9, 0.8], None),
        ("oscillation", [1.0, 0.99, 1.0, 0.99, 1.0, 0.99], None),
        ("oscillation", [1.0, 0.5, 1.0, 0.5, 0.4, 1.0], None),
        ("train-validation-gap", [1.0, 1.1, 1.2, 1.3], [1.0, 0.98, 0.96, 0.94]),
        ("train-validation-gap", [1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0, 4.0]),
    ],
)
def test_below_threshold_no_alert(kind, values, other):
    assert CHECKS[kind](losses(values, other)) is None


def test_alert_kind_is_raised_once():
    last = [EpochRecord(epoch=1, steps=2, nonfinite_steps=1)]
    assert [alert.kind for alert in find_alerts(last)] == ["non-finite"]
    assert find_alerts(last, {"non-finite"}) == ()


def test_class_name_matches_the_files():
    known = {"predicted": (0, 4, 0), "truth": (2, 1, 1), "classes": ("A (1)", "B (2)", "C (3)")}
    message = CHECKS["one-class-predictions"]([EpochRecord(epoch=epoch, **known) for epoch in (1, 2)])
    assert message == "all 4 validation cases were predicted as class B (2)"
    assert CHECKS["one-class-data"]([EpochRecord(epoch=1, truth=(0, 3, 0), classes=known["classes"])]).endswith(
        "class B (2)"
    )


def test_unnamed_class_counts_from_one():
    message = CHECKS["one-class-predictions"](
        [EpochRecord(epoch=epoch, predicted=(0, 4), truth=(2, 2)) for epoch in (1, 2)]
    )
    assert message == "all 4 validation cases were predicted as the class in column 2 of 2"


def gradients(most, median=1.0, **layers):
    return [EpochRecord(epoch=1, grad_norm_max=most, grad_norm_median=median, layers=layers)]


@pytest.mark.parametrize(
    ("kind", "at", "beyond"),
    [
        ("exploding", gradients(10.0), gradients(10.01)),
        (
            "exploding",
            gradients(1.0, a=Layer(grad_norm=1, update_ratio=1.0)),
            gradients(1.0, a=Layer(grad_norm=1, update_ratio=1.01)),
        ),
        (
            "vanishing",
            gradients(1.0, a=Layer(grad_norm=1.0), b=Layer(grad_norm=1e-4)),
            gradients(1.0, a=Layer(grad_norm=1.0), b=Layer(grad_norm=9e-5)),
        ),
        (
            "dead-units",
            [EpochRecord(epoch=1, activations={"a": Activation(mean=0, sd=0, dead=0.5)})],
            [EpochRecord(epoch=1, activations={"a": Activation(mean=0, sd=0, dead=0.51)})],
        ),
        (
            "unnormalised-data",
            [EpochRecord(epoch=1, input_mean=-3.0, input_sd=5.0)],
            [EpochRecord(epoch=1, input_mean=-3.01, input_sd=1.0)],
        ),
        (
            "unnormalised-data",
            [EpochRecord(epoch=1, input_mean=0.0, input_sd=0.05)],
            [EpochRecord(epoch=1, input_mean=0.0, input_sd=0.049)],
        ),
        (
            "one-class-predictions",
            [EpochRecord(epoch=e, predicted=(4, 0), truth=(2, 2)) for e in (1,)],
            [EpochRecord(epoch=e, predicted=(4, 0), truth=(2, 2)) for e in (1, 2)],
        ),
        ("one-class-data", [EpochRecord(epoch=1, truth=(3, 1))], [EpochRecord(epoch=1, truth=(4, 0))]),
        ("non-finite", [EpochRecord(epoch=1, steps=4)], [EpochRecord(epoch=1, steps=4, nonfinite_steps=1)]),
    ],
)
def test_threshold_is_exact(kind, at, beyond):
    assert CHECKS[kind](at) is None
    assert CHECKS[kind](beyond) is not None


def test_collapse_names_its_epoch():
    job = Job(trial=0, params={}, seed=44, budget=3, stage=Stage.PROMOTION)
    one = Evaluation(job=job, status=Status.COMPLETE, value=0.0, step=1)
    found = collapses([one], Objective(metric="val"), None, {(0, 44): "C (3)"})
    assert "all validation cases were predicted as class C (3) in epoch 1, the selected one" in found[0].description
