"""Folds that share validation cases are reported, because they are not a cross-validation."""

from __future__ import annotations

import pytest

from hpo.core.records import Evaluation, Job, Stage, Status
from hpo.promotion.soundness import overlapping_folds
from hpo.training.predictions import Predictions


def replicate(tmp_path, parts, trial=0):
    """A complete replicate whose folds are judged on these cases."""
    folds = []
    for number, cases in enumerate(parts, 1):
        folder = tmp_path / f"trial-{trial}-fold-{number}"
        folder.mkdir()
        Predictions.of(
            truth=[0] * len(cases),
            probabilities=[[1.0, 0.0]] * len(cases),
            labels=(1, 2),
            names=("A", "B"),
            cases={"path": cases} if any(cases) else {},
        ).save(folder)
        job = Job(trial=trial, params={}, seed=42, budget=1, fold=number, stage=Stage.PROMOTION)
        folds.append(Evaluation(job=job, status=Status.COMPLETE, value=1.0, step=1, files=str(folder)))
    job = Job(trial=trial, params={}, seed=42, budget=1, stage=Stage.PROMOTION)
    return Evaluation(job=job, status=Status.COMPLETE, value=1.0, step=1, folds=tuple(folds))


def test_cases_in_two_folds_are_counted(tmp_path):
    (message,) = overlapping_folds([replicate(tmp_path, [["a", "b"], ["b", "c"]], trial=3)], 2)
    assert message.startswith(
        "The folds of trial 3 overlap: under seed 42 1 case of 3 is validated in more than one fold"
    )


@pytest.mark.parametrize(
    "parts",
    [
        [["a", "b"], ["c", "d"]],
        [["a"], ["b"], ["a"], ["b"]],
        [["same", "same"], ["same", "same"]],
        [["", ""], ["", ""]],
    ],
    ids=["divided", "two repeats", "rows that tell no cases apart", "no cases"],
)
def test_disjoint_folds_have_no_remark(tmp_path, parts):
    assert overlapping_folds([replicate(tmp_path, parts)], 2) == []
