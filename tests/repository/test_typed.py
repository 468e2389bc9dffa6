"""A user's project is type-checked against the wheel, as an editor does it."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

PROJECT = """
from collections.abc import Iterator
from dataclasses import dataclass

import optuna

import hpo
import hpo.api


@dataclass(frozen=True)
class Params:
    lr: float
    width: int = 8


def train(params: Params, ctx: hpo.Context) -> Iterator[hpo.Metrics]:
    for epoch in ctx.epochs():
        yield {"val": params.lr * epoch}


def reports(lr: float, width: int = 8, *, ctx: hpo.Context) -> float:
    saved = ctx.load()
    total = float(saved["total"]) if saved is not None else 0.0
    for epoch in range(len(ctx.reports) + 1, ctx.budget + 1):
        total += lr * epoch * width
        ctx.report({"val": total}, checkpoint={"total": total})
    return total


class Counter(hpo.Observer):
    def told(self, evaluation: hpo.Evaluation) -> None:
        print(evaluation.job.trial, evaluation.value)


class Once:
    def ask(self) -> hpo.Job:
        return hpo.Job(trial=0, params={}, seed=42, budget=1)

    def report(self, job: hpo.Job, step: int, value: float) -> hpo.Decision:
        return hpo.Decision.STOP if value < 0 else hpo.Decision.CONTINUE

    def tell(self, evaluation: hpo.Evaluation) -> None:
        pass


source: hpo.JobSource = Once()
config = hpo.RunConfig(storage="sqlite:///hpo.db", backend="local")
searched = hpo.run("mine", config, trials=4, observers=[Counter()])
best: float | None = searched.incumbent.value if searched.incumbent else None
promoted = hpo.promote("mine", config, top=2)
winner = promoted.ranking.winner
mean: float | None = winner.mean if winner else None

space = {"lr": hpo.Float(1e-4, 1e-1, log=True), "width": hpo.Int(1, 8), "opt": hpo.Choice(["adam", "sgd"])}
study = hpo.Study(name="own", trainable=train, objective=hpo.maximize("val"), space=space, search={"trials": 4})
outcomes = [hpo.run(study, config, trials=4), hpo.promote(study, config, top=2), hpo.verify(study, config)]
for outcome in (*outcomes, hpo.compare(0, 1, study, config), hpo.diagnose(study, config, trial=0)):
    columns: list[str] = [str(name) for name in outcome.frame().columns]
hpo.run(study, config).figure().show()
hpo.promote(study, config, hpo.api.PromotionOptions(top=2)).figure().show()
hpo.verify(study, config).plot().show()
stored: hpo.StudyReader = hpo.load("mine", config)
stored.plot_history().show()
rows: int = len(stored.trainings()) + len(stored.epochs())


def objective(trial: optuna.Trial) -> float:
    return trial.suggest_float("lr", 0, 1)


finished = optuna.create_study()
finished.optimize(objective, n_trials=3)
again = hpo.promote(finished, objective, seeds=[42, 43], top=3, config=config, allow_ignored_seed=True)
luck: float | None = again.luck.luck if again.luck else None
"""

MISTAKES = {
    'hpo.run("mine", config, trials="four")': 'argument types "str", "RunConfig", "str"',
    'hpo.promote("mine", config, tops=2)': 'Unexpected keyword argument "tops"',
    "hpo.RunConfig(storage=3)": 'incompatible type "int"',
    "searched.incumbents": "has no attribute",
    "hpo.promote(finished)": "No overload variant",
    'hpo.promote(finished, objective, top="three")': "No overload variant",
}


@pytest.fixture(scope="module")
def checked(tmp_path_factory):
    """Type-checks a text in an environment where the wheel is installed."""
    folder = tmp_path_factory.mktemp("typed")
    own = folder / "checkout"
    shutil.copytree(ROOT / "hpo", own / "hpo", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, own)
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)], cwd=own, check=True)
    venv.create(folder / "env", with_pip=False)
    site = Path(sysconfig.get_path("purelib", "venv", {"base": str(folder / "env")}))
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as packed:
        packed.extractall(site)
    (site / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")  # what hpo needs is installed here

    def check(text):
        (folder / "mine.py").write_text(text)
        command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(folder / "cache")]
        command += ["--python-executable", str(folder / "env" / "bin" / "python"), "mine.py"]
        return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False).stdout

    return check


@pytest.mark.slow
def test_a_user_s_project_is_sound(checked):
    assert "Success: no issues found in 1 source file" in checked(PROJECT)


@pytest.mark.slow
def test_mistakes_are_found(checked):
    found = checked(PROJECT + "\n".join(MISTAKES))
    errors = [line.split(":", 3) for line in found.splitlines() if ": error: " in line]
    first = PROJECT.count("\n") + 1
    assert {int(line) for _, line, *_ in errors} == set(range(first, first + len(MISTAKES)))
    for line, said in enumerate(MISTAKES.values(), first):
        assert any(int(one) == line and said in text for _, one, _, text in errors), found
