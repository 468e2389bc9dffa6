"""On what trainings ran, and when that has to be said."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hpo.core.devices import describe_devices, device_of
from hpo.core.records import Evaluation, Job, Status


def ran(trial, seed, device, card=None):
    fingerprint = {"device": device, **({"gpu": card} if card else {})} if device else {}
    job = Job(trial=trial, params={}, seed=seed, budget=1)
    return Evaluation(job=job, status=Status.COMPLETE, value=1.0, step=1, fingerprint=fingerprint)


H200 = "NVIDIA H200"


def test_one_device_as_asked_is_not_worth_a_word():
    assert describe_devices([ran(0, 42, "cpu"), ran(1, 42, "cpu"), ran(2, 42, None)], 0) is None
    assert describe_devices([ran(0, 42, "cuda", H200), ran(1, 42, "cuda", H200)], 1) is None


def test_other_devices_are_named_with_their_trainings():
    said = describe_devices([ran(0, 42, "cuda", H200), ran(3, 44, "cpu"), ran(1, 42, "cuda", H200)], 1)
    assert said.endswith("cpu: trial 3 seed 44; cuda (NVIDIA H200): trial 0 seed 42, trial 1 seed 42")
    two_cards = describe_devices([ran(0, 42, "cuda", H200), ran(1, 42, "cuda", "another")], 1)
    assert "same device" in two_cards


def test_a_cpu_where_a_card_was_asked_for_is_said():
    assert (
        describe_devices([ran(0, 42, "cpu")], 0.5)
        == "the study asks for 0.5 GPU for a training, and all ran on the CPU"
    )


@pytest.mark.parametrize(("folds", "device"), [(("cpu", "cpu"), "cpu"), (("cpu", "cuda"), "mixed")])
def test_folds_say_their_devices(folds, device):
    whole = replace(ran(0, 42, None), folds=tuple(ran(0, 42, one) for one in folds))
    assert device_of(whole) == device
    assert (describe_devices([whole], 0) is None) == (device == "cpu")
    assert device_of(ran(0, 42, None)) == "-"
