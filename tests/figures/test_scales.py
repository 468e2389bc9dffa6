"""Scales of axes: positions, labels, far values."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo.figures.svg.scales import ChoiceScale, NumberScale, number_scale, param_scale, robust_scale
from hpo.study import space

NUMBERS = st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=40)


@given(NUMBERS)
def test_all_numbers_fit(values):
    scale = number_scale(values)
    assert all(0 < scale.place(one) < 1 for one in values)


@given(NUMBERS, st.integers(2, 8))
def test_labels_are_in_order(values, count):
    ticks = number_scale(values).ticks(count)
    assert [place for place, _ in ticks] == sorted(place for place, _ in ticks)
    assert len({text for _, text in ticks}) == len(ticks)


def test_a_log_scale_labels_decades():
    scale = param_scale(space.Float(1e-5, 1e-1, log=True))
    assert [text for _, text in scale.ticks(5)] == ["1e-05", "0.0001", "0.001", "0.01", "0.1"]
    gaps = [round(two - one, 6) for (one, _), (two, _) in zip(scale.ticks(5), scale.ticks(5)[1:], strict=False)]
    assert len(set(gaps)) == 1


def test_labels_have_needed_decimals():
    assert [text for _, text in NumberScale(low=0.919, high=0.941).ticks(6)] == [
        "0.920",
        "0.925",
        "0.930",
        "0.935",
        "0.940",
    ]
    assert "0" in [text for _, text in NumberScale(low=-1.0, high=1.0).ticks(4)]


def test_far_values_do_not_stretch():
    values = [0.90, 0.91, 0.92, 0.93, 0.94, 1e6]
    scale = robust_scale(values)
    assert scale.high < 1
    assert not scale.contains(1e6)
    assert scale.place(1e6) == 1.0


@pytest.mark.parametrize("value", [0.0, -3.0, 5e8])
def test_equal_values_have_a_scale(value):
    assert number_scale([value, value]).place(value) == pytest.approx(0.5)


def test_no_values_have_a_scale():
    assert number_scale([]).ticks(2)


def test_zero_on_a_log_scale_is_linear():
    assert not number_scale([0.0, 1.0], log=True).log
    assert math.isfinite(number_scale([0.0, 1.0], log=True).place(0.0))


def test_choices_know_false_from_zero():
    scale = ChoiceScale(values=(False, 0, "0"))
    assert [round(scale.place(one), 3) for one in (False, 0, "0")] == [0.167, 0.5, 0.833]
