"""Tables of other tools: which columns are read, what is said of them, and what is refused."""

from __future__ import annotations

import json

import optuna
import pytest
from searches import value as reached
from typer.testing import CliRunner

from hpo import api
from hpo.cli.main import app
from hpo.core.errors import StorageUnavailable, UsageError
from hpo.search.imports import chosen
from hpo.search.reading import read_source
from hpo.search.table_import import Columns

WANDB = """Name,State,x,k,shape,gain,val,loss,Runtime
sunny-1,finished,0.3,1,flat,,0.9,0.1,12
rainy-2,crashed,0.4,2,flat,,0.1,0.9,3
windy-3,finished,0.5,3.0,late,0.2,0.8,0.2,11
"""


@pytest.fixture
def table(tmp_path):
    """Writes a table and returns its path."""

    def write(text, name="runs.csv"):
        path = tmp_path / name
        path.write_text(text)
        return str(path)

    return write


def usable(study, source, **columns):
    return chosen(study, read_source(study, source, columns=Columns(**columns)))


def test_wandb_export(curve, table):
    taken, left_out = usable(curve(), table(WANDB))
    assert [trial.params for trial in taken] == [
        {"x": 0.3, "k": 1, "shape": "flat"},
        {"x": 0.5, "k": 3, "shape": "late", "gain": 0.2},
    ]
    assert [trial.value for trial in taken] == [0.9, 0.8]
    assert left_out == {1: "failed"}


def test_what_was_read_is_said(curve, table):
    found = read_source(curve(), table(WANDB))
    assert found.recognized == (
        "params: x, k, shape, gain",
        "value: val; more is taken to be better",
        "state: State",
        "not read: loss, Runtime",
    )
    assert str(found.origin_of(2)).startswith("trial 2 (windy-3) of study runs in ")


@pytest.mark.parametrize("param", ["params.{}", "params/{}", "config/{}", "config.{}", "params_{}"])
@pytest.mark.parametrize("metric", ["metrics.val", "val", "summary/val", "value"])
def test_prefixes(curve, table, param, metric):
    header = ",".join([*(param.format(name) for name in ("x", "k", "shape")), metric])
    [trial], _ = usable(curve(), table(f"{header}\n0.3,1,flat,0.9\n"))
    assert (trial.params, trial.value) == ({"x": 0.3, "k": 1, "shape": "flat"}, 0.9)


def test_optunas_own_frame(curve, table):
    study = optuna.create_study(direction="maximize")

    def objective(trial):
        params = {"x": trial.suggest_float("x", 0, 1), "k": trial.suggest_int("k", 1, 5)}
        shape = trial.suggest_categorical("shape", ["flat", "late"])
        gain = {"gain": trial.suggest_float("gain", 0.1, 1.0)} if shape == "late" else {}
        return reached(params | gain, 5)

    study.optimize(objective, n_trials=8)
    source = table(study.trials_dataframe().iloc[3:].to_csv(index=False))
    found = read_source(curve(), source)
    taken, _ = chosen(curve(), found)
    assert [trial.number for trial in found.trials] == list(range(3, 8))
    assert [(t.params, t.value) for t in taken] == [(t.params, t.value) for t in study.trials[3:]]


def test_other_names_are_mapped(curve, table):
    source = table("lr,depth,shape,score\n0.3,1,flat,0.9\n")
    [trial], _ = usable(curve(), source, value="score", params={"x": "lr", "k": "depth"})
    assert (trial.params, trial.value) == ({"x": 0.3, "k": 1, "shape": "flat"}, 0.9)


def test_a_param_of_theirs_is_named(curve, table):
    source = table(
        "config/x,config/k,config/shape,config/width,config/epochs,val\n0.3,1,flat,64,5,1\n0.4,2,flat,32,5,0\n"
    )
    taken, left_out = usable(curve(), source)
    assert taken == []
    assert left_out[0].startswith("width: no such param")  # and epochs, which never changes, is a setting
    assert len(usable(curve(), source, params={"width": ""})[0]) == 2


