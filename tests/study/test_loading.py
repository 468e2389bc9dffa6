from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hpo.core.errors import StudyInvalid, StudyNotFound
from hpo.study.loading import check, find, listed, load_study, read

ROOT = Path(__file__).parents[2]
PROJECT = ROOT / "tests" / "project"
TEXT = (PROJECT / "studies" / "curve.toml").read_text(encoding="utf-8")
SHIPPED = [TEXT, *(path.read_text(encoding="utf-8") for path in sorted((ROOT / "studies").glob("*.toml")))]
NUMBERS = itertools.count()


@pytest.fixture
def project(tmp_path):
    """A copy of the example project whose packages have other names: a process imports a name once."""
    package = f"toys_of_catalog_{next(NUMBERS)}"
    shutil.copytree(PROJECT / "toys", tmp_path / package)
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies" / "curve.toml").write_text(TEXT.replace("toys.", f"{package}."), encoding="utf-8")
    before = list(sys.path)
    yield tmp_path
    sys.path[:] = before


def put(folder, name, text=None):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.toml"
    path.write_text(TEXT.replace('"curve"', json.dumps(name)) if text is None else text, encoding="utf-8")
    return path


def problems_of(project, *changes, module=None):
    """Returns `key: message` lines for the project's study with texts replaced, and its trainable's module too."""
    path = project / "studies" / "curve.toml"
    text = path.read_text(encoding="utf-8")
    if module is not None:
        name = f"module_of_catalog_{next(NUMBERS)}"
        (project / f"{name}.py").write_text(module, encoding="utf-8")
        line = next(line for line in text.splitlines() if line.startswith("trainable"))
        changes = ((line, f'trainable = "{name}:train"'), *changes)
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path.write_text(text, encoding="utf-8")
    checked = check(path)
    assert (checked.study is None) == bool(checked.problems)
    return [f"{problem.key}: {problem.message}" for problem in checked.problems]


# Reading never fails.


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    return tmp_path_factory.mktemp("scratch") / "curve.toml"


def assert_told_well(path):
    checked = read(path)
    assert checked.path == path
    assert (checked.study is None) == bool(checked.problems)
    for problem in checked.problems:
        assert problem.key.strip()
        assert problem.key.isprintable()
        assert problem.message.strip()
        assert "\n" not in problem.message


@given(st.binary(max_size=60))
def test_random_bytes_are_a_problem(scratch, content):
    scratch.write_bytes(content)
    assert_told_well(scratch)


@given(st.text(st.characters(codec="utf-8"), max_size=60))
def test_random_text_is_a_problem(scratch, content):
    scratch.write_bytes(content.encode())
    assert_told_well(scratch)


VALUES = st.sampled_from(
    ["1979-05-27", "07:32:00", "1979-05-27T07:32:00Z", "[[1], [2]]", "[]", "{}", "[{}]", "true", "nan", "inf", "-inf"]
) | st.sampled_from(["-0.0", "1e999", "'é'", '"\\u0000"', '"""a\nb"""', "9" * 30, "9" * 5000, "0x" + "f" * 5000])
VALUES |= st.sampled_from(
    ["[" * 200 + "]" * 200, "{a=" * 100 + "1" + "}" * 100, "[" * 5000, '"', "1.", "{ float = 1 }"]
)
VALUES |= st.integers().map(str) | st.floats().map(str)


WORDS = st.sampled_from(
    ["x", "é", '""', "a.b", "seed", '"\\u001b"', "space", "space.x", "fixed", "[search]", "streams"]
)


@st.composite
def damaged_files(draw):
    """Returns a shipped file with lines taken away, doubled, moved, emptied or given other keys and values."""
    lines = draw(st.sampled_from(SHIPPED)).splitlines()
    for _ in range(draw(st.integers(1, 4))):
        index = draw(st.integers(0, len(lines) - 1))
        key, _, value = lines[index].partition("=")
        match draw(st.sampled_from(["drop", "double", "move", "value", "key", "table", "cut", "insert"])):
            case "drop":
                lines[index] = ""
            case "double":
                lines.insert(index, lines[index])
            case "move":
                lines.append(lines.pop(index))
            case "value":
                lines[index] = f"{key}={draw(VALUES)}"
            case "key":
                lines[index] = f"{draw(WORDS)} = {value}"
            case "table":
                lines[index] = f"[{draw(WORDS)}]"
            case "cut":
                lines[index] = lines[index][: draw(st.integers(0, len(lines[index])))]
            case "insert":
                lines[index] = f"{lines[index]}{draw(st.text(st.characters(codec='utf-8'), max_size=3))}"
    return "\n".join(lines)


