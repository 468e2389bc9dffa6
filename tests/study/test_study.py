from __future__ import annotations

import copy
import datetime
import math
import re
import tomllib
from pathlib import Path

import optuna
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from hpo.core.records import canonical_json
from hpo.search.proposals import suggest
from hpo.seeds.streams import STREAMS
from hpo.study import Study, json_schema, parse

ROOT = Path(__file__).parents[2]
FILES = sorted([*(ROOT / "studies").glob("*.toml"), *(ROOT / "tests" / "project" / "studies").glob("*.toml")])

VALID = {
    "name": "curve",
    "trainable": "toys.curve:train",
    "objective": {"metric": "val"},
    "space": {
        "x": {"float": [0.0, 1.0]},
        "k": {"int": [1, 5]},
        "shape": {"choice": ["flat", "late"]},
        "gain": {"float": [0.1, 1.0], "when": {"shape": "late"}},
    },
    "search": {"trials": 20, "budget": 5},
}

SCALARS = (
    st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"), max_size=4)
)
SEEDS = st.integers(0, 2**63 - 1)


def problems_with(changes, stem=None):
    """Returns the problems by key of the valid study with dotted keys set; `None` takes a key away."""
    content = copy.deepcopy(VALID)
    for key, value in changes.items():
        *tables, last = key.split(".")
        at = content
        for table in tables:
            at = at.setdefault(table, {})
        if value is None:
            del at[last]
        else:
            at[last] = value
    study, problems = parse(content, stem)
    assert (study is None) == bool(problems)
    return {problem.key: problem.message for problem in problems}


# What is wrong with one key.


def dimension(**keys):
    return {"space.x": keys}


