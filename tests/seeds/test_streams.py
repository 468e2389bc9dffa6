from __future__ import annotations

import pickle
import random

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hpo.core.errors import UsageError
from hpo.seeds.streams import STREAMS, Stream, Streams

SEEDS = st.integers(0, 2**63 - 1)
NAMES = st.sampled_from(sorted(STREAMS))


def test_stream_numbers_are_frozen():
    """Changing an id or the derivation changes every result ever recorded."""
    numbers = [getattr(Streams(42), name).number(1) for name in STREAMS]
    assert numbers == [
        7422613421657284087,
        3695065302830793922,
        6300330817192862452,
        5666862495670300414,
        3890865022427876765,
    ]


@given(NAMES, SEEDS, st.lists(st.integers(0, 2**32 - 1), max_size=2))
def test_streams_survive_pickling(name, seed, key):
    stream = Stream(name, seed)
    again = pickle.loads(pickle.dumps(stream))
    assert again.numpy(*key).random(3).tolist() == stream.numpy(*key).random(3).tolist()
    assert torch.equal(torch.rand(3, generator=again.torch(*key)), torch.rand(3, generator=stream.torch(*key)))


def test_stream_numbers_are_distinct():
    numbers = {
        getattr(Streams(seed), name).number(epoch) for seed in range(30, 60) for name in STREAMS for epoch in range(20)
    }
    assert len(numbers) == 30 * len(STREAMS) * 20


def test_neighboring_seeds_are_uncorrelated():
    drawn = [Streams(seed).order.numpy(1).normal(size=50_000) for seed in (42, 43, 44)]
    correlations = np.corrcoef(drawn)[np.triu_indices(3, 1)]
    assert np.abs(correlations).max() < 3 / np.sqrt(50_000)


def test_one_stream_can_be_overridden():
    plain, changed = Streams(42), Streams(42, {"split": 7})
    differ = [name for name in STREAMS if getattr(plain, name).number() != getattr(changed, name).number()]
    assert differ == ["split"]
    assert changed.split.number() == Streams(7).split.number()


def test_unknown_streams_list_the_known():
    with pytest.raises(UsageError, match=r"'ordre'.*split, init, order.*Did you mean order"):
        Streams(42, {"ordre": 1})


def test_as_global_restores_generators():
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    torch.manual_seed(1)
    expected = (random.random(), np.random.rand(), torch.rand(1).item())  # noqa: NPY002
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    torch.manual_seed(1)
    with Streams(42).init.as_global():
        inside = torch.rand(1).item()
    assert (random.random(), np.random.rand(), torch.rand(1).item()) == expected  # noqa: NPY002
    with Streams(42).init.as_global():
        assert torch.rand(1).item() == inside
