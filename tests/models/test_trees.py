"""A trainable without epochs, whose libraries draw from a seed of their own."""

from __future__ import annotations

import json
from concurrent.futures import ProcessPoolExecutor
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path

import pytest

import hpo
from hpo import api
from hpo.core.errors import UsageError
from hpo.seeds.streams import Streams
from hpo.study.loading import read
from models.trees import check_values

ROOT = Path(__file__).parents[2]
OWN = ["forest", "boosting"]
KINDS = [
    *OWN,
    *(
        pytest.param(kind, marks=pytest.mark.skipif(find_spec(kind) is None, reason=f"{kind} is not installed"))
        for kind in ("lightgbm", "xgboost")
    ),
]


def study(kind, **tables):
    content = read(ROOT / "studies" / "sklearn-trees.toml").study.content()
    content["space"] = {"depth": {"int": [3, 6]}}
    content["fixed"] = {"kind": kind, "trees": 12}
    return hpo.Study.model_validate(content | tables).located(ROOT)


def promoted_digests(kind, threads, config):
    """Returns, by seed, the digest of the predictions of trial 0, which `hpo verify` found identical."""
    made = study(kind, resources={"cpu": threads})
    hpo.run(made, config, trials=1)
    hpo.promote(made, config, top=1)
    assert all(one.is_identical for one in api.verify(made, config, trial=0))
    return {one.job.seed: one.digests["predictions"] for one in api.show(made.name, 0, config)[1]}


@pytest.mark.slow  # two threads of OpenMP wait for each other, busily, where other tests use the cores
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_the_seed_determines_the_result(config, kind, threads):
    """In a process of its own: TensorFlow, once another test has used it, refuses other numbers of threads."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        digests = process.submit(promoted_digests, kind, threads, config).result()
    assert len(digests) == len(set(digests.values())) == 4


@pytest.mark.parametrize("kind", KINDS)
def test_versions_are_in_the_fingerprint(config, kind):
    hpo.run(study(kind), config, trials=1)
    [evaluation] = api.show("sklearn-trees", 0, config)[1]
    versions = evaluation.fingerprint["packages"]
    assert all(versions[name] for name in {"scikit-learn", kind} - set(OWN))


@pytest.mark.slow
def test_the_study_runs_to_its_results(config):
    made = read(ROOT / "studies" / "sklearn-trees.toml").study
    hpo.run(made, config, trials=4)
    outcome = hpo.promote(made, config, top=2)
    for folder in outcome.results:
        assert json.loads((folder / "summary.json").read_text())["seed"] in (42, 43, 44)
        assert len((folder / "val_predictions.csv").read_text().splitlines()) == 1 + 1348
        assert not (folder / "best_model.pt").exists()


def test_missing_packages_are_refused(monkeypatch):
    monkeypatch.setattr("models.trees.find_spec", lambda _: None)
    check_values({"kind": ("forest", "boosting")})
    with pytest.raises(UsageError, match=r"kind 'lightgbm' needs a package .*: pip install .*\[boosting\]"):
        check_values({"kind": ("forest", "lightgbm")})


def test_random_states_fit_every_library():
    states = [Streams(seed).init.random_state() for seed in range(2000)]
    assert len(set(states)) == 2000
    assert 0 <= min(states) < max(states) < 2**31
    assert Streams(1).init.random_state() == Streams(1).init.random_state() != Streams(1).init.random_state(1)
