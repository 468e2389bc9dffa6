"""Total effects against analytic functions, scipy and simulations."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from hpo.stats.variance import effects_of, total_variance, variance_interval


def additive(x_ND):
    return 2 * x_ND[:, 0] + x_ND[:, 1] + 0 * x_ND[:, 2]


def product(x_ND):
    return x_ND[:, 0] * x_ND[:, 1] + 0.5 * x_ND[:, 2]


def ishigami(x_ND, a=7.0, b=0.1):
    """A function of three uniform numbers between -pi and pi, here made from normal ones."""
    one, two, three = (math.pi * (2 * stats.norm.cdf(x_ND)) - math.pi).T
    return np.sin(one) + a * np.sin(two) ** 2 + b * three**4 * np.sin(one)


def ishigami_totals(a=7.0, b=0.1):
    """Source: Ishigami and Homma, 1990; Saltelli et al., "Global Sensitivity Analysis", 2008."""
    first = (1 + b * math.pi**4 / 5) ** 2 / 2
    second = a**2 / 8
    both = b**2 * math.pi**8 * (1 / 18 - 1 / 50)
    variance = first + second + both
    return [(first + both) / variance, second / variance, both / variance], variance


KNOWN = [
    (additive, [0.8, 0.2, 0.0], 5.0),
    (product, [0.8, 0.8, 0.2], 1.25),
    (ishigami, *ishigami_totals()),
]


def drawn(function, count, draw):
    """Returns the function at base draws, and at each with one number redrawn."""
    base_ND = draw.standard_normal((count, 3))
    redrawn = {}
    for column in range(3):
        other_ND = base_ND.copy()
        other_ND[:, column] = draw.standard_normal(count)
        redrawn["abc"[column]] = list(function(other_ND))
    return list(function(base_ND)), redrawn


@pytest.mark.parametrize(("function", "shares", "variance"), KNOWN, ids=["additive", "product", "ishigami"])
def test_total_effects_match_analytic(function, shares, variance):
    found = effects_of(*drawn(function, 100_000, np.random.default_rng(1)))
    assert found.sd**2 == pytest.approx(variance, rel=0.03)
    by_source = {effect.source: effect for effect in found.effects}
    assert [by_source[name].share for name in "abc"] == pytest.approx(shares, abs=0.02)
    assert [by_source[name].sd for name in "abc"] == pytest.approx([math.sqrt(s * variance) for s in shares], rel=0.03)
    assert found.total == pytest.approx(sum(shares), abs=0.04)
    assert found.interact is (sum(shares) > 1.01)


@pytest.mark.slow
@pytest.mark.parametrize(("function", "shares", "variance"), KNOWN, ids=["additive", "product", "ishigami"])
def test_ten_draws_are_unbiased(function, shares, variance):
    draw = np.random.default_rng(2)
    totals = np.array(
        [
            [total_variance(base, redrawn[name]) for name in "abc"]
            for base, redrawn in (drawn(function, 10, draw) for _ in range(4000))
        ]
    )
    error = totals.std(axis=0) / math.sqrt(len(totals))
    assert np.all(np.abs(totals.mean(axis=0) - np.array(shares) * variance) <= 4 * error + 1e-12)


def test_interval_of_equal_differences():
    base, redrawn = [0.0] * 10, [0.2, -0.2] * 5
    low, high = variance_interval(base, redrawn)
    assert low == pytest.approx(10 * 0.02 / stats.chi2.ppf(0.975, 10))
    assert high == pytest.approx(10 * 0.02 / stats.chi2.ppf(0.025, 10))


def test_interval_has_satterthwaite_freedom():
    base, redrawn = [0.0] * 4, [2.0, 0.0, 0.0, 0.0]
    halves = np.array([2.0, 0.0, 0.0, 0.0])
    freedom = 2 * 4 * halves.mean() ** 2 / halves.var(ddof=1)
    assert freedom == pytest.approx(2.0)
    assert variance_interval(base, redrawn) == pytest.approx(
        (freedom * 0.5 / stats.chi2.ppf(0.975, freedom), freedom * 0.5 / stats.chi2.ppf(0.025, freedom))
    )


@pytest.mark.parametrize(
    ("function", "least", "most"), [(additive, 0.93, 0.97), (product, 0.78, 0.87)], ids=["additive", "product"]
)
def test_interval_has_its_coverage(function, least, most):
    """At n = 10, for the first source: 95 % for additive sources, 82 % for products."""
    draw, hit = np.random.default_rng(3), []
    truth = {additive: 4.0, product: 1.0}[function]
    for _ in range(3000):
        base, redrawn = drawn(function, 10, draw)
        low, high = variance_interval(base, redrawn["a"])
        hit.append(low <= truth <= high)
    assert least < np.mean(hit) < most


def test_interactions_are_detected():
    draw = np.random.default_rng(4)
    false = np.mean([effects_of(*drawn(additive, 10, draw)).interact for _ in range(1500)])
    right = np.mean([effects_of(*drawn(product, 20, draw)).interact for _ in range(500)])
    assert false < 0.08
    assert right > 0.4


def test_a_leader_is_detected():
    draw = np.random.default_rng(5)
    alike = [effects_of(*drawn(lambda x_ND: x_ND[:, 0] + x_ND[:, 1], 10, draw)).leader for _ in range(1500)]
    ahead = [effects_of(*drawn(lambda x_ND: 4 * x_ND[:, 0] + x_ND[:, 1], 10, draw)).leader for _ in range(300)]
    assert np.mean([leader is not None for leader in alike]) < 0.12  # the larger one is chosen, so nearly twice 5 %
    assert np.mean([leader == "a" for leader in ahead]) > 0.8
    assert set(ahead) <= {"a", None}


def test_unused_sources_have_no_effect():
    found = effects_of([1.0, 2.0, 4.0], {"a": [2.0, 1.0, 3.0], "b": [1.0, 2.0, 4.0]})
    assert [(one.source, one.sd > 0, one.interval is None) for one in found.effects] == [
        ("a", True, False),
        ("b", False, True),
    ]
    assert (found.effects[1].sd, found.effects[1].share) == (0.0, 0.0)
    assert found.leader == "a"


def test_a_constant_result_has_no_shares():
    found = effects_of([1.0, 1.0], {"a": [1.0, 1.0]})
    assert (found.sd, found.total, found.interact, found.leader) == (0.0, None, False, None)
    assert found.effects[0].share is None


def test_missing_draws_only_drop_their_pairs():
    found = effects_of([1.0, None, 4.0, 6.0], {"a": [2.0, 3.0, None, 7.0], "b": [1.0, 3.0, 5.0, 7.0]})
    assert {one.source: one.pairs for one in found.effects} == {"a": 2, "b": 3}
    assert (found.count, found.mean) == (3, pytest.approx(11 / 3))
    assert {one.source: one.sd**2 for one in found.effects} == pytest.approx({"a": 0.5, "b": 1 / 3})
    few = effects_of([1.0, None, 4.0], {"a": [2.0, 3.0, None]})
    assert few.effects == ()
    assert effects_of([1.0, None], {"a": [1.0, 2.0]}) is None
