"""Why a trial's replicates differ, as far as their records say."""

from __future__ import annotations

import io
import json
import threading
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

import hpo
from hpo import api
from hpo.analysis.diagnose import divergence_of
from hpo.cli.progress import Progress
from hpo.core.errors import UsageError
from hpo.core.records import Evaluation, Job, Report, Status

PROJECT = Path(__file__).parents[1] / "project"


def study(name):
    """A study of a small network whose learning rate is far too high in the second trial."""
    return hpo.Study.model_validate(
        {
            "name": name,
            "trainable": "toys.watched:train",
            "objective": {"metric": "val_loss", "direction": "minimize"},
            "space": {"lr": {"float": [1e-4, 10.0], "log": True}},
            "fixed": {"optimizer": "adamw"},
            "search": {
                "trials": 2,
                "budget": 6,
                "sampler": "random",
                "pruner": "none",
                "enqueue": [{"lr": 0.03}, {"lr": 8.0}],
            },
        }
    ).located(PROJECT)


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    """Where that study is promoted."""
    folder = tmp_path_factory.mktemp("diagnosed")
    made = hpo.RunConfig(storage=f"sqlite:///{folder / 'hpo.db'}", outputs=folder / "outputs", backend="local")
    hpo.run(study("watched"), made)
    hpo.promote(study("watched"), made, top=2)
    return made


@pytest.mark.slow("ray")
@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.parametrize("backend", ["local", "ray"])
def test_alerts_are_shown_during_training(tmp_path, request, backend):
    if backend == "ray":
        request.getfixturevalue("ray_slots")

    class Ear(hpo.Observer):
        def reported(self, job, step, value):
            said.append((job.trial, step))

        def alerted(self, job, alerts):
            said.extend((job.trial, alert.kind) for alert in alerts)

        def told(self, evaluation):
            said.append((evaluation.job.trial, "told"))

    said, screen, live = [], io.StringIO(), study("live")
    made = hpo.RunConfig(storage=f"sqlite:///{tmp_path / 'hpo.db'}", outputs=tmp_path / "outputs", backend=backend)
    progress = Progress(live, Console(file=screen, width=200), threading.Event())
    hpo.run(live, made, observers=[Ear(), progress])
    wild = [what for trial, what in said if trial == 1]
    assert wild.index("exploding") < wild.index("told")
    assert wild[wild.index("exploding") - 1] == api.show("live", 1, made)[1][0].alerts[0].epoch
    lines = screen.getvalue().splitlines()
    [seen] = [number for number, line in enumerate(lines) if line.startswith("  trial 1: exploding in epoch")]
    [over] = [number for number, line in enumerate(lines) if "trial 1 complete" in line]
    assert seen < over


def test_diagnosis_has_alerts_and_advice(config):
    found = api.diagnose("watched", config, trial=1)
    assert [one.seed for one in found.replicates] == ["41", "42", "43", "44"]
    assert all("exploding" in {alert.kind for alert in one.alerts} for one in found.replicates)
    assert any(line.startswith("exploding under seed 41, 42, 43, 44") for line in found.advice)
    assert any("lower the learning rate" in line for line in found.advice)


def test_study_page_lists_alerts(config, tmp_path):
    found = [one for one in api.study_view("watched", config).alerts if one.kind == "exploding"]
    assert [(one.trial, one.seeds) for one in found] == [(1, ("42", "43", "44"))]
    page = api.write_report("watched", config, out=tmp_path / "report.html").read_text()
    assert "trial 1: <strong>exploding</strong> under seed 42: a " in page
    assert "hpo diagnose --study watched --trial 1" in page


def test_healthy_trial_has_no_findings(config):
    found = api.diagnose("watched", config, trial=0)
    assert {alert.kind for one in found.replicates for alert in one.alerts} == set()
    assert found.scales == {}
    assert found.advice == ()
    assert [parting.metric for parting in found.partings] == ["train_loss", "val_loss"]


def test_seeds_select_replicates(config):
    assert [one.seed for one in api.diagnose("watched", config, trial=0, seeds=(42, 44)).replicates] == ["42", "44"]
    with pytest.raises(UsageError, match="under these seeds; recorded: 41, 42, 43, 44"):
        api.diagnose("watched", config, trial=0, seeds=(7,))
    with pytest.raises(UsageError, match="no trainings of trial 9"):
        api.diagnose("watched", config, trial=9)


def test_page_and_json_are_written(config):
    found = api.diagnose("watched", config, trial=1)
    page, numbers = found.files
    assert "trial 1, seed 42" in page.read_text()
    assert json.loads(numbers.read_text()) == json.loads(json.dumps(found.plain()))


def curves(values):
    return [
        Evaluation(
            job=Job(trial=0, params={}, seed=seed, budget=len(row)),
            status=Status.COMPLETE,
            value=1.0,
            step=1,
            reports=tuple(Report(step=at + 1, metrics={"loss": float(one)}, at=0.0) for at, one in enumerate(row)),
        )
        for seed, row in enumerate(values)
    ]


@pytest.mark.parametrize("seed", range(20))
def test_noise_alone_is_no_divergence(seed):
    rng = np.random.default_rng(seed)
    falling = 1 / np.arange(1, 31)
    found = divergence_of(curves([falling + rng.normal(0, 0.05, 30) for _ in range(3)]), "loss")
    assert found.noise == pytest.approx(0.05, rel=0.5)
    assert found.epoch is None or found.epoch > 25


@pytest.mark.parametrize("parted", [8, 15, 22])
def test_divergence_epoch_is_found(parted):
    rng = np.random.default_rng(parted)
    drift = np.maximum(0, np.arange(30) - parted)
    found = divergence_of(curves([way * 0.2 * drift + rng.normal(0, 0.02, 30) for way in (-1, 0, 1)]), "loss")
    assert parted < found.epoch <= parted + 4


def test_short_or_single_curves_give_none():
    assert divergence_of(curves([[1.0, 2.0, 3.0]] * 3), "loss") is None
    assert divergence_of(curves([[1.0, 2.0, 3.0, 4.0]]), "loss") is None
    assert divergence_of(curves([[1.0, 2.0, 3.0, 4.0]] * 2), "other") is None
