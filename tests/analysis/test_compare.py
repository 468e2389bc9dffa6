"""Two configurations, paired over seeds."""

from __future__ import annotations

import json

import numpy as np
import pytest
from typer.testing import CliRunner

import hpo
from hpo import api
from hpo.cli.main import app
from hpo.core.errors import UsageError
from hpo.stats.statistics import outperformance_interval, pairs_needed


def written(folder, name, values):
    path = folder / f"{name}.csv"
    path.write_text("seed,value\n" + "".join(f"{seed},{value}\n" for seed, value in values.items()))
    return str(path)


def test_pairs_needed_match_the_paper():
    assert [pairs_needed(gamma) for gamma in (0.75, 0.70, 0.80, 0.90)] == [29, 46, 21, 12]


def test_pairs_needed_reach_the_power():
    """Noether's N for P = 0.75: a sign test at 5 % finds it nearly as often, within the normal approximation."""
    count, draw = pairs_needed(0.75), np.random.default_rng(3)
    wins = draw.binomial(count, 0.75, 20_000)
    from scipy.stats import binom

    needed = next(k for k in range(count + 1) if binom.sf(k - 1, count, 0.5) < 0.05)
    assert np.mean(wins >= needed) == pytest.approx(0.87, abs=0.05)


def test_bootstrap_interval_coverage():
    draw, hit = np.random.default_rng(4), []
    for _ in range(300):
        wins = draw.random(30) < 0.7
        low, high = outperformance_interval(wins.astype(float), np.full(30, 0.5), draws=1000)
        hit.append(low <= 0.7 <= high)
    assert np.mean(hit) > 0.9


def test_three_seeds_decide_nothing(tmp_path):
    one = written(tmp_path, "a", {42: 0.9, 43: 0.9, 44: 0.9})
    other = written(tmp_path, "b", {42: 0.1, 43: 0.1, 44: 0.1})
    found = api.compare(one, other)
    assert (found.outperformance, found.interval) == (1.0, None)
    assert found.verdict.startswith("not decidable at n = 3")
    assert "0.12" in found.verdict
    assert (found.needed, found.needed_for_seen) == (29, 8)


def test_equal_values_are_one_draw(tmp_path):
    one = written(tmp_path, "a", dict.fromkeys(range(42, 50), 0.91234567))
    other = written(tmp_path, "b", {seed: 0.1 + seed / 1000 for seed in range(42, 50)})
    found = api.compare(one, other)
    assert (found.same, found.interval, found.needed_for_seen) == ((one,), None, None)
    assert found.verdict.startswith(f"not decidable: the values of {one} are the same under all 8 seeds")
    full = written(tmp_path, "c", dict.fromkeys(range(42, 50), 1.0))
    assert api.compare(full, other).verdict.startswith("significant"), "an accuracy of 1 may well be one"


def test_common_seeds_are_paired(tmp_path):
    one = written(tmp_path, "a", {42: 0.9, 43: 0.2, 50: 0.0})
    other = written(tmp_path, "b", {43: 0.3, 42: 0.1})
    found = api.compare(one, other, minimize=True)
    assert (found.seeds, found.values, found.outperformance) == ((42, 43), ((0.9, 0.2), (0.1, 0.3)), 0.5)
    assert found.needed_for_seen is None


@pytest.mark.parametrize(
    ("gap", "verdict"),
    [(5.0, "significant and meaningful"), (0.0, "not significant"), (-5.0, "significant and meaningful")],
)
def test_many_seeds_decide(tmp_path, gap, verdict):
    draw = np.random.default_rng(5)
    one = written(tmp_path, "a", dict(enumerate(draw.normal(gap, 1, 40))))
    other = written(tmp_path, "b", dict(enumerate(draw.normal(0, 1, 40))))
    found = api.compare(one, other)
    assert found.verdict.startswith(verdict)
    if gap:
        assert found.verdict.endswith(f"{'a' if gap > 0 else 'b'}.csv is better")


@pytest.mark.slow
def test_compares_trials_and_result_folders(curve, config, tmp_path):
    study = curve(search={"trials": 4, "pruner": "none"}, promotion={"top": 2})
    hpo.run(study, config)
    promoted = hpo.promote(study, config)
    first, second = (row.candidate for row in promoted.ranking.rows)
    found = api.compare(str(first.trial), str(second.trial), study, config)
    assert found.values == (tuple(first.values.values()), tuple(second.values.values()))
    folder = str(promoted.folder)
    assert api.compare(folder, str(second.trial), study, config).values == found.values
    alone = api.compare(f"{folder}/results_8", str(second.trial), study, config)
    assert alone.seeds == (43,)
    done = CliRunner().invoke(app, ["compare", folder, folder])
    assert done.exit_code == 0, done.output
    assert "= 0.50, n = 3" in done.stdout
    assert "takes 29 seeds" in done.stdout
    assert json.loads(CliRunner().invoke(app, ["compare", folder, folder, "--json"]).stdout)["outperformance"] == 0.5


WRONG = [
    ("nothing.csv", "is neither the number of a trial, nor an existing folder of results"),
    ("3", "trial 3 needs a study"),
    ("{}/words.csv", "expected CSV with the columns seed and value"),
    ("{}/empty", "there are no results in"),
    ("{}/other.csv", "have no seed in common"),
]


@pytest.mark.parametrize(("given", "message"), WRONG)
def test_incomparable_inputs_are_refused(tmp_path, given, message):
    (tmp_path / "words.csv").write_text("a,b\n1,2\n")
    (tmp_path / "empty").mkdir()
    written(tmp_path, "other", {99: 1.0})
    with pytest.raises(UsageError, match=message):
        api.compare(written(tmp_path, "a", {1: 2.0}), given.format(tmp_path))


def test_trial_without_replicates_is_refused(curve, config):
    study = curve()
    hpo.run(study, config, trials=2)
    with pytest.raises(UsageError, match="trial 0 has no replicates"):
        api.compare("0", "1", study, config)
