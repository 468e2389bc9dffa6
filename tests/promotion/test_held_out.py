"""The test part: held out of every training, used once by `promote --test`, every further look marked."""

from __future__ import annotations

import json
import re
import shutil
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import accuracy_score

import hpo
from hpo import api
from hpo.core.errors import HpoError, StudyChanged, StudyInvalid, TooManyFailures, UsageError
from hpo.core.records import TEST_PART, Stage
from hpo.seeds.streams import Stream
from hpo.store import Store
from hpo.training.predictions import Predictions
from hpo.training.splits import divide
from tests.project.toys.held import GROUPS, LABELS, NAMES, points


@pytest.fixture(scope="module")
def study(curve):
    def made(test=0.2, name="held", **changes):
        return curve(
            name=name,
            trainable="toys.held:train",
            objective={"metric": "val_acc"},
            space={"lr": {"float": [0.05, 1.0]}},
            search={"trials": 4, "budget": 2, "pruner_options": {"n_startup_trials": 2}, **changes.pop("search", {})},
            promotion={"top": 2, **changes.pop("promotion", {})},
            **({} if test is None else {"validation": {"test": test}}),
            **changes,
        )

    return made


def stored(config, stage=None, name="held"):
    store = Store(config.storage, create=False)
    found = store.evaluations(store.find(name), stage)
    store.close()
    return found


def held_rows(study):
    """The indices of the test part, from the study alone."""
    made = divide(LABELS, 0.25, Stream("split", 5), names=NAMES, groups=GROUPS, holdout=study.ref.holdout)
    return made.test


def bits(evaluations):
    return [(one.job.key, one.status, one.value, one.reports and one.metrics, one.digests) for one in evaluations]


@pytest.fixture(scope="module")
def promoted(study, module_config):
    made = study()
    hpo.run(made, module_config)
    return made, hpo.promote(made, module_config, test=True)


def test_the_part_belongs_to_the_study(study):
    made = study()
    parts = [
        divide(LABELS, 0.25, Stream("split", seed), names=NAMES, groups=GROUPS, holdout=made.ref.holdout)
        for seed in (1, 2)
    ]
    assert parts[0].test.tolist() == parts[1].test.tolist()
    assert parts[0].train.tolist() != parts[1].train.tolist()
    for one in parts:
        assert sorted([*one.train, *one.held_out, *one.test]) == list(range(120))
        groups = [{GROUPS[row] for row in rows} for rows in (one.train, one.held_out, one.test)]
        assert not groups[0] & groups[1] | groups[0] & groups[2] | groups[1] & groups[2]
        assert set(LABELS[one.test]) == {0, 1, 2}
    assert len(parts[0].test) == pytest.approx(24, abs=3)


@pytest.mark.slow
def test_a_poisoned_part_changes_no_bit(study, config, tmp_path):
    smaller = {"search": {"trials": 3}, "promotion": {"seeds": (42, 43)}}
    made, outcomes = study(**smaller), []
    for name, value in (("clean", 0.0), ("poisoned", np.nan)):
        x = points()
        x[held_rows(made)] += value
        np.save(tmp_path / f"{name}.npy", x)
        own = study(fixed={"data": str(tmp_path / f"{name}.npy")}, **smaller)
        where = replace(config, storage=f"sqlite:///{tmp_path / name}.db", outputs=tmp_path / name)
        searched, outcome = hpo.run(own, where), hpo.promote(own, where)
        outcomes.append((bits(stored(where)), [one.value for one in searched.trials], outcome.report.rows()))
        assert stored(where, Stage.TEST) == []
    assert outcomes[0] == outcomes[1]
    with pytest.raises(HpoError, match=r"could not be evaluated on the test part: .*not a finite number"):
        hpo.promote(own, where, test=True)


