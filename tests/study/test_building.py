"""Studies that Python code makes."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import hpo
from hpo.core.errors import StudyInvalid, UsageError
from hpo.study.loading import read
from hpo.study.trainable import load

PROJECT = Path(__file__).parents[1] / "project"
REF = hpo.TrainableRef(path="toys.curve:train", root=str(PROJECT), objective=hpo.Objective(metric="val"))
train = load(REF).train
SPACE = {"x": hpo.Float(0, 1), "shape": hpo.Choice(["flat", "late"])}


def made(**said):
    return hpo.Study(**{"name": "mine", "trainable": train, "objective": hpo.minimize("val"), "space": SPACE, **said})


def test_objects_equal_the_file():
    space = {
        "x": hpo.Float(1e-4, 1, log=True),
        "k": hpo.Int(1, 5, step=2),
        "shape": hpo.Choice(["flat", "late"]),
        "gain": hpo.Float(0, 1, step=0.25, when={"shape": "late", "k": [1, 3]}),
    }
    tables = {
        "x": {"float": [1e-4, 1], "log": True},
        "k": {"int": [1, 5], "step": 2},
        "shape": {"choice": ["flat", "late"]},
        "gain": {"float": [0, 1], "step": 0.25, "when": {"shape": "late", "k": [1, 3]}},
    }
    objects = made(space=space, objective=hpo.maximize("val", epoch="last", limit=1.0, ignore=["ms"]))
    plain = made(
        space=tables,
        objective={"metric": "val", "direction": "maximize", "epoch": "last", "limit": 1.0, "ignore": ["ms"]},
    )
    assert objects.content() == plain.content()
    assert objects == plain


def test_what_is_left_out_has_defaults():
    study = made(search=None, promotion=None)
    assert (study.search.budget, study.search.trials, study.promotion.seeds) == (10, 20, (42, 43, 44))
    assert made(search={"trials": 5}).search.budget == 10


def test_importable_function_by_name():
    study = made()
    assert (study.trainable, study.root.name, study.ref.function) == ("toys.curve:train", "project", None)
    assert study == made(trainable="toys.curve:train").located(study.root)


def test_a_label_equals_the_file():
    named = made(objective=hpo.maximize("val", label="Value"))
    assert named == made(objective={"metric": "val", "direction": "maximize", "label": "Value"})
    assert made(objective=named.objective).objective == named.objective


def test_an_objective_of_before_is_taken():
    objective = hpo.Objective(metric="val", direction="minimize", constraints=("over",))
    assert made(objective=objective).objective == objective


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: hpo.Float(0, 1, lgo=True), "hpo.Float takes no 'lgo'. It takes: low, high, log, step, when."),
        (lambda: hpo.Int(1), "hpo.Int: missing a required argument: 'high'. It takes: low, high"),
        (lambda: hpo.Choice("a", "b"), "hpo.Choice: too many positional arguments. It takes: values, when."),
        (lambda: hpo.maximize("val", eopch="best"), "hpo.maximize takes no 'eopch'. It takes: metric, epoch"),
        (lambda: hpo.maximize(3), "metric must be the name of a metric as a text, not 3"),
        (lambda: hpo.minimize("val", epoch="first"), "there is no epoch 'first'; there are best, last"),
        (lambda: hpo.minimize("val", ignore=["val"]), "ignore names 'val', which is the metric that is optimized"),
        (lambda: hpo.minimize("val", limit="x"), "limit must be a number, not 'x'"),
        (lambda: hpo.minimize("val", label=3), "label must be a text, not 3"),
        (lambda: made(objective=hpo.minimize("val", label="")), "objective.label"),
        (lambda: made(trainable=dict), "trainable must be a function or its path 'module:function', not the class"),
        (lambda: made(trainable=[].append), "not a builtin_function_or_method; wrap it in a function"),
    ],
)
def test_wrong_arguments_get_a_sentence(call, said):
    with pytest.raises(UsageError) as caught:
        call()
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("tables", "key", "said"),
    [
        ({"spaces": {}}, "spaces", "no such key (keys: name, trainable, command, objective"),
        ({"search": {"trails": 3}}, "search.trails", "Did you mean trials?"),
        ({"space": {"x": hpo.Float(2, 1)}}, "space.x", "low 2.0 is above high 1.0"),
        ({"space": {"x": hpo.Float("a", 1)}}, "space.x.float.0", "expected a number, got 'a'"),
        ({"space": {"x": hpo.Choice("abc")}}, "space.x.choice", "expected a list, got 'abc'"),
        ({"space": {"x": hpo.Int(1, 2, when={"y": 3})}}, "space.x.when.y", "no such param in [space] (x)"),
        ({"trainable": 3}, "trainable", "expected a text, got 3"),
        ({"space": {}}, "space", "is empty"),
    ],
)
def test_wrong_tables_are_listed(tables, key, said):
    with pytest.raises(StudyInvalid) as caught:
        made(**tables)
    found = {problem.key: problem.message for problem in caught.value.problems}
    assert said in found[key]


NAMES = st.from_regex(r"[a-z]{1,3}", fullmatch=True).filter(lambda name: "seed" not in name)
NUMBERS = st.floats(-1e6, 1e6)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=5)
SCALARS = st.booleans() | st.integers(-(2**63), 2**63 - 1) | NUMBERS | TEXTS
DIMENSIONS = (
    st.tuples(NUMBERS, NUMBERS).map(lambda ends: hpo.Float(*sorted(ends)))
    | st.tuples(st.floats(1e-9, 1), st.floats(1, 1e9)).map(lambda ends: hpo.Float(*ends, log=True))
    | st.tuples(st.integers(-99, 99), st.integers(0, 9), st.integers(1, 9)).map(
        lambda said: hpo.Int(said[0], said[0] + said[1] * said[2], step=said[2] if said[1] else None)
    )
    | st.lists(SCALARS, min_size=1, max_size=4, unique=True).map(hpo.Choice)
)


@st.composite
def studies(draw):
    space = draw(st.dictionaries(NAMES, DIMENSIONS, min_size=1, max_size=4))
    parent = next((name for name, one in space.items() if isinstance(one, hpo.Choice)), None)
    if parent is not None and draw(st.booleans()):
        space["child"] = hpo.Float(0.0, 1.0, when={parent: space[parent].values[:2]})
    return made(
        space=space,
        fixed={f"f_{name}": value for name, value in draw(st.dictionaries(NAMES, SCALARS, max_size=3)).items()},
        objective=draw(st.sampled_from([hpo.maximize, hpo.minimize]))("val", limit=draw(st.none() | NUMBERS)),
        search={
            "trials": draw(st.integers(1, 9)),
            "lag": draw(st.none() | st.just(False) | st.integers(1, 9)),
            "until": draw(st.none() | NUMBERS),
            "sampler": "tpe",
            "sampler_options": draw(st.sampled_from([{}, {"multivariate": True, "n_ei_candidates": None}])),
        },
        promotion={"seeds": draw(st.lists(st.integers(0, 2**63 - 1), min_size=2, max_size=4, unique=True))},
        streams=draw(st.sampled_from([{}, {"split": "fixed"}, {"init": 3}])),
        validation=draw(st.none() | st.just({"folds": 3})),
    )


@pytest.mark.slow
@given(studies())
def test_a_written_study_reads_back_equal(tmp_path_factory, study):
    folder = tmp_path_factory.mktemp("written")
    text = study.to_toml(folder)
    assert (folder / "mine.toml").read_text(encoding="utf-8") == text
    found = read(folder / "mine.toml")
    assert found.problems == ()
    assert found.study.located(study.root) == study
    assert found.study.content() == study.content()
    assert tomllib.loads(text)["trainable"] == "toys.curve:train"


def test_another_file_is_not_replaced(tmp_path):
    made().to_toml(tmp_path)
    made().to_toml(tmp_path)  # the same
    with pytest.raises(UsageError, match="contains another study"):
        made(search={"trials": 3}).to_toml(tmp_path / "mine.toml")
    made(search={"trials": 3}).to_toml(tmp_path, replace=True)
    assert read(tmp_path / "mine.toml").study.search.trials == 3
    with pytest.raises(UsageError, match=r"must be called mine\.toml"):
        made().to_toml(tmp_path / "other.toml")


def test_a_session_s_function_is_in_no_file():
    def mine(params: dict, ctx):
        yield {"val": 1.0}

    with pytest.raises(UsageError, match="a file cannot name"):
        hpo.Study(name="mine", trainable=mine, objective=hpo.minimize("val"), space=SPACE).to_toml()


@pytest.mark.parametrize("race", [{}, {"share": 0.4}])
def test_a_race_is_written(race):
    study = made(promotion={"race": race})
    assert tomllib.loads(study.to_toml())["promotion"]["race"] == race
