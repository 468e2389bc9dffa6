"""The trainables of docs/integrations.md: the same bits again, interrupted or not, and pruned."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest

import hpo
from hpo import api
from hpo.core.installed import install_line
from hpo.core.protocols import DONE, Decision, Resources, TrainableRef
from hpo.core.records import Job, Objective, Status
from hpo.core.tracker import JobTracker
from hpo.study.trainable import load
from hpo.training import TrainingRun, discard_checkpoint

PAGE = (Path(__file__).parents[2] / "docs" / "integrations.md").read_text()
STUDY, PARALLEL_STUDY = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
[PARALLEL] = re.findall(r"`train_ddp.py`.*?```python\n(.*?)```", PAGE, re.DOTALL)
EXAMPLES = dict(re.findall(r"## ([\w-]+)\n\n```python\n(.*?)```", PAGE, re.DOTALL))
MODULES = {"scikit-learn": "sklearn", "LightGBM": "lightgbm", "XGBoost": "xgboost", "Keras": "keras"}
MODULES |= {"Lightning": "lightning", "Transformers": "transformers"}
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:.*treespec, LeafSpec", "ignore:.*does not have many workers"),
]
OBJECTIVE = Objective(metric="val_auc", direction="maximize")

GROWING = """
import numpy as np
from lightgbm import LGBMClassifier
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from xgboost import XGBClassifier

from hpo.integrations import lightgbm, xgboost
from hpo.integrations.sklearn import fit_growing


def train(lr, *, ctx):
    x, y = load_breast_cancer(return_X_y=True)
    fit_growing(
        GradientBoostingClassifier(learning_rate=lr, subsample=0.5), x[:400], y[:400], ctx, trees=2,
        score=lambda model: {"val_auc": roc_auc_score(y[400:], model.predict_proba(x[400:])[:, 1])},
    )


def light(lr, *, ctx):
    x, y = load_breast_cancer(return_X_y=True)
    seed = ctx.streams.init.random_state()
    model = LGBMClassifier(n_estimators=4, learning_rate=lr, random_state=seed, n_jobs=ctx.threads, verbose=-1)
    sets = {"eval_X": x[400:], "eval_y": y[400:], "eval_names": ["val"], "eval_metric": "auc"}
    model.fit(x[:400], y[:400], callbacks=[lightgbm.Report(ctx)], **sets)


class Named:
    def __init__(self, ctx):
        self.report = lambda metrics: ctx.report({"val_auc": metrics["validation_0_auc"]})


def extreme(lr, *, ctx):
    x, y = load_breast_cancer(return_X_y=True)
    model = XGBClassifier(
        n_estimators=4, learning_rate=lr, subsample=0.5, random_state=ctx.streams.init.random_state(),
        n_jobs=ctx.threads, eval_metric="auc", callbacks=[xgboost.Report(Named(ctx))],
    )
    model.fit(x[:400], y[:400], eval_set=[(x[400:], y[400:])], verbose=False)