NAN, INF = math.nan, math.inf
ONE_KIND = "expected exactly one of float = "
WRONG = [
    ({"objective.metrik": "val"}, "objective.metrik", r"no such key \(keys: metric, .*\)\. Did you mean metric\?"),
    ({"serach": {}}, "serach", r"no such key \(keys: name, .*\)\. Did you mean search\?"),
    ({"promotion.lambda_": 1.0}, "promotion.lambda_", r"no such key.*Did you mean lambda\?"),
    ({"space.x.flaot": [0.0, 1.0]}, "space.x.flaot", r"no such key.*Did you mean float\?"),
    ({"search.budget": None}, "search.budget", "is missing; set it to the number of steps that a training reports"),
    ({"trainable": None}, "trainable", "is missing"),
    ({"space": {}}, "space", "is empty; at least one is needed"),
    ({"objective.metric": ""}, "objective.metric", "is empty"),
    ({"objective": "val"}, "objective", r"expected a table, got 'val'; .*hpo\.maximize"),
    ({"space.lr": [0, 1]}, "space.lr", r"expected a table, got \[0, 1\]; write .* hpo\.Float\("),
    ({"search": [{"budget": 5}]}, "search", r"expected a table, got \[\{'budget': 5\}\]"),
    ({"search.budget": "5"}, "search.budget", "expected a whole number, got '5'"),
    ({"search.budget": 5.0}, "search.budget", r"expected a whole number, got 5\.0"),
    ({"search.budget": True}, "search.budget", "expected a whole number, got true"),
    ({"search.budget": NAN}, "search.budget", "expected a whole number, got nan"),
    ({"search.trials": 0}, "search.trials", "expected at least 1, got 0"),
    ({"search.trials": 10**7}, "search.trials", "expected at most 1000000, got 10000000"),
    ({"search.trials": 16**5000}, "search.trials", "expected at most 1000000, got a number of more than 64 bits"),
    ({"search.seed": -1}, "search.seed", "expected at least 0, got -1"),
    ({"search.sampler": "TPE"}, "search.sampler", "expected 'tpe', 'tpe.gp', 'random', 'gp', .* got 'TPE'"),
    ({"search.pruner": "medain"}, "search.pruner", r"expected .* got 'medain'\. Did you mean median\?"),
    ({"search.lag": 0}, "search.lag", "expected at least 1 or false, got 0"),
    ({"search.lag": True}, "search.lag", "expected a whole number or false, got true"),
    ({"promotion.seeds": []}, "promotion.seeds", "is empty; at least one is needed"),
    ({"promotion.seeds": [42, 42]}, "promotion.seeds", "a seed is given twice"),
    ({"promotion.seeds": [42, 1.5]}, "promotion.seeds.1", r"expected a whole number, got 1\.5"),
    ({"promotion.lambda": -1.0}, "promotion.lambda", r"expected at least 0\S*, got -1\.0"),
    ({"promotion.lambda": INF}, "promotion.lambda", "expected a finite number, got inf"),
    ({"promotion.ddof": 2}, "promotion.ddof", "expected 0, 1 or unbiased, got 2"),
    ({"promotion.ddof": True}, "promotion.ddof", "expected 0, 1 or unbiased, got true"),
    ({"promotion.ddof": 1.0}, "promotion.ddof", r"expected 0, 1 or unbiased, got 1\.0"),
    ({"promotion": {"seeds": [42], "ddof": 1}}, "promotion", "rule mean-std with ddof 1 needs 2 seeds, got 1"),
    ({"promotion.top": 0}, "promotion.top", "expected at least 1, got 0"),
    ({"promotion.race": {"share": 1.0}}, "promotion.race.share", r"expected a share above 0 and below 1 .* got 1\.0"),
    ({"promotion.race": {"share": -0.2}}, "promotion.race.share", r"expected a share above 0 and below 1 .* got -0\.2"),
    ({"promotion.race": {"share": "x"}}, "promotion.race.share", "expected a number, got 'x'"),
    ({"promotion.race": {"shar": 0.4}}, "promotion.race.shar", r"no such key \(keys: share\)\. Did you mean share\?"),
    ({"promotion.race": True}, "promotion.race", "expected a table, got true"),
    ({"resources.time": 90}, "resources.time", 'expected a text, got 90; write e.g. "90s" or "2h"'),
    ({"resources.memory": 8}, "resources.memory", 'expected a text, got 8; write e.g. "8 GiB"'),
    ({"resources.cpu": 0}, "resources.cpu", "expected at least 1, got 0"),
    ({"resources.gpu": NAN}, "resources.gpu", "expected a finite number, got nan"),
    ({"streams.splti": 3}, "streams.splti", r"no such stream \(streams: split, .*\)\. Did you mean split\?"),
    ({"fixed.k": 1}, "fixed.k", r"is also in \[space\]"),
    ({"fixed.nap": NAN}, "fixed.nap", "expected .*a finite number.*, got nan"),
    ({"fixed.nap": datetime.date(2020, 1, 1)}, "fixed.nap", "expected .*, got 2020-01-01"),
    ({"fixed.nap": 2**64}, "fixed.nap", "expected a whole number of at most 64 bits"),
    ({"fixed.nap": [1]}, "fixed.nap", r"expected true or false or a number or a text, got \[1\]"),
    ({"space.seed": {"int": [0, 9]}}, "space.seed", r"a seed is not a hyperparameter.*use \[search\] seed"),
    ({"space.data_seed": {"int": [0, 9]}}, "space.data_seed", "a seed is not a hyperparameter"),
    ({"space.random_state": {"int": [0, 9]}}, "space.random_state", "a seed is not a hyperparameter"),
    ({"space.learning rate": {"int": [0, 9]}}, 'space."learning rate"', "expected a Python identifier"),
    (dimension(), "space.x", ONE_KIND),
    (dimension(float=[0.0, 1.0], int=[0, 1]), "space.x", ONE_KIND),
    (dimension(float=[0.1, 0.2, 0.3]), "space.x.float", r"expected 2 values, got \[0\.1, 0\.2, 0\.3\]"),
    (dimension(float=[0.1]), "space.x.float", r"expected two bounds, \[low, high\], got \[0\.1\]"),
    (dimension(float=0.1), "space.x.float", r"expected a list, got 0\.1"),
    (dimension(float=["0", 1.0]), "space.x.float.0", "expected a number, got '0'"),
    (dimension(float=[True, 2.0]), "space.x.float.0", "expected a number, got true"),
    (dimension(float=[NAN, 1.0]), "space.x.float.0", "expected a finite number, got nan"),
    (dimension(float=[0.0, INF]), "space.x.float.1", "expected a finite number, got inf"),
    (dimension(float=[1.0000001, 1.0]), "space.x", r"low 1\.0000001 is above high 1\.0; write the smaller one first"),
    (dimension(float=[0.0, 1.0], log=True), "space.x", r"a log range must start above 0, not at 0\.0"),
    (dimension(float=[-1.0, 1.0], log=True), "space.x", r"a log range must start above 0, not at -1\.0"),
    (dimension(float=[0.1, 1.0], log=True, step=0.1), "space.x", "log and step exclude each other"),
    (dimension(float=[-1.7e308, 1.7e308]), "space.x", "too wide to draw from"),
    (dimension(float=[0.0, 1.0], step=0.3), "space.x", r"steps of 0\.3 from 0\.0 do not reach 1\.0; end at 0\.9"),
    (dimension(float=[0.0, 1.0], step=1e-320), "space.x", "gives more than 1e.09 values"),
    (dimension(float=[0.0, 1.0], step=0.0), "space.x", r"step must be above 0, not 0\.0"),
    (dimension(float=[0.0, 1.0], step=5), "space.x", r"step 5 is longer than the range 0\.0 \.\. 1\.0"),
    (dimension(float=[0.0, 1.0], step=NAN), "space.x.step", "expected a finite number, got nan"),
    (dimension(float=[1.0, 1.0], step=16**5000), "space.x.step", "expected"),
    (dimension(float=[0.0, 1.0], log="yes"), "space.x.log", "expected true or false, got 'yes'"),
    (dimension(int=[5, 1]), "space.x", "low 5 is above high 1"),
    (dimension(int=[1, 6], step=2), "space.x", "steps of 2 from 1 do not reach 6; end at 5"),
    (dimension(int=[1, 5], step=1.5), "space.x", r"step of an int must be a whole number, not 1\.5"),
    (dimension(int=[1, 2**60]), "space.x.int.1", "expected at most 9007199254740992, got"),
    (dimension(choice=[]), "space.x", "choice is empty; list at least one value"),
    (dimension(choice=["a", "a"]), "space.x", "choice names 'a' twice"),
    (dimension(choice=[1, True]), "space.x", "choice names True twice"),
    (dimension(choice=[1], log=True), "space.x", "log and step belong to float and int, not to choice"),
    (dimension(choice=[datetime.time(12)]), "space.x.choice.0", "expected .*, got 12:00:00"),
    (dimension(float=[0.0, 1.0], when={"nope": 1}), "space.x.when.nope", r"no such param in \[space\] \(x, k, "),
    (dimension(float=[0.0, 1.0], when={"shap": "late"}), "space.x.when.shap", r"Did you mean shape\?"),
    (dimension(float=[0.0, 1.0], when={"x": 1.0}), "space.x.when.x", "cannot depend on itself"),
    (dimension(float=[0.0, 1.0], when={"shape": "lat"}), "space.x.when.shape", "'lat' is not a value of shape"),
    (dimension(float=[0.0, 1.0], when={"shape": []}), "space.x", r"when\.shape lists no value"),
    (dimension(float=[0.0, 1.0], when={"k": 9}), "space.x.when.k", r"9 is not a value of k \(int 1 \.\. 5\)"),
    (dimension(float=[0.0, 1.0], when={"k": "2"}), "space.x.when.k", "'2' is not a value of k"),
    (dimension(float=[0.0, 1.0], when={"k": ">= 6"}), "space.x.when.k", r"no value of k \(int 1 \.\. 5\) is >= 6"),
    (dimension(float=[0.0, 1.0], when={"gain": ">1"}), "space.x.when.gain", "no value of gain .* is >1"),
    (dimension(float=[0.0, 1.0], when={"shape": "> 1"}), "space.x.when.shape", "no value of shape .* is > 1"),
    (
        dimension(float=[0.0, 1.0], when={"k": ">= two"}),
        "space.x.when.k",
        'not a value of k.*; a range is written ">= 2"',
    ),
    (dimension(float=[0.0, 1.0], when={"gain": 0.5}), "space.x.when.gain", "gain is a float range.*make it a choice"),
    ({"fixed.f": 1, "space.x": {"float": [0.0, 1.0], "when": {"f": 1}}}, "space.x.when.f", "f is fixed"),
]


