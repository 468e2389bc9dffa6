"""An installation without torch: what needs none gives the same bits, and what needs it says how to install it."""

from __future__ import annotations

import io
import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hpo.core.errors import CheckpointInvalid, TrainableError, UsageError
from hpo.core.records import Report
from hpo.training.checkpoint import NEWEST, Checkpoint
from hpo.training.plain_files import UnknownClass, read_plain, write_plain
from hpo.training.states import load_plain

ROOT = Path(__file__).parents[2]

NO_TORCH = """
import sys

class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, NoTorch())
"""

TRAIN = """
import hpo
from hpo.integrations.sklearn import fit_epochs
from sklearn.datasets import load_digits
from sklearn.linear_model import SGDClassifier
from sklearn.model_selection import train_test_split

def steps(alpha: float, *, ctx: hpo.Context) -> None:
    x, y = load_digits(return_X_y=True)
    seed = ctx.streams.split.random_state()
    x, x_val, y, y_val = train_test_split(x[:400], y[:400], random_state=seed)
    model = SGDClassifier(alpha=alpha)
    fit_epochs(model, x, y, ctx, score=lambda model: {"val_acc": model.score(x_val, y_val)})

def noise(x: float, *, ctx: hpo.Context) -> float:
    return -((x - 0.3) ** 2) + 0.01 * ctx.streams.order.numpy().normal()
"""

RUN = """
import json
import sys
from pathlib import Path

import hpo

name, backend, sampler = sys.argv[1:]
options = {"n_startup_trials": 4} if sampler == "tpe+gp" else {}
search = {"trials": 8, "budget": 3 if name == "steps" else 1, "pruner": "none", "sampler": sampler}
search |= {"sampler_options": options}
objective = hpo.maximize("val_acc" if name == "steps" else "y")
space = {"alpha": hpo.Float(1e-6, 1e-1, log=True)} if name == "steps" else {"x": hpo.Float(0, 1)}
study = hpo.Study(name=name, trainable=f"train:{name}", objective=objective, space=space, search=search)
place = Path.cwd()
config = hpo.RunConfig(storage=f"sqlite:///{place / 'hpo.db'}", outputs=place / "outputs", backend=backend)
study = study.located(place)
searched = hpo.run(study, config)
ranking = hpo.promote(study, config).ranking
found = [[t.params, t.value] for t in searched.trials]
scores = [[row.candidate.trial, list(row.candidate.values.values()), row.score] for row in ranking.complete]
print(json.dumps({"trials": found, "scores": scores, "torch": "torch" in sys.modules}))
"""


