"""Event files, read by TensorBoard's own reader."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from extras import needs
from typer.testing import CliRunner

import hpo
from hpo import api
from hpo.cli.main import app
from hpo.core.errors import UsageError
from hpo.core.records import Job, Objective, Report
from hpo.training.outputs.events import Events

pytestmark = needs("tensorboard", "tensorboard")
PROJECT = Path(__file__).parents[1] / "project"


def watched(**changes):
    content = {
        "name": "watched",
        "trainable": "toys.watched:train",
        "objective": {"metric": "val_loss", "direction": "minimize"},
        "space": {"lr": {"float": [1e-4, 10.0], "log": True}},
        "fixed": {"optimizer": "adamw"},
        "search": {"trials": 2, "budget": 6, "sampler": "random", "pruner": "none", "enqueue": [{"lr": 8.0}]},
    }
    return hpo.Study.model_validate({**content, **changes}).located(PROJECT)


def config_in(folder, **fields):
    return hpo.RunConfig(storage=f"sqlite:///{folder / 'hpo.db'}", outputs=folder / "outputs", **fields)


def opened(folder):
    """Returns a training's events as TensorBoard reads them."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder), size_guidance={"scalars": 0, "histograms": 0})
    return found.Reload()


def trainings(config):
    """Returns the folders of trainings that have event files, by stage, trial and seed."""
    return {file.parent.name: file.parent for file in sorted(Path(config.work_root).rglob("events.out.tfevents.*"))}


@pytest.fixture(
    scope="module",
    params=[
        "local",
        pytest.param("ray", marks=[pytest.mark.ray, pytest.mark.slow]),
    ],
)
def searched(request, tmp_path_factory):
    if request.param == "ray":
        request.getfixturevalue("ray_slots")
    config = config_in(tmp_path_factory.mktemp("events"), backend=request.param, tensorboard=True)
    return hpo.run(watched(), config), config


def test_every_metric_is_a_curve(searched):
    _, config = searched
    folders = trainings(config)
    assert len(folders) == 2
    for number in (0, 1):
        [evaluation] = api.show("watched", number, config)[1]
        found = opened(next(folder for name, folder in folders.items() if name.startswith(f"trial-{number:05d}-")))
        for name in ("train_loss", "val_loss"):
            curve = {one.step: one.value for one in found.Scalars(f"metrics/{name}")}
            reported = {report.step: report.metrics[name] for report in evaluation.reports}
            assert curve == pytest.approx(reported)


def test_layer_records_are_written(searched):
    _, config = searched
    tags = opened(next(iter(trainings(config).values()))).Tags()
    assert {"watch/grad_norm", "watch/lr", "watch/grad_norm_sum"} <= set(tags["scalars"])
    layers = {tag.removeprefix("weights/") for tag in tags["histograms"] if tag.startswith("weights/")}
    assert layers
    assert {f"gradients/{layer}" for layer in layers} <= set(tags["histograms"])
    assert {f"update_ratio/{layer}" for layer in layers} <= set(tags["scalars"])


def test_histograms_count_all_weights(searched):
    _, config = searched
    found = opened(next(iter(trainings(config).values())))
    tag = next(tag for tag in found.Tags()["histograms"] if tag.startswith("weights/"))
    drawn = found.Histograms(tag)
    assert [one.step for one in drawn] == [1, 2, 3, 4, 5, 6]
    assert {sum(one.histogram_value.bucket) for one in drawn} == {drawn[0].histogram_value.num}
    assert drawn[0].histogram_value.num > 1


def test_alerts_are_written(searched):
    _, config = searched
    found = opened(next(folder for name, folder in trainings(config).items() if name.startswith("trial-00000-")))
    [alert, *_] = found.Tensors("alerts/exploding/text_summary")
    assert (
        b"a gradient's norm" in alert.tensor_proto.string_val[0]
        or b"a step changed" in (alert.tensor_proto.string_val[0])
    )


def test_params_are_hyperparameters(searched):
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    outcome, config = searched
    metadata = opened(next(iter(trainings(config).values()))).SummaryMetadata
    start, experiment = (
        HParamsPluginData.FromString(metadata(f"_hparams_/{tag}").plugin_data.content)
        for tag in ("session_start_info", "experiment")
    )
    values = {name: value.number_value for name, value in start.session_start_info.hparams.items()}
    assert values == pytest.approx({"lr": outcome.trials[0].params["lr"], "seed": 41, "budget": 6})
    assert [one.name.tag for one in experiment.experiment.metric_infos] == ["metrics/val_loss"]


@pytest.mark.slow
def test_resumed_steps_appear_once(tmp_path):
    class Halfway(hpo.Observer):
        def reported(self, job, step, value):
            if step == 3:
                stop.set()

    stop, config, study = threading.Event(), config_in(tmp_path, backend="local", tensorboard=True), watched()
    hpo.run(study, config, trials=1, observers=[Halfway()], stop=stop)
    hpo.run(study, config, trials=1)
    [folder] = trainings(config).values()
    assert len(list(folder.glob("events.out.tfevents.*"))) == 2
    assert [one.step for one in opened(folder).Scalars("metrics/val_loss")] == [1, 2, 3, 4, 5, 6]


