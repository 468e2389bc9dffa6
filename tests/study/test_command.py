"""What a study's `[command]` table may say, what of it counts as the study, and which files as its code."""

from __future__ import annotations

import pytest

import hpo
from hpo.core.errors import StudyInvalid
from hpo.study import json_schema, notes, parse
from hpo.study.loading import check
from hpo.study.trainable import load

VALID = {
    "name": "program",
    "command": {"run": "python train.py --lr {lr} --epochs {budget} --seed {seed}"},
    "objective": {"metric": "val"},
    "space": {"lr": {"float": [0.0, 1.0]}},
    "search": {"budget": 2},
}


def problems(command=None, **tables):
    content = {**VALID, "command": {**VALID["command"], **(command or {})}, **tables}
    return {problem.key: problem.message for problem in parse(content)[1]}


def test_it_is_stored_as_it_is_read():
    study = parse(VALID)[0]
    again = parse(study.content())[0]
    assert again.digest == study.digest
    assert "trainable" not in study.content()
    assert study.ref.command.run[:2] == (("python",), ("train.py",))


def test_text_and_list_are_equal():
    one = hpo.Study(**VALID)
    listed = hpo.Study(**{**VALID, "command": {"run": VALID["command"]["run"].split()}})
    assert one.identity() == listed.identity()


@pytest.mark.parametrize(
    ("change", "differs"),
    [
        ({"run": "python train.py --lr {lr} --epochs {budget} --seed {seed} --amp"}, True),
        ({"cwd": "project"}, True),
        ({"metrics_file": "m.csv"}, True),
        ({"metrics": {"val": "val=(.*)"}}, True),
        ({"artifacts": ["*.pt"], "resumable": True, "grace": 60.0, "reads": ["HPO_SEED"]}, False),
    ],
)
def test_the_command_line_is_the_study(change, differs):
    study, other = parse(VALID)[0], parse({**VALID, "command": {**VALID["command"], **change}})[0]
    assert (study.identity() != other.identity()) is differs


@pytest.mark.parametrize(
    ("command", "tables", "key", "message"),
    [
        ({"run": "x {lrr} {lr}"}, {}, "command.run", "no such placeholder {lrr} (params: lr; others: budget, seed,"),
        ({"run": "python train.py"}, {}, "space.lr", "command.run has no {lr}, so the param has no effect"),
        ({}, {"fixed": {"width": 3}}, "fixed.width", "command.run has no {width}"),
        ({}, {"fixed": {"fold": 3}}, "fixed.fold", "{fold} has another meaning in a command"),
        ({"run": "x '{lr}"}, {}, "command", "run cannot be split into arguments: no closing quotation"),
        ({"run": []}, {}, "command", "run is empty; give the program and its arguments"),
        ({"run": [["x"], "{lr}"]}, {}, "command", "starts with a list, which may be left out"),
        ({"run": ["x", "{lr}"], "shell": True}, {}, "command", "shell = true takes run as one text"),
        ({"metrics": {"val": "("}}, {}, "command.metrics.val", "is not a regular expression"),
        ({"metrics": {"val": "val"}}, {}, "command.metrics.val", "expected one group that contains the number"),
        ({"metrics": {"auc": "(.)"}}, {}, "command.metrics", "has no expression for 'val'"),
        ({"metrics": {"val": "(.)"}, "metrics_file": "m.csv"}, {}, "command", "leave one of them out"),
        ({"metrics_file": "m.txt"}, {}, "command", "must end with .jsonl, .json or .csv"),
        ({"metrics_file": "/m.csv"}, {}, "command.metrics_file", "expected a path below the training's folder"),
        ({"artifacts": ["../*"]}, {}, "command.artifacts.0", "expected a path below the training's folder"),
        ({"reads": ["HPO_PARMS"]}, {}, "command.reads", "Did you mean HPO_PARAMS?"),
        ({"runs": "x"}, {}, "command.runs", "no such key (keys: run, shell, cwd,"),
        ({}, {"trainable": "a:b"}, "trainable", "a study has either a trainable or a [command]"),
        ({}, {"validation": {"folds": 3}}, "command.run", "has no {fold}, so all folds of [validation] would be the"),
    ],
)
def test_a_wrong_command_is_refused(command, tables, key, message):
    assert message in problems(command, **tables)[key]


def test_conditional_param_needs_a_list():
    space = {"lr": {"float": [0.0, 1.0]}, "opt": {"choice": ["a", "b"]}, "mom": {"int": [0, 1], "when": {"opt": "a"}}}
    loose = ["x", "{lr}", "{opt}", "--mom", "{mom}"]
    assert "put its arguments into an inner list" in problems({"run": loose}, space=space)["command.run"]
    assert problems({"run": [*loose[:3], loose[3:]]}, space=space) == {}