def test_one_look_is_recorded(promoted, module_config):
    made, outcome = promoted
    looks = outcome.report.estimate.looks
    assert (looks.own.trial, looks.own.seeds, looks.before) == (outcome.report.winner.candidate.trial, (42, 43, 44), ())
    assert not [one for one in outcome.report.warnings if "look" in one]
    tested = stored(module_config, Stage.TEST)
    assert [one.job.seed for one in tested] == [42, 43, 44]
    saved = json.loads((outcome.folder / "promotion.json").read_text())["estimate"]
    assert saved["looks"]["used"]["at"] == looks.own.at.isoformat()
    part = next(one for one in saved["parts"] if one["part"] == "test")
    for one in tested:
        predictions = Predictions.load(Path(one.files))
        expected = accuracy_score(predictions.truth, predictions.probabilities.argmax(axis=1))
        assert one.value == expected == part["metrics"][0]["values"][str(one.job.seed)]
        assert one.fingerprint[TEST_PART] == stored(module_config, Stage.SEARCH)[0].fingerprint[TEST_PART]
        assert predictions.rows.tolist() == held_rows(made).tolist()


def test_other_commands_do_not_see_it(promoted, module_config):
    made, outcome = promoted
    trial = outcome.report.winner.candidate.trial
    _, evaluations = api.show(made, trial, module_config)
    assert {one.job.stage for one in evaluations} == {Stage.SEARCH, Stage.PROMOTION}
    found = api.diagnose(made, module_config, trial=trial)
    assert [one.seed for one in found.replicates] == ["41", "42", "43", "44"]


@pytest.mark.slow
def test_repeated_look_is_the_same(promoted, restored_config):
    made, outcome = promoted
    again = hpo.promote(made, restored_config, test=True)
    assert (again.trained, again.report.estimate) == (0, outcome.report.estimate)
    assert len(stored(restored_config, Stage.TEST)) == 3
    assert hpo.promote(made, restored_config).report.estimate == outcome.report.estimate
    ranked = api.rank_stored(made, restored_config)
    assert ranked.estimate == outcome.report.estimate
    assert "the test part (" in str(ranked)


@pytest.mark.slow
def test_second_look_is_marked(promoted, restored_config, tmp_path):
    made, outcome = promoted
    first = outcome.report.winner.candidate.trial
    seeds = (43, 44, 45)
    unseen = hpo.promote(made, restored_config, seeds=seeds)
    assert "The test part was used before, on " in unseen.report.warnings[0]
    assert "was not evaluated on it; a second look would" in unseen.report.warnings[0]
    second = hpo.promote(made, restored_config, seeds=seeds, test=True)
    assert second.report.warnings[0].startswith("Second look at the test part: it was used before, on ")
    assert f"for trial {first} (seeds 42)" in second.report.warnings[0]
    saved = json.loads((outcome.folder / "promotion.json").read_text())
    assert saved["estimate"]["looks"]["look"] == 2
    for text in (str(second), str(api.rank_stored(made, restored_config)), second.report.markdown()):
        assert "Second look at the test part" in text
    page = api.write_report(made.name, restored_config, out=tmp_path / "report.html").read_text()
    assert "Second look at the test part" in page
    assert "that no training and no choice has seen" in page


@pytest.mark.slow
def test_another_winner_is_marked(promoted, restored_config):
    made, outcome = promoted
    first = outcome.report.winner.candidate.trial
    hpo.run(made, restored_config, trials=10)
    other = hpo.promote(made, restored_config, top=4, rule="median")
    assert other.report.winner.candidate.trial != first
    assert f"for trial {first} (seeds 42 43 44). The winner is another one now" in other.report.warnings[0]
    assert len(stored(restored_config, Stage.TEST)) == 3
    back = hpo.promote(made, restored_config)
    assert back.report.estimate.looks.own.trial == first
    assert not [one for one in back.report.warnings if "look" in one]