@pytest.mark.parametrize(
    ("changes", "key", "message"), WRONG, ids=[f"{key}-{i}" for i, (_, key, _) in enumerate(WRONG)]
)
def test_problems_name_their_key(changes, key, message):
    problems = problems_with(changes)
    assert list(problems) == [key]
    assert re.search(message, problems[key])


def test_ranges_are_conditions():
    for when in ({"k": ">= 5"}, {"k": [1, ">= 4"]}, {"gain": "> 0.1, < 0.2"}):
        assert problems_with(dimension(float=[0.0, 1.0], when=when)) == {}


@pytest.mark.parametrize("name", ["", "Curve", "-curve", ".curve", "cur ve", "courbé", "a/b", "../x", "a" * 65, "a\n"])
def test_invalid_names_are_refused(name):
    message = problems_with({"name": name})["name"]
    assert message.startswith("expected [a-z0-9][a-z0-9._-]{0,63}, e.g. unet-density, got ")


@pytest.mark.parametrize("name", ["a", "0", "unet-density_2.1", "a" * 64])
def test_valid_name_lengths(name):
    assert problems_with({"name": name}, stem=name) == {}


def test_name_must_match_the_file():
    assert problems_with({}, stem="bend") == {
        "name": "'curve' differs from the file's name, bend.toml; rename one of them"
    }