@pytest.mark.slow
@given(damaged_files())
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_damaged_file_is_a_problem(scratch, content):
    scratch.write_bytes(content.encode())
    assert_told_well(scratch)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xff", "is not valid UTF-8: invalid start byte at byte 0"),
        (b"name: curve", "is not valid TOML: "),
        (b"a = 1\na = 2", "is not valid TOML: "),
        (b"a = " + b"9" * 5000, "has a number with too many digits"),
        (b"a = " + b"[" * 5000, "is nested too deeply"),
    ],
)
def test_invalid_toml_is_one_problem(tmp_path, content, message):
    path = tmp_path / "curve.toml"
    path.write_bytes(content)
    (problem,) = read(path).problems
    assert (problem.key, problem.message.startswith(message)) == ("-", True)


def test_unreadable_path_is_a_problem(tmp_path):
    (tmp_path / "folder.toml").mkdir()
    for name in ("folder.toml", "nothing.toml"):
        (problem,) = read(tmp_path / name).problems
        assert problem.message.startswith("cannot be read: ")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_forbidden_file_is_a_problem(tmp_path):
    put(tmp_path, "curve").chmod(0)
    assert read(tmp_path / "curve.toml").problems[0].message == "cannot be read: Permission denied"


@pytest.mark.parametrize("wrap", [lambda text: b"\xef\xbb\xbf" + text, lambda text: text.replace(b"\n", b"\r\n")])
def test_a_file_from_windows_is_read(project, wrap):
    path = project / "studies" / "curve.toml"
    path.write_bytes(wrap(path.read_bytes()))
    assert load_study(str(path)).name == "curve"


# Finding.


def test_study_is_found_by_path(project, tmp_path, monkeypatch):
    for folder, path in [
        (tmp_path, "studies/curve.toml"),
        (tmp_path / "studies", "curve.toml"),
        (tmp_path / "studies", "../studies/curve.toml"),
        (Path("/"), str(tmp_path / "studies" / "curve.toml")),
    ]:
        monkeypatch.chdir(folder)
        study = load_study(path)
        assert (study.name, study.root) == ("curve", tmp_path)


def test_first_folder_wins(tmp_path):
    first, second = put(tmp_path / "a", "curve"), put(tmp_path / "b", "curve")
    assert find("curve", [tmp_path / "a", tmp_path / "b"]) == first
    assert find("curve", [tmp_path / "b", tmp_path / "a"]) == second
    assert find("curve", [tmp_path / "nowhere", tmp_path / "b"]) == second


def test_order_of_study_folders(tmp_path, monkeypatch):
    paths = {name: put(tmp_path / name, "curve") for name in ("named", "b", "c", "studies")}
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HPO_STUDIES", raising=False)
    assert find("curve") == paths["studies"]
    monkeypatch.setenv("HPO_STUDIES", os.pathsep.join(["", "nowhere", "b", str(tmp_path / "c")]))
    assert find("curve") == paths["b"]
    monkeypatch.setenv("HPO_STUDIES", os.pathsep.join([str(tmp_path / "c"), "b"]))
    assert find("curve") == paths["c"]
    assert find("curve", [tmp_path / "named"]) == paths["named"]
    monkeypatch.setenv("HPO_STUDIES", "")
    assert find("curve") == paths["studies"]


def test_unknown_study_lists_known_ones(tmp_path, monkeypatch):
    for name in ("curve", "digits"):
        put(tmp_path / "studies", name)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        StudyNotFound, match=r"no study named 'curv' in studies\. Found: curve, digits\. Did you mean curve\?"
    ):
        find("curv")
    with pytest.raises(
        StudyNotFound, match=r"no study file 'studies/curv\.toml'.*Found: curve, digits\. Did you mean curve\?"
    ):
        find("studies/curv.toml")
    (tmp_path / "empty").mkdir()
    with pytest.raises(
        StudyNotFound, match=r"in empty or nowhere\. There are no \.toml files; name a folder with --studies"
    ):
        find("curve", [Path("empty"), Path("nowhere")])


HOSTILE = [
    "",
    " ",
    ".",
    "..",
    "../studies/curve",
    "studies/curve",
    "studies",
    "CURVE",
    "curve\n",
    "日本",
    "*",
    "cur*",
    "-s",
]
HOSTILE += ["\x00", "\x00.toml", "a" * 5000, f"{'a' * 5000}.toml", ".toml", "/.toml", "studies/.toml", "\udcff.toml"]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_name_is_not_found(tmp_path, monkeypatch, name):
    put(tmp_path / "studies", "curve")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StudyNotFound, match=r"Found: curve\."):
        find(name)


