"""Values that lie in steps, as Optuna draws them in binary numbers and as people write them in decimal ones."""

from __future__ import annotations

import warnings
from decimal import Decimal

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo.study import fitted
from hpo.study.space import Choice, Float, Int


def fit(dimension, came):
    return fitted({"x": dimension}, {}, {"x": came})[0].get("x")


@pytest.mark.parametrize(
    ("came", "value"),
    [(None, "None"), ([1, 2], "(1, 2)"), ((1, 2), "(1, 2)"), ("None", "None"), ([2], None), ({}, None)],
)
def test_choices_of_code_fit(came, value):
    assert fit(Choice(["None", "(1, 2)"]), came) == value


@given(
    low=st.decimals(-1000, 1000, places=3),
    step=st.decimals("0.001", 100, places=3),
    steps=st.integers(1, 1000),
    seed=st.integers(0, 2**31),
)
def test_optuna_steps_fit_exactly(low, step, steps, seed):
    dimension = Float(low=float(low), high=float(low + steps * step), step=float(step))
    distribution = optuna.distributions.FloatDistribution(dimension.low, dimension.high, step=dimension.step)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    drawn = study.ask({"x": distribution}).params["x"]
    assert fit(dimension, drawn) == drawn


@given(index=st.integers(0, 9))
def test_decimal_and_binary_multiples_fit(index):
    dimension = Float(low=0.0, high=0.9, step=0.1)
    assert fit(dimension, float(Decimal("0.1") * index)) == float(Decimal("0.1") * index)
    assert fit(dimension, index * 0.1) == index * 0.1


@pytest.mark.parametrize(
    "came", [0.35, 0.3001, 0.30000001, -0.1, 1.0, 10**400, float("nan"), float("inf"), True, "0.3"]
)
def test_what_lies_off_the_steps_does_not(came):
    assert fit(Float(low=0.0, high=0.9, step=0.1), came) is None


@pytest.mark.parametrize("came", [10**400, -(10**400), float("nan"), float("-inf")])
def test_non_finite_values_do_not_fit(came):
    assert fit(Float(low=0.0, high=0.9), came) is None


def test_rounding_is_clipped_to_the_end():
    assert fit(Float(low=0.0, high=0.3, step=0.1), 0.1 + 0.2) == 0.3


def test_given_params_meet_ranges():
    space = {"depth": Int(1, 5), "x": Float(0.0, 1.0, when={"depth": ">= 2"})}
    assert fitted(space, {}, {"depth": 2, "x": 0.5})[1] == []
    [problem] = fitted(space, {}, {"depth": 1, "x": 0.5})[1]
    assert problem.message == "exists only where depth is '>= 2'; leave it out"