def test_conditions_in_a_circle_are_refused():
    k, shape = {"int": [1, 5], "when": {"shape": "late"}}, {"choice": ["flat", "late"], "when": {"k": 2}}
    problems = problems_with({"space.k": k, "space.shape": shape})
    assert problems == {"space": "the conditions of k, shape depend on each other in a cycle"}


def test_everything_wrong_is_named_at_once():
    wrong = {
        "name": "Curve",
        "objective.direction": "up",
        "space.x": {"float": [1.0, 0.0]},
        "space.seed": {"int": [0, 1]},
        "space.gain.when": {"shape": "lat"},
        "search.budget": 0,
        "search.trails": 3,
        "promotion.ddof": 7,
        "streams.splti": 1,
        "fixed.k": 3,
    }
    expected = {"space.gain.when.shape" if key == "space.gain.when" else key for key in wrong}
    assert set(problems_with(wrong)) == expected


@pytest.mark.parametrize("key", ["", " ", "a.b", "a\nb", "\x1b[31m", "é", '"'])
def test_a_key_is_shown_as_toml_writes_it(key):
    for config in ("", "objective", "space", "fixed", "streams"):
        content = copy.deepcopy(VALID)
        (content.setdefault(config, {}) if config else content)[key] = {"bad": True}
        shown = [problem.key for problem in parse(content)[1]]
        assert any('"' in one for one in shown)
        assert all(one.isprintable() for one in shown)
        for one in shown:
            tomllib.loads(f"{one} = 1")  # it can be pasted


# Whatever comes, there are problems or a study, never an exception.

