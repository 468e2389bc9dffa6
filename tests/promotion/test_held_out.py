"""The test part: held out of every training, used once by `promote --test`, every further look marked."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import accuracy_score

import hpo
from hpo.core.errors import HpoError
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


def test_a_poisoned_part_changes_no_bit(study, config, tmp_path):
    made, outcomes = study(), []
    for name, value in (("clean", 0.0), ("poisoned", np.nan)):
        x = points()
        x[held_rows(made)] += value
        np.save(tmp_path / f"{name}.npy", x)
        own = study(fixed={"data": str(tmp_path / f"{name}.npy")})
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