@pytest.mark.parametrize(
    ("fixed", "message"),
    [
        ({"own_split": True}, "the trainable never called ctx.split(), so it may have trained on test cases"),
        (
            {"no_weights": True},
            "kept no weights, so it could not be evaluated there: loop over ctx.epochs(model=model)",
        ),
    ],
)
def test_other_trainables_are_refused(study, config, fixed, message):
    made = study(fixed=fixed, search={"trials": 2, "max_failures": 2})
    with pytest.raises(TooManyFailures, match=re.escape(message)):
        hpo.run(made, config)
    assert hpo.run(study(None, "plain", fixed=fixed, search={"trials": 1}), config).count("complete") == 1


def test_other_cases_are_refused(study, config):
    made = study(fixed={"shuffled": True}, search={"trials": 1}, promotion={"top": 1, "seeds": (42, 43)})
    hpo.run(made, config)
    with pytest.raises(HpoError, match=r"the predictions are not of the \d+ test cases in the order of ctx.split"):
        hpo.promote(made, config, test=True)


def test_different_parts_are_refused(study, config):
    space = {"lr": {"float": (0.05, 1.0)}, "rows": {"choice": (120, 117)}}
    made = study(search={"trials": 4, "sampler": "random"}, promotion={"top": 1, "seeds": (42, 43)})
    made = made.model_validate({**made.content(), "space": space}).located(made.root)
    assert len({trial.params["rows"] for trial in hpo.run(made, config).trials}) == 2
    with pytest.raises(HpoError, match="did not hold out the same test part"):
        hpo.promote(made, config, test=True)


def test_no_part_no_test(study, config):
    with pytest.raises(UsageError, match=r"has no test part to evaluate the winner on; .* \[validation\] test = 0.2"):
        hpo.promote(study(None), config, test=True)


def test_a_changed_share_is_a_changed_study(study, config):
    hpo.run(study(search={"trials": 1}), config)
    with pytest.raises(StudyChanged, match=r"validation.test"):
        hpo.run(study(0.25, search={"trials": 1}), config)
    with pytest.raises(StudyChanged, match=r"validation.test"):
        hpo.run(study(None, search={"trials": 1}), config)


def test_too_few_groups_are_said(study, config):
    made = study(fixed={"rows": 9}, search={"trials": 1, "max_failures": 1})
    with pytest.raises(TooManyFailures, match=r"every class must be in training and in each of 5 parts"):
        hpo.run(made, config)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"test": 1.2}, "validation.test  expected a share of the cases between 0 and 1, such as 0.2, got 1.2"),
        ({"test": 0.0}, "validation.test  expected a share of the cases between 0 and 1, such as 0.2, got 0"),
        ({"test": "0.2"}, "validation.test  expected a number, got '0.2'"),
        ({}, "validation  expected folds = 5 for a cross-validation, test = 0.2 for a test part, or both"),
        ({"repeats": 2, "test": 0.2}, "validation  repeats are repetitions of folds; set folds, or leave repeats out"),
    ],
)
def test_invalid_tables_are_sentences(table, message):
    with pytest.raises(StudyInvalid, match=re.escape(message)):
        hpo.Study(
            name="held",
            trainable="toys.held:train",
            objective=hpo.maximize("val_acc"),
            space={"lr": hpo.Float(0.1, 1.0)},
            validation=table,
        )


def test_search_without_training_is_refused(study):
    with pytest.raises(UsageError, match="cannot hold out the test part"):
        hpo.Search(study())


class Stopping(hpo.Observer):
    """Sets a stop once so many jobs have ended."""

    def __init__(self, after):
        self.stop, self.after = threading.Event(), after

    def told(self, evaluation):
        self.after -= 1
        if self.after <= 0:
            self.stop.set()


