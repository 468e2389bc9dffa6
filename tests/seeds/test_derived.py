"""Derived seeds are frozen, independent and cheap."""

from __future__ import annotations

import subprocess
import sys

import pytest

from hpo.seeds.derived import Purpose, derive_seed
from hpo.seeds.streams import STREAMS

FROZEN = [
    (Purpose.SAMPLER, (0,), 2198543957),
    (Purpose.SAMPLER, (3,), 2262201334),
    (Purpose.TEST, (), 2398902575),
    (Purpose.REPLICATE, (3,), 2185938273),
    (Purpose.SEARCH, (3,), 722428283),
    (Purpose.DRAW, (3,), 3546417548),
    (Purpose.DRAW, (3, STREAMS["order"]), 2409565808),
    (Purpose.FOLD, (3,), 1773490552),
    (Purpose.PARTITION, (3,), 3236371264),
    (Purpose.PRUNER, (3,), 2347965201),
]


@pytest.mark.parametrize(("purpose", "key", "seed"), FROZEN)
def test_derived_seeds_are_frozen(purpose, key, seed):
    """A changed purpose or derivation changes every result ever recorded."""
    assert derive_seed(41, purpose, *key) == seed


def test_every_purpose_is_frozen():
    assert {purpose for purpose, _, _ in FROZEN} == set(Purpose)
    assert set(Purpose).isdisjoint(STREAMS.values())


def test_trial_seeds_differ():
    seeds = [derive_seed(41, Purpose.SAMPLER, number) for number in range(1000)]
    assert len(set(seeds)) == 1000
    assert all(0 <= seed < 2**32 for seed in seeds)


def test_derive_seed_imports_no_torch():
    code = (
        "import sys; from hpo.seeds.derived import Purpose, derive_seed; derive_seed(1, Purpose.FOLD, 2); "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
