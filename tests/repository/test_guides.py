"""What the guides show is executed, in the order in which they are read."""

from __future__ import annotations

import csv
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import forked
import optuna
import pytest

from hpo import MixedSampler
from hpo.api import PromotionOptions, load_study, share_of_search

ROOT = Path(__file__).parents[2]
PAGES = (
    *(
        "how-it-works",
        "command-overview",
        "never-silent",
        "own-study",
        "reporting",
        "samplers-and-pruners",
        "ask-and-tell",
    ),
    *("limits-of-a-training", "ending-a-search", "mammograms", "unstable-trainings", "other-libraries", "programs"),
    *("pages", "python", "results-folder", "certainty", "race", "sources-of-noise", "search-under-seeds"),
    *("cross-validation", "storage", "from-another-terminal", "cluster", "containers", "crashes"),
)
GUIDES = "\n".join((ROOT / "docs" / f"{name}.md").read_text() for name in PAGES)
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", GUIDES, re.DOTALL)
COMMANDS = [line[2:].split("  #")[0] for kind, body in BLOCKS if kind == "console" for line in body.splitlines()]
PYTHON = [body for kind, body in BLOCKS if kind == "python"]
TOML = [body for kind, body in BLOCKS if kind == "toml"]


def hpo(folder, command, **options):
    program, *arguments = shlex.split(command)
    assert program == "hpo"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    code = "from hpo.cli import main; main()"
    done = forked.run(
        [sys.executable, "-c", code, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture
def project(tmp_path):
    """A copy of the repository's own models and studies."""
    for name in ("models", "studies"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


@pytest.mark.ray
@pytest.mark.slow
def test_commands_run_in_order(project, at_ray):
    own = ("line", "tumours", "init")
    shown = [command for command in COMMANDS if command.startswith("hpo") and not any(word in command for word in own)]
    shown.remove("hpo serve")  # which goes on until it is stopped: tests/serve/test_browser.py
    assert len(shown) == 21
    printed = {command.split()[1]: hpo(project, command) for command in shown}
    assert "## digits: promotion by" in printed["rank"]
    assert "digits, unet-density" in ", ".join(
        re.findall(r"^(digits|unet-density)\b", printed["studies"], re.MULTILINE)
    )
    assert "12 trials in" in printed["run"]
    assert "Winner: trial" in printed["promote"]
    assert "Its last rung:" in printed["promote"]
    assert "identical." in printed["verify"]
    written = {path.name for path in (project / "outputs" / "digits").glob("results_*")}
    assert {"results_7", "results_8", "results_9"} <= written
    assert "12 of 30" in printed["status"]
    assert re.search(r"^Params of trial \d+, the winner: lr=", printed["promote"], re.MULTILINE)
    assert printed["trials"].splitlines()[0].split()[:6] == ["trial", "state", "value", "epoch", "seconds", "seeds"]
    assert printed["logs"].startswith("trial 0, search, seed 41:\n")
    assert "Nothing essential is missing. Continue with: hpo run --study digits" in printed["doctor"]
    assert "digits is paused." in printed["pause"]
    assert "digits is no longer paused" in printed["resume"]
    assert "digits has no running driver" in printed["stop"]
    assert "left out" in printed["data"].lower()
    assert {"digits_metrics.tex", "digits_train_seed42.png"} <= {path.name for path in (project / "report").iterdir()}


@pytest.mark.ray
@pytest.mark.slow
def test_smoke_study_runs_on_ray(project, at_ray):
    assert "Winner: trial" in hpo(project, "hpo run --study unet-density-smoke --promote")
    [folder] = (project / "outputs" / "unet-density-smoke").glob("results_7")
    assert (folder / "metrics" / "val_metrics.png").stat().st_size > 10_000
    assert (
        (folder / "val_predictions.csv")
        .read_text()
        .startswith("path,accession,raw_label,y_true,y_pred,p_A,p_B,p_C,p_D")
    )


@pytest.mark.ray
@pytest.mark.slow
def test_own_study_tutorial(tmp_path):
    [block] = [body for kind, body in BLOCKS if kind == "console" and "hpo init" in body]
    first, enter, *commands, test = [line[2:] for line in block.splitlines()]
    assert "hpo check --study tumours" in hpo(tmp_path, first)
    folder = tmp_path / enter.removeprefix("cd ")
    printed = [hpo(folder, command) for command in commands]
    assert "20 trials in" in printed[1]
    assert "Winner: trial" in printed[2]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    arguments = [sys.executable, *shlex.split(test)[1:]]
    done = subprocess.run(arguments, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert "2 passed" in done.stdout


@pytest.mark.slow
def test_the_first_study_of_one_s_own_runs(tmp_path):
    (tmp_path / "studies").mkdir()
    (tmp_path / "train.py").write_text(PYTHON[0])
    (tmp_path / "studies" / "line.toml").write_text(TOML[0])
    [command] = [command for command in COMMANDS if command.startswith("hpo run") and "line" in command]
    printed = hpo(tmp_path, command)
    assert "mean + sigma" in printed
    assert "results_7  results_8  results_9" in printed


@pytest.mark.slow
def test_reporting_function_trains_alike(tmp_path):
    tables = []
    for number in (0, 1):
        folder = tmp_path / str(number)
        (folder / "studies").mkdir(parents=True)
        (folder / "train.py").write_text(PYTHON[number])
        (folder / "studies" / "line.toml").write_text(TOML[0])
        hpo(folder, "hpo run --study line --backend local")
        made = optuna.load_study(study_name="line", storage=f"sqlite:///{folder / 'hpo.db'}")
        tables.append([(trial.params, trial.value, trial.intermediate_values) for trial in made.trials])
    assert len(tables[0]) == 8
    assert tables[0] == tables[1]


@pytest.mark.slow
def test_the_options_of_a_search_run(tmp_path):
    (tmp_path / "studies").mkdir()
    (tmp_path / "train.py").write_text(PYTHON[0].replace('yield {"', 'yield {"overfit": -0.1, "'))
    study = TOML[0].split("[search]")[0] + TOML[1].replace("[search]", "[search]\ntrials = 5", 1)
    (tmp_path / "studies" / "line.toml").write_text(study)
    (tmp_path / "params.json").write_text('[{"lr": 0.5, "momentum": 0.0}, {"lr": 0.25}]')
    told = [f"--{name}" for name in ("time", "until", "patience", "enqueue")]
    assert all(f"`{name} " in GUIDES for name in told)
    options = "--time 1h30m --until 0.0 --patience 30 --enqueue params.json"
    printed = hpo(tmp_path, f"hpo run --study line --backend local {options}")
    assert "5 trials in" in printed
    assert "lr=0.5 momentum=0\n" in hpo(tmp_path, "hpo show --study line 0")


@pytest.mark.slow
def test_confirm_and_curtail(tmp_path):
    (tmp_path / "studies").mkdir()
    (tmp_path / "train.py").write_text(PYTHON[0])
    (tmp_path / "studies" / "line.toml").write_text(TOML[0])
    hpo(tmp_path, "hpo run --study line --backend local")
    curtailed = hpo(tmp_path, "hpo promote --study line --backend local --curtail")
    printed = hpo(tmp_path, "hpo promote --study line --backend local --confirm-seeds 45,46,47")
    winners = [re.search(r"Winner: trial \d+", one)[0] for one in (curtailed, printed)]
    assert winners[0] == winners[1]
    assert all(f"hpo promote {option}" in GUIDES for option in ("--curtail", "--confirm-seeds 45,46,47"))
    for said in ("It changes under:", "Optimism:", "not decidable at n = 3", "Unbiased estimate"):
        assert said in printed


@pytest.mark.slow
def test_compare_and_trainings(tmp_path):
    (tmp_path / "studies").mkdir()
    (tmp_path / "train.py").write_text(PYTHON[0])
    (tmp_path / "studies" / "line.toml").write_text(TOML[0])
    assert "`hpo run --study digits --trainings 120` splits a total into a search (66) and a race (54)" in GUIDES
    assert share_of_search(load_study("digits", [ROOT / "studies"]), PromotionOptions(race=True, trainings=120)) == 66
    printed = hpo(tmp_path, "hpo run --study line --backend local --trainings 20")
    assert "10 configurations have been tried" in printed
    assert "Its last rung:" in printed
    with (tmp_path / "outputs" / "line" / "promotion.csv").open() as file:
        first, second = [row["trial"] for row in csv.DictReader(file)][:2]
    assert "`hpo compare 17 4 --study digits`" in GUIDES
    compared = hpo(tmp_path, f"hpo compare {first} {second} --study line")
    assert "Not decidable at n = 4" in compared
    assert "takes 29 seeds" in compared
    study = optuna.create_study(sampler=MixedSampler(seed=1))
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)


@pytest.mark.slow
def test_cross_validation(project):
    [table] = [body for body in TOML if "[validation]" in body]
    (project / "studies" / "digits-cv.toml").write_text(
        (project / "studies" / "digits.toml")
        .read_text()
        .replace('"digits"', '"digits-cv"')
        .replace("top    = 3", "top = 1")
        + table
    )
    printed = hpo(project, "hpo run --study digits-cv --trials 1 --promote --backend local")
    assert "a seed's value is the mean over 5 folds; fold sd" in printed
    folder = project / "outputs" / "digits-cv" / "results_7"
    assert sorted(path.name for path in folder.glob("fold_*")) == [f"fold_{fold}" for fold in range(1, 6)]
    assert json.loads((folder / "cv_summary.json").read_text())["trainings"] == 5
    assert len((folder / "val_predictions.csv").read_text().splitlines()) == 1 + 1797
    assert not (folder / "best_model.pt").exists()


@pytest.mark.slow
def test_decompose_and_replay(tmp_path):
    """Every word and every number, to what another CPU may round differently."""
    (tmp_path / "studies").mkdir()
    (tmp_path / "train.py").write_text(PYTHON[0])
    (tmp_path / "studies" / "line.toml").write_text(TOML[0])
    hpo(tmp_path, "hpo run --study line --backend local --promote")
    commands = [command for command in COMMANDS if command.startswith("hpo seeds")]
    assert [command.split()[2] for command in commands] == ["decompose", "replay"]
    printed = "".join(hpo(tmp_path, command) for command in commands)
    [shown] = [body for kind, body in BLOCKS if kind == "text" and "sd if only this is redrawn" in body]
    words, numbers = zip(*(in_parts(text) for text in (shown, printed)), strict=True)
    assert words[0] == words[1]
    assert numbers[0] == pytest.approx(numbers[1], rel=0.02, abs=1e-4)
    assert len(list((tmp_path / "outputs" / "line").glob("decomposition-trial-4.*"))) == 3


def in_parts(text):
    """Returns a text's words and its numbers; the bars, and how wide columns are, follow from the numbers."""
    plain = re.sub(r" #+ *$", "", text, flags=re.MULTILINE)
    number = r"(?<![\w.-])\d*\.?\d+(?:e-\d+)?(?![\w-])"
    return re.sub(number, "N", plain).split(), [float(one) for one in re.findall(number, plain)]


@pytest.mark.slow
def test_optuna_trials_are_imported(tmp_path):
    (tmp_path / "studies").mkdir()
    (tmp_path / "train.py").write_text(PYTHON[0])
    (tmp_path / "studies" / "line.toml").write_text(TOML[0])
    old = optuna.create_study(storage=f"sqlite:///{tmp_path / 'old.db'}")
    for lr in (0.1, 0.5):
        trial = old.ask()
        trial.suggest_float("lr", 0.01, 1.0, log=True)
        trial.suggest_categorical("momentum", [0.0, 0.5, 0.9])
        old.tell(trial, lr)
    [command] = [command for command in COMMANDS if command.startswith("hpo import")]
    assert "Imported: 2 trials" in hpo(tmp_path, command)
    assert "2 imported" in hpo(tmp_path, "hpo status")


@pytest.mark.slow
def test_the_example_from_python_runs(project):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    [example] = [block for block in PYTHON if "hpo.load_study" in block]
    done = forked.run(
        [sys.executable, "-c", example], cwd=project, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "results_9" in done.stdout


def test_table_lists_all_commands():
    listed = re.findall(r"^\| `hpo (\w+)` \|", GUIDES, re.MULTILINE)
    assert sorted(listed) == commands_of()
    [group] = re.findall(r"^\| `hpo seeds` \| (.*) \|$", GUIDES, re.MULTILINE)
    assert sorted(re.findall(r"`(\w+)`:", group)) == commands_of("seeds")


def commands_of(*group):
    helped = subprocess.run(
        [sys.executable, "-c", "from hpo.cli import main; main()", *group, "--help"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "100"},
    ).stdout
    return sorted(re.findall(r"^│ ([a-z]\w*) ", helped, re.MULTILINE))


@pytest.mark.slow
def test_the_command_of_a_study_runs(tmp_path, monkeypatch):
    """The study as it is shown, with a program of that name that takes the same arguments."""
    [study] = [body for body in TOML if "[command]" in body]
    for folder in ("studies", "archive", "bin"):
        (tmp_path / folder).mkdir()
    (tmp_path / "studies" / "density-command.toml").write_text(study)
    (tmp_path / "classificacao.csv").write_text("path,class\na.dcm,A\n")
    shutil.copy2(ROOT / "tests" / "project" / "programs" / "mammography", tmp_path / "bin")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    assert "density-command: no problems" in hpo(tmp_path, "hpo check --study density-command")
    printed = hpo(tmp_path, "hpo run --study density-command --trials 3 --backend local --promote")
    assert "results_7  results_8  results_9" in printed
    for seed, number in ((42, 7), (43, 8), (44, 9)):
        results = tmp_path / "outputs" / "density-command" / f"results_{number}"
        assert (results / "best_model.pt").read_bytes() == f"weights of {seed}".encode()
        assert f"1 images, seed {seed}" in (results / "run.log").read_text()