KEYS = st.sampled_from(
    ["name", "trainable", "objective", "space", "fixed", "search", "promotion", "streams", "resources", "metric", "x"]
) | st.sampled_from(
    ["shape", "gain", "float", "int", "choice", "log", "step", "when", "seed", "seeds", "lag", "lambda", "budget"]
)
KEYS |= st.text(st.characters(codec="utf-8"), max_size=3)
LEAVES = (
    SCALARS
    | st.floats()
    | st.integers()
    | st.sampled_from([2**53 + 1, 2**64, 1e308, -1e308, 5e-324])
    | st.just(5000).map(lambda digits: 16**digits)  # tomllib reads as many if they are hexadecimal
    | st.dates()
    | st.times()
    | st.datetimes()
    | st.sampled_from(["late", "flat", "x", "k", "shape"])
)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=12
)


def assert_told_well(study, problems):
    assert (study is None) == bool(problems)
    for problem in problems:
        assert problem.key.strip()
        assert problem.key.isprintable()
        assert problem.message.strip()
        assert "\n" not in problem.message


WHOLE = {
    **VALID,
    "objective": {"metric": "val", "direction": "maximize", "epoch": "best"},
    "fixed": {"nap": 0.0},
    "streams": {"split": 1},
    "search": {"sampler": "tpe", "pruner": "none", "trials": 9, "budget": 5, "seed": 1, "sampler_seed": 2, "lag": 4},
    "promotion": {"top": 3, "seeds": [42, 43], "rule": "mean-std", "lambda": 1.0, "ddof": 0},
    "resources": {"cpu": 1, "gpu": 0.0},
}
ODD = [16**5000, [16**5000], {"x": 16**5000}, math.nan, math.inf, -1, 0, True, False, "", "\x1b\n", 2**63, 1e308]
ODD += [[], [[]], {}, {"": {}}, [{}], datetime.date(1, 1, 1), datetime.datetime(1, 1, 1), datetime.time(), [None], 0.5]


def keys_in(table, *above):
    for key, value in table.items():
        yield *above, key
        if isinstance(value, dict):
            yield from keys_in(value, *above, key)


@pytest.mark.parametrize("key", [".".join(key) for key in keys_in(WHOLE)])
def test_odd_values_do_not_raise(key):
    *tables, last = key.split(".")
    for value in ODD:
        content = copy.deepcopy(WHOLE)
        at = content
        for table in tables:
            at = at[table]
        at[last] = value
        study, problems = parse(content)
        assert_told_well(study, problems)
        if study is not None:
            assert canonical_json(study.content()[key.partition(".")[0]])


@given(st.dictionaries(KEYS, VALUES, max_size=8))
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_no_content_makes_reading_fail(content):
    assert_told_well(*parse(content))


@st.composite
def damaged(draw):
    """Returns the valid study with values put, replaced or taken away anywhere."""
    content = copy.deepcopy(VALID)
    for _ in range(draw(st.integers(1, 3))):
        at = content
        while True:
            inner = [key for key in at if isinstance(at[key], dict)]
            if not inner or draw(st.booleans()):
                break
            at = at[draw(st.sampled_from(inner))]
        key = draw(st.sampled_from(sorted(at))) if at and draw(st.booleans()) else draw(KEYS)
        if draw(st.integers(0, 4)) == 0:
            at.pop(key, None)
        else:
            at[key] = draw(VALUES)
    return content


@pytest.mark.slow
@given(damaged())
@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
def test_damage_does_not_raise(content):
    study, problems = parse(content, "curve")
    assert_told_well(study, problems)
    if study is not None:
        assert len(study.digest) == 64
        assert set(study.space) == set(content["space"])
        study.identity()


# Studies that are sound.


