"""What a study file may say of samplers, pruners and the lag, and what is wrong with it."""

from __future__ import annotations

import copy
import re

import pytest

from hpo.study import parse

BASE = {
    "name": "curve",
    "trainable": "toys.curve:train",
    "objective": {"metric": "val"},
    "space": {"x": {"float": [0.0, 1.0]}, "k": {"int": [1, 5]}},
    "search": {"budget": 5},
}


def problems(search, **tables):
    content = copy.deepcopy(BASE) | tables
    content["search"] |= search
    study, found = parse(content)
    assert (study is None) == bool(found)
    return {problem.key: problem.message for problem in found}


WRONG = [
    (
        {"sampler": "tpe", "sampler_options": {"n_startup_trails": 3}},
        "search.sampler_options.n_startup_trails",
        r"no such key \(keys: n_startup_trials, .*\)\. Did you mean n_startup_trials\?",
    ),
    ({"sampler_options": {"seed": 3}}, "search.sampler_options.seed", "no such key"),
    (
        {"sampler": "random", "sampler_options": {"seed": 3}},
        "search.sampler_options.seed",
        r"no such key \(it takes none\)",
    ),
    (
        {"sampler_options": {"n_startup_trials": 3.5}},
        "search.sampler_options.n_startup_trials",
        r"expected a whole number, got 3\.5",
    ),
    (
        {"sampler_options": {"n_startup_trials": -1}},
        "search.sampler_options.n_startup_trials",
        "expected at least 0, got -1",
    ),
    (
        {"sampler": "tpe", "sampler_options": {"group": True, "multivariate": False}},
        "search.sampler_options",
        "group needs multivariate",
    ),
    (
        {"sampler_options": {"multivariate": True}},
        "search.sampler_options.multivariate",
        "no such option of 'tpe.gp', the default sampler; sampler = .tpe. has it",
    ),
    ({"sampler_options": 3}, "search.sampler_options", "expected a table, got 3"),
    (
        {"sampler": "qmc", "sampler_options": {"qmc_type": "sobel"}},
        "search.sampler_options.qmc_type",
        r"expected 'sobol' or 'halton', got 'sobel'\. Did you mean sobol\?",
    ),
    (
        {"sampler": "cmaes", "sampler_options": {"lr_adapt": True, "with_margin": True}},
        "search.sampler_options",
        "with_margin and lr_adapt exclude each other",
    ),
    ({"pruner": "percentile"}, "search.pruner_options.percentile", "is missing"),
    (
        {"pruner": "percentile", "pruner_options": {"percentile": 101}},
        "search.pruner_options.percentile",
        r"expected at most 100\S*, got 101",
    ),
    (
        {"pruner": "hyperband", "pruner_options": {"max_resource": "auto"}},
        "search.pruner_options.max_resource",
        "auto depends on which trial ends first; leave it out",
    ),
    (
        {"pruner": "successive-halving", "pruner_options": {"min_resource": "auto"}},
        "search.pruner_options.min_resource",
        "auto depends on which trial ends first; leave it out",
    ),
    ({"pruner": "threshold"}, "search.pruner_options", "threshold needs lower, upper or both"),
    ({"pruner": "patient"}, "search.pruner_options.patience", "is missing"),
    (
        {"pruner": "patient", "pruner_options": {"patience": 2, "wrapped": "patient"}},
        "search.pruner_options.wrapped",
        "expected 'none', 'median'",
    ),
    (
        {"pruner": "patient", "pruner_options": {"patience": 2, "wrapped": "percentile"}},
        "search.pruner_options.wrapped_options.percentile",
        "is missing",
    ),
    ({"sampler": "grid"}, "space.x", "a grid needs countable values: give the float a step"),
    ({"until": "0.9"}, "search.until", "expected a number, got '0.9'"),
    ({"patience": 0}, "search.patience", "expected at least 1, got 0"),
]


@pytest.mark.parametrize(("search", "key", "message"), WRONG, ids=[f"{key}-{n}" for n, (_, key, _) in enumerate(WRONG)])
def test_every_problem_is_told_at_its_key(search, key, message):
    found = problems(search)
    assert list(found) == [key]
    assert re.search(message, found[key]), found[key]


def test_all_option_problems_are_listed():
    found = problems({"sampler_options": {"a": 1, "n_ei_candidates": 0}, "pruner_options": {"b": 2}})
    assert sorted(found) == [
        "search.pruner_options.b",
        "search.sampler_options.a",
        "search.sampler_options.n_ei_candidates",
    ]


@pytest.mark.parametrize("wide", [{"int": [1, 2**53], "log": True}, {"float": [0.0, 1e6], "step": 0.1}])
def test_gp_limits_listed_values(wide):
    assert problems({"sampler": "gp"}, space={"x": wide})["space.x"].endswith("or sampler 'tpe' or 'tpe+gp'")
    assert problems({"sampler": "tpe"}, space={"x": wide}) == {}


def test_grid_limits():
    space = {"a": {"int": [1, 1000]}, "b": {"int": [1, 1000]}, "c": {"int": [1, 2], "when": {"a": 1}}}
    found = problems({"sampler": "grid"}, space=space)
    assert found["space.c.when"].startswith("a grid does not support conditions")
    assert found["search.sampler"] == "the grid has 2000000 points; at most 100000 are allowed"


def test_a_margin_takes_no_conditions():
    """Optuna keeps what it tells such an optimizer by trial, and fails when the params become fewer."""
    space = {"k": {"int": [1, 5]}, "x": {"float": [0.0, 1.0], "when": {"k": 1}}}
    found = problems({"sampler": "cmaes", "sampler_options": {"with_margin": True}}, space=space)
    assert list(found) == ["search.sampler_options.with_margin"]


def test_default_option_is_same_study(curve):
    plain = curve(search={"sampler": "tpe"})
    options = {"sampler_options": {"n_startup_trials": 10}, "pruner_options": {"n_startup_trials": 5}}
    said = curve(search={"sampler": "tpe", **options})
    assert said.identity() == plain.identity()
    other = curve(search={"sampler": "tpe", "sampler_options": {"n_startup_trials": 11}})
    assert other.identity()["search.sampler_options.n_startup_trials"] == "11"
    assert other.identity() != plain.identity()


def test_lag_follows_from_slots(curve):
    bare = {"search": {"lag": None}}
    assert curve(**bare).lag == 2
    assert curve(**bare, resources={"slots": 3}).lag == 3
    assert curve(search={"lag": 5}, resources={"slots": 3}).lag == 5
    assert curve(search={"lag": False}, resources={"slots": 3}).lag is False
    assert curve(**bare, resources={"slots": 3}).content()["search"]["lag"] == 3
    assert curve(**bare, resources={"slots": 3}).identity()["search.lag"] == "3"
    assert curve(**bare, resources={"slots": 3}).identity() == curve(search={"lag": 3}).identity()


def test_missing_cmaes_says_how_to_install(curve, config, monkeypatch):
    import hpo
    from hpo.core.errors import UsageError
    from hpo.study import options

    monkeypatch.setattr(options, "find_spec", lambda _name: None)  # as on a machine without the extra
    with pytest.raises(UsageError, match=r"needs the package cmaes; install it with: pip install .*\[cmaes\]"):
        hpo.run(curve(search={"sampler": "cmaes"}), config)
    assert not config.outputs.exists()