def test_only_existing_files_are_listed(tmp_path):
    folder = tmp_path / "studies"
    put(folder, "curve")
    put(folder, "we ird [x] é")
    put(folder, "._curve")  # macOS leaves those on foreign disks
    (folder / "folder.toml").mkdir()
    (folder / "notes.txt").write_text("x")
    (folder / "broken.toml").symlink_to("nowhere")
    (folder / "circle.toml").symlink_to("circle.toml")
    (folder / "link.toml").symlink_to("curve.toml")
    os.mkfifo(folder / "pipe.toml")
    assert [path.stem for path in listed([folder])] == ["curve", "link", "we ird [x] é"]
    assert read(folder / "link.toml").problems[0].key == "name"


def test_linked_studies_folder(project, tmp_path):
    (tmp_path / "studies").rename(tmp_path / "elsewhere")
    (tmp_path / "studies").symlink_to("elsewhere")
    assert load_study("curve", [tmp_path / "studies"]).root == tmp_path


def test_entry_points_provide_studies(tmp_path):
    """In a process of its own, for entry points are read from the import path."""
    site = tmp_path / "site"
    put(site / "brought", "curve")
    put(site / "brought", "brought")
    (site / "brought" / "__init__.py").write_text("")
    info = site / "brought-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: brought\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[hpo.studies]\nbrought = brought\n")
    own = put(tmp_path / "here" / "studies", "curve")
    code = "import sys; from hpo.study.loading import find; print(find('curve')); print(find('brought'))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path / "here",
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(site)])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == [str(own), str(site / "brought" / "brought.toml")]


# Against the trainable.


def test_renamed_project_has_no_problems(project):
    assert problems_of(project) == []


PARAMS = "from dataclasses import dataclass\n@dataclass\nclass Params:\n  {}\n"
FIELDS = "x: float\n  k: int = 2\n  shape: str = 'flat'\n  gain: float = 0.5"
LATE = "from __future__ import annotations\n"
GOOD = f"{PARAMS.format(FIELDS)}def train(p: Params, ctx): yield {{}}\n"


@pytest.mark.parametrize(
    ("module", "message"),
    [
        ("class train: pass", "must be a function or a generator function, not a class; it must yield the metrics"),
        ("import functools\ntrain = functools.partial(print)", "generator function, not a functools.partial"),
        (GOOD.replace("def train", "async def train"), "must be a function or a generator function, not an async"),
        (GOOD.replace("p: Params", "*p"), "takes *p, but params have names: `def train(params: Params, ctx)` with a"),
        (GOOD.replace("ctx)", "ctx, more=1)"), "takes more besides p, which holds all params; it must be `def"),
        (GOOD.replace("ctx)", "*, seed, ctx)"), "takes seed besides p, which holds all params"),
        ("def train(params, lr, ctx): yield {}", "takes lr besides params, which holds all params"),
        (GOOD.replace("def train", "def trian"), "Trainables in it: trian. Did you mean trian?"),
        ("x = 1", "No function in it yields, or takes a `ctx`."),
        ("train = 1", "no function 'train' in its module"),
        ("raise ValueError('boom')", "cannot be imported: ValueError: boom"),
        ("def train(:", "cannot be imported: SyntaxError: invalid syntax"),
        ("import no_such_package.part", "cannot be imported: it needs 'no_such_package', which is not installed"),
        ("from os import no_such", "cannot be imported: ImportError: cannot import name 'no_such'"),
        (LATE + GOOD.replace("p: Params", "p: Nope"), "annotations cannot be read: name 'Nope' is not defined"),
        (LATE + GOOD.replace("k: int", "k: Nope"), "the annotations of Params cannot be read: name 'Nope' is not"),
    ],
)  # fmt: skip
def test_invalid_trainable_says_why(project, module, message):
    (problem,) = problems_of(project, module=module)
    assert problem.startswith("trainable: ")
    assert message in problem


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("nowhere.curve:train", "no module 'nowhere' in "),
        ("toys.curv:train", "no module 'toys.curv' in "),
        ("toys.curve:trian", "no function 'trian' in its module. Trainables in it: train, train_nan, train_paced, "),
        ("toys.curve.train", "'module:function', e.g. 'models.density:train'"),
        ("toys.curve:", "'module:function'"),
        (":train", "'module:function'"),
        ("", "'module:function'"),
        ("toys\\u0000.curve:train", "must be 'module:function'"),
        ("toys.curve:State", "must be a function or a generator function"),
        (f"{'a' * 300}:train", "no module 'aaa"),
    ],
)  # fmt: skip
def test_missing_trainable_lists_others(project, path, message):
    text = (project / "studies" / "curve.toml").read_text()
    own = text.partition('trainable = "')[2].partition('"')[0]
    (problem,) = problems_of(project, (own, path.replace("toys", own.partition(".")[0])))
    assert problem.startswith("trainable: ")
    assert message.replace("toys", own.partition(".")[0]) in problem


