"""What is printed at 80 columns: numbers stay whole, and a table has fewer columns or continues below."""

from __future__ import annotations

import csv
import io
import json
import re

import pytest
from typer.testing import CliRunner

from hpo import api
from hpo.cli.fitting import wrapped
from hpo.cli.main import app

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def promoted(curve, module_config):
    study = curve(search={"trials": 6}, promotion={"top": 3})
    api.run(study, module_config)
    api.promote(study, module_config)
    return study


def printed(width, config, *arguments):
    environment = {"COLUMNS": str(width), "HPO_STORAGE": config.storage, "HPO_OUTPUTS": str(config.outputs)}
    done = CliRunner().invoke(app, [*arguments, "--studies", "tests/project/studies"], env=environment)
    assert done.exit_code == 0, done.output
    return done.stdout


RANKED = """\
rank  trial  seed 42  seed 43  seed 44    mean   sigma  CV %  mean - sigma
   1      0   1.5062   1.5412   1.3946  1.4807  0.0625   4.2        1.4181
   2      1   0.8986   0.9336   0.7870  0.8730  0.0625   7.2        0.8105
   3      2   0.6748   0.7098   0.5633  0.6493  0.0625   9.6        0.5868
rank  trial  x     k  shape  gain
   1      0  0.76  2  late   0.994
   2      1  0.62  1  late   0.201
   3      2  0.66  1  flat   -
left out here: 95 % interval, search (41); a width of 128 characters shows them
"""

WINNER = "Params of trial 0, the winner: x=0.76 k=2 shape=late gain=0.994\n"


def test_rank_at_80_columns(promoted, module_config):
    text = printed(80, module_config, "rank", "--study", "curve")
    assert text.startswith(RANKED)
    assert text.endswith(WINNER)
    assert max(map(len, text.splitlines())) <= 80


def test_rank_at_200_columns(promoted, module_config):
    head, first, *_ = printed(200, module_config, "rank", "--study", "curve").splitlines()
    assert head.endswith("mean - sigma     95 % interval  search (41)  x     k  shape  gain")
    assert first.endswith("1.4181  1.2905 .. 1.6708       1.4938  0.76  2  late   0.994")


def test_files_have_the_params(promoted, module_config):
    folder = module_config.outputs / "curve"
    table = json.loads((folder / "promotion.json").read_text())
    assert table["params_that_differ"] == ["x", "k", "shape", "gain"]
    winner = {name.removeprefix("params_"): value for name, value in table["rows"][0].items() if "params_" in name}
    assert table["winner_params"] == winner == dict(api.show(promoted, 0, module_config)[0].params)
    with (folder / "promotion.csv").open() as file:
        assert [row["params_shape"] for row in csv.DictReader(file)] == ["late", "late", "flat"]
    markdown = (folder / "promotion.md").read_text()
    assert "|      1 |       0 | 0.76 |   2 |    late |  0.994 |" in markdown
    assert f"x       | {winner['x']} |" in markdown
    assert r"      1 &       0 & 0.76 &   2 &    late &  0.994 \\" in (folder / "promotion.tex").read_text()


def test_lines_break_between_words():
    assert wrapped("it is 0.5 (95 %: 0.1 .. 0.2), n = 3", 12).split("\n") == [
        "it is 0.5",
        "(95 %:",
        "0.1 .. 0.2),",
        "n = 3",
    ]


def test_a_command_stays_whole():
    command = "hpo promote --study with-a-long-name --top 5"
    assert wrapped(f"One seed is one draw: {command}", 30) == f"One seed is one draw:\n{command}"


TRIALS = """\
trial  state      value  epoch  seconds        seeds
    0  complete  1.4938    5/5        s  41 42 43 44
    1  complete  0.8862    5/5        s  41 42 43 44
    2  complete  0.6625    5/5        s  41 42 43 44
    3  complete  0.3867    5/5        s           41
    4  complete  0.5937    5/5        s           41
    5  complete  0.4911    5/5        s           41
trial  x      k  shape  gain
    0  0.76   2  late   0.994
    1  0.62   1  late   0.201
    2  0.66   1  flat   -
    3  0.83   3  flat   -
    4  0.922  4  late   0.316
    5  0.248  4  flat   -
"""


def test_trials_where_there_is_no_room(promoted, module_config):
    text = printed(60, module_config, "trials", "curve")
    assert re.sub(r"5/5 +[0-9.]+", "5/5        s", text).startswith(TRIALS)


def test_trials_at_80_columns(promoted, module_config):
    head, first, *_ = printed(80, module_config, "trials", "curve").splitlines()
    assert head == "trial  state      value  epoch  seconds        seeds  x      k  shape  gain"
    assert first.endswith("  41 42 43 44  0.76   2  late   0.994")


def test_trials_as_csv(promoted, module_config):
    rows = [*csv.DictReader(io.StringIO(printed(80, module_config, "trials", "curve", "--csv")))]
    assert [row["trial"] for row in rows] == list("012345")
    first, last = rows[0], rows[-1]
    assert (first["state"], first["seeds"], first["promotion_seeds"]) == ("complete", "41", "42 43 44")
    assert float(first["params_x"]) == api.show(promoted, 0, module_config)[0].params["x"]
    assert (last["params_gain"], last["promotion_seeds"]) == ("", "")


def test_status_at_80_columns(promoted, module_config):
    text = printed(80, module_config, "status", "curve")
    assert text.splitlines()[:2] == [
        "study  trials         incumbent  promoted",
        "curve  6 of 6  1.4938 (trial 0)  trial 0: results_7, results_8, results_9",
    ]


def test_one_trial_at_80_columns(promoted, module_config):
    lines = printed(80, module_config, "show", "curve", "0").splitlines()
    assert lines[1] == "x=0.76 k=2 shape=late gain=0.994   (defaults: nap=0.0 fault= flags=)"
    assert lines[2] == "stage      seed  status       val  epoch  seconds  device  weights"


def test_a_file_gets_the_whole_table(promoted, module_config):
    environment = {"COLUMNS": "", "HPO_STORAGE": module_config.storage, "HPO_OUTPUTS": str(module_config.outputs)}
    text = CliRunner().invoke(app, ["rank", "curve", "--studies", "tests/project/studies"], env=environment).stdout
    assert "95 % interval  search (41)  x" in text.splitlines()[0]
