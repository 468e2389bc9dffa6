"""The comparison of searches that start from old studies: its tables, and one repetition of it whole."""

from __future__ import annotations

import numpy as np
import pytest

from tests.bench.selection.transfer import changed, repetition, summary


def test_relabeled_permutes_each_param():
    whole, other = changed("drawn unstable"), changed("drawn unstable relabeled")
    shape = [len(values) for values in whole.space.values()]
    assert not np.array_equal(whole.scores, other.scores)
    for axis in range(len(shape)):
        rest = tuple(one for one in range(len(shape)) if one != axis)
        means = [table.scores.mean(axis=1).reshape(shape).mean(axis=rest) for table in (whole, other)]
        assert np.sort(means[1]) == pytest.approx(np.sort(means[0]))


@pytest.mark.slow
def test_repetition_is_reproducible():
    first, again = (repetition("drawn unstable", "drawn unstable", 0) for _ in range(2))
    assert first == again
    assert first["agreement"] > 0
    [line] = summary([first])
    assert line[:2] == ["drawn unstable -> drawn unstable", "1"]