"""


class PrunesAt:
    """A source that prunes at a step."""

    def __init__(self, step):
        self.step = step

    def ask(self):
        return DONE

    def report(self, job, step, value):
        return Decision.STOP if step == self.step else Decision.CONTINUE

    def tell(self, evaluation):
        pass


def trained(ref, work, *, prune_at=None, pause_at=None, drop_at=None, budget=4):
    """Returns the evaluation; None: it was paused, or its process was given up."""
    work.mkdir(exist_ok=True)
    job = Job(trial=0, params={"lr": 0.1}, seed=41, budget=budget)
    tracker, training = JobTracker(PrunesAt(prune_at), job, OBJECTIVE), TrainingRun(job, ref, Resources(), work)
    try:
        for step in range(budget + 2):
            if step == drop_at:
                return None
            update = training.pause() if step == pause_at else training.advance()
            if update.paused:
                return None
            if (evaluation := tracker.receive(update)) is not None:
                discard_checkpoint(work, job)
                return evaluation
    finally:
        training.close()
    raise AssertionError("the training never ended")


def bits(evaluation):
    assert evaluation.error is None, evaluation.error
    reports = [dict(one.metrics) for one in evaluation.reports]
    return evaluation.status, evaluation.value, evaluation.step, reports, dict(evaluation.digests)


CALLED = {
    "Keras": [
        ("fit(model, x[:400], y[:400], ctx=ctx,", "model.fit(x[:400], y[:400], epochs=ctx.budget, verbose=0,"),
        ("batch_size=50", "batch_size=50, callbacks=[Report(ctx)]"),
    ],
    "Lightning": [
        (
            "fit(net,",
            "quiet = {'logger': False, 'enable_progress_bar': False, 'enable_checkpointing': False}\n    fit(net,",
        ),
        ("fit(net,", "L.Trainer(max_epochs=ctx.budget, callbacks=[Report(ctx)], **quiet).fit(net,"),
        (", ctx=ctx)", ")"),
    ],
    "Transformers": [
        ('report_to="none"', 'report_to="none", disable_tqdm=True, eval_strategy="epoch", num_train_epochs=ctx.budget'),
        ("fit(trainer, ctx=ctx)", "trainer.add_callback(Report(ctx))\n    trainer.train()"),
    ],
}
"""How an example calls its library itself, with the callback `Report`."""


def called(name):
    text = EXAMPLES[name].replace("import fit", "import Report")
    for old, new in CALLED[name]:
        assert old in text
        text = text.replace(old, new)
    return text


OTHERS = [f"{name}:called" for name in CALLED]


@pytest.fixture(params=[*MODULES, *OTHERS, "growing:train", "growing:light", "growing:extreme"])
def ref(request, tmp_path):
    name, _, function = request.param.partition(":")
    for needed in ["lightgbm", "xgboost"] if name == "growing" else [MODULES[name]]:
        if find_spec(needed) is None:
            pytest.skip(f"{needed} is not installed")
    module = f"tumours_{name.lower().replace('-', '_')}"
    text = GROWING if name == "growing" else EXAMPLES[name]
    if function == "called":
        module, function, text = f"{module}_called", "train", called(name)
    (tmp_path / f"{module}.py").write_text(text)
    yield TrainableRef(path=f"{module}:{function or 'train'}", root=str(tmp_path), objective=OBJECTIVE)
    sys.modules.pop(module, None)


@pytest.mark.slow("Transformers")
@pytest.mark.slow("Keras")
@pytest.mark.slow("own")
def test_it_goes_on_to_the_same_bits(ref, tmp_path):
    whole = trained(ref, tmp_path / "whole")
    assert (whole.status, len(whole.reports)) == (Status.COMPLETE, 4), whole.error
    assert len({one.metrics["val_auc"] for one in whole.reports}) > 1
    assert trained(ref, tmp_path / "again", pause_at=2) is None
    assert bits(trained(ref, tmp_path / "again")) == bits(whole)
    assert trained(ref, tmp_path / "lost", drop_at=3) is None
    assert bits(trained(ref, tmp_path / "lost")) == bits(whole)


@pytest.mark.slow("Transformers")
@pytest.mark.slow("Keras")
@pytest.mark.slow("own")
def test_it_is_pruned(ref, tmp_path):
    found = trained(ref, tmp_path / "work", prune_at=2)
    assert (found.status, found.step) == (Status.PRUNED, 2)


@pytest.mark.slow("Transformers")
@pytest.mark.slow("Keras")  # TensorFlow alone takes ten seconds to import
@pytest.mark.parametrize("name", MODULES)
def test_it_verifies(name, tmp_path, config):
    pytest.importorskip(MODULES[name])
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies" / "tumours.toml").write_text(STUDY)
    (tmp_path / "train.py").write_text(EXAMPLES[name])
    study = hpo.load_study("tumours", [tmp_path / "studies"])
    hpo.run(study, config, trials=1)
    assert all(one.is_identical for one in api.verify(study, config, trial=0))
    assert all(one.is_identical for one in api.verify(study, config, trial=0, resumed=True))


@pytest.mark.slow
@pytest.mark.parametrize("name", CALLED)
def test_it_survives_its_process(name, tmp_path):
    pytest.importorskip(MODULES[name])
    (tmp_path / "tumours_killed.py").write_text(EXAMPLES[name])
    ref = TrainableRef(path="tumours_killed:train", root=str(tmp_path), objective=OBJECTIVE)
    child = subprocess.run([sys.executable, __file__, str(tmp_path)], check=False, timeout=300)
    assert child.returncode == -signal.SIGKILL
    assert (tmp_path / "killed").is_dir()
    assert bits(trained(ref, tmp_path / "killed")) == bits(trained(ref, tmp_path / "whole"))
    sys.modules.pop("tumours_killed", None)


@pytest.mark.slow
def test_several_processes_train_one_model(tmp_path, config):
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies" / "parallel.toml").write_text(PARALLEL_STUDY)
    (tmp_path / "train_ddp.py").write_text(PARALLEL)
    study = hpo.load_study("parallel", [tmp_path / "studies"])
    assert study.resources.gpu == 2
    config = replace(config, gpus_per_trial=0.0)
    hpo.run(study, config, trials=1)
    [evaluation] = api.show("parallel", 0, config)[1]
    assert evaluation.error is None, evaluation.error
    assert [one.metrics["processes"] for one in evaluation.reports] == [2, 2, 2]
    assert all(one.is_identical for one in api.verify(study, config, trial=0))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("from hpo.integrations.sklearn import fit_epochs as f\nf(Thing(), 0, 0, None, score=len)", "partial_fit"),
        ("from hpo.integrations.sklearn import fit_growing as f\nf(Thing(), 0, 0, None, score=len)", "warm_start"),
        ("from hpo.integrations.lightgbm import train as f\nf({'seed': 1}, 0, None, valid=0)", "remove from .* seed"),
        ("from hpo.integrations.xgboost import train as f\nf({'seed': 1}, 0, None, valid=0)", "remove from .* seed"),
        ("from hpo.integrations.keras import fit as f\nf(Thing(), ctx=None)", "compiled and built"),
        (
            "from hpo.integrations.lightning import fit as f\nf(Thing(), ctx=None)",
            "expected a LightningModule .*Thing",
        ),
        (
            "from hpo.integrations.transformers import fit as f\nf(Thing(), ctx=None)",
            "Trainer, got Thing",
        ),
    ],
)
def test_misuse_is_a_sentence(call, message):
    pytest.importorskip(call.split(".")[2].split()[0])

    class Thing:
        built = False

        def get_params(self):
            return {}

    with pytest.raises(hpo.UsageError, match=message):
        exec(call, {"Thing": Thing})


@pytest.mark.parametrize("name", ["lightning", "transformers"])
def test_a_missing_library_names_its_extra(name, tmp_path, monkeypatch):
    class Missing:
        def find_spec(self, module, *others):
            if module == name:
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    (tmp_path / f"no_{name}.py").write_text(f"import hpo.integrations.{name}\n")
    for module in [one for one in sys.modules if f"{one}.".startswith((f"{name}.", f"hpo.integrations.{name}."))]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setattr(sys, "meta_path", [Missing(), *sys.meta_path])
    with pytest.raises(hpo.UsageError) as caught:
        load(TrainableRef(path=f"no_{name}:train", root=str(tmp_path), objective=OBJECTIVE))
    assert f"it needs {name!r}, which is not installed: {install_line(name)}" in str(caught.value)


if __name__ == "__main__":  # the process that is killed after two epochs
    folder = Path(sys.argv[1])
    ref = TrainableRef(path="tumours_killed:train", root=str(folder), objective=OBJECTIVE)
    (folder / "killed").mkdir()
    training = TrainingRun(Job(trial=0, params={"lr": 0.1}, seed=41, budget=4), ref, Resources(), folder / "killed")
    for _ in range(3):
        training.advance()
    os.kill(os.getpid(), signal.SIGKILL)