@pytest.mark.parametrize(
    ("text", "columns", "message"),
    [
        (
            "x,k,shape,score\n0.3,1,flat,1\n",
            {},
            r"no column 'val' or 'value'; name the one with --value. Its columns: x, k",
        ),
        ("x,k,shape,val\n0.3,1,flat,1\n", {"value": "vall"}, r"no column 'vall'\. Did you mean val\?"),
        ("a,b,val\n1,2,3\n", {}, r"no column for any of the params x, k, shape, gain"),
        ("x,config/x,k,val\n0.3,0.4,1,1\n", {}, r"several columns for param x: x, config/x; name one"),
        ("x,k,val\n0.3,1\n", {}, "is no table"),
        ("trial_id,x,k,val\na,0.3,1,1\na,0.3,1,2\n", {}, "several rows of one trial_id"),
        ("", {}, "is no table"),
    ],
)
def test_refused_tables(curve, table, text, columns, message):
    with pytest.raises(UsageError, match=message):
        usable(curve(), table(text), **columns)


@pytest.fixture
def experiment(tmp_path):
    """A Ray Tune experiment's folder: one trial ended, one stopped early, one failed."""
    folder = tmp_path / "train_fn_2026"
    for name, config, values in (
        ("train_a_0", {"x": 0.3, "k": 1, "shape": "flat", "out": "/tmp"}, [0.5, 0.9, 0.8]),
        ("train_b_1", {"x": 0.5, "k": 2, "shape": "late", "gain": 0.2, "out": "/tmp"}, [0.4]),
        ("train_c_2", {"x": 0.6, "k": 2, "shape": "flat", "out": "/tmp"}, [0.1]),
    ):
        trial = folder / name
        trial.mkdir(parents=True)
        (trial / "params.json").write_text(json.dumps(config))
        lines = [
            {"val": v, "training_iteration": n, "trial_id": name[6], "config": config} for n, v in enumerate(values, 1)
        ]
        (trial / "result.json").write_text("".join(json.dumps(line) + "\n" for line in lines))
        (trial / "params.pkl").write_bytes(b"never read")
    (folder / "train_c_2" / "error.txt").write_text("boom")
    return str(folder)


def test_ray_experiment(curve, experiment):
    taken, left_out = usable(curve(), experiment)
    assert [(t.params, t.value, t.intermediate_values) for t in taken] == [
        ({"x": 0.3, "k": 1, "shape": "flat"}, 0.9, {1: 0.5, 2: 0.9, 3: 0.8}),
        ({"x": 0.5, "k": 2, "shape": "late", "gain": 0.2}, 0.4, {1: 0.4}),
    ]
    assert left_out == {2: "failed"}
    [first, _], _ = usable(curve(objective={"epoch": "last"}), experiment)
    assert first.value == 0.8


def test_ray_candidates_are_named(curve, config, experiment):
    outcome = api.promote(curve(), config, source=experiment, top=1)
    [one] = outcome.report.external.values()
    assert (one.origin.tool, one.origin.name, one.last_step) == ("Ray Tune", "a", 3)
    assert outcome.recognized[1] == "value: val, the best that was reported; more is taken to be better"


def test_no_experiment(curve, tmp_path):
    with pytest.raises(UsageError, match=r"is no Ray Tune experiment: expected folders of trials with params\.json"):
        read_source(curve(), str(tmp_path))


@pytest.mark.slow
def test_import_of_a_table(curve, config, table):
    args = ["import", "--study", "curve", "--storage", config.storage, "--studies", str(curve().root / "studies")]
    source = table(WANDB.replace("val,", "score,"))
    result = CliRunner().invoke(app, [*args, "--from", source, "--value", "score", "--params", "k=k"])
    assert result.exit_code == 0, result.output
    text = " ".join(result.stdout.split())
    assert "Read: params: k, x, shape, gain; value: score; more is taken to be better; state: State;" in text
    assert "Left out: trial 1: failed." in text
    assert api.run(curve(search={"trials": 1}), config).own == 1


def test_absent_table_is_said(curve, tmp_path):
    with pytest.raises(StorageUnavailable, match=r"there is no file .*none.csv; expected .* of a CSV file, or"):
        read_source(curve(), str(tmp_path / "none.csv"), columns=Columns(value="score"))


def test_columns_are_a_tables(curve, tmp_path):
    with pytest.raises(UsageError, match="--value and --params name columns of a table"):
        read_source(curve(), f"sqlite:///{tmp_path / 'old.db'}", columns=Columns(value="val"))
