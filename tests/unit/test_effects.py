"""What each source of randomness does, against functions whose effects are known."""

from __future__ import annotations

import numpy as np
import pytest

from hpo.effects import total_effects, whole_variance


def drawn(function, count, seed):
    """Draws all sources, then each anew."""
    draw = np.random.default_rng(seed)
    base_DS, other_DS = draw.normal(size=(count, 3)), draw.normal(size=(count, 3))
    redrawn = {}
    for place, name in enumerate("abc"):
        changed = base_DS.copy()
        changed[:, place] = other_DS[:, place]
        redrawn[name] = function(changed)
    return function(base_DS), redrawn


def additive(x_DS):
    return 3 * x_DS[:, 0] + 1 * x_DS[:, 1]


def product(x_DS):
    return x_DS[:, 0] * x_DS[:, 1]


def test_the_effects_of_a_sum_are_its_parts_and_add_to_one():
    found = {effect.source: effect for effect in total_effects(*drawn(additive, 20_000, 1))}
    assert list(found) == ["a", "b", "c"]  # the largest first
    assert found["a"].total == pytest.approx(0.9, abs=0.02)
    assert found["b"].total == pytest.approx(0.1, abs=0.02)
    assert found["a"].deviation == pytest.approx(3, abs=0.05)
    assert (found["c"].total, found["c"].deviation) == (0, 0)


def test_the_effects_of_a_product_of_centred_sources_are_all_of_it_each():
    """Var(xy | y) = y^2, so each total effect is 1: shares would add to two."""
    found = {effect.source: effect.total for effect in total_effects(*drawn(product, 40_000, 2))}
    assert found["a"] == pytest.approx(1, abs=0.05)
    assert found["b"] == pytest.approx(1, abs=0.05)


def test_the_interval_covers_what_it_says_with_ten_normal_draws():
    hits = []
    for seed in range(2000):
        [first, *_] = total_effects(*drawn(additive, 10, seed))
        hits.append(first.interval[0] <= 3 <= first.interval[1])
    assert np.mean(hits) == pytest.approx(0.95, abs=0.015)


def test_the_whole_variance_is_that_of_the_base_where_nothing_was_redrawn():
    base, _ = drawn(additive, 12, 3)
    assert whole_variance(base, {}) == pytest.approx(np.var(base, ddof=1))


def test_the_whole_variance_is_right_on_average_and_steadier_than_the_base_s():
    both = []
    for seed in range(3000):
        base, redrawn = drawn(product, 6, seed)
        both.append((whole_variance(base, redrawn), np.var(base, ddof=1)))
    ours, theirs = np.array(both).T
    assert ours.mean() == pytest.approx(1, abs=0.05)
    assert ours.std() < 0.9 * theirs.std()


@pytest.mark.parametrize(("base", "redrawn"), [([1.0], {"a": [1.0]}), ([1.0, 2.0], {"a": [1.0]})])
def test_too_few_draws_are_refused(base, redrawn):
    with pytest.raises(ValueError, match="two draws"):
        total_effects(base, redrawn)


def test_where_nothing_varies_there_are_no_shares():
    [effect] = total_effects([0.5, 0.5, 0.5], {"a": [0.5, 0.5, 0.5]})
    assert effect.total is None
    assert effect.deviation == 0
