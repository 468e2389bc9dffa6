"""The devices of trainings, and when they are reported."""

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


def test_one_device_gives_no_sentence():
    assert describe_devices([ran(0, 42, "cpu"), ran(1, 42, "cpu"), ran(2, 42, None)], 0) is None
    assert describe_devices([ran(0, 42, "cuda", H200), ran(1, 42, "cuda", H200)], 1) is None


def test_different_devices_are_listed():
    said = describe_devices([ran(0, 42, "cuda", H200), ran(3, 44, "cpu"), ran(1, 42, "cuda", H200)], 1)
    assert said.endswith("cpu: trial 3 seed 44; cuda (NVIDIA H200): trial 0 seed 42, trial 1 seed 42")
    two_cards = describe_devices([ran(0, 42, "cuda", H200), ran(1, 42, "cuda", "another")], 1)
    assert "same device" in two_cards


def test_cpu_instead_of_gpu_is_reported():
    assert (
        describe_devices([ran(0, 42, "cpu")], 0.5) == "the study requests 0.5 GPU per training, but all ran on the CPU"
    )


@pytest.mark.parametrize(("folds", "device"), [(("cpu", "cpu"), "cpu"), (("cpu", "cuda"), "mixed")])
def test_folds_have_their_devices(folds, device):
    whole = replace(ran(0, 42, None), folds=tuple(ran(0, 42, one) for one in folds))
    assert device_of(whole) == device
    assert (describe_devices([whole], 0) is None) == (device == "cpu")
    assert device_of(ran(0, 42, None)) == "-"
