from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import forked
import pytest
import torch

from hpo.core.errors import UsageError
from hpo.core.protocols import Resources, TrainableRef
from hpo.core.records import Job, Objective, Stage, Status
from hpo.study.trainable import load
from hpo.training import TrainingRun, discard_checkpoint

HERE = [str(Path(__file__).parent), str(Path(forked.__file__).parent)]
PROJECT = Path(__file__).parents[1] / "project"
CPU = Resources()


def ref(path="toys.net:train", metric="val_acc", epoch="best", **fixed):
    objective = Objective(metric=metric, epoch=epoch)
    return TrainableRef(path=path, root=str(PROJECT), objective=objective, fixed=fixed)


def net_job(seed=42, budget=4, **fields):
    return Job(trial=0, params={"lr": 0.05}, seed=seed, budget=budget, **fields)


def curve_job(budget=5, **params):
    return Job(trial=0, params={"x": 0.4, **params}, seed=41, budget=budget)


def whole(job, trainable, work, stop_after=None):
    """Trains to the end, or abandons the training after `stop_after` steps, as a killed process does."""
    training = TrainingRun(job, trainable, CPU, work)
    reports = []
    while True:
        update = training.advance()
        reports.extend(update.reports)
        if update.status is not None or len(reports) == stop_after:
            training.close()
            return update, reports


@pytest.mark.slow
def test_same_bits_in_another_process(tmp_path):
    here, _ = whole(net_job(), ref(), tmp_path / "here")
    code = (
        "import sys; sys.path[:0] = sys.argv[2:]; from pathlib import Path; import test_training as t, json;"
        "update, _ = t.whole(t.net_job(), t.ref(), Path(sys.argv[1])); print(json.dumps(update.outcome.digests))"
    )
    there = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "there"), *HERE],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONHASHSEED": "7"},
    )
    assert json.loads(there.stdout) == here.outcome.digests
    assert set(here.outcome.digests) == {"start", "weights", "predictions"}


def test_seed_changes_bits(tmp_path):
    one, _ = whole(net_job(seed=42), ref(), tmp_path)
    two, _ = whole(net_job(seed=43), ref(), tmp_path)
    assert one.outcome.digests["weights"] != two.outcome.digests["weights"]


@pytest.mark.parametrize("epochs", [1, 2, 3])
def test_resume_gives_the_same_bits(tmp_path, epochs):
    expected, reports = whole(net_job(), ref(), tmp_path / "whole")
    whole(net_job(), ref(), tmp_path / "cut", stop_after=epochs + 1)
    torch.manual_seed(99)  # random numbers drawn in between must not matter
    torch.rand(7)
    resumed, again = whole(net_job(), ref(), tmp_path / "cut")
    assert resumed.outcome.digests == expected.outcome.digests
    assert [report.metrics for report in again] == [report.metrics for report in reports]


@pytest.mark.slow
def test_resume_after_a_killed_process(tmp_path):
    expected, _ = whole(net_job(stage=Stage.PROMOTION), ref(), tmp_path / "whole")
    code = (
        "import sys, os; sys.path[:0] = sys.argv[2:]; from pathlib import Path; import test_training as t;"
        "from hpo.core.records import Stage;"
        "t.whole(t.net_job(stage=Stage.PROMOTION), t.ref(), Path(sys.argv[1]), stop_after=3); os.kill(os.getpid(), 9)"
    )
    killed = forked.run(
        [sys.executable, "-c", code, str(tmp_path / "cut"), *HERE],
        capture_output=True,
        check=False,
    )
    assert killed.returncode == -9
    resumed, _ = whole(net_job(stage=Stage.PROMOTION), ref(), tmp_path / "cut")
    assert resumed.outcome.digests == expected.outcome.digests
    log = Path(resumed.outcome.files, "run.log").read_text()
    assert "resumed after epoch 2" in log


