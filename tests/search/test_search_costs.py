"""Searches that look for improvement per cost."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

import hpo
from hpo.cli.progress import header
from hpo.core.errors import StudyInvalid
from hpo.core.records import Evaluation, Job, Report, Status
from hpo.search.costs import cost_of


def bowl(params):
    """Best at 0.8, nearly flat above 0.5."""
    return -((params["x"] - 0.8) ** 2) - 0.1 * (params["y"] - 0.5) ** 2


def flops(params):
    return 10.0 ** (3 * params["x"])


def study(**search):
    return hpo.Study(
        name="priced",
        trainable="none:none",
        objective=hpo.maximize("m"),
        space={"x": hpo.Float(0.0, 1.0), "y": hpo.Float(0.0, 1.0)},
        search={"budget": 4, "trials": 36, "lag": 1, "pruner": "none", **search},
    )


def searched(price=flops, **search):
    own = hpo.Search(study(**search))
    while (trial := own.ask()) is not None:
        own.tell(trial, bowl(trial.params), metrics={"flops": price(trial.params)})
    return [one.params for one in own.trials]


def test_process_prefers_cheap_params():
    plain, priced = searched(), searched(cost="flops")
    assert plain[:20] == priced[:20]
    spent = [np.mean([np.log10(flops(one)) for one in trials[20::2]]) for trials in (plain, priced)]
    assert spent[1] < spent[0] - 0.2
    assert max(map(bowl, priced)) > -0.05


def test_equal_costs_change_nothing():
    assert searched(lambda _: 7.0, cost="flops") == searched()


@pytest.mark.slow
def test_resumed_is_uninterrupted(config, curve):
    loss = {"metric": "loss", "direction": "minimize"}
    search = {"trials": 26, "cost": "val", "pruner": "none", "pruner_options": {}, "lag": 2}
    made = curve(objective=loss, search=search)
    whole = hpo.run(made, replace(config, storage=config.storage.replace("hpo.db", "whole.db")))
    hpo.run(made, config, trials=21)
    assert [one.params for one in hpo.run(made, config).trials] == [one.params for one in whole.trials]
    assert not [one for one in whole.warnings if "cost" in one]


def test_pruned_counts_whole_epochs():
    reports = tuple(Report(step=step, metrics={"m": 0.0}, at=0.0) for step in (1, 2))
    job = Job(trial=0, params={}, seed=1, budget=4)
    pruned = Evaluation(job=job, status=Status.PRUNED, value=0.0, step=2, reports=reports, seconds=3.0)
    assert cost_of(pruned, study(cost="seconds")) == 6.0
    assert cost_of(replace(pruned, status=Status.COMPLETE), study(cost="seconds")) == 3.0
    assert cost_of(pruned, study(cost="flops")) is None
    assert cost_of(pruned, study()) is None


def test_seconds_are_not_reproducible(config, curve):
    found = hpo.run(curve(search={"trials": 2, "cost": "seconds"}), config)
    assert "Not reproducible: cost = seconds: proposals depend on how long trainings take." in found.warnings


def test_useless_costs_are_said(config, curve):
    found = hpo.run(curve(search={"trials": 5, "cost": "loss", "pruner": "none", "pruner_options": {}}), config)
    [said] = [one for one in found.warnings if "cost" in one]
    assert re.fullmatch(r"The cost 'loss' was not above 0 in [1-5] of 5 complete trials: nothing was learned .*", said)


@pytest.mark.parametrize(
    ("search", "said"),
    [
        ({"cost": "flops", "sampler": "tpe"}, "only sampler 'tpe\\+gp' considers costs"),
        ({"cost": "m"}, "'m' is the objective; name another metric, or 'seconds'"),
    ],
)
def test_misuse_is_a_sentence(search, said):
    with pytest.raises(StudyInvalid, match=said):
        study(**search)


def test_ask_and_tell_needs_the_cost():
    with pytest.raises(hpo.UsageError, match=r"hpo\.Search does not train, so it knows no seconds"):
        hpo.Search(study(cost="seconds"))
    own = hpo.Search(study(cost="flops"))
    with pytest.raises(hpo.UsageError, match=r"metrics lacks flops, which \[search\] cost names"):
        own.tell(own.ask(), 0.5)


def test_header_says_it(curve):
    assert "reproducible: no (cost = seconds" in header(curve(search={"cost": "seconds"}), "", "")
    ignored = curve(search={"cost": "loss"}, objective={"ignore": ["loss"]})
    assert "reproducible: no (loss is the cost, and differs" in header(ignored, "", "")
    assert "reproducible: yes" in header(curve(search={"cost": "loss"}), "", "")
