"""What is printed at 80 columns: numbers stay whole, and a table has fewer columns or continues below."""

from __future__ import annotations

import csv
import json

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