@pytest.mark.parametrize("stream", ["split", "init", "order", "augment", "dropout"])
def test_stream_changes_only_its_part(tmp_path, stream):
    plain, _ = whole(net_job(), ref(), tmp_path / "plain")
    varied, _ = whole(net_job(stream_seeds={stream: 7}), ref(), tmp_path / "varied")
    facts = [update.outcome.fingerprint["facts"] for update in (plain, varied)]
    assert {name for name in facts[0] if facts[0][name] != facts[1][name]} == {stream} - {"dropout"}
    assert plain.outcome.digests["weights"] != varied.outcome.digests["weights"]


def test_saved_model_is_selected_epoch(tmp_path):
    best, reports = whole(net_job(stage=Stage.PROMOTION, budget=6), ref(), tmp_path / "best")
    chosen = Objective(metric="val_acc").select(tuple(reports)).step
    cut, _ = whole(net_job(stage=Stage.PROMOTION, budget=chosen), ref(epoch="last"), tmp_path / "cut")
    assert chosen < 6, "the test wants a training whose last epoch is not its best"
    assert best.outcome.digests["weights"] == cut.outcome.digests["weights"]
    saved = torch.load(Path(best.outcome.files, "best_model.pt"), weights_only=True)
    assert "0.weight" in saved


def test_search_trial_keeps_only_its_log(tmp_path):
    whole(net_job(), ref(), tmp_path)
    names = sorted(path.name for path in tmp_path.rglob("*") if path.is_file())
    assert names == ["checkpoint-previous.pt", "checkpoint.pt", "trial-00000-seed-42-fold-0-budget-4.log"]
    discard_checkpoint(tmp_path, net_job())
    assert not list(tmp_path.glob("search/*"))


def test_exception_fails_the_training(tmp_path):
    update, reports = whole(curve_job(fault="raise"), ref("toys.curve:train", "val"), tmp_path)
    assert update.status is Status.FAILED
    assert len(reports) == 1
    assert "ValueError: the user's own mistake" in update.error
    assert "curve.py" in update.error


def test_exit_fails_the_training_only(tmp_path):
    update, _ = whole(curve_job(fault="exit"), ref("toys.curve:train", "val"), tmp_path)
    assert update.status is Status.FAILED
    assert "the user's own exit" in update.error


def test_nan_metric_fails_training(tmp_path):
    job = Job(trial=0, params={"x": 0.9}, seed=41, budget=5)
    update, reports = whole(job, ref("toys.curve:train_nan", "val"), tmp_path)
    assert (update.status, update.error) == (Status.FAILED, "metric 'val' at step 2 is nan, not a finite number")
    assert len(reports) == 1


def write_project(folder, body):
    (folder / "mine.py").write_text(
        "from collections.abc import Iterator\nfrom dataclasses import dataclass\nfrom hpo import Context, Metrics\n"
        f"@dataclass\nclass Params:\n    x: float = 0.0\n{body}"
    )


BAD_YIELDS = {
    "yield 3": "must report a mapping of metrics, not int",
    "yield {'loss': 1.0}": "the objective's metric 'val' was not reported at step 1; reported: loss",
    "yield {'val': 'high'}": "metric 'val' at step 1 is 'high', not a number",
    "yield None": "must report a mapping of metrics, not NoneType",
    "for _ in ctx.epochs():\n        yield {'val': 1}\n        break": "was left after 1 of 2 epochs",
    "for _ in ctx.epochs():\n        ctx.stop('enough')\n        yield {'val': 1}\n    yield {'val': 9}": (
        "metrics were reported after the loop over ctx.epochs(), and belong to no epoch"
    ),
    "ctx.epochs()\n    for _ in range(2): yield {'val': 1}": "ctx.epochs() was called but not looped over to its end",
    "yield {'val': None}": "metric 'val' at step 1 is None, not a number",
    "yield {'val': float('inf')}": "metric 'val' at step 1 is inf, not a finite number",
    "for _ in range(9): yield {'val': 1.0}": "metrics were reported 3 times, but the budget is 2",
    "for _ in ctx.epochs(): pass\n    yield {'val': 1}": "after epoch 1 of ctx.epochs() 0 metrics had been reported",
    "ctx.save_predictions(truth=[0], probabilities=[[1.0]], labels=(1, 2), names='ab'); yield {'val': 1}": "(1, 2)",
}