@pytest.fixture
def python(tmp_path):
    """Returns a function that runs Python in a folder, where torch cannot be imported unless asked for."""
    (tmp_path / "absent").mkdir()
    (tmp_path / "absent" / "sitecustomize.py").write_text(NO_TORCH)

    def run(folder, *words, torch=False):
        folder.mkdir(exist_ok=True)
        (folder / "train.py").write_text(TRAIN)
        paths = [str(ROOT)] if torch else [str(tmp_path / "absent"), str(ROOT)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
        return subprocess.run(
            [sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True, check=False
        )

    return run


def outcome(done):
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.parametrize(("name", "sampler"), [("steps", "tpe"), ("noise", "tpe+gp")])
def test_the_same_bits_without_torch(tmp_path, python, name, sampler):
    found = [
        outcome(python(tmp_path / str(torch), "-c", RUN, name, "local", sampler, torch=torch))
        for torch in (False, True)
    ]
    assert found[0]["torch"] is False
    assert len(found[0]["trials"]) == 8
    assert len(found[0]["scores"]) >= 1
    assert found[0]["trials"] == found[1]["trials"]
    assert found[0]["scores"] == found[1]["scores"]
    assert (tmp_path / "False" / "outputs" / name / "results_7" / "summary.json").is_file()


@pytest.mark.ray
@pytest.mark.slow
def test_ray_without_torch(tmp_path, python):
    found = [outcome(python(tmp_path / backend, "-c", RUN, "steps", backend, "tpe")) for backend in ("ray", "local")]
    assert found[0] == found[1]


@pytest.mark.slow
def test_a_command_without_torch(tmp_path, python):
    shutil.copytree(ROOT / "examples" / "shell_program", tmp_path / "shell")
    words = ("run", "--study", "bowl", "--promote", "--backend", "local", "--trials", "2")
    done = python(tmp_path / "shell", "-c", "from hpo.cli import main; main()", *words)
    assert done.returncode == 0, done.stderr
    assert "Winner: trial" in done.stdout


def checkpoint(**changes):
    made = {"job": "j", "epoch": 2, "selected": None, "reports": (), "seconds": 1.0, "code": "c"}
    made["reports"] = (Report(step=1, metrics={"a": 0.5}, at=0.0),)
    made["states"] = {"model": {"w": np.arange(3.0), "state": np.random.RandomState(1).get_state()}}
    return Checkpoint(**{**made, **changes})


SAVE = """
import sys
sys.path[:0] = [{tests!r}]
from pathlib import Path
from test_without_torch import checkpoint
checkpoint().save(Path.cwd())
"""


@pytest.mark.slow
def test_torch_reads_a_checkpoint_without(tmp_path, python):
    done = python(tmp_path / "own", "-c", SAVE.format(tests=str(Path(__file__).parent)))
    assert done.returncode == 0, done.stderr
    loaded = Checkpoint.load(tmp_path / "own" / NEWEST, "j", "cpu", "c")
    assert loaded.reports == checkpoint().reports
    assert np.array_equal(loaded.states["model"]["w"], np.arange(3.0))
    assert loaded.states["model"]["state"][2] == 624


@pytest.fixture
def no_torch(monkeypatch):
    """Lets this process believe that torch is not installed."""
    monkeypatch.setitem(sys.modules, "torch", None)


def test_a_checkpoint_of_torch_is_refused(tmp_path, no_torch, monkeypatch):
    monkeypatch.undo()
    checkpoint().save(tmp_path)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(CheckpointInvalid, match=r"cannot be read \(a file that torch wrote needs torch, which is not"):
        Checkpoint.load(tmp_path / NEWEST, "j", "cpu", "c")


def test_a_state_without_torch_is_checked(tmp_path, no_torch):
    checkpoint().save(tmp_path)
    assert load_plain(io.BytesIO((tmp_path / NEWEST).read_bytes()[:-32]), "cpu")["epoch"] == 2
    with pytest.raises(TrainableError, match=r"'model'.*it holds numpy\.random\._pickle.__generator_ctor"):
        checkpoint(states={"model": {"rng": np.random.default_rng(1)}}).save(tmp_path)
    with pytest.raises(TrainableError, match=r"cannot be saved in a checkpoint: .*a state_dict may hold tensors"):
        checkpoint(states={"model": {"open": lambda: 1}}).save(tmp_path)


def test_a_plain_file_executes_nothing():
    for hostile in (os.system, print, subprocess.Popen):
        file = io.BytesIO()
        write_plain(hostile, file)
        file.seek(0)
        with pytest.raises(UnknownClass, match=hostile.__name__):
            read_plain(file, ())


def test_a_plain_file_changes_no_class():
    from fractions import Fraction

    # The class itself, and the state that pickle would set on it.
    content = pickle.PROTO + b"\x04" + b"cfractions\nFraction\n" + b"N}\x8c\x05attacK\x01s\x86b."
    read_plain(io.BytesIO(content), (Fraction,))
    assert not hasattr(Fraction, "attac")


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("hpo.Streams(1).init.torch()", "ctx.streams.init.torch() needs torch, which is not installed: pip install "),
        ("device_for(1)", "a training requests 1 GPU; looking for it needs torch, which is not installed: pip install"),
        ("require_package('gp')", "sampler 'gp' needs torch, which is not installed: pip install "),
        ("check_tensorboard()", "event files need torch, which is not installed: pip install "),
    ],
)
def test_errors_name_the_install_line(no_torch, code, expected):
    import hpo
    from hpo.study import require_package
    from hpo.training import check_tensorboard, device_for

    names = {"hpo": hpo, "require_package": require_package, "check_tensorboard": check_tensorboard}
    with pytest.raises(UsageError) as caught:
        eval(code, names | {"device_for": device_for})
    assert str(caught.value).startswith(expected)
    assert "[torch]" in str(caught.value) or "[tensorboard]" in str(caught.value)


def test_init_says_what_the_network_needs(tmp_path, no_torch):
    from hpo import api

    [remark] = api.init(tmp_path / "new").remarks
    assert remark.startswith("its network needs torch, which is not installed: pip install ")


@pytest.mark.slow
def test_doctor_without_torch(tmp_path, python):
    done = python(tmp_path / "new", "-m", "hpo", "doctor", "--backend", "local")
    assert "torch, which looks for GPUs, is not installed" in done.stdout, done.stdout + done.stderr
