"""Invalid values, exceptions and side effects of a trainable end its training and nothing else."""

from __future__ import annotations

import json
import os
import signal
import time

import numpy as np
import pytest
from hostile_trainings import hostile, trained

from hpo.core.errors import TrainableError
from hpo.core.records import LARGEST, Stage, Status, canonical_json
from hpo.training.panels import Panels
from hpo.training.predictions import Predictions


def plain(evaluation):
    """Returns an evaluation's content as the databases get it, after checking that they can store it."""
    content = {
        "error": evaluation.error,
        "reports": [dict(report.metrics) for report in evaluation.reports],
        "digests": dict(evaluation.digests),
        "fingerprint": dict(evaluation.fingerprint),
        "remarks": list(evaluation.remarks),
    }
    text = canonical_json(content)
    text.encode()  # no lone surrogates
    assert "\\u0000" not in text
    assert len(text) < 1_000_000
    return json.loads(text)


def checked(evaluation):
    """Checks that an evaluation is valid, and returns it."""
    plain(evaluation)
    assert evaluation.status in set(Status)
    if evaluation.status is Status.FAILED:
        assert evaluation.error.strip()
    if evaluation.status is Status.COMPLETE:
        assert abs(evaluation.value) <= LARGEST
    return evaluation


COMPLETE = {
    "plain", "float32", "float16", "longdouble", "numpy-bool", "bool", "int", "numpy-int", "array-0d", "array-1d",
    "array-2d", "tensor", "tensor-1d", "tensor-grad", "float-subclass", "int-subclass", "decimal", "fraction",
    "minus-zero", "subnormal", "number-text",
}  # fmt: skip


@pytest.mark.parametrize("value", hostile.VALUES)
def test_bad_value_is_an_error_message(tmp_path, value):
    evaluation = checked(trained(tmp_path, value=value, stage=Stage.SEARCH))
    assert evaluation.status is (Status.COMPLETE if value in COMPLETE else Status.FAILED)
    if value not in COMPLETE:
        assert evaluation.error.startswith("metric 'val' at step 2 is ") or value == "exits"
        assert len(evaluation.error) < 400 or value == "exits"


GOOD_YIELDS = {"a-dict-of-its-own", "name-slash", "name-odd", "name-none", "name-tuple", "name-subclass", "many"}


@pytest.mark.parametrize("value", hostile.YIELDS)
def test_bad_yield_is_an_error_message(tmp_path, value):
    evaluation = checked(trained(tmp_path, value=value))
    assert evaluation.status is (Status.COMPLETE if value in GOOD_YIELDS else Status.FAILED)
    if value not in GOOD_YIELDS | {"name-cursed"}:
        assert "Traceback" not in evaluation.error
        assert len(evaluation.error) < 600


@pytest.mark.parametrize("loop", [True, False])
@pytest.mark.parametrize("error", hostile.ERRORS)
def test_any_exception_fails_training(tmp_path, error, loop):
    evaluation = checked(trained(tmp_path, error=error, stage=Stage.SEARCH, loop=loop))
    expected = {"none": Status.COMPLETE, "pruned": Status.PRUNED}.get(error, Status.FAILED)
    assert evaluation.status is expected
    assert len(evaluation.error or "") < 150_000


def test_trial_pruned_prunes(tmp_path):
    evaluation = trained(tmp_path, error="pruned", stage=Stage.SEARCH)
    assert (evaluation.status, evaluation.value, evaluation.step, evaluation.error) == (Status.PRUNED, 0.6, 1, None)
    assert "optuna.TrialPruned" in evaluation.remarks[-1]
    assert evaluation.fingerprint["threads"] == 1
    early = trained(tmp_path, error="pruned", epoch=1, stage=Stage.SEARCH)
    assert (early.status, early.value, early.reports) == (Status.PRUNED, None, ())


def test_replicate_cannot_prune_itself(tmp_path):
    evaluation = trained(tmp_path, error="pruned", stage=Stage.PROMOTION)
    assert evaluation.status is Status.FAILED
    assert "TrialPruned: not worth it" in evaluation.error


def test_same_name_does_not_prune(tmp_path):
    assert trained(tmp_path, error="pruned-by-name", stage=Stage.SEARCH).status is Status.FAILED


def test_empty_error_shows_traceback(tmp_path):
    error = trained(tmp_path, error="empty").error
    assert "TrainableError" in error
    assert "hostile.py" in error


def test_traceback_starts_in_user_code(tmp_path):
    error = trained(tmp_path, error="value").error
    assert "/hpo/training/" not in error
    assert error.splitlines()[1].strip().endswith("in train")


def test_long_error_is_shortened(tmp_path):
    error = trained(tmp_path, error="huge").error
    assert len(error) < 30_000
    assert "characters left out) ..." in error
    assert error.startswith("Traceback")


def test_error_text_is_escaped(tmp_path):
    assert trained(tmp_path, error="surrogate-sentence").error == r"no file scan-\udcff\x00.png"


PLAIN_FACTS = {
    "numpy-int": 3, "numpy-float": 0.5, "numpy-bool": True, "array": [0, 1, 2], "tensor": 1.5,
    "path": r"/data/scan-\udcff", "nan": "nan", "inf": "-inf", "huge-int": 10**400, "surrogate": r"\ud800\x00",
    "none": 1, "enum": "red", "decimal": ["1.5", "1/3"],
}  # fmt: skip