def test_other_braces_are_kept():
    assert problems({"run": "awk '{print $1}' {{lrr}} {lr}"}) == {}


def test_reads_replaces_placeholders():
    assert problems({"run": "x", "reads": ["HPO_PARAMS", "HPO_FOLD"]}, validation={"folds": 2}) == {}


def test_an_unused_seed_is_noted():
    study = parse({**VALID, "command": {"run": "x {lr}"}})[0]
    assert [note.message.split(";")[0] for note in notes(study)] == ["has no {seed}", "has no {budget}"]
    assert notes(parse(VALID)[0]) == []


@pytest.mark.parametrize(
    ("metric", "direction", "noted"),
    [
        *[(name, "maximize", True) for name in ("val_loss", "rmse", "eval.error")],
        *[("val_loss", "minimize", False), ("accuracy", "maximize", False), ("lossless", "maximize", False)],
    ],
)
def test_a_maximized_loss_is_noted(metric, direction, noted):
    study = parse({**VALID, "objective": {"metric": metric, "direction": direction}})[0]
    found = [note.message for note in notes(study) if note.key == "objective.direction"]
    said = f'{metric!r} is maximized; if smaller is better, set direction = "minimize"'
    assert found == ([said] if noted else [])


def test_the_json_schema_knows_commands():
    jsonschema = pytest.importorskip("jsonschema")
    validator = jsonschema.Draft202012Validator(json_schema())
    assert list(validator.iter_errors(VALID)) == []
    assert list(validator.iter_errors({**VALID, "trainable": "a:b"}))
    assert list(validator.iter_errors({**VALID, "command": {"run": "x {lr}", "artefacts": []}}))


@pytest.fixture
def project(tmp_path):
    write(tmp_path, "studies/program.toml", 'name = "program"\n')
    write(tmp_path, "train.py", "import helper")
    write(tmp_path, "helper.py", "X = 1")
    write(tmp_path, "pack/__init__.py", "")
    write(tmp_path, "pack/run.py", "from pack import deep")
    write(tmp_path, "pack/deep.py", "")
    write(tmp_path, "scripts/go.sh", "python ../train.py")
    write(tmp_path, "scripts/fit.R", "library(stats)")
    write(tmp_path, "data/large.csv", "1\n" * 200_000)
    return tmp_path


def write(folder, name, text):
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)


def code(project, run, **command):
    study = hpo.Study(**{**VALID, "command": {"run": f"{run} {{lr}}", **command}}).located(project)
    return load(study.ref).code(study.root)


@pytest.mark.parametrize(
    ("run", "files"),
    [
        ("python train.py", {"train.py", "helper.py"}),
        ("python -u {project}/train.py --data=data/large.csv", {"train.py", "helper.py"}),
        ("python -m pack.run", {"pack/__init__.py", "pack/run.py", "pack/deep.py"}),
        ("Rscript scripts/fit.R --script=scripts/go.sh", {"scripts/fit.R", "scripts/go.sh"}),
        ("python /etc/hostname -m numpy", set()),
    ],
)
def test_named_files_are_its_code(project, run, files):
    assert set(code(project, run).files) == files
    if "-u" in run:
        assert set(code(project, f"cd x; {run} | tee log", shell=True).files) == files


def test_an_edit_of_a_script_is_other_code(project):
    before = code(project, "python train.py")
    write(project, "helper.py", "X = 2222")
    assert before.changes(code(project, "python train.py")) == "helper.py changed"


def test_missing_program_is_a_problem(project):
    text = """
name = "program"
command = { run = "no-such-one {lr} {seed} {budget}" }
objective = { metric = "val" }
space = { lr = { float = [0.0, 1.0] } }
search = { budget = 2 }
"""
    write(project, "studies/program.toml", text)
    (problem,) = check(project / "studies" / "program.toml").problems
    assert (problem.key, problem.message[:36]) == ("command.run", "there is no program 'no-such-one' in")
    write(project, "studies/program.toml", text.replace("no-such-one", "scripts/go.sh"))
    assert check(project / "studies" / "program.toml").problems == ()


def test_a_study_without_either_is_refused():
    with pytest.raises(StudyInvalid, match=r"trainable  is missing; set trainable = \"module:function\", or give a"):
        hpo.Study(**{key: value for key, value in VALID.items() if key != "command"})