@st.composite
def ranges(draw):
    kind = draw(st.sampled_from(["plain", "log", "step"]))
    if draw(st.booleans()):  # int
        low = draw(st.integers(1 if kind == "log" else -(10**6), 10**6))
        if kind == "step":
            step = draw(st.integers(1, 100))
            return {"int": [low, low + step * draw(st.integers(1, 100))], "step": step}
        return {"int": [low, low + draw(st.integers(0, 10**6))], **({"log": True} if kind == "log" else {})}
    if kind == "step":  # in hundredths, so that the bounds are what people write
        low, step = draw(st.integers(-1000, 1000)), draw(st.integers(1, 100))
        return {"float": [low / 100, (low + step * draw(st.integers(1, 100))) / 100], "step": step / 100}
    floats = st.floats(1e-12 if kind == "log" else -1e12, 1e12)
    return {"float": sorted([draw(floats), draw(floats)]), **({"log": True} if kind == "log" else {})}


@st.composite
def spaces(draw):
    """Returns a space with conditions on choices and ints, children before parents as often as after."""
    space = {}
    for name in draw(st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=5, unique=True)):
        table = draw(
            ranges() | st.fixed_dictionaries({"choice": st.lists(SCALARS, min_size=1, max_size=4, unique=True)})
        )
        parents = [one for one in space if "float" not in space[one]]
        if parents and draw(st.booleans()):
            table["when"] = {}
            for parent in draw(st.lists(st.sampled_from(parents), min_size=1, max_size=2, unique=True)):
                other = space[parent]
                values = other["choice"] if "choice" in other else [other["int"][0], other["int"][1]]
                one = draw(st.sampled_from(values))
                table["when"][parent] = draw(st.sampled_from([one, [one]]))
        space[name] = table
    return {name: space[name] for name in draw(st.permutations(sorted(space)))}


def optional(**tables):
    return st.fixed_dictionaries({}, optional=tables)


CONTENTS = st.fixed_dictionaries(
    {
        "name": st.from_regex(r"[a-z0-9][a-z0-9._-]{0,63}", fullmatch=True),
        "trainable": st.just("toys.curve:train"),
        "objective": st.fixed_dictionaries(
            {"metric": st.text(st.characters(codec="utf-8"), min_size=1, max_size=5)},
            optional={
                "direction": st.sampled_from(["maximize", "minimize"]),
                "epoch": st.sampled_from(["best", "last"]),
            },
        ),
        "space": spaces(),
        "search": st.fixed_dictionaries(
            {"budget": st.integers(1, 1000)},
            optional={"trials": st.integers(1, 1000), "seed": SEEDS, "lag": st.just(False) | st.integers(1, 9)},
        ),
    },
    optional={
        "fixed": st.dictionaries(st.sampled_from("uvwxyz"), SCALARS, max_size=4),
        "promotion": optional(
            seeds=st.lists(SEEDS, min_size=2, max_size=4, unique=True),
            ddof=st.sampled_from([0, 1]),
            **{"lambda": st.floats(0, 10) | st.integers(0, 10)},
        ),
        "streams": st.dictionaries(st.sampled_from(sorted(STREAMS)), SEEDS, max_size=3),
        "resources": optional(cpu=st.integers(1, 64), gpu=st.floats(0, 8)),
    },
)


def sound(content):
    study, problems = parse(content, content["name"])
    assert problems == []
    return study


@given(CONTENTS)
def test_a_sound_study_is_read_as_it_stands(content):
    study = sound(content)
    assert set(study.space) == set(content["space"])
    assert study.content()["search"]["budget"] == content["search"]["budget"]
    assert study.fixed == content.get("fixed", {})
    assert [type(value) for value in study.fixed.values()] == [type(v) for v in content.get("fixed", {}).values()]


@given(CONTENTS)
def test_canonical_json_round_trip(content):
    study = sound(content)
    again = Study.model_validate_json(canonical_json(study.content()))
    assert again.digest == study.digest
    assert again.identity().keys() == study.identity().keys()
    # Sorted keys lose the order of the space, which the stored identity therefore says in words.
    assert {k: v for k, v in again.identity().items() if k != "space"} == {
        k: v for k, v in study.identity().items() if k != "space"
    }


def shuffled(table, draw, *, keep=()):
    if not isinstance(table, dict):
        return table
    keys = list(table) if keep == "all" else draw(st.permutations(list(table)))
    return {key: shuffled(table[key], draw, keep="all" if key in keep else ()) for key in keys}


