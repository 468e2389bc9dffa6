"""The example studies of Lightning and Transformers: the trainers' own loops, with the bits of one seed."""

from __future__ import annotations

from pathlib import Path

import pytest
from extras import needs

import hpo
from hpo import api
from hpo.analysis.shown import replay_text
from hpo.study.loading import check

STUDIES = Path(__file__).parents[2] / "studies"
TRAINERS = [
    pytest.param("lightning-digits", marks=needs("lightning", "lightning")),
    pytest.param("bert-digits", marks=needs("transformers", "transformers")),
]
pytestmark = [pytest.mark.slow, pytest.mark.parametrize("name", TRAINERS)]


def path_of(name):
    return check(STUDIES / f"{name}.toml").study.trainable


def test_the_study_is_valid(name):
    assert check(STUDIES / f"{name}.toml").problems == ()


def test_replays_are_bit_identical(name, config):
    study = hpo.load_study(name, [STUDIES])
    hpo.run(study, config, trials=1)
    found = api.replay(study, config, trial=0)
    assert "bit-identical 3 of 3" in replay_text(found)


def test_resumed_is_bit_identical(name, trained):
    path = path_of(name)
    whole = trained(path, {}, budget=2)
    assert whole.error is None
    assert whole.predictions.labels == tuple(range(10))
    assert trained(path, {}, budget=2, killed_in=2).digests == whole.digests


@pytest.mark.parametrize("stream", ["split", "init", "order", "dropout"])
def test_each_used_stream_matters(name, trained, stream):
    plain, varied = (trained(path_of(name), {}, streams=streams) for streams in ({}, {stream: 43}))
    assert plain.digests["weights"] != varied.digests["weights"]