@pytest.mark.slow
@pytest.mark.parametrize("after", [1, 6, 7])  # in the replicates, at their end, between two models of the test part
def test_interrupted_test_is_the_same(promoted, config, after):
    made, outcome = promoted
    hpo.run(made, config)
    stopping = Stopping(after)
    assert hpo.promote(made, config, test=True, observers=[stopping], stop=stopping.stop).stopped
    again = hpo.promote(made, config, test=True)
    assert again.report.estimate.parts == outcome.report.estimate.parts
    assert len(stored(config, Stage.TEST)) == 3


@pytest.mark.slow
def test_lost_weights_are_trained_again(promoted, config):
    made, outcome = promoted
    hpo.run(made, config)
    hpo.promote(made, config)
    shutil.rmtree(config.outputs / ".work")
    assert hpo.promote(made, config, test=True).report.estimate.parts[1] == outcome.report.estimate.parts[1]


@pytest.mark.slow
def test_workers_match_local_backend(promoted, tmp_path, on_workers):
    made, outcome = promoted
    there = hpo.RunConfig(storage=f"sqlite:///{tmp_path / 'there.db'}", outputs=tmp_path / "there", **on_workers)
    hpo.run(made, there)
    assert hpo.promote(made, there, test=True).report.estimate.parts == outcome.report.estimate.parts
    assert [one.job.seed for one in stored(there, Stage.TEST)] == [42, 43, 44]


def test_ensemble_is_the_mean(promoted, module_config):
    _, outcome = promoted
    models = [Predictions.load(Path(one.files)) for one in stored(module_config, Stage.TEST)]
    mean_NC = np.mean([one.probabilities for one in models], axis=0)
    validation, test = outcome.report.estimate.parts
    assert validation.no_ensemble.startswith("the seeds have different validation cases")
    expected = accuracy_score(models[0].truth, mean_NC.argmax(axis=1))
    assert (test.no_ensemble, test.metrics[0].ensemble) == ("", expected)
    saved = json.loads((outcome.folder / "ensemble" / "test_metrics.json").read_text())
    assert (saved["acc"], saved["seeds"]) == (expected, [42, 43, 44])
    rows = (outcome.folder / "ensemble" / "test_predictions.csv").read_text().splitlines()
    assert len(rows) == 1 + len(mean_NC)
    assert "ensemble" in str(outcome)
    assert not (outcome.folder / "ensemble" / "validation_metrics.json").exists()


@pytest.mark.slow
def test_ensemble_on_common_cases(study, config, tmp_path):
    made = study(None, streams={"split": "fixed"}, search={"trials": 1}, promotion={"top": 1})
    hpo.run(made, config)
    outcome = hpo.promote(made, config)
    [part] = outcome.report.estimate.parts
    assert (part.no_ensemble, part.unit, part.models) == ("", "group", 3)
    api.assets(made, config, out=tmp_path / "assets")
    table = (tmp_path / "assets" / "held_metrics.csv").read_text().splitlines()
    assert table[0] == "metric,seed 42,seed 43,seed 44,mean,sigma,ensemble"
    assert float(table[1].rpartition(",")[2]) == part.metrics[0].ensemble
    assert "the first says nothing of other cases" in (tmp_path / "assets" / "held_text.tex").read_text()


@pytest.mark.slow
def test_folds_are_evaluated_each(study, config):
    made = study(search={"trials": 1, "pruner": "none", "pruner_options": {}}, promotion={"top": 1, "seeds": (42, 43)})
    made = made.model_validate({**made.content(), "validation": {"folds": 2, "test": 0.2}}).located(made.root)
    hpo.run(made, config)
    outcome = hpo.promote(made, config, test=True)
    validation, test = outcome.report.estimate.parts
    assert (validation.models, test.models, test.no_ensemble) == (4, 4, "")
    assert "each fold has its own validation cases" in validation.no_ensemble
    values = {(one.job.seed, one.job.fold): one.value for one in stored(config, Stage.TEST)}
    assert test.metrics[0].values == {seed: np.mean([values[seed, 1], values[seed, 2]]) for seed in (42, 43)}
