"""What `log_to` logs to MLflow and W&B, and that the study does not depend on them."""

from __future__ import annotations

import json
import re
import socket
import struct
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from extras import needs
from typer import BadParameter

import hpo
from hpo.cli.main import check_command_line
from hpo.core.installed import install_line
from hpo.core.records import Evaluation, Job, Report, Stage, Status

pytestmark = [
    pytest.mark.slow,
    needs("mlflow", "mlflow"),
    needs("wandb", "wandb"),
    pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning"),
]

PAGE = (Path(__file__).parents[2] / "docs" / "integrations.md").read_text()
JOB = Job(trial=3, params={"x": 0.5, "odd@name": "a"}, seed=7, budget=2)
REPORTS = tuple(Report(step=step, metrics={"val": step / 10, "none": None}, at=100.0 + step) for step in (1, 2))


@pytest.fixture
def toy(curve, tmp_path, monkeypatch):
    """A small study, and both tools set to store in the test's folder."""
    monkeypatch.chdir(tmp_path)
    for name in ("MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME", "WANDB_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "mlruns").as_uri())
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    search = {"trials": 2, "budget": 2, "pruner": "none", "seed": 41}
    yield curve(search=search, promotion={"top": 2, "seeds": [42, 43]})
    import wandb

    wandb.teardown()


def mlflow_runs(experiment="curve"):
    import mlflow

    client = mlflow.tracking.MlflowClient()
    found = client.search_runs([client.get_experiment_by_name(experiment).experiment_id])
    return client, {run.info.run_name: run for run in found}, len(found)


def wandb_records(file):
    """Yields the records of a run's file: LevelDB's log format after 7 bytes, in blocks of 32 KiB."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, at, whole = file.read_bytes(), 7, b""
    while at + 7 <= len(data):
        if 32768 - at % 32768 < 7:
            at += 32768 - at % 32768
            continue
        length, kind = struct.unpack("<HB", data[at + 4 : at + 7])
        whole, at = whole + data[at + 7 : at + 7 + length], at + 7 + length
        if kind in (1, 4):  # a whole record, or the last part of one
            record = Record()
            record.ParseFromString(whole)
            yield record
            whole = b""


def wandb_runs(folder):
    """Returns what each run's file says, by the run's name."""

    def values(items):
        return {".".join(one.nested_key) or one.key: json.loads(one.value_json) for one in items}

    found = {}
    for file in sorted(folder.glob("wandb/offline-run-*/*.wandb")):
        end = time.monotonic() + 400  # the file is written by a process of W&B's own
        records = list(wandb_records(file))
        while not any(one.HasField("exit") for one in records):
            assert time.monotonic() < end, f"{file} has no end: {[one.WhichOneof('record_type') for one in records]}"
            time.sleep(0.1)
            records = list(wandb_records(file))
        run = [one.run for one in records if one.HasField("run")][-1]
        summaries = [values(one.summary.update) for one in records if one.HasField("summary")]
        found[run.display_name] = SimpleNamespace(
            run=run,
            config=values(run.config.update),
            summary={name: value for one in summaries for name, value in one.items()},
            history=[values(one.history.item) for one in records if one.HasField("history")],
            status=[one.exit.exit_code for one in records if one.HasField("exit")],
        )
    return found


@pytest.mark.slow
def test_mlflow_has_each_training_once(toy, config):
    hpo.run(toy, config, log_to=["mlflow"])
    outcome = hpo.promote(toy, config, log_to=["mlflow"])
    client, runs, count = mlflow_runs()
    assert count == len(runs) == 2 + 4 + 1
    search = runs["search/trial-00001-seed-41-fold-0-budget-2"]
    assert search.info.status == "FINISHED"
    assert {"hpo.stage": "search", "hpo.trial": "1", "hpo.status": "complete"}.items() <= search.data.tags.items()
    history = client.get_metric_history(search.info.run_id, "val")
    assert [one.step for one in history] == [1, 2]
    assert search.data.metrics["hpo_value"] == max(one.value for one in history)
    assert {"x", "k", "shape"} <= set(search.data.params)
    summary, winner = runs["promotion"], outcome.report.winner
    assert summary.data.metrics["score"] == winner.score
    assert summary.data.params["winner"] == str(winner.candidate.trial)
    assert sorted(one.path for one in client.list_artifacts(summary.info.run_id)) == ["promotion.json", "ranking.csv"]

    assert hpo.promote(toy, config, log_to=["mlflow"]).trained == 0
    assert mlflow_runs()[2] == count
    hpo.run(toy, config, trials=3, log_to=["mlflow"])
    assert mlflow_runs()[2] == count + 1


@pytest.mark.slow
def test_mlflow_fills_gaps_from_records(toy, config):
    hpo.run(toy, config)
    hpo.promote(toy, config)
    hpo.promote(toy, config, log_to=["mlflow"])
    assert mlflow_runs()[2] == 2 + 4 + 1


@pytest.mark.slow
def test_missing_trainings_are_logged(toy, config, tmp_path):
    hpo.run(toy, config, trials=1)  # as if killed before it could log
    assert hpo.run(toy, config, trials=2, log_to=["mlflow", "wandb"]).count("complete") == 2
    names = {f"search/trial-0000{trial}-seed-41-fold-0-budget-2" for trial in (0, 1)}
    assert set(mlflow_runs()[1]) == set(wandb_runs(tmp_path)) == names
    hpo.run(toy, config, trials=2, log_to=["mlflow", "wandb"])
    assert mlflow_runs()[2] == len(list(tmp_path.glob("wandb/offline-run-*"))) == 2


def test_mlflow_says_failed_and_pruned(toy, monkeypatch):
    from hpo.integrations.mlflow import MlflowObserver

    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "other")
    monkeypatch.setenv("SOME_TOKEN", "abc123456789xyz")
    observer = MlflowObserver("curve")
    pruned = Job(trial=4, params={"x": 0.5}, seed=7, budget=2, stage=Stage.PROMOTION, fold=2)
    error = "Traceback\nValueError: abc123456789xyz is wrong"
    observer.told(Evaluation(job=JOB, status=Status.FAILED, error=error, reports=REPORTS, seconds=3.0))
    observer.told(Evaluation(job=pruned, status=Status.PRUNED, reports=REPORTS, value=0.1, step=1))
    observer.ended()
    _, runs, _ = mlflow_runs("other")
    failed = runs["search/trial-00003-seed-7-fold-0-budget-2"]
    assert (failed.info.status, failed.info.start_time, failed.info.end_time) == ("FAILED", 99000, 102000)
    assert failed.data.tags["hpo.error"] == "Traceback\nValueError: *** is wrong"
    assert failed.data.params == {"x": "0.5", "odd_name": "a"}
    assert failed.data.metrics == {"val": 0.2}
    tags = runs["promotion/trial-00004-seed-7-fold-2-budget-2"].data.tags
    assert (tags["hpo.status"], tags["hpo.fold"], tags["hpo.stage"]) == ("pruned", "2", "promotion")


@pytest.mark.slow
def test_wandb_has_each_training_once(toy, config, tmp_path):
    hpo.run(toy, config, trials=1, log_to=["wandb"])
    outcome = hpo.promote(toy, config, log_to=["wandb"])
    runs = wandb_runs(tmp_path)
    assert len(runs) == 1 + 2 + 1
    search = runs["search/trial-00000-seed-41-fold-0-budget-2"]
    assert (search.run.project, search.run.job_type, search.status) == ("curve", "search", [0])
    assert sorted(search.run.tags) == ["complete", "search"]
    assert [one["_step"] for one in search.history] == [1, 2]
    assert search.summary["hpo_value"] == max(one["val"] for one in search.history)
    assert search.config["hpo"]["seed"] == 41
    assert runs["promotion"].summary["score"] == outcome.report.winner.score
    assert len(list(tmp_path.glob("wandb/offline-run-*/files/media/table/ranking*"))) == 1
    assert not list(tmp_path.glob("wandb/offline-run-*/files/wandb-metadata.json"))  # it has the command line

    hpo.promote(toy, config, log_to=["wandb"])
    assert len(list(tmp_path.glob("wandb/offline-run-*"))) == 4


@pytest.mark.slow
def test_wandb_says_failed(toy, tmp_path):
    from hpo.integrations.wandb import WandbObserver

    observer = WandbObserver("curve")
    observer.told(Evaluation(job=JOB, status=Status.FAILED, error="ValueError: wrong", reports=REPORTS))
    observer.ended()
    [run] = wandb_runs(tmp_path).values()
    assert (run.status, run.summary["hpo_error"]) == ([1], "ValueError: wrong")


def test_study_survives_a_dead_server(toy, config, monkeypatch, capfd):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://user:hidden-word@127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    assert hpo.run(toy, config, log_to=["mlflow"]).count("complete") == 2
    said = [line for line in capfd.readouterr().err.splitlines() if line.startswith("mlflow: ")]
    assert len(said) == 1
    assert re.match(r"mlflow: logging failed and has ended \(.*127.0.0.1.*\); .* own records are complete", said[0])
    assert "hidden-word" not in said[0]


@pytest.mark.slow
def test_silent_server_is_left(toy, config, monkeypatch, capfd):
    from hpo.integrations.mlflow import MlflowObserver

    with socket.create_server(("127.0.0.1", 0)) as server:  # it accepts, and never answers
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{server.getsockname()[1]}")
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        observer = MlflowObserver("curve", patience=0.2)
        assert hpo.run(toy, config, observers=[observer]).count("complete") == 2
    assert "it did not answer for 0.2 s" in capfd.readouterr().err


@pytest.mark.parametrize("name", ["mlflow", "wandb"])
def test_a_missing_tool_names_its_extra(name, curve, config, monkeypatch):
    class Missing:
        def find_spec(self, module, *others):
            if module == name:
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    for module in [one for one in sys.modules if f"{one}.".startswith((f"{name}.", f"hpo.integrations.{name}."))]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setattr(sys, "meta_path", [Missing(), *sys.meta_path])
    with pytest.raises(hpo.UsageError, match=re.escape(f"needs the package {name}: {install_line(name)}")):
        hpo.run(curve(), config, log_to=[name])
    assert not (config.outputs.parent / "hpo.db").exists()


def test_unknown_tool_is_a_sentence(curve, config):
    with pytest.raises(hpo.UsageError, match="no tool to log to 'neptune'; there are mlflow, wandb"):
        hpo.run(curve(), config, log_to=["neptune"])
    for command in ("run", "promote"):
        check_command_line(command, ["--study", "toy", "--log-to", "mlflow,wandb"])
        with pytest.raises(BadParameter, match="expected mlflow or wandb, or both with a comma, got 'neptune'"):
            check_command_line(command, ["--study", "toy", "--log-to", "neptune"])


@pytest.mark.slow
def test_page_logs_to_both(toy, tmp_path):
    [train] = re.findall(r"## scikit-learn\n\n```python\n(.*?)```", PAGE, re.DOTALL)
    study = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)[0]
    [code] = re.findall(r"```python\n(import hpo\n[^`]*log_to[^`]*)```", PAGE)
    (tmp_path / "train.py").write_text(train)
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies" / "tumours.toml").write_text(
        study.replace("trials = 4\nbudget = 4", "trials = 1\nbudget = 1")
    )
    sys.modules.pop("train", None)  # another test's
    exec(code, {})
    sys.modules.pop("train")
    assert mlflow_runs("tumours")[2] == len(wandb_runs(tmp_path)) == 1 + 3 + 1