@pytest.mark.slow
@pytest.mark.parametrize(("body", "message"), BAD_YIELDS.items())
def test_broken_rule_is_named(tmp_path, body, message):
    code = (
        "import sys; from pathlib import Path; from hpo.training import TrainingRun; from hpo.core.protocols import *;"
        "from hpo.core.records import *; t = TrainingRun(Job(trial=0, params={}, seed=1, budget=2), TrainableRef("
        "path='mine:train', root=sys.argv[1], objective=Objective(metric='val')), Resources(), Path(sys.argv[1]))\n"
        "while (p := t.advance()).status is None: pass\nprint(p.error)"
    )
    write_project(tmp_path, f"def train(params: Params, ctx: Context) -> Iterator[Metrics]:\n    {body}\n")
    done = forked.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert message in done.stdout


@pytest.mark.slow
def test_unchanged_weights_remark(tmp_path):
    write_project(
        tmp_path,
        "class Model(dict):\n    state_dict = dict.copy\n    load_state_dict = dict.update\n"
        "def train(params: Params, ctx: Context) -> Iterator[Metrics]:\n    model = Model(weight=0)\n"
        "    for epoch in ctx.epochs(model=model):\n        model = Model(weight=epoch)\n        "
        "yield {'val': epoch}\n",
    )
    code = (
        "import sys; from pathlib import Path; from hpo.training import TrainingRun; from hpo.core.protocols import *;"
        "from hpo.core.records import *; t = TrainingRun(Job(trial=0, params={}, seed=1, budget=2), TrainableRef("
        "path='mine:train', root=sys.argv[1], objective=Objective(metric='val')), Resources(), Path(sys.argv[1]))\n"
        "while (p := t.advance()).status is None: pass\nprint(p.status, p.outcome.remarks)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("complete")
    assert "its weights are bit for bit the initial ones" in done.stdout


def test_other_metrics_are_reported(tmp_path):
    update, reports = whole(curve_job(), ref("toys.curve:train", "val"), tmp_path)
    assert update.status is Status.COMPLETE
    assert reports[0].metrics["loss"] is not None


def test_threads_are_restored(tmp_path):
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    _, reports = whole(Job(trial=0, params={"x": 0.5}, seed=41, budget=2), ref("toys.nasty:train", "val"), tmp_path)
    assert [report.metrics["threads"] for report in reports] == [1, 1]
    assert torch.get_num_threads() == 2
    assert not torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(before)


def test_close_runs_finally_blocks(tmp_path):
    write_project(
        tmp_path,
        "def train(params: Params, ctx: Context) -> Iterator[Metrics]:\n    try:\n        yield {'val': 1.0}\n"
        "    finally:\n        print('closed')\n",
    )
    code = (
        "import sys; from pathlib import Path; from hpo.training import TrainingRun; from hpo.core.protocols import *;"
        "from hpo.core.records import *; t = TrainingRun(Job(trial=0, params={}, seed=1, budget=2), TrainableRef("
        "path='mine:train', root=sys.argv[1], objective=Objective(metric='val')), Resources(), Path(sys.argv[1]))\n"
        "t.advance(); print('open'); t.close()"
    )
    done = forked.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["open", "closed"]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("toys.curve", "must be 'module:function'"),
        ("toys.kurve:train", "no module 'toys.kurve'"),
        ("toys.curve:trian", "Did you mean train"),
        ("toys.curve:CurveParams", "must be a function or a generator function"),
    ],
)
def test_missing_trainable_is_usage_error(path, message):
    with pytest.raises(UsageError, match=message):
        load(ref(path))
