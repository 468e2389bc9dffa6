"""`hpo init --from-ray`: a Ray Tune function and its search space as a study."""

from __future__ import annotations

import itertools

import pytest
from ray import tune
from typer.testing import CliRunner

import hpo
from hpo import Choice, Float, Int, StudyInvalid, UsageError, api
from hpo.backends.ray.search_space import dimension_of
from hpo.cli.main import app
from hpo.study.loading import check

NAMES = (f"tuned{number}" for number in itertools.count())
"""A module name for each test: a process imports a name once."""

MODULE = """
from ray import tune

space = {"lr": tune.loguniform(1e-4, 0.1), "width": tune.randint(1, 5), "kind": "plain"}


def train_fn(config):
    for step in range(3):
        tune.report({"acc": config["lr"] + step})


def main():
    tune.Tuner(train_fn, tune_config=tune.TuneConfig(metric="acc", mode="max", num_samples=7), param_space=space).fit()
"""


@pytest.fixture
def convert(tmp_path, monkeypatch):
    """Returns a function that writes a module and returns the study of a name in it, and what is said."""
    monkeypatch.syspath_prepend(tmp_path)

    def convert(text, name="train_fn"):
        module = next(NAMES)
        (tmp_path / f"{module}.py").write_text(text)
        written = api.init_from_ray(f"{module}:{name}", tmp_path)
        checked = check(written.folder / written.files[0])
        assert checked.study is not None, checked.problems
        return checked.study, "\n".join(written.remarks)

    return convert


@pytest.mark.parametrize("name", ["train_fn", "space"])
def test_function_and_space_become_a_study(convert, name):
    study, said = convert(MODULE, name)
    assert study.trainable.endswith(":train_fn")
    assert study.space == {"lr": Float(1e-4, 0.1, log=True), "width": Int(1, 4)}
    assert study.fixed == {"kind": "plain"}
    assert (study.objective.metric, study.objective.direction) == ("acc", "maximize")
    assert (study.search.trials, study.search.budget) == (7, 3)
    assert "Change train_fn" not in said
    assert "objective:" not in said


@pytest.mark.parametrize(("arguments", "report"), [("config", "tune.report"), ("config, ctx", "ctx.report")])
def test_function_trains(convert, config, arguments, report):
    study, _ = convert(MODULE.replace("train_fn(config)", f"train_fn({arguments})").replace("tune.report", report))
    assert {trial.state for trial in hpo.run(study, config, trials=2).trials} == {"complete"}


@pytest.mark.parametrize(("domain", "value"), [("3", 3), ("tune.randint(1, 9)", 0)])
def test_a_seed_is_fixed(convert, domain, value):
    study, said = convert(MODULE.replace('"kind": "plain"', f'"seed": {domain}'))
    assert study.fixed == {"seed": value}
    assert (
        "seed: is fixed, as a search would pick the luckiest seed; write hpo.seeded(config['seed']) in train_fn" in said
    )


def test_other_reports_are_named(convert):
    changed = MODULE.replace("    for", "    train.get_checkpoint()\n    tune.get_context()\n    for")
    _, said = convert(changed.replace("tune.report", "train.report"))
    for name in ("report", "get_checkpoint"):
        assert f"Change train_fn: write tune.{name}(...) in the place of train.{name}(...)" in said
    assert said.count("Change train_fn") == 2


@pytest.mark.parametrize(
    ("loop", "budget"),
    [
        ("for step in range(start, 20)", 20),
        ("for step in range(1, STEPS)", 7),
        ("for step in range(config['steps'])", 100),
        ("while step < 3", 100),
        ("for fold in range(2):\n     for step in range(3)", 100),
    ],
)
def test_the_loop_gives_the_budget(convert, loop, budget):
    changed = MODULE.replace("for step in range(3)", f"start = step = 0\n    {loop}").replace(
        "def train_fn", "STEPS = 8\ndef train_fn"
    )
    study, said = convert(changed)
    assert study.search.budget == budget
    assert f"budget: {budget} steps" in said


def test_a_helper_may_report(convert):
    helper = "def tell(value):\n    tune.report({'acc': value})\n\n\ndef train_fn"
    changed = MODULE.replace('tune.report({"acc": config', "tell((config").replace("+ step})", "+ step))")
    assert convert(changed.replace("def train_fn", helper))[0].search.budget == 100


def test_function_that_returns_trains(convert, config):
    text = MODULE[: MODULE.index("def train_fn")] + "def train_fn(config):\n    return {'loss': config['lr']}\n"
    study, said = convert(text)
    assert (study.search.budget, study.search.pruner) == (1, "none")
    assert "it is to minimize 'loss' here" in said
    assert "budget: 1 step, as train_fn reports nothing" in said
    assert hpo.run(study, config, trials=1).incumbent is not None


