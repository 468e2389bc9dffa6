"""What another tool found, promoted: retrained under seeds, how much of it was luck, and where it is from."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState, create_trial
from typer.testing import CliRunner

import hpo
from hpo import api
from hpo.cli.main import app
from hpo.core.errors import UsageError
from hpo.study import FIRST_EXTERNAL
from hpo.study.loading import read

PROJECT = Path(__file__).parents[1] / "project"

BEST = {"x": 0.3, "k": 1, "shape": "flat"}
UNFIT = {**BEST, "width": 64}
OTHERS = [{**BEST, "k": k} for k in (2, 3)]
LATE = {"x": 0.5, "k": 1, "shape": "late", "gain": 0.2}
SPACE = {
    "x": FloatDistribution(0.0, 1.0),
    "k": IntDistribution(1, 5),
    "shape": CategoricalDistribution(["flat", "late"]),
    "gain": FloatDistribution(0.1, 1.0),
    "width": IntDistribution(1, 256),
}


def found(url, trials, name="old", direction="maximize", steps=5):
    """An Optuna study with these trials: params and value."""
    study = optuna.create_study(study_name=name, storage=url, direction=direction)
    for params, value in trials:
        study.add_trial(
            create_trial(
                params=params,
                distributions={one: SPACE[one] for one in params},
                value=value,
                intermediate_values=dict.fromkeys(range(1, steps + 1), value),
            )
        )
    return study


@pytest.fixture(scope="module")
def old(tmp_path_factory):
    """The URL of a finished Optuna study; its best trial does not fit, the next were lucky."""
    url = f"sqlite:///{tmp_path_factory.mktemp('old') / 'old.db'}"
    trials = [(OTHERS[0], 0.9), (BEST, 2.0), (UNFIT, 2.5), (BEST, 1.9), (LATE, 0.8), (OTHERS[1], 0.7)]
    study = found(url, trials)
    study.add_trial(create_trial(state=TrialState.FAIL, params=BEST, distributions={n: SPACE[n] for n in BEST}))
    return url


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Where the promotion below is kept, which most tests look at."""
    folder = tmp_path_factory.mktemp("promoted")
    return hpo.RunConfig(storage=f"sqlite:///{folder / 'hpo.db'}", outputs=folder / "outputs", backend="local")


@pytest.fixture(scope="module")
def promoted(place, old):
    return api.promote(read(PROJECT / "studies" / "curve.toml").study, place, source=old, top=3)


def test_the_best_are_retrained(promoted):
    by_trial = {row.candidate.trial: row for row in promoted.ranking.rows}
    assert promoted.trained == 9
    assert [by_trial[FIRST_EXTERNAL + n].candidate.search_value for n in range(3)] == [2.0, 0.9, 0.8]
    assert all(set(row.candidate.values) == {42, 43, 44} for row in by_trial.values())


def test_luck_is_value_minus_mean(promoted):
    luck, row = promoted.luck, next(r for r in promoted.ranking.rows if r.candidate.search_value == 2.0)
    low, high = row.interval
    assert (luck.trial, luck.value, luck.mean) == (FIRST_EXTERNAL, 2.0, row.mean)
    assert luck.luck == 2.0 - row.mean
    assert luck.interval == (2.0 - high, 2.0 - low)


@pytest.mark.slow
def test_luck_of_what_is_minimized(curve, config, tmp_path):
    url = f"sqlite:///{tmp_path / 'low.db'}"
    found(url, [(BEST, 0.1), (LATE, 0.2)], direction="minimize")
    luck = api.promote(curve(objective={"direction": "minimize"}), config, source=url).luck
    assert luck.luck == luck.mean - 0.1 > 0
    assert luck.interval[0] < luck.luck < luck.interval[1]


def test_provenance_stands_everywhere(promoted, old):
    origin = {"tool": "Optuna", "source": old, "study": "old", "trial": 1, "name": None}
    written = json.loads((promoted.folder / "promotion.json").read_text())
    assert written["origins"][str(FIRST_EXTERNAL)] == origin
    assert written["searched_on"] == f"study old in {old} (Optuna)"
    assert (written["search_seed"], written["seeds_seen_by_search"]) == (None, [])
    assert {row["trial"]: row["origin"] for row in written["rows"]} == {
        FIRST_EXTERNAL: "1",
        FIRST_EXTERNAL + 1: "0",
        FIRST_EXTERNAL + 2: "4",
    }
    winner = promoted.report.winner.candidate.trial
    for folder in promoted.results:
        trial = json.loads((folder / "optuna_trial.json").read_text())
        summary = json.loads((folder / "summary.json").read_text())["hpo"]
        assert trial["origin"] == summary["origin"] == written["origins"][str(winner)]
        assert trial["search_seed"] is None
    assert "source trial" in (promoted.folder / "promotion.md").read_text()


def test_what_does_not_fit_is_named(promoted):
    [left] = promoted.left_out
    assert (left.origin.trial, left.value) == (2, 2.5)
    assert left.reason.startswith("width: no such param (params: x, k, shape, gain)")