@pytest.mark.parametrize("fact", hostile.FACTS)
def test_bad_fact_is_an_error_message(tmp_path, fact):
    evaluation = checked(trained(tmp_path, fact=fact, stage=Stage.SEARCH))
    if fact in PLAIN_FACTS:
        noted = {} if fact == "none" else {"fact": PLAIN_FACTS[fact]}
        assert plain(evaluation)["fingerprint"].get("facts", {}) == noted
    elif fact not in {"huge-text", "exits"}:
        assert evaluation.status is Status.FAILED
        assert "fact" in evaluation.error
        assert "Traceback" not in evaluation.error


@pytest.mark.slow
@pytest.mark.parametrize("effect", hostile.EFFECTS)
def test_side_effects_stay_contained(tmp_path, effect):
    checked(trained(tmp_path, effect=effect))
    calm = checked(trained(tmp_path / "other"))
    assert calm.status is Status.COMPLETE
    assert calm.value == pytest.approx(0.8)


@pytest.mark.parametrize("effect", ["folder-gone", "parents-gone", "pipe-at-run.log", "full-folder-at-checkpoint.pt"])
def test_file_damage_does_not_fail(tmp_path, effect):
    assert trained(tmp_path, effect=effect).status is Status.COMPLETE


@pytest.mark.parametrize("name", ["ignores_close", "catches_everything", "swallows"])
@pytest.mark.parametrize("pause_at", [1, 2, None])
def test_stubborn_training_is_ended(tmp_path, name, pause_at):
    evaluation = trained(tmp_path, name, pause_at=pause_at)
    if pause_at is not None:
        assert evaluation is None
    else:
        assert evaluation.status is (Status.FAILED if name == "ignores_close" else Status.COMPLETE)


def interrupted(params, ctx):
    """A training that gets Ctrl-C in its second epoch."""
    for epoch in ctx.epochs():
        if epoch == 2:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(60)
        yield {"val": 0.5}


def test_ctrl_c_reaches_the_caller(tmp_path, monkeypatch):
    monkeypatch.setattr(hostile, "train", interrupted)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path, "swallows", stage=Stage.SEARCH, budget=40)
    assert signal.getsignal(signal.SIGINT) is before


def test_reports_are_copies(tmp_path):
    evaluation = trained(tmp_path, effect="own-reports")
    assert [report.metrics["val"] for report in evaluation.reports] == pytest.approx([0.6, 0.7, 0.8])


GRID = np.zeros((1, 2, 2))


@pytest.mark.parametrize(
    ("image", "heat", "message"),
    [
        (GRID, GRID + 1.5, "heat within 0 .. 1"),
        (GRID, GRID + np.nan, "heat within 0 .. 1"),
        (GRID + np.inf, GRID, "finite numbers"),
        (np.zeros((1, 0, 2)), np.zeros((1, 0, 2)), "of the same shape"),
        ([[["a", "b"]]], GRID, "must be numbers"),
        ([[[1.0], [1.0, 2.0]]], GRID, "not an array of numbers"),
        (hostile.Cursed(), GRID, "panels"),
    ],
)
def test_undrawable_panels_rejected(image, heat, message):
    with pytest.raises(TrainableError, match=message):
        Panels.of(image=image, heat=heat, names=["a"], captions=["a"])


def test_heat_rounding_is_clipped():
    heat = Panels.of(image=GRID, heat=GRID + 1 + 1e-6, names=["\udcff"], captions=["\x00"]).heat
    assert heat.max() == 1.0


@pytest.mark.parametrize("effect", [f"predict-{name}" for name in hostile.PREDICTIONS])
def test_bad_predictions_rejected(tmp_path, effect):
    evaluation = trained(tmp_path, effect=effect, epoch=3)
    good = effect.removeprefix("predict-") in {"right", "tensors", "odd-cases", "case-long", "empty"}
    assert evaluation.status is (Status.COMPLETE if good else Status.FAILED)
    if good:
        found = Predictions.load(tmp_path / evaluation.job.folder)
        assert found.digest == evaluation.digests["predictions"]
    else:
        assert "Traceback" not in evaluation.error or effect in {"predict-case-cursed", "predict-labels"}


def test_odd_case_texts_are_escaped(tmp_path):
    evaluation = trained(tmp_path, effect="predict-odd-cases", epoch=3)
    cases = Predictions.load(tmp_path / evaluation.job.folder).cases
    assert cases == {"path": (r"scan-\udcff.png", r"b\x00.png"), "n": ("1", "None")}


def test_changed_output_file_fails(tmp_path):
    evaluation = trained(tmp_path, "changes_predictions")
    assert evaluation.status is Status.FAILED
    assert "predictions.npz in ctx.folder was changed by the trainable" in evaluation.error


def test_unusable_artifacts_are_named(tmp_path):
    assert trained(tmp_path / "a", effect="pipe-at-artifacts/thing").remarks == (
        "not kept: artifacts/thing: it is a pipe, a socket or a device",
    )
    assert trained(tmp_path / "b", effect="link-at-artifacts").remarks == ("not kept: artifacts: it is a link",)
    (remark,) = trained(tmp_path / "c", effect="rubbish-at-artifacts/checkpoint.pt").remarks
    assert remark.startswith("not kept: artifacts/checkpoint.pt: other programs would continue a training from it")
