"""A search that starts from old studies: what it reads of them, and what it makes of that."""

from __future__ import annotations

import json
import shutil
from contextlib import nullcontext

import numpy as np
import optuna
import pytest
from optuna.storages import InMemoryStorage
from typer.testing import CliRunner

import hpo
from hpo import api
from hpo.cli.main import app
from hpo.core.errors import StudyChanged, UsageError
from hpo.core.protocols import DONE
from hpo.core.records import Evaluation, Report, Status
from hpo.search.gaussian import Process
from hpo.search.prior import _held, prior_of
from hpo.search.proposals import distributions
from hpo.search.source import SearchSource
from hpo.search.transfer import Transfer
from hpo.search.units import UnitSpace
from hpo.store.optuna_storage.studies import DurableStudy
from hpo.study.prior import Prior, PriorConfiguration, PriorStudy
from tests.conftest import local_config

SPACE = {"x": {"float": [0.0, 1.0]}, "k": {"int": [1, 8]}, "c": {"choice": ["a", "b", "z"]}}
DRAW = np.random.default_rng(3)
DRAWN = [
    {"x": float(DRAW.random()), "k": int(DRAW.integers(1, 9)), "c": "abz"[int(DRAW.integers(3))]} for _ in range(30)
]


def bowl(params):
    return -((params["x"] - 0.8) ** 2) - 0.02 * abs(params["k"] - 6) - 0.2 * (params["c"] != "b")


def noise(params):
    return float(np.random.default_rng(int(1e6 * params["x"])).normal())


def prior(value, configurations=DRAWN, params=("c", "k", "x")):
    found = tuple(
        PriorConfiguration(params={name: one[name] for name in params}, values=(value(one),)) for one in configurations
    )
    old = PriorStudy(
        study="old", uid="1", metric="m", direction="maximize", params=params, left_out={}, configurations=found
    )
    return Prior(studies=(old,))


def searched(known, trials):
    """Searches the bowl in memory, one trial after the other, and returns the trials and what was made of the prior."""
    search = {"budget": 1, "trials": trials, "lag": 1, "pruner": "none", "prior": ["old"]}
    study = hpo.Study(name="new", trainable="none:none", objective=hpo.maximize("m"), space=SPACE, search=search)
    storage = InMemoryStorage()
    optuna.create_study(study_name="new", storage=storage, direction="maximize")
    durable = DurableStudy(storage, "new", nullcontext)
    durable.keep_prior(known)
    source = SearchSource(study, durable)
    while (job := source.ask()) is not DONE:
        value = bowl(job.params)
        report = Report(step=1, metrics={"m": value}, at=0.0)
        source.tell(Evaluation(job=job, status=Status.COMPLETE, value=value, step=1, reports=(report,)))
    return source.trials(), durable.prior_use


def test_stored_prior_is_the_same():
    known = prior(bowl)
    assert Prior.of(json.loads(json.dumps(known.stored()))) == known


def test_begins_near_the_old_best():
    trials, use = searched(prior(bowl), 5)
    assert bowl(trials[0].params) > -0.05  # of 30 old ones, the median has -0.35
    assert max(bowl(one.params) for one in trials) > -0.02
    assert use.agreement["old"] > 0.4


def test_disagreement_is_refused():
    _, use = searched(prior(noise), 14)
    assert use.agreement == {"old": 0.0}
    assert "do not agree" in str(use)


def test_transfers_without_a_param():
    trials, _ = searched(prior(bowl, params=("c", "x")), 5)
    assert trials[0].params["c"] == "b"
    assert abs(trials[0].params["x"] - 0.8) < 0.2
    assert {one.params["k"] for one in trials} != {trials[0].params["k"]}


def test_prior_slope_matches_prior():
    space = distributions(hpo.Study(name="n", trainable="a:b", objective=hpo.maximize("m"), space=SPACE).space)
    transfer, trials = Transfer(prior(bowl), dict(sorted(space.items()))), DRAWN[:6]
    form = UnitSpace(transfer.space, [])
    points = form.points(form.units(trials))
    mean = transfer.mean(form, points, [0.7])
    assert mean.at(points).mean() == pytest.approx(0.0, abs=1e-9)
    near, step = points.copy(), 1e-6
    near[2, :, 0] += step  # x
    assert mean.slope(points)[2] == pytest.approx((mean.at(near) - mean.at(points)) / step, rel=1e-3, abs=1e-4)
    values = np.linspace(-1, 1, 6) - mean.at(points)
    process = Process.of(points, values, np.full(3, 0.5), 1.0, 1e-6)
    replaced = Process(**{**vars(process), "prior": mean})
    assert replaced.at(points)[0] == pytest.approx(np.linspace(-1, 1, 6), abs=1e-2)
    assert replaced.gain_and_slope(points, 1.0)[0] == pytest.approx(replaced.gain(points, 1.0), rel=1e-6)


