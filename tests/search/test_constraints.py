"""Metrics that must not be above zero."""

from __future__ import annotations

import optuna
import pytest
from optuna.storages import InMemoryStorage
from searches import open_source, value

from hpo import api
from hpo.core.errors import NothingToPromote
from hpo.core.protocols import DONE
from hpo.core.records import Evaluation, Report, Status
from hpo.search.proposals import make_sampler, suggest
from hpo.search.shown import search_text
from hpo.store import prepare_optuna
from hpo.store.optuna_storage.studies import OptunaStudies
from hpo.study import parse

CONSTRAINED = {"sampler": "tpe", "pruner": "none", "lag": 1, "constraints": ["over"], "trials": 20}


def over(params):
    """Above zero where the objective is best: the constraint decides."""
    return 0.6 - params["x"] + 0.1 * params["k"]


def trained(source):
    while (job := source.ask()) is not DONE:
        number = value(job.params, 5)
        report = Report(step=1, metrics={"val": number, "over": over(job.params)}, at=0.0)
        source.tell(Evaluation(job=job, status=Status.COMPLETE, value=number, step=1, reports=(report,)))


def plain_optuna(study, trials):
    made = optuna.create_study(study_name=study.name, storage=InMemoryStorage(), direction="maximize")
    for number in range(trials):
        made.sampler = make_sampler(study, number)
        trial = made.ask()
        params = suggest(trial, study.space)
        trial.set_constraint("over", over(params))
        made.tell(trial, value(params, 5))
    return [(t.params, t.value, t.constraints) for t in made.trials]


@pytest.mark.slow
@pytest.mark.parametrize("sampler", ["tpe", "tpe+gp", "gp", "nsgaii"])
def test_constraints_match_optuna(tmp_path, curve, sampler):
    options = {"n_startup_trials": 6} if sampler != "nsgaii" else {"population_size": 4}
    study = curve(search={**CONSTRAINED, "sampler": sampler, "sampler_options": options})
    free = curve(search={**CONSTRAINED, "sampler": sampler, "sampler_options": options, "constraints": []})
    durable = OptunaStudies(f"sqlite:///{tmp_path / 'hpo.db'}", prepare_optuna)
    for trials in (5, 11, 16):
        trained(open_source(durable, study, trials))
    found = durable.find(study.name).trials()
    assert [(t.params, t.value, t.constraints) for t in found] == plain_optuna(study, 16)
    other = OptunaStudies(f"sqlite:///{tmp_path / 'free.db'}", prepare_optuna)
    trained(open_source(other, free, 16))
    assert [t.params for t in other.find(study.name).trials()] != [t.params for t in found]
    durable.close()
    other.close()


@pytest.mark.slow
def test_infeasible_trial_is_no_candidate(curve, config):
    """In the toy study loss is 1 - val: constrained to 0 or less, only trials from 1 on are feasible."""
    study = curve(search={"constraints": ["loss"], "trials": 12, "pruner": "none"}, promotion={"seeds": [42], "top": 9})
    outcome = api.run(study, config)
    broken = [trial for trial in outcome.trials if trial.constraints["loss"] > 0]
    assert 0 < len(broken) < 12
    assert all(trial.is_feasible == (trial.value >= 1) for trial in outcome.trials)
    assert outcome.incumbent.is_feasible
    assert f"Complete but breaking a constraint: {broken[0].number}" in search_text(outcome, promotes=False)
    promoted = api.promote(study, config)
    assert not {row.candidate.trial for row in promoted.ranking.rows} & {trial.number for trial in broken}
    assert list(outcome.frame().columns[:4]) == ["number", "state", "value", "loss"]
    stored, _ = api.show(study, broken[0].number, config)
    assert (stored.is_feasible, stored.constraints) == (False, broken[0].constraints)


def test_all_infeasible_cannot_be_promoted(curve, config):
    study = curve(search={"constraints": ["pid"], "trials": 3, "pruner": "none"})
    outcome = api.run(study, config)
    assert outcome.incumbent is None
    assert "No trial has completed and kept the constraints" in search_text(outcome, promotes=False)
    with pytest.raises(NothingToPromote, match="no completed trial"):
        api.promote(study, config)


def test_missing_constraint_fails_the_trial(curve, config):
    outcome = api.run(curve(search={"constraints": ["gap"], "trials": 1}), config)
    [trial] = outcome.trials
    assert trial.state == "failed"
    assert trial.error == "the constraint 'gap' was not reported at step 1; reported: loss, pid, val"


def test_unsupported_constraints_fail(curve):
    content = curve().content()
    content["search"] |= {"sampler": "random", "constraints": ["gap"]}
    _, [problem] = parse(content)
    assert problem.key == "search.constraints"
    assert problem.message.endswith("'random' does not support constraints; these do: tpe, tpe+gp, gp, nsgaii, nsgaiii")
    content["search"] |= {"sampler": "tpe", "constraints": ["gap", "gap"]}
    _, [problem] = parse(content)
    assert (problem.key, problem.message) == ("search.constraints", "'gap' is given twice")


def test_constraints_are_in_the_identity(curve):
    assert curve(search={"constraints": ["gap"]}).identity() != curve().identity()
    assert curve(search={"constraints": []}).identity() == curve().identity()


def test_infeasible_trial_reaches_no_limit(tmp_path, curve):
    study = curve(search={**CONSTRAINED, "until": 0.0, "trials": 30})
    durable = OptunaStudies(f"sqlite:///{tmp_path / 'hpo.db'}", prepare_optuna)
    source = open_source(durable, study, 30)
    trained(source)
    *before, last = durable.find(study.name).trials()
    assert before
    assert [trial.is_feasible for trial in before] == [False] * len(before)
    assert last.is_feasible
    assert source.ended == f"trial {last.number} reached the target 0"
    durable.close()
