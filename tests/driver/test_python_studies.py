"""Studies whose trainable is a function of this session, on both backends."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, replace

import pytest

import hpo
from hpo.core.errors import CodeChanged, UsageError


@dataclass(frozen=True)
class Params:
    x: float
    kind: str = "plain"


def study(train, **said):
    space = {"x": hpo.Float(0.0, 1.0), "kind": hpo.Choice(["plain", "odd"])}
    search = {"trials": 3, "budget": 2, **said.pop("search", {})}
    given = {"objective": hpo.maximize("val"), "space": space, "search": search, "promotion": {"top": 1}, **said}
    return hpo.Study(name="mine", trainable=train, **given)


def make(gain):
    """Defines the function again, as a second session does."""
    shift = {"plain": 0.0, "odd": gain}

    def train(params: Params, ctx: hpo.Context):
        for epoch in ctx.epochs():
            noise = ctx.streams.init.numpy(epoch).random()
            yield {"val": params.x + shift[params.kind] + noise}

    return train


class Phases(hpo.Observer):
    def __init__(self):
        self.said = []

    def phase(self, message):
        self.said.append(message)


def test_session_function_runs_and_promotes(config):
    mine, phases = study(make(0.5)), Phases()
    searched = hpo.run(mine, config, observers=[phases])
    assert searched.count("complete") + searched.count("pruned") == 3
    assert any("can only be resumed from a session that defines train again" in one for one in phases.said)
    promoted = hpo.promote(mine, config)
    assert promoted.trained == 3
    assert all(one.is_identical for one in hpo.verify(mine, config))
    evaluation = hpo.show(mine, 0, config)[1][0]
    assert {"train", "shift"} <= {name.rpartition(".")[2] for name in evaluation.code.files}


@pytest.mark.slow
def test_outcomes_print_and_are_tables(config, capsys):
    mine = study(make(0.5))
    found = {"run": hpo.run(mine, config, trials=2), "promote": hpo.promote(mine, config, top=2)}
    found |= {
        "rank": hpo.rank_stored(mine, config),
        "verify": hpo.verify(mine, config, seed=42),
        "compare": hpo.compare(0, 1, mine, config),
        "diagnose": hpo.diagnose(mine, config, trial=0),
        "decompose": hpo.decompose(mine, config, trial=0, n=2, sources=["init"], replays=0),
        "replay": hpo.replay(mine, config, trial=0, replays=2),
    }
    expected = {
        "run": "Incumbent: trial",
        "promote": "rank  trial  seed 42",
        "rank": "Winner: trial",
        "verify": "1 of 1 training identical.",
        "compare": "Not decidable at n = 3",
        "diagnose": "mine, trial 0",
        "decompose": "sd if only this is redrawn",
        "replay": "bit-identical 2 of 2",
    }
    for name, said in expected.items():
        print(found[name])
        assert said in capsys.readouterr().out
        assert "<p " in found[name]._repr_html_()
        assert re.fullmatch(r"<\w+ .{10,110}>", repr(found[name]))
    assert "hpo.promote(study), in this session or in one that defines train again" in str(found["run"])
    tables = {name: list(one.frame().columns) for name, one in found.items()}
    assert tables["compare"] == ["seed", "0", "1"]
    assert tables["verify"][:4] == ["stage", "trial", "seed", "status"]
    assert tables["rank"] == tables["promote"]
    assert all(tables.values())
    titles = {
        "run": "mine: 2 trials; incumbent: trial",
        "promote": "mine: ranked by mean - sigma over 3 seeds",
        "rank": "mine: ranked by mean - sigma over 3 seeds",
        "replay": "mine, trial 0, seed 42: 2 of 2 trainings bit-identical",
        "verify": "1 of 1 trainings are bit-identical",
        "compare": "0 against 1<br>",
        "diagnose": "mine, trial 0: its replicates",
        "decompose": "what affects val",
    }
    for name, title in titles.items():
        figure = found[name].figure()
        assert title in figure.layout.title.text
        assert figure.data
        assert all(len(trace.x) and len(trace.x) == len(trace.y) for trace in figure.data)
    assert [trace.name for trace in found["replay"].figure().data] == ["one job again", "other seeds"]
    assert [trace.name for trace in found["verify"].figure().data] == [
        f"trial {found['verify'][0].recorded.job.trial}, seed 42 ({what})" for what in ("recorded", "again")
    ]


def test_other_session_continues_study(config):
    hpo.run(study(make(0.5)), config, trials=2)
    again = hpo.run(study(make(0.5)), config, trials=3)
    assert again.own == 3
    assert hpo.run(study(make(0.5), search={"trials": 3}), config).seconds < 60


def test_changed_function_is_changed_code(config):
    hpo.run(study(make(0.5)), config)
    with pytest.raises(CodeChanged, match=r"make.train.shift changed"):
        hpo.run(study(make(0.6)), config, trials=4)
    accepted = hpo.run(study(make(0.6)), config, trials=4, accept_code_change=True)
    assert accepted.of_other_code == [0, 1, 2]


def test_session_function_has_no_file(config):
    path = study(make(0.5)).trainable
    with pytest.raises(UsageError, match=r"give hpo\.Study the function itself"):
        hpo.run(study(path), config)


@pytest.mark.slow
def test_ray_ships_session_functions(config, at_ray, ray_slots):
    mine = study(make(0.5), search={"trials": 3, "budget": 2})
    local, ray = hpo.run(mine, config), replace(config, storage=f"{config.storage}2", backend="ray")
    shipped = hpo.run(mine, ray)
    assert [(one.params, one.values) for one in shipped.trials] == [(one.params, one.values) for one in local.trials]
    lock = threading.Lock()

    def locked(params: Params, ctx):
        with lock:
            yield {"val": 1.0}

    with pytest.raises(UsageError, match="uses something that Ray cannot copy to its workers"):
        hpo.run(hpo.Study(**{**mine_of(locked), "name": "locked"}), ray)


def mine_of(train):
    return {"trainable": train, "objective": hpo.maximize("val"), "space": {"x": hpo.Float(0.0, 1.0)}}