@pytest.mark.parametrize(
    ("domain", "wanted"),
    [
        (tune.uniform(0, 1), Float(0, 1)),
        (tune.quniform(0.2, 1.0, 0.1), Float(0.2, 1.0, step=0.1)),
        (tune.qrandint(1, 10, 4), Int(4, 8, step=4)),
        (tune.qrandint(1, 10, 1), Int(1, 9)),
        (tune.lograndint(1, 65), Int(1, 64, log=True)),
        (tune.choice(["a", 2]), Choice(["a", 2])),
        (tune.grid_search([1, 2]), Choice([1, 2])),
        (True, True),
    ],
)
def test_domains(domain, wanted):
    assert dimension_of(domain) == wanted


@pytest.mark.parametrize(
    ("domain", "said"),
    [
        (tune.randn(0, 1), "hpo has uniform, quniform"),
        (tune.sample_from(lambda _: 1), "hpo has uniform, quniform"),
        (tune.qlograndint(2, 10, 2), "no steps on a logarithmic scale"),
        (tune.qloguniform(1, 10, 1), "no steps on a logarithmic scale"),
        (tune.choice([None, 1]), "got None; list names of such values"),
        ({"lr": 1}, "hpo has no nested ones"),
        (None, "expected a number, a text, True or False, got None"),
    ],
)
def test_what_hpo_lacks_is_named(domain, said):
    with pytest.raises(ValueError, match=said):
        dimension_of(domain)


@pytest.mark.parametrize(("name", "called"), [("space", "space"), ("train_fn", "param_space")])
def test_space_inside_a_function(convert, name, called):
    table = MODULE[MODULE.index("space = ") : MODULE.index("def train_fn")].strip()
    text = MODULE.replace(table, "").replace("def main():", f"def main():\n    {table}")
    if called == "param_space":
        text = text.replace(f"    {table}\n", "").replace("param_space=space", f"param_space={table[8:]}")
    text = text.replace("randint(1, 5)", "choice(WIDTHS)").replace('"plain"', "'a' + 'b'")
    study, said = convert(f"WIDTHS = [8, 16]\n{text}", name)
    assert study.space == {"lr": Float(1e-4, 0.1, log=True), "width": Choice([8, 16])}
    assert "kind: is left out, as 'a' + 'b' is not read; put it into [space] or [fixed]." in said


@pytest.mark.parametrize(("values", "found"), [("[2**i for i in range(2, 5)]", [4, 8, 16]), ("[-1, 10 * 3]", [-1, 30])])
def test_computed_choices(convert, values, found):
    text = "from ray import tune\n\n\ndef train_fn(config):\n    tune.report({})\n\n\ndef main():\n"
    text += f"    space = {{'l1': tune.choice({values})}}\n"
    study, _ = convert(text)
    assert study.space == {"l1": Choice(found)}


@pytest.mark.parametrize(
    "values",
    ["[1 // i for i in range(2)]", "[open('x') for i in range(2)]", "[i.real for i in range(2)]", "[len('a')]"],
)
def test_choices_run_no_code(convert, values):
    text = MODULE.replace("tune.randint(1, 5)", f"tune.choice({values})")
    table = text[text.index("space = ") : text.index("def train_fn")].strip()
    study, said = convert(text.replace(table, "").replace("def main():", f"def main():\n    {table}"))
    assert list(study.space) == ["lr"]
    assert "width: is left out, as tune.choice(" in said


def test_computed_params_are_left_out(convert):
    study, said = convert(MODULE.replace("tune.randint(1, 5)", "tune.sample_from(lambda spec: 1)"))
    assert list(study.space) == ["lr"]
    assert "width: is left out, as sample_from is no range; give it one in [space], or let train_fn compute it." in said


def test_grids(convert):
    grid = MODULE.replace("tune.loguniform(1e-4, 0.1)", "tune.grid_search([0.1, 0.2])")
    _, said = convert(grid)
    assert "lr: grid_search is a choice here" in said
    study, _ = convert(grid.replace("tune.randint(1, 5)", "tune.grid_search([1, 2, 3])"))
    assert (study.search.sampler, study.search.trials) == ("grid", 6)


@pytest.mark.parametrize(
    ("change", "name", "error", "said"),
    [
        (("", ""), "trian_fn", UsageError, r"is neither .* \(there: train_fn, space\)\. Did you mean train_fn\?"),
        (("def main", "other = dict(space)\n\n\ndef main"), "train_fn", UsageError, "has 2 of what .* search space"),
        (("def main()", "def main(config)"), "space", UsageError, r"has 2 of .* \(train_fn, main\); expected one"),
        (('"plain"', "None"), "train_fn", StudyInvalid, "kind  expected a number, a text"),
    ],
)
def test_modules_that_do_not_fit(convert, change, name, error, said):
    with pytest.raises(error, match=said):
        convert(MODULE.replace(*change), name)


def test_command_converts(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    name = next(NAMES)
    (tmp_path / f"{name}.py").write_text(MODULE)
    assert f"studies/{name}.toml" in CliRunner().invoke(app, ["init", "--from-ray", f"{name}:space"]).stdout
