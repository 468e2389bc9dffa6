from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo.core.records import Evaluation, Job, Objective, Report, Stage, Status, canonical_json, digest

JOB = Job(trial=3, params={"lr": 0.1}, seed=41, budget=5)


def report(step, value):
    return Report(step=step, metrics={"val": value}, at=0.0)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_evaluation_values_are_finite(value):
    with pytest.raises(ValueError, match="finite"):
        Evaluation(job=JOB, status=Status.COMPLETE, value=value)


def test_complete_evaluations_have_values():
    with pytest.raises(ValueError, match="must have a value"):
        Evaluation(job=JOB, status=Status.COMPLETE)


def test_job_digests_cover_every_field():
    others = [
        Job(trial=4, params={"lr": 0.1}, seed=41, budget=5),
        Job(trial=3, params={"lr": 0.2}, seed=41, budget=5),
        Job(trial=3, params={"lr": 0.1}, seed=42, budget=5),
        Job(trial=3, params={"lr": 0.1}, seed=41, budget=6),
        Job(trial=3, params={"lr": 0.1}, seed=41, budget=5, fold=1),
        Job(trial=3, params={"lr": 0.1}, seed=41, budget=5, stage=Stage.PROMOTION),
        Job(trial=3, params={"lr": 0.1}, seed=41, budget=5, stream_seeds={"split": 0}),
        Job(trial=3, params={"lr": 0.1}, seed=41, budget=5, variant="replay-1"),
    ]
    assert len({JOB.digest, *(other.digest for other in others)}) == len(others) + 1


def test_variants_have_keys_and_folders():
    variants = [replace(JOB, variant=name) for name in ("", "split", "replay-1")]
    assert len({one.key for one in variants}) == len({one.folder for one in variants}) == 3
    assert JOB.folder == "search/trial-00003-seed-41-fold-0-budget-5"
    assert JOB.digest == "80be8537efe8c621ed275e1c4c21b749a3fd187aea9880a378623d61f1ab5ef7"


@given(st.dictionaries(st.text(max_size=3), st.integers() | st.floats(allow_nan=False, allow_infinity=False)))
def test_digests_ignore_key_order(values):
    assert digest(values) == digest(dict(reversed(values.items())))


def test_canonical_json_refuses_nan():
    with pytest.raises(ValueError, match="JSON"):
        canonical_json({"a": math.nan})


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=20), st.sampled_from(["maximize", "minimize"]))
def test_the_first_best_epoch_is_selected(values, direction):
    objective = Objective(metric="val", direction=direction, epoch="best")
    chosen = objective.select(tuple(report(step, value) for step, value in enumerate(values, start=1)))
    best = max(values) if direction == "maximize" else min(values)
    assert chosen.step == values.index(best) + 1


def test_the_last_epoch_can_be_selected():
    objective = Objective(metric="val", epoch="last")
    assert objective.select((report(1, 0.9), report(2, 0.1))).step == 2