@pytest.mark.slow
@given(CONTENTS, st.data())
def test_key_order_is_irrelevant(content, data):
    study = sound(content)
    mixed = shuffled(content, data.draw)
    mixed["space"] = {name: mixed["space"][name] for name in content["space"]}
    assert sound(mixed).digest == study.digest
    assert sound(mixed).identity() == study.identity()


def test_space_order_is_in_the_identity():
    """The sampler draws one param after the other from one generator: in another order it proposes other params."""
    content = copy.deepcopy(VALID)
    content["space"] = {name: content["space"][name] for name in ("k", "x", "shape", "gain")}
    assert sound(content).identity() != sound(VALID).identity()
    content["space"] = {name: VALID["space"][name] for name in ("x", "k", "gain", "shape")}
    assert sound(content).identity() == sound(VALID).identity()  # parents come first wherever they stand


@pytest.mark.slow
@given(CONTENTS, st.data())
def test_any_other_space_is_another_identity(content, data):
    study = sound(content)
    other = copy.deepcopy(content)
    table = other["space"][data.draw(st.sampled_from(sorted(other["space"])))]
    key = data.draw(st.sampled_from([key for key in table if key != "when"]))
    if key in {"float", "int"}:
        end = data.draw(st.sampled_from([0, 1]))
        kind = float if key == "float" else int
        new = data.draw(st.sampled_from([0, 1, -1, 10, 1000])) if kind is int else data.draw(st.floats(-1e12, 1e12))
        table[key][end] = math.nextafter(table[key][end], INF) if kind is float and data.draw(st.booleans()) else new
    elif key == "choice":
        table[key] = data.draw(st.permutations([*table[key], *data.draw(st.lists(SCALARS, max_size=1))]))
    else:
        table.pop(key)
    assume(canonical_json(other) != canonical_json(content))
    changed, problems = parse(other, content["name"])
    assume(not problems)
    assert changed.identity() != study.identity()
    assert changed.digest != study.digest


@pytest.mark.parametrize(
    ("key", "value", "differs"),
    [
        ("objective.metric", "loss", True),
        ("objective.direction", "minimize", True),
        ("objective.epoch", "last", True),
        ("trainable", "toys.curve:train_nan", True),
        ("fixed.nap", 0.0, True),
        ("streams.split", 3, True),
        ("search.budget", 6, True),
        ("search.seed", 40, True),
        ("search.sampler_seed", 40, True),
        ("search.sampler", "random", True),
        ("search.pruner", "none", True),
        ("search.lag", 5, True),
        ("search.lag", False, True),
        ("space.x.when", {"shape": "late"}, True),
        ("space.k.log", True, True),
        ("space.k.step", 2, True),
        ("search.sampler_seed", 41, False),  # what it is anyway
        ("search.trials", 99, False),
        ("promotion.top", 9, False),
        ("promotion.seeds", [1, 2], False),
        ("promotion.lambda", 2.0, False),
        ("resources.cpu", 4, False),
        ("resources.gpu", 0.5, False),
    ],
)
def test_identity_covers_trial_meaning(key, value, differs):
    content = copy.deepcopy(VALID)
    *tables, last = key.split(".")
    at = content
    for table in tables:
        at = at.setdefault(table, {})
    at[last] = value
    study, changed = sound(VALID), sound(content)
    assert (changed.identity() != study.identity()) is differs
    assert changed.digest != study.digest


@given(st.lists(SCALARS, min_size=2, max_size=2))
def test_fixed_value_types_differ(values):
    first, second = (sound({**VALID, "fixed": {"f": value}}).identity() for value in values)
    assert (first == second) == (repr(values[0]) == repr(values[1]))


@given(spaces())
@settings(max_examples=60, deadline=None)
def test_optuna_accepts_valid_spaces(space):
    """A range that it adjusts makes it warn, and warnings are errors here."""
    study = sound({**VALID, "space": space})
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    trial = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1)).ask()
    assert suggest(trial, study.space).keys() <= space.keys()