def test_repeated_steps_are_purged(tmp_path):
    job, objective = Job(trial=0, params={"lr": 0.1}, seed=41, budget=4), Objective(metric="val")
    reports = [Report(step=step, metrics={"val": float(step)}, at=float(step)) for step in (1, 2, 3, 4)]
    killed = Events(tmp_path, job, objective, pytest.fail)
    for report in reports[:3]:
        killed.write_epoch(replace(report, metrics={"val": 100.0}), None, {})
    resumed = Events(tmp_path, job, objective, pytest.fail)
    for report in reports[1:]:
        resumed.write_epoch(report, None, {})
    resumed.close(complete=True)
    killed.close(complete=False)
    curve = [(one.step, one.value) for one in opened(tmp_path).Scalars("metrics/val")]
    assert curve == [(1, 100.0), (2, 2.0), (3, 3.0), (4, 4.0)]


@pytest.mark.slow
def test_event_files_change_no_bit(tmp_path):
    with_events = config_in(tmp_path / "with", backend="local", tensorboard=True)
    without = config_in(tmp_path / "without", backend="local")
    found = []
    for config in (with_events, without):
        config.outputs.parent.mkdir()
        hpo.run(watched(), config, trials=1)
        found.append(api.show("watched", 0, config)[1][0])
    assert found[0].digests == found[1].digests
    assert [one.metrics for one in found[0].reports] == [one.metrics for one in found[1].reports]
    assert found[0].fingerprint == found[1].fingerprint
    assert (len(trainings(with_events)), len(trainings(without))) == (1, 0)


@pytest.mark.slow
def test_tensorflow_is_not_imported(tmp_path):
    code = """
import sys
from pathlib import Path
from hpo.core.records import Job, Objective, Report
from hpo.training.outputs.events import Events
job, report = Job(trial=0, params={}, seed=41, budget=1), Report(step=1, metrics={"val": 1.0}, at=0.0)
events = Events(Path(sys.argv[1]), job, Objective(metric="val"), sys.exit)
events.write_epoch(report, None, {})
events.close(complete=True)
print(*(name for name in ("tensorflow", "keras") if name in sys.modules))
"""
    environment = {**os.environ, "PYTHONPATH": str(PROJECT.parents[1])}
    command = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.slow
def test_commands_name_the_log_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(PROJECT)
    arguments = [
        "--storage",
        f"sqlite:///{tmp_path / 'hpo.db'}",
        "--outputs",
        str(tmp_path / "outputs"),
        "--backend=local",
    ]
    run = CliRunner().invoke(app, ["run", "--study", "curve", "--trials", "2", "--tensorboard", *arguments])
    promote = CliRunner().invoke(app, ["promote", "--study", "curve", "--top", "1", "--tensorboard", *arguments])
    config = config_in(tmp_path)
    assert {folder.parent.name for folder in trainings(config).values()} == {"search", "promotion"}
    for result in (run, promote):
        assert result.exit_code == 0, result.output
        [line] = [line for line in result.stdout.splitlines() if line.startswith("Curves: tensorboard --logdir ")]
        assert Path(line.rpartition(" ")[2]).parent == Path(config.work_root)
    values = CliRunner().invoke(app, ["run", "--study", "curve", "--trials", "2", "--json", *arguments])
    assert json.loads(values.stdout)["events"] is None


def test_event_files_at_a_url(tmp_path):
    config = config_in(tmp_path, backend="local", tensorboard=True, work=f"file://{tmp_path / 'remote'}")
    outcome = hpo.run(watched(), config, trials=1)
    assert outcome.events.startswith("file://")
    [file] = (tmp_path / "remote").rglob("events.out.tfevents.*")
    assert [one.step for one in opened(file.parent).Scalars("metrics/val_loss")] == [1, 2, 3, 4, 5, 6]


def test_missing_package_fails_early(tmp_path, monkeypatch):
    monkeypatch.setattr("hpo.training.outputs.events.find_spec", lambda _: None)
    with pytest.raises(UsageError, match=r"pip install .*\[tensorboard\]"):
        hpo.run(watched(), config_in(tmp_path, backend="local", tensorboard=True))
    assert list(tmp_path.iterdir()) == []


def test_full_disk_ends_the_curves_only(tmp_path, monkeypatch):
    from torch.utils.tensorboard import SummaryWriter

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(SummaryWriter, "add_scalar", full)
    config = config_in(tmp_path, backend="local", tensorboard=True)
    hpo.run(watched(), config, trials=1)
    [evaluation] = api.show("watched", 0, config)[1]
    assert evaluation.value is not None
    assert evaluation.remarks == ("no event files from epoch 1 on: No space left on device",)
