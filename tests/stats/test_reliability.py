"""The reliability of sigma, against simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo.stats.confidence import certainty
from hpo.stats.ranking import Candidate, rank
from hpo.stats.reliability import SIGMA_SPREAD, log_sigma_error, shrunken_sigmas, sigma_reliability
from hpo.stats.scoring import Rule


@pytest.mark.parametrize("count", [2, 3, 4, 8, 12])
def test_log_sigma_error_is_simulated(count):
    drawn = np.random.default_rng(1).normal(size=(100_000, count)).std(axis=1, ddof=1)
    assert np.log(drawn).std() == pytest.approx(log_sigma_error(count), rel=0.02)


@pytest.mark.parametrize("count", [3, 8])
def test_reliability_is_the_slope(count):
    """What a regression of the true log sigma on the seen one finds."""
    draw = np.random.default_rng(2)
    true_C = np.exp(SIGMA_SPREAD * draw.standard_normal(100_000))
    seen_C = (true_C[:, None] * draw.standard_normal((len(true_C), count))).std(axis=1)
    slope, _ = np.polyfit(np.log(seen_C), np.log(true_C), 1)
    assert slope == pytest.approx(sigma_reliability(count), abs=0.01)


@given(st.lists(st.floats(1e-6, 1e6), min_size=2, max_size=9), st.integers(2, 40))
def test_shrinking_keeps_order_and_center(sigmas, count):
    found = shrunken_sigmas(sigmas, count)
    assert np.log(found).mean() == pytest.approx(np.log(sigmas).mean(), abs=1e-9)
    assert np.ptp(np.log(found)) == pytest.approx(sigma_reliability(count) * np.ptp(np.log(sigmas)), abs=1e-9)
    assert all(a <= b * (1 + 1e-12) for a, b in zip(sorted(found), np.array(found)[np.argsort(sigmas)], strict=True))


@pytest.mark.parametrize("sigmas", [[], [0.1], [0.1, 0.0]])
def test_nothing_to_shrink(sigmas):
    assert shrunken_sigmas(sigmas, 3) is None


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_a_lucky_sigma_changes_the_winner(direction):
    """Trial 0 is ahead by its small sigma alone; most of that is chance."""
    sign = 1 if direction == "maximize" else -1
    tables = [[0.70, 0.701, 0.702], [0.69, 0.72, 0.75]]
    candidates = [
        Candidate(trial=trial, values={seed: sign * value for seed, value in zip((42, 43, 44), values, strict=True)})
        for trial, values in enumerate(tables)
    ]
    sure = certainty(rank(candidates, (42, 43, 44), Rule(), direction), [41])
    assert (sure.winners["as it is"], sure.winners["shrunken sigma"]) == (0, 1)
    expected = shrunken_sigmas([float(np.std(values)) for values in tables], 3)
    assert [sure.shrunken[0], sure.shrunken[1]] == pytest.approx(expected)