# The schema.


def test_shipped_files_fit_json_schema():
    jsonschema = pytest.importorskip("jsonschema")
    validator = jsonschema.Draft202012Validator(json_schema())
    assert len(FILES) >= 4
    for path in FILES:
        assert list(validator.iter_errors(tomllib.loads(path.read_text(encoding="utf-8")))) == []
    assert list(validator.iter_errors({**VALID, "serach": {}}))
    assert list(validator.iter_errors({**VALID, "search": {"budget": "5"}}))


@given(CONTENTS)
@settings(max_examples=30)
def test_a_sound_study_fits_the_json_schema(content):
    jsonschema = pytest.importorskip("jsonschema")
    assert list(jsonschema.Draft202012Validator(json_schema()).iter_errors(content)) == []


def test_ignore_is_not_in_the_identity(curve):
    plain, timed = curve(), curve(objective={"ignore": ["latency_ms"]})
    assert timed.objective.ignore == ("latency_ms",)
    assert timed.identity() == plain.identity()
    assert "ignore" not in plain.content()["objective"], "stored studies keep their digest"
    assert "latency_ms" in str(json_schema()["$defs"]["ObjectiveTable"]["properties"]["ignore"])


def test_labels_of_metrics(curve):
    plain, named = curve(), curve(objective={"label": "Quadratic kappa"})
    assert (plain.objective.label(), named.objective.label()) == ("val", "Quadratic kappa")
    assert named.objective.label("loss") == "loss"
    assert named.identity() == plain.identity()
    assert "label" not in plain.content()["objective"], "stored studies keep their digest"
    assert tomllib.loads(named.to_toml())["objective"]["label"] == "Quadratic kappa"
    several = curve(objective={"label": {"val": "Kappa", "loss": "Loss"}})
    assert several.objective.labels == (("loss", "Loss"), ("val", "Kappa"))
    assert tomllib.loads(several.to_toml())["objective"]["label"] == {"val": "Kappa", "loss": "Loss"}
    assert Study.model_validate_json(canonical_json(several.content())).objective == several.objective
    for wrong in ("", "two\nlines", {"val": ""}, 3):
        with pytest.raises(ValueError, match=r"objective\.label"):
            curve(objective={"label": wrong})


def test_labels_of_several_objectives(curve):
    two = {"metrics": {"val": "maximize", "loss": "minimize"}}
    both = curve(objective=[{"metric": "val", "label": "Kappa"}, {"metric": "loss", "direction": "minimize"}])
    assert [both.objective.label(name) for name in both.objective.metrics] == ["Kappa", "loss"]
    assert curve(objective={**two, "label": {"val": "Kappa"}}).objective == both.objective
    with pytest.raises(ValueError, match=r'label names one of several metrics; name it, e.g. \{ val = "Kappa" \}'):
        curve(objective={**two, "label": "Kappa"})


def test_formats_of_figures(curve):
    plain, drawn = curve(results={"keep": "all"}), curve(results={"formats": ["pdf", "svg"]})
    assert drawn.results.formats == ("pdf", "svg")
    assert drawn.identity() == curve().identity()
    assert plain.content()["results"] == {"keep": "all", "limit": None}, "stored studies keep their digest"
    assert tomllib.loads(drawn.to_toml())["results"] == {"formats": ["pdf", "svg"]}
    with pytest.raises(ValueError, match="'pdf' is given twice"):
        curve(results={"formats": ["pdf", "pdf"]})
    with pytest.raises(ValueError, match=r"(?s)results.formats.*'png', 'pdf' or 'svg'"):
        curve(results={"formats": ["jpg"]})


def test_objective_cannot_be_ignored(curve):
    with pytest.raises(ValueError, match="ignore names 'val', which is the metric that is optimized"):
        curve(objective={"ignore": ["val"]})