def test_nothing_fits_is_refused(curve, config, tmp_path):
    url = f"sqlite:///{tmp_path / 'unfit.db'}"
    found(url, [(UNFIT, 0.5)])
    with pytest.raises(UsageError, match=r"none of the 1 trials of study 'old' .* The first: width: no such param"):
        api.promote(curve(), config, source=url)
    assert not (config.outputs / "curve").exists()


@pytest.mark.slow
def test_the_search_knows_nothing_of_it(curve, config, old, tmp_path):
    study = curve(search={"trials": 3, "lag": 1, "pruner": "none"})
    other = type(config)(storage=f"sqlite:///{tmp_path / 'b.db'}", outputs=tmp_path / "b", backend="local")
    api.promote(study, config, source=old, top=1)
    assert [t.state for t in api.run(study, config).trials] == ["complete"] * 3
    api.run(study, other)
    tables = [[api.show("curve", n, place)[0].params for n in range(3)] for place in (config, other)]
    assert tables[0] == tables[1]


def test_a_second_time_nothing_is_trained(curve, place, old, promoted):
    again = api.promote(curve(), place, source=old, top=3)
    assert again.trained == 0
    assert again.results == promoted.results
    assert again.report.rows() == promoted.report.rows()


def test_later_commands_find_the_candidate(curve, place, promoted, old):
    trial, evaluations = api.show("curve", FIRST_EXTERNAL, place)
    assert trial.origin == f"trial 1 of study old in {old} (Optuna)"
    assert (trial.params, len(evaluations)) == (BEST, 3)
    assert api.rank_stored(curve(), place, lambda_=2.0).plain()["luck"] == asdict(promoted.luck)
    assert all(one.is_identical for one in api.verify(curve(), place, trial=FIRST_EXTERNAL, seed=42))
    assert api.study_view("curve", place).values()["promotion"]["origins"]
    api.write_report("curve", place)


@pytest.mark.slow
def test_same_params_train_once(curve, place, promoted, tmp_path):
    url = f"sqlite:///{tmp_path / 'copy.db'}"
    found(url, [(BEST, 1.0)], name="copy")
    again = api.promote(curve(), place, source=url)
    assert again.trained == 0
    [row] = again.ranking.rows
    assert row.candidate.trial == FIRST_EXTERNAL + 3
    assert row.mean == promoted.luck.mean


@pytest.mark.slow
def test_another_budget_is_said(curve, config, tmp_path):
    url = f"sqlite:///{tmp_path / 'long.db'}"
    found(url, [(BEST, 0.5)], steps=50)
    [warning] = api.promote(curve(), config, source=url).report.warnings
    assert "last step is 50" in warning
    assert "budget is 5" in warning


OBJECTIVE = """
def objective(trial):
    for step in range(5):
        trial.report(trial.suggest_float("x", 0, 1), step)
    return 0.5
"""

REPORTING = """
name = "reporting"
trainable = "reporting:objective"
objective = { metric = "value", epoch = "last" }
space.x = { float = [0, 1] }
search = { trials = 1, budget = 6 }
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("steps", "said"),
    [(5, []), (3, ["that reported 3 values, but the replicates reported 5: the difference may come from that"])],
)
def test_reports_of_an_objective(config, tmp_path, steps, said):
    (tmp_path / "studies").mkdir()
    module = f"reporting{steps}"
    (tmp_path / f"{module}.py").write_text(OBJECTIVE)
    (tmp_path / "studies" / "reporting.toml").write_text(REPORTING.replace("reporting:", f"{module}:"))
    found(url := f"sqlite:///{tmp_path / 'old.db'}", [({"x": 0.3}, 0.5)], steps=steps)
    study = read(tmp_path / "studies" / "reporting.toml").study
    report = api.promote(study, config, source=url, allow_ignored_seed=True).report
    assert len(report.ranking.complete) == 1
    assert [part for part in said if part in " ".join(report.warnings)] == said
    assert ("replicates reported" in " ".join(api.rank_stored(study, config).warnings)) is bool(said)


@pytest.mark.slow
def test_the_command_says_it(curve, config, old):
    args = ["promote", "--study", "curve", "--storage", config.storage, "--backend", "local"]
    args += ["--outputs", str(config.outputs), "--studies", str(curve().root / "studies")]
    result = CliRunner().invoke(app, [*args, "--from", old, "--top", "2"])
    assert result.exit_code == 0, result.output
    text = " ".join(result.stdout.split())
    assert f"Luck: the best value of study old in {old} (Optuna), 2.0000 of its trial 1, lies" in text
    assert "Left out: trial 2 of study old" in text
    assert "source trial" in text
    shown = json.loads(CliRunner().invoke(app, [*args, "--from", old, "--top", "2", "--json"]).stdout)
    assert (shown["luck"]["trial"], shown["left_out"][0]["origin"]["trial"]) == (FIRST_EXTERNAL, 2)


def test_a_study_without_a_source_is_refused(curve, config):
    with pytest.raises(UsageError, match="say what to read from a source; give a source"):
        api.promote(curve(), config, source_study="old")
