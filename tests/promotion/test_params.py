"""The params of a promotion's candidates."""

from __future__ import annotations

from hpo.core.formatting import distinct
from hpo.core.records import Evaluation, Job, Stage, Status
from hpo.promotion.params import CandidateParams, candidate_params

SPACE = ("lr", "optimizer", "momentum", "batch")
FIRST = {"lr": 0.01, "optimizer": "sgd", "momentum": 0.9, "batch": 16}
SECOND = {"lr": 0.02, "optimizer": "adamw", "batch": 16}


def test_params_that_differ_are_named():
    found = CandidateParams(names=SPACE, by_trial={4: FIRST, 1: SECOND})
    assert found.differing == ("lr", "optimizer", "momentum")
    assert found.shared == {"batch": 16}


def test_a_conditional_param_differs():
    found = CandidateParams(names=SPACE, by_trial={1: SECOND, 4: {**SECOND, "momentum": 0.9}})
    assert found.differing == ("momentum",)
    assert found.texts("momentum") == {1: "-", 4: "0.9"}


def test_one_candidate_differs_in_nothing():
    found = CandidateParams(names=SPACE, by_trial={4: FIRST})
    assert found.differing == ()
    assert found.of(4) == found.shared == FIRST


def test_unknown_candidate_has_no_params():
    assert CandidateParams(names=SPACE, by_trial={4: FIRST}).of(7) == {}
    assert CandidateParams().of(None) == CandidateParams().shared == {}


def test_params_come_from_the_trainings():
    job = Job(trial=4, params={"batch": 16, "lr": 0.01, "old": 1}, seed=42, budget=1, stage=Stage.PROMOTION)
    training = Evaluation(job=job, status=Status.COMPLETE, value=1.0)
    found = candidate_params([4, 7], SPACE, [training])
    assert list(found.of(4)) == ["lr", "batch", "old"], "in the order of the space, others behind"
    assert 7 not in found.by_trial


def test_texts_tell_values_apart():
    assert distinct([0.01, 0.02, None]) == ["0.01", "0.02", "-"]
    assert distinct([0.012345, 0.012346]) == ["0.012345", "0.012346"]
    assert distinct([0.1 + 0.2, 0.3, "adam", 16]) == ["0.30000000000000004", "0.29999999999999999", "adam", "16"]
    assert distinct([0.5, 0.5]) == ["0.5", "0.5"]
