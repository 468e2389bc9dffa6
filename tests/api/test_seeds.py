"""Which source of randomness moves a result, and whether anything else does."""

from __future__ import annotations

import csv
import json
import threading

import pytest
from typer.testing import CliRunner

import hpo
from hpo import api
from hpo.api.session import opened
from hpo.cli.main import app
from hpo.errors import UsageError
from hpo.records import Stage
from hpo.seeding import STREAMS, redraw_seed


@pytest.fixture
def searched(curve, place):
    study = curve()
    hpo.run(study, place, trials=6)
    return study


def recorded(study, place, stage):
    with opened(study, place, (), create=False) as found:
        return found.store.evaluations(found.stored, stage)


def test_sources_are_told_apart_and_those_not_used_cost_two_draws(searched, place):
    """The toy draws its offset from init and its noise from order, and nothing else."""
    found = api.decompose(searched, 2, place, draws=8, replays=2)
    assert found.unused == ("split", "augment", "dropout")
    assert [effect.source for effect in found.effects] == ["init", "order"]
    assert found.trainings == 8 * 3 + 2 * 3 + 2 == found.trained
    assert len(recorded(searched, place, Stage.DECOMPOSITION)) == 8 * 3 + 2 * 3
    assert found.replayed.is_identical
    assert found.sum_of_totals == pytest.approx(1, abs=0.6)  # the toy adds them up
    assert "init the most" in found.advice


def test_a_row_differs_from_its_draw_in_one_stream_alone(searched, place):
    api.decompose(searched, 2, place, draws=2, replays=0)
    jobs = [one.job for one in recorded(searched, place, Stage.DECOMPOSITION)]
    assert len(jobs) == 12
    assert len({job.seed for job in jobs}) == 12
    differing = sorted(
        sum(one.streams[name] != other.streams[name] for name in STREAMS) for one in jobs for other in jobs
    )
    assert differing.count(0) == 12  # each with itself
    assert differing.count(1) == 2 * 2 * 5  # each draw with its five, both ways
    assert all(set(job.streams) == set(STREAMS) for job in jobs)


def test_sources_that_are_not_named_stay_as_they_were_in_the_search(searched, place):
    found = api.decompose(searched, 2, place, draws=3, replays=0, sources=["init"])
    assert found.trainings == 6
    streams = [one.job.streams for one in recorded(searched, place, Stage.DECOMPOSITION)]
    assert {one["order"] for one in streams} == {41}
    assert len({one["init"] for one in streams}) == 6


def test_it_goes_on_where_it_was_stopped_and_more_draws_add_to_fewer(searched, place):
    class Stop:
        def __init__(self, after):
            self.stop, self.left = threading.Event(), after

        def __getattr__(self, name):
            return lambda *_: None

        def told(self, evaluation):
            self.left -= 1
            if self.left == 0:
                self.stop.set()

    cut = Stop(after=7)
    stopped = api.decompose(searched, 2, place, draws=4, replays=1, observers=[cut], stop=cut.stop)
    assert stopped.folder is None
    assert not (place.outputs / "curve").exists()
    whole = api.decompose(searched, 2, place, draws=4, replays=1)
    assert whole.trained == whole.trainings - 7
    again = api.decompose(searched, 2, place, draws=4, replays=1)
    assert again.trained == 0
    assert again.as_values() == whole.as_values()
    more = api.decompose(searched, 2, place, draws=6, replays=1)
    assert more.trained == 2 * 3
    assert more.values[:4] == whole.values


def test_other_draws_come_from_another_seed():
    assert redraw_seed(0, 1, 2) != redraw_seed(1, 1, 2)
    assert len({redraw_seed(0, draw, source) for draw in range(50) for source in range(6)}) == 300


def test_the_files_and_the_terminal_say_the_same(searched, place):
    said = ["--study", str(searched.root / "studies" / "curve.toml"), "--storage", place.storage]
    there = ["--outputs", str(place.outputs), "--backend", "local"]
    done = CliRunner().invoke(app, ["seeds", "decompose", *said, *there, "--trial", "2", "--n", "4"])
    assert done.exit_code == 0, done.output
    assert "bit-identical 3 of 3" in done.output
    assert "not used: changed no bit" in done.output
    folder = place.outputs / "curve"
    found = json.loads((folder / "decomposition-trial-2.json").read_text())
    with (folder / "decomposition-trial-2.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["source"] for row in rows] == [row["source"] for row in found["sources"]]
    assert float(rows[0]["deviation"]) == found["sources"][0]["deviation"]
    assert found["advice"] in done.output
    assert "only this source drawn anew" in (folder / "decomposition-trial-2.html").read_text()
    told = CliRunner().invoke(app, ["seeds", "decompose", *said, *there, "--trial", "2", "--n", "4", "--json"])
    assert json.loads(told.stdout)["sources"] == found["sources"]


def test_a_job_trained_again_has_the_same_bits(searched, place):
    found = api.replay(searched, 1, place, replays=3)
    assert found.is_identical
    assert len(set(found.values)) == 1
    assert found.seed_deviation is None
    assert [one.job.repeat for one in recorded(searched, place, Stage.REPLAY)] == [1, 2, 3]
    hpo.promote(searched, place)
    promoted = recorded(searched, place, Stage.PROMOTION)[0].job
    told = api.replay(searched, promoted.trial, place, seed=promoted.seed)
    assert told.values[0] == recorded(searched, place, Stage.PROMOTION)[0].value
    assert told.seed_deviation > 0


def test_where_bits_differ_it_says_how_much_of_the_seed_noise_that_is(searched, place, monkeypatch):
    """The toy reports its process's number, which another process has another one of: here it is made to differ."""
    calls = iter(range(1000))
    monkeypatch.setattr("os.getpid", lambda: next(calls))
    found = api.replay(searched, 1, place, replays=3)
    assert found.identical == 1
    study = ["--study", str(searched.root / "studies" / "curve.toml"), "--storage", place.storage]
    there = ["--outputs", str(place.outputs), "--backend", "local"]
    said = CliRunner().invoke(app, ["seeds", "replay", *study, *there, "--trial", "1"])
    assert said.exit_code == 1
    assert "not identical; 1 of 3" in said.output


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"draws": 1}, "draws must be 2 to 1000"),
        ({"replays": -1}, "replays must be 0"),
        ({"sources": ["spilt"]}, "there are split, init, order, augment, dropout. Did you mean split?"),
        ({"sources": ["init", "init"]}, "named twice"),
        ({"seed": -1}, "a seed must be 0"),
        ({"trial": 6}, "has trials 0 .. 5, not 6"),
    ],
)
def test_what_cannot_be_told_apart_is_refused_and_nothing_is_written(searched, place, wanted, said):
    with pytest.raises(UsageError, match=said):
        api.decompose(searched, wanted.pop("trial", 1), place, **wanted)
    assert recorded(searched, place, Stage.DECOMPOSITION) == []
    assert not place.outputs.joinpath("curve").exists()


def test_one_replay_is_compared_with_nothing(searched, place):
    with pytest.raises(UsageError, match="replays must be 2"):
        api.replay(searched, 1, place, replays=1)
