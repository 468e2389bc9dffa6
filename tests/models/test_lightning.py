from __future__ import annotations

from pathlib import Path

import pytest
from extras import needs

import hpo
from hpo import api
from hpo.analysis.shown import replay_text
from hpo.study.loading import check

STUDY = Path(__file__).parents[2] / "studies" / "lightning-digits.toml"
pytestmark = [pytest.mark.slow, needs("lightning", "lightning")]


def test_the_study_is_valid():
    assert check(STUDY).problems == ()


def test_replays_are_bit_identical(config):
    study = hpo.load_study("lightning-digits", [STUDY.parent])
    hpo.run(study, config, trials=1)
    found = api.replay(study, config, trial=0)
    assert "bit-identical 3 of 3" in replay_text(found)


def test_resumed_is_bit_identical(trained):
    path = "models.lightning_digits:train"
    whole = trained(path, {}, budget=2)
    assert whole.error is None
    assert whole.predictions.labels == tuple(range(10))
    assert trained(path, {}, budget=2, killed_in=2).digests == whole.digests


@pytest.mark.parametrize("stream", ["split", "init", "order", "dropout"])
def test_each_used_stream_matters(trained, stream):
    path = "models.lightning_digits:train"
    plain, varied = (trained(path, {}, streams=streams) for streams in ({}, {stream: 43}))
    assert plain.digests["weights"] != varied.digests["weights"]
