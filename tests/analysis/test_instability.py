"""Which params go with a large sigma, where some do and where none does."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

import hpo
from hpo import api
from hpo.analysis.instability import FEWEST, _line
from hpo.core.errors import NothingToPromote
from hpo.study.space import Choice, Float

PROJECT = Path(__file__).parents[1] / "project"


@pytest.fixture(scope="module")
def shaky(tmp_path_factory):
    """A study of 30 trials, all of them promoted: `shake` makes sigma, `height` the value, `colour` nothing."""
    folder = tmp_path_factory.mktemp("shaky")
    study = hpo.Study.model_validate(
        {
            "name": "shaky",
            "trainable": "toys.shaky:train",
            "objective": {"metric": "val", "direction": "maximize"},
            "space": {
                "height": {"float": [0.0, 10.0]},
                "shake": {"float": [1e-3, 1.0], "log": True},
                "colour": {"choice": ["red", "blue"]},
            },
            "search": {"trials": 30, "budget": 1, "sampler": "random", "pruner": "none"},
        }
    ).located(PROJECT)
    config = hpo.RunConfig(storage=f"sqlite:///{folder / 'hpo.db'}", outputs=folder / "outputs", backend="local")
    hpo.run(study, config)
    hpo.promote(study, config, top=30)
    return config


def test_sigma_and_value_params_differ(shaky):
    found = api.instability("shaky", shaky)
    lines = {line.name: line for line in found.lines}
    assert found.lines[0].name == "shake"
    assert lines["shake"].association > 0.6
    assert lines["shake"].steadier == "low"
    assert (lines["height"].steadier, lines["colour"].steadier) == (None, None)
    assert max(lines, key=lambda name: lines[name].for_value or 0) == "height"
    assert max(lines, key=lambda name: lines[name].for_sigma or 0) == "shake"
    assert "shake (low is steadier)" in found.says
    assert set(found.counts.values()) == {4}, "the search's seed and the promotion's three"
    assert repr(found) == f"<Instability shaky: 3 params in {len(found.sigmas)} trials>"


def test_instability_files_are_written(shaky):
    found = api.instability("shaky", shaky)
    with found.files[2].open() as file:
        assert [row["name"] for row in csv.DictReader(file)] == [line.name for line in found.lines]
    assert found.files[0].read_text().count("for sigma") > 0


@pytest.mark.slow
def test_too_few_trials_are_refused(curve, config):
    hpo.run(curve(search={"trials": 9}), config)
    hpo.promote(curve(), config, top=3)
    with pytest.raises(NothingToPromote, match=f"has 3 trials .* at least {FEWEST}"):
        api.instability("curve", config)


def test_false_positives_are_rare():
    rng, said, rounds = np.random.default_rng(1), 0, 300
    dimensions = {"a": Float(low=0, high=1), "b": Float(low=0, high=1), "c": Choice(values=("x", "y", "z"))}
    for _ in range(rounds):
        params = {n: {"a": rng.random(), "b": rng.random(), "c": str(rng.choice(["x", "y", "z"]))} for n in range(12)}
        sigmas = {n: float(np.std(rng.normal(size=3), ddof=1)) for n in range(12)}
        lines = [_line(name, one, params, sigmas, {}, {}, 3) for name, one in dimensions.items()]
        said += any(line.steadier for line in lines)
    assert said / rounds < 0.08  # 0.05 and three standard errors of 300 rounds
