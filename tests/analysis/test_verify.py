"""What is recorded is trained again, and compared bit by bit."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

import hpo
from hpo import api
from hpo.analysis.shown import verified_text
from hpo.cli.main import app
from hpo.core.errors import NothingToPromote, UsageError


@pytest.fixture
def study(curve):
    return curve(
        name="net",
        trainable="toys.net:train",
        objective={"metric": "val_acc"},
        space={"lr": {"float": [0.01, 0.2], "log": True}},
        search={"trials": 2, "budget": 4, "pruner": "none"},
        promotion={"top": 1, "seeds": [42, 43]},
    )


@pytest.fixture
def promoted(study, config):
    hpo.run(study, config)
    return hpo.promote(study, config)


def kept(config):
    return {path: path.read_bytes() for path in Path(config.work_root).rglob("*") if path.is_file()}


def test_winner_is_identical_and_unrecorded(study, config, promoted):
    before, evaluations = kept(config), api.show("net", promoted.ranking.winner.candidate.trial, config)[1]
    found = api.verify(study, config)
    assert [one.recorded.job.seed for one in found] == [42, 43]
    assert all(one.is_identical for one in found)
    assert all(set(one.same) == {"start", "weights", "predictions", "history"} for one in found)
    assert kept(config) == before
    assert api.show("net", promoted.ranking.winner.candidate.trial, config)[1] == evaluations
    assert "2 of 2 trainings identical." in verified_text(found)


def test_resumed_training_has_same_bits(study, config, promoted):
    said = []

    class Ear(hpo.Observer):
        def phase(self, message):
            said.append(message)

        def reported(self, job, step, value):
            said.append((job.seed, step))

    assert all(one.is_identical for one in api.verify(study, config, resumed=True, observers=[Ear()]))
    assert [one for one in said if isinstance(one, str)][:1] == [
        f"interrupting trial {promoted.ranking.winner.candidate.trial} seed 42 halfway"
    ]


def test_search_trial_uses_its_seed(study, config, promoted):
    [one] = api.verify(study, config, trial=0, seed=41)
    assert (one.is_identical, one.recorded.job.seed) == (True, 41)
    assert set(one.same) == {"start", "weights", "predictions", "history"}


def test_differing_weights_are_located(study, config, promoted, monkeypatch):
    """The trainable's data change after it was recorded; what is recorded of it says so."""
    import toys.net

    torch_rand = torch.rand

    def other(*arguments, generator=None, **options):
        return torch_rand(*arguments, generator=generator, **options).pow(2)

    monkeypatch.setattr(toys.net.torch, "rand", other)
    first, _ = api.verify(study, config)
    monkeypatch.undo()
    assert not first.is_identical
    assert first.epoch == 1
    assert first.tensor.tensor == "0.weight"
    assert first.tensor.size > 0
    text = verified_text([first])
    assert "DIFFERS from epoch 1 in weights, predictions, history (val_acc, loss): 0.weight, max |d| " in text
    assert "0 of 1 training identical." in text


@pytest.mark.slow
def test_changed_fingerprint_is_reported(study, config, promoted):
    first, _ = api.verify(study, replace(config, cpus_per_trial=2))
    assert first.circumstances["threads"] == (1, 2)
    if not first.is_identical:  # two threads round differently where a sum is split
        assert "recorded with threads 1, now 2" in verified_text([first])
        assert "use --cpus-per-trial 1" in verified_text([first])


def test_digests_suffice_without_files(study, config, promoted):
    shutil.rmtree(config.work_root)
    assert all(one.is_identical for one in api.verify(study, config))


def test_unrecorded_training_is_refused(study, config, curve):
    hpo.run(study, config)
    with pytest.raises(NothingToPromote, match="no promotion with a winner to verify; name a trial"):
        api.verify(study, config)
    with pytest.raises(UsageError, match="no complete training of trial 9 under seed 5 is recorded"):
        api.verify(study, config, trial=9, seed=5)
    with pytest.raises(UsageError, match=r"no study named 'curve'.*Stored there: net"):
        api.verify(curve(), config)


def test_command_and_json_say_identical(config, curve, tmp_path):
    file = str(curve().root / "studies" / "curve.toml")
    common = ["--study", file, "--storage", config.storage, "--outputs", str(config.outputs), "--backend", "local"]
    runner = CliRunner()
    assert runner.invoke(app, ["run", *common, "--trials", "2"]).exit_code == 0
    done = runner.invoke(app, ["verify", *common, "--trial", "0"])
    assert done.exit_code == 0, done.output
    assert "search trial 0 seed 41   history   identical" in done.stdout
    [one] = json.loads(runner.invoke(app, ["verify", *common, "--trial", "0", "--json"]).stdout)
    assert (one["identical"], one["same"]) == (True, {"history": True})


@pytest.fixture
def timed(curve):
    """A study one of whose metrics is a time, with what it does not compare."""

    def made(*ignore):
        return curve(
            name="heedless",
            trainable="toys.heedless:train",
            objective={"metric": "val", "ignore": list(ignore)},
            space={"x": {"float": [0.0, 1.0]}},
            fixed={"seeds": "used"},
            search={"trials": 1, "budget": 2, "pruner": "none"},
        )

    return made


def test_differing_metric_is_named(timed, config):
    hpo.run(timed(), config)
    [found] = api.verify(timed(), config, trial=0)
    assert (found.metrics, found.epoch, found.differ_by_clock) == (("seconds",), 1, ("seconds",))
    printed = verified_text([found])
    assert "DIFFERS from epoch 1 in history (seconds)" in printed
    assert 'if these are times, name them in the study: [objective] ignore = ["seconds"]' in printed
    assert "is the trainable deterministic?" not in printed


def test_ignored_metric_is_not_compared(timed, config):
    hpo.run(timed(), config)
    [found] = api.verify(timed("seconds"), config, trial=0)
    assert found.is_identical, "it may be named after the trials were trained"


def test_stop_during_resumed_verification(study, config, promoted):
    class FirstEpoch(hpo.Observer):
        """A stop that is set once a training begins to be interrupted."""

        begun = False

        def phase(self, message):
            self.begun = self.begun or message.startswith("interrupting")

        def is_set(self):
            return self.begun

    said = []

    class Phases(hpo.Observer):
        def phase(self, message):
            said.append(message)

    stop = FirstEpoch()
    assert api.verify(study, config, resumed=True, observers=[stop, Phases()], stop=stop) == []
    assert [one.partition(" seed ")[0] for one in said if "halfway" in one] == [
        f"interrupting trial {promoted.ranking.winner.candidate.trial}"
    ]