UNKNOWN = "no such field in CurveParams (fields: x, k, shape, gain, nap, fault, flags)."


def fixed(text):
    return "[search]", f"[fixed]\n{text}\n[search]"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (("k     =", "kk    ="), [f"space.kk: {UNKNOWN} Did you mean k?"]),
        (fixed("naps = 1.0"), [f"fixed.naps: {UNKNOWN} Did you mean nap?"]),
        (("x     =", "nap   ="), ["space: CurveParams.x has no default: give it in [space] or [fixed]"]),
        (
            ("[0.0, 1.0]", "[0.0, 1.0], when = { k = 2 }"),
            ["space.x.when: CurveParams.x has no default for when the condition fails"],
        ),
        (("int = [1, 5]", "float = [1.0, 5.0]"), ["space.k.float: a float is not an int, the type of CurveParams.k"]),
        (
            ("int = [1, 5]", "choice = [false, 2.5, 3]"),
            [f"space.k.choice: {value} is not an int, the type of CurveParams.k" for value in ("false", "2.5")],
        ),
        (
            ('"flat", "late"', '"late", "fast"'),
            ["space.shape.choice: 'fast' is not a Literal['flat', 'late'], the type of CurveParams.shape"],
        ),
        (fixed("nap = true"), ["fixed.nap: true is not a float, the type of CurveParams.nap"]),
        (fixed("fault = 3"), ["fixed.fault: 3 is not a str, the type of CurveParams.fault"]),
        (fixed("nap = 1"), []),  # a whole number is a number
        (("float = [0.0, 1.0]", "int = [0, 1]"), []),
    ],
)
def test_params_and_space_must_agree(project, change, expected):
    assert problems_of(project, change) == expected


def test_types_of_every_kind_are_compared(project):
    fields = "x: 'float | None'\n  k: E = E.a\n  shape: str = 'flat'\n  gain: Thing = None"
    module = f"from enum import Enum\nclass E(Enum):\n  a = 1\nclass Thing: pass\n{GOOD.replace(FIELDS, fields)}"
    assert problems_of(project, module=module) == ["space.k.int: 1 is not an E, the type of Params.k"]


def test_all_problems_are_listed(project):
    found = problems_of(
        project,
        ("k     =", "kk    ="),
        ("[objective]", "[objetive]"),
        ('shape = "late"', 'shape = "lat"'),
        ('"flat", "late"', '"flat", "late", 3'),
        ("budget = 5", "budget = 0"),
    )
    keys = [one.partition(":")[0] for one in found]
    assert sorted(keys) == [
        "objective", "objetive", "search.budget", "space.gain.when.shape", "space.kk", "space.shape.choice",
    ]  # fmt: skip
    with pytest.raises(StudyInvalid, match=r"curve\.toml: 6 problems\n  \S"):
        load_study(str(project / "studies" / "curve.toml"))


def test_reading_alone_imports_no_trainable(project):
    (project / "explodes.py").write_text("raise SystemExit('imported')")
    path = project / "studies" / "curve.toml"
    path.write_text(TEXT.replace("toys.curve:train", "explodes:train"))
    assert read(path).study.name == "curve"


def test_missing_trainable_is_viewable(tmp_path):
    path = put(tmp_path / "studies", "far", TEXT.replace('"curve"', '"far"').replace("toys.curve", "elsewhere.curve"))
    assert "elsewhere" in path.read_text(encoding="utf-8")
    assert load_study("far", [path.parent], to_train=False).name == "far"
    with pytest.raises(StudyInvalid, match="no module 'elsewhere'"):
        load_study("far", [path.parent])
    put(path.parent, "far", path.read_text(encoding="utf-8").replace("budget = 5", "budget = 0"))
    with pytest.raises(StudyInvalid, match="2 problems"):  # where something is wrong, all of it is said
        load_study("far", [path.parent], to_train=False)
