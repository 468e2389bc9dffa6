"""Arguments of the Python API are checked like a study file: wrong names and types get a sentence."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

import hpo
from hpo import api
from hpo.core.errors import StudyInvalid, StudyNotFound, UsageError

CONTENT = {
    "name": "curve",
    "trainable": "toys.curve:train",
    "objective": {"metric": "val"},
    "space": {"lr": {"float": [0.1, 1.0]}},
    "search": {"budget": 2},
}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"repeats": 2},
            "promote.. takes no 'repeats'. It takes: source_study, source_value, source_params, rule, lambda_",
        ),
        ({"topp": 1}, "promote.. takes no 'topp'.* Did you mean top?"),
        ({"lamda": 3.0}, "Did you mean lambda_?"),
        ({"top": "3"}, "top must be a whole number, not '3'"),
        ({"top": 0}, "top must be 1 to"),
        ({"top": True}, "top must be a whole number, not True"),
        ({"lambda_": float("nan")}, "lambda must be a finite number of 0 or more, not nan"),
        ({"lambda_": -1}, "lambda must be a finite number of 0 or more, not -1"),
        ({"rule": "best"}, "there is no rule 'best'"),
        ({"curtail": 1}, "curtail must be True or False, not 1"),
        ({"confirm_seeds": 45}, "confirm_seeds must be a list of whole numbers, not 45"),
        ({"confirm_seeds": ["45"]}, "a number in confirm_seeds must be a whole number, not '45'"),
    ],
)
def test_promote_checks_its_options(curve, config, options, message):
    with pytest.raises(UsageError, match=message):
        hpo.promote(curve(), config, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"backend": "threads"}, "there is no backend 'threads'; there are ray, local"),
        ({"storage": 3}, "storage must be the URL of a database as a text"),
        ({"storage": None}, "storage must be the URL of a database"),
        ({"outputs": 3}, "outputs must be a folder, not 3"),
        ({"concurrency": 1.5}, "concurrency must be a whole number, not 1.5"),
        ({"cpus_per_trial": "2"}, "cpus_per_trial must be a whole number, not '2'"),
        ({"gpus_per_trial": "1"}, "gpus_per_trial must be a number, not '1'"),
        ({"storage_wait": "60"}, "storage_wait must be a number, not '60'"),
        ({"storage_wait": -1}, "storage_wait must be a finite number of 0 or more, not -1"),
        ({"stop_wait": float("nan")}, "stop_wait must be a finite number of 0 or more, not nan"),
        ({"gpus_per_trial": True}, "gpus_per_trial must be a number, not True"),
        ({"concurrency": 0}, "concurrency must be 1 or more, not 0"),
        ({"cpus_per_trial": -1}, "cpus_per_trial must be 1 or more, not -1"),
        ({"storage": " "}, "storage is empty; name one"),
        ({"work": ""}, "work is empty; name one, or leave it out"),
        ({"tensorboard": "yes"}, "tensorboard must be True or False, not 'yes'"),
    ],
)
def test_run_config_checks_its_values(options, message):
    with pytest.raises(UsageError, match=message):
        hpo.RunConfig(**{"storage": "sqlite:///x.db", **options})


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({"space": {"seed": {"int": [0, 9]}}}, "space.seed .*a seed is not a hyperparameter"),
        ({"space": {"lr": {"flaot": [0.1, 1.0]}}}, "space.lr.flaot .*Did you mean float"),
        ({"fixed": {"lr": 0.1}}, "fixed.lr .*is also in .space."),
        ({"search": {"budget": 2, "trials": 0}}, "search.trials .*expected at least 1, got 0"),
        ({"promotion": {"seeds": [42, 42]}}, "promotion.seeds .*a seed is given twice"),
        ({"promotion": {"lambda": -1.0}}, "promotion.lambda .*expected at least 0"),
        ({"promotion": {"lambda": float("nan")}}, "promotion.lambda .*expected a finite number"),
        ({"streams": {"splitt": 3}}, "streams.splitt .*Did you mean split"),
        ({"searhc": {}}, "searhc .*Did you mean search"),
        ({"name": "No Name"}, "name .*expected"),
    ],
)
def test_study_objects_checked_as_files(tables, message):
    with pytest.raises(StudyInvalid, match=message):
        hpo.Study(**{**CONTENT, **tables})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"accept_code_change": "no"}, "accept_code_change must be True or False, not 'no'"),
        ({"retry_failed": "yes"}, "retry_failed must be True or False, not 'yes'"),
        ({"enqueue": {"x": 0.5}}, "enqueue must be a list of tables of params"),
        ({"observers": None}, "observers must be a list of observers, not None"),
        ({"observers": [print]}, "one of observers must be an hpo.Observer"),
        ({"stop": 1}, "stop must be something with is_set"),
        ({"config": "sqlite:///x.db"}, "config must be an hpo.RunConfig"),
    ],
)
def test_run_checks_its_arguments(curve, config, options, message):
    with pytest.raises(UsageError, match=message):
        hpo.run(curve(), **{"config": config, **options})


@pytest.mark.parametrize("verb", [hpo.check, hpo.load_study])
def test_study_names_are_texts_or_paths(verb, tmp_path):
    with pytest.raises(UsageError, match="study must be the name of a study, or the path of its file, not 3"):
        verb(3)
    with pytest.raises(StudyNotFound, match=r"no study file 'a\.toml'"):
        verb(Path("a.toml"), [tmp_path])


def test_a_valid_study_is_accepted():
    made = hpo.Study(**CONTENT)
    assert made == hpo.Study.model_validate(CONTENT)
    assert pickle.loads(pickle.dumps(made)) == made


def test_unknown_params_are_refused_first(curve, config):
    wrong = curve(space={"lrr": {"float": [0.1, 1.0]}})
    with pytest.raises(StudyInvalid, match=r"space\.lrr .*no such field in"):
        hpo.run(wrong, config)


def test_run_takes_a_study_or_a_name():
    with pytest.raises(UsageError, match="study must be a Study or the name of one, not 3"):
        hpo.run(3, hpo.RunConfig(storage="sqlite:///x.db", backend="local"))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: hpo.Job(trial=-1, params={}, seed=1, budget=1), "trial must be 0 or more, not -1"),
        (lambda: hpo.Job(trial=0, params={}, seed="1", budget=1), "seed must be a whole number, not '1'"),
        (lambda: hpo.Job(trial=0, params={}, seed=1, budget=0), "budget must be 1 or more, not 0"),
        (lambda: hpo.Objective(metric="val", direction="max"), "there is no direction 'max'; there are maximize"),
        (lambda: hpo.Objective(metric="val", epoch="first"), "there is no epoch 'first'; there are best, last"),
        (lambda: hpo.Resources(cpu="2"), "cpu must be a whole number, not '2'"),
        (lambda: hpo.Resources(max_attempts=0), "max_attempts must be 1 or more, not 0"),
        (lambda: hpo.Rule(name="best"), "there is no rule 'best'; there are mean-std"),
        (lambda: hpo.Rule(lambda_=-1.0), "lambda must be a finite number of 0 or more, not -1"),
        (lambda: hpo.Rule(ddof=2), "ddof must be 0, 1, unbiased, not 2"),
    ],
)
def test_values_check_their_fields(make, message):
    with pytest.raises(UsageError, match=message):
        make()


@pytest.mark.parametrize(
    ("verb", "given", "message"),
    [
        ("run", {"trials": "5"}, "trials must be a whole number, not '5'"),
        ("run", {"seconds": "60"}, "the time of a search must be a number, not '60'"),
        ("run", {"patience": 1.5}, "patience must be a whole number, not 1.5"),
        ("verify", {"trial": "0"}, "trial must be a whole number, not '0'"),
        ("decompose", {"trial": 0, "n": "10"}, "n must be a whole number, not '10'"),
        ("replay", {"trial": 0, "seed": -1}, "a seed must be 0 to"),
    ],
)
def test_verbs_check_their_numbers(curve, config, verb, given, message):
    with pytest.raises(UsageError, match=message):
        getattr(api, verb)(curve(), config, **given)
    assert not config.outputs.exists()