def test_promotion_counts_more_than_a_value():
    lucky, steady = DRAWN[0], DRAWN[1]
    found = [PriorConfiguration(params=one, values=(-0.5, 0.5)) for one in DRAWN[2:]]
    found += [
        PriorConfiguration(params=lucky, values=(1.0,)),
        PriorConfiguration(params=steady, values=(1.0,) * 6),
    ]
    old = PriorStudy(
        study="old",
        uid="1",
        metric="m",
        direction="maximize",
        params=("c", "k", "x"),
        left_out={},
        configurations=tuple(found),
    )
    space = distributions(hpo.Study(name="n", trainable="a:b", objective=hpo.maximize("m"), space=SPACE).space)
    transfer = Transfer(Prior(studies=(old,)), dict(sorted(space.items())))
    form = UnitSpace(transfer.space, [])
    once, often = transfer.mean(form, None, [1.0]).at(form.points(form.units([lucky, steady])))
    assert often > once + 0.3


def test_values_outside_still_teach():
    wide, log, choice = hpo.Float(0.0, 1.0), hpo.Float(0.1, 1.0, log=True), hpo.Choice([16, "a", True])
    assert (_held(wide, 3), _held(wide, True), _held(wide, "a")) == (3, None, None)
    assert (_held(log, 5.0), _held(log, 0.0)) == (5.0, None)
    assert [_held(choice, one) for one in (16.0, 1, True, "b")] == [16, None, True, None]


@pytest.fixture(scope="module")
def old(curve, module_config):
    """The toy study, searched."""
    study = curve(name="old", search={"trials": 9, "budget": 2, "pruner": "none"})
    api.run(study, module_config)
    return study


def new(curve, **tables):
    return curve(
        name="new", search={"trials": 7, "budget": 2, "lag": 2, "prior": ["old"], **tables.pop("search", {})}, **tables
    )


@pytest.mark.slow
def test_grown_old_study_changes_nothing(old, curve, module_config, tmp_path):
    for name in ("whole", "cut"):
        shutil.copytree(module_config.outputs.parent, tmp_path / name)
    whole = api.run(new(curve), local_config(tmp_path / "whole"))
    cut = local_config(tmp_path / "cut")
    api.run(new(curve), cut, trials=3)
    api.run(old, cut, trials=14)
    api.delete("old", cut)
    again = api.run(new(curve), cut)
    assert [(one.params, one.value) for one in again.trials] == [(one.params, one.value) for one in whole.trials]
    said = api.status("new", cut)[0].plain()["prior"]
    assert (said[0]["configurations"], said[0]["values"]) == (9, 9)
    with pytest.raises(StudyChanged):
        api.run(new(curve, search={"prior": []}), cut)


def test_maps_by_name_and_value(old, curve, module_config):
    space = {"x": {"float": [0.0, 0.5]}, "shape": {"choice": ["late", "other"]}, "nap": {"float": [0.0, 1.0]}}
    [found] = prior_of(new(curve, space=space), module_config).studies
    assert found.params == ("nap", "shape", "x")  # nap: the default
    assert found.dropped == sum(one.params["shape"] == "flat" for one in api.run(old, module_config).trials)


@pytest.mark.parametrize(
    ("tables", "said"),
    [
        ({"search": {"prior": ["olt"]}}, "Did you mean old?"),
        ({"objective": {"direction": "minimize"}}, "maximizes val"),
        ({"space": {"fault": {"choice": ["a", "b"]}}, "fixed": {"x": 0.1}}, "nothing can be learned"),
    ],
)
def test_refused_priors(old, curve, module_config, tables, said):
    with pytest.raises(UsageError, match=said.replace("?", r"\?")):
        api.run(new(curve, **tables), module_config)
    assert "new" not in [one.name for one in api.status(config=module_config)]


@pytest.mark.parametrize(
    ("search", "said"),
    [
        ({"prior": ["new"]}, "names this study itself"),
        ({"prior": ["old", "old"]}, "given twice"),
        ({"prior": ["old"], "sampler": "tpe"}, "only sampler 'tpe\\+gp' starts"),
    ],
)
def test_refused_study_files(search, said):
    with pytest.raises(hpo.StudyInvalid, match=said):
        hpo.Study(name="new", trainable="a:b", objective=hpo.maximize("m"), space=SPACE, search=search)


def test_search_in_memory_is_refused():
    study = hpo.Study(
        name="n", trainable="a:b", objective=hpo.maximize("m"), space=SPACE, search={"budget": 1, "prior": ["old"]}
    )
    with pytest.raises(UsageError, match="no storage"):
        hpo.Search(study)


def test_study_without_prior_has_no_key(curve):
    assert "prior" not in curve().content()["search"]
    assert "search.prior" not in curve().identity()


@pytest.mark.slow
def test_init_like(old, module_config, tmp_path):
    api.run(old, module_config, keep="best:2")
    words = ["init", "--like", "old", str(tmp_path), "--storage", module_config.storage]
    printed = CliRunner().invoke(app, words)
    assert printed.exit_code == 0, printed.output
    text = (tmp_path / "studies" / "old-2.toml").read_text()
    assert 'prior = ["old"]' in text
    assert "Importance of the params for val in 9 trials of old:" in printed.stdout
    assert text.count(" }  # importance ") == 4
    made = hpo.load_study("old-2", [tmp_path / "studies"], to_train=False)
    assert made.space == old.space
    assert made.results.keep == "winner"
    assert "keep: best:2 is left out" in printed.stdout
    assert CliRunner().invoke(app, words).exit_code == 1  # the file exists
