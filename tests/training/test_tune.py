"""A Ray Tune function as a trainable: what it reports, and what Ray Tune's session says of a training."""

from __future__ import annotations

import itertools

import pytest

from hpo.core.protocols import Resources, TrainableRef
from hpo.core.records import Job, Objective, Stage
from hpo.training import ARTIFACTS, TrainingRun

NAMES = (f"tuning{number}" for number in itertools.count())
"""A module name for each test: a process imports a name once."""

HEAD = """
from pathlib import Path
from ray import tune

def saved(folder, text):
    (Path(folder) / "empty").mkdir(parents=True, exist_ok=True)
    (Path(folder) / "text").write_text(text)
    return tune.Checkpoint.from_directory(folder)

def read(checkpoint):
    with checkpoint.as_directory() as folder:
        assert (Path(folder) / "empty").is_dir()
        return (Path(folder) / "text").read_text()

def train_fn(config):
"""


@pytest.fixture
def trained(tmp_path):
    """Returns a function that trains the given lines, first up to a number of steps, and returns the last update."""
    module = next(NAMES)
    job = Job(trial=3, params={"lr": 0.5}, seed=44, budget=3, stage=Stage.PROMOTION)

    def trained(lines, before=0, epoch="best"):
        (tmp_path / f"{module}.py").write_text(HEAD + "\n".join(f"    {line}" for line in lines))
        ref = TrainableRef(
            path=f"{module}:train_fn", root=str(tmp_path), objective=Objective(metric="val", epoch=epoch)
        )
        for steps in filter(None, [before, 9]):
            training = TrainingRun(job, ref, Resources(), tmp_path / "work")
            try:
                updates = [training.advance()]
                while updates[-1].status is None and len(updates) <= steps:
                    updates.append(training.advance())
            finally:
                training.close()
        return updates[-1], {report.step: dict(report.metrics) for one in updates for report in one.reports}

    return trained


def test_numbers_are_metrics(trained):
    lines = ["tune.report({'val': config['lr'], 'test': {'auc': 1}, 'name': '3', 'rows': [1], 'bad': float('nan')})"]
    update, metrics = trained(lines * 2)
    assert metrics[2] == {"val": 0.5, "test/auc": 1.0}
    assert update.outcome.remarks == ("reported to Ray Tune, but no finite numbers, so left out: bad, name, rows",)


OLDER = "from ray import train"
FAILING = {
    "text": (["tune.report({'val': 'high'})"], "metric 'val' at step 1 is "),
    "infinite": (["tune.report({'val': float('inf')})"], "metric 'val' at step 1 is "),
    "number": (["tune.report(3)"], "must report a mapping of metrics"),
    "pairs": (["tune.report([('val', 3)])"], "must report a mapping of metrics"),
    "unknown": (
        ["tune.get_context().get_experiment_name()"],
        "the session of Ray Tune in hpo has no 'experiment_name' (it has: ",
    ),
    "endless": (
        ["try: tune.report({'val': 1})", "finally:", "    for _ in range(99): tune.report({'val': 2})"],
        "metrics were reported 4 times, but the budget is 3",
    ),
    "train.report": ([OLDER, "train.report({'val': 1})"], "Please use the equivalent `ray.tune` API instead"),
    "train.get_checkpoint": ([OLDER, "train.get_checkpoint()"], "Please use the equivalent `ray.tune` API instead"),
}


@pytest.mark.parametrize("case", FAILING)
def test_failures_are_sentences(trained, case):
    lines, said = FAILING[case]
    assert said in trained(lines)[0].error


def test_the_newest_checkpoint_is_returned(trained):
    lines = [
        "if (found := tune.get_checkpoint()) is None:",
        "    tune.report({'val': 1}, checkpoint=saved('a', '1'))",
        "assert read(tune.get_checkpoint()) == '1' and read(tune.get_checkpoint()) == '1'",
        "tune.report({'val': 2}, checkpoint=saved('a', '2'))",
        "assert read(tune.get_checkpoint()) == '2'",
        "tune.report({'val': 3 if found else 0})",
    ]
    update, metrics = trained(lines, before=1)
    assert update.error is None
    assert metrics == {1: {"val": 1}, 2: {"val": 2}, 3: {"val": 3}}


def test_nothing_restored_starts_over(trained):
    lines = [
        "for step in (1, 2, 3):",
        "    with Path('lines').open('a') as file: file.write('x')",
        "    tune.report({'val': len(Path('lines').read_text())}, checkpoint=saved('a', 'b'))",
        "    assert read(tune.get_checkpoint()) == 'b'",
    ]
    assert trained(lines, before=2)[1] == {1: {"val": 1}, 2: {"val": 2}, 3: {"val": 3}}


@pytest.mark.parametrize("before", [0, 2])
@pytest.mark.parametrize(("epoch", "kept"), [("best", "2"), ("last", "3")])
def test_the_selected_checkpoint_is_kept(trained, tmp_path, before, epoch, kept):
    lines = [
        "found = tune.get_checkpoint()",
        "for step in range(int(read(found)) + 1 if found else 1, 4):",
        "    Path(f'a{step}', f'of-{step}').mkdir(parents=True, exist_ok=True)",
        "    tune.report({'val': (0, 1, 3, 2)[step]}, checkpoint=saved(f'a{step}', str(step)))",
    ]
    assert trained(lines, before, epoch)[0].error is None
    [folder] = tmp_path.rglob(f"{ARTIFACTS}/ray-checkpoint")
    assert (folder / "text").read_text() == kept
    assert {one.name for one in folder.iterdir()} == {"text", "empty", f"of-{kept}"}


def test_the_context_of_tune(trained):
    lines = [
        "about = tune.get_context()",
        "assert about.get_trial_id() == '3' and about.get_trial_name() == 'trial-3-seed-44'",
        "assert Path(about.get_trial_dir()).samefile('.')",
        "tune.report({'val': 1})",
    ]
    assert trained(lines)[0].error is None


def test_the_session_ends_with_the_training(trained):
    from ray import tune

    trained(["tune.report({'val': 1})"])
    with pytest.warns(UserWarning, match="inside a function that is executed by a Tuner"):
        assert tune.get_checkpoint() is None
