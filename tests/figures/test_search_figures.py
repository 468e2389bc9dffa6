"""Figures of a search: what is drawn of each trial."""

from __future__ import annotations

import random
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from hpo.figures.svg import params, search
from hpo.study import Trial
from hpo.study.loading import read

STUDY = read(Path(__file__).parents[1] / "project" / "studies" / "curve.toml").study
SVG = "{http://www.w3.org/2000/svg}"


def trial(number, value, state="complete", **changes):
    values = {
        "params": {"x": number / 100 % 1, "k": 1 + number % 5, "shape": "flat"},
        "values": {1: 0.5, 2: 0.6},
        "error": None,
        "started": "2026-11-30T22:00:00",
        "ended": "2026-11-30T22:00:02",
    }
    return Trial(number=number, state=state, value=value, **{**values, **changes})


TRIALS = [
    trial(0, 0.5),
    trial(1, 0.7),
    trial(2, 0.6, "pruned"),
    trial(3, None, "failed", error="Traceback\nRuntimeError: <b>out of memory</b>"),
    trial(4, 0.65),
    trial(5, 0.8),
    trial(6, None, "running", ended=None),
]


def titles(drawn):
    root = ElementTree.fromstring(drawn.svg)
    return [one.text for one in root.iter("title")]


def test_every_trial_has_a_mark():
    drawn = search.history_drawn(TRIALS, STUDY)
    for one in TRIALS:
        assert len(re.findall(rf'data-trial="{one.number}"', drawn.svg)) == 1
    assert {key.text for key in drawn.keys} == {"complete", "pruned", "failed", "running", "best so far"}
    assert "The best value 0.8000 was found by trial 5, number 6 of 7." in drawn.says


def test_the_best_so_far_is_in_order():
    assert [one.number for one, _ in search.improvements(TRIALS, STUDY)] == [0, 1, 5]
    minimized = STUDY.model_copy(update={"objective_": STUDY.objective_.model_copy(update={"direction": "minimize"})})
    assert [one.number for one, _ in search.improvements(TRIALS, minimized)] == [0]


def test_infeasible_trials_are_not_best():
    bad = trial(7, 0.99, constraints={"memory": 1.0})
    assert [one.number for one, _ in search.improvements([*TRIALS, bad], STUDY)] == [0, 1, 5]


def test_notes_of_errors_are_escaped():
    drawn = search.history_drawn(TRIALS, STUDY)
    assert "<b>" not in drawn.svg
    [note] = [one for one in titles(drawn) if one.startswith("trial 3")]
    assert "RuntimeError: <b>out of memory</b>" in note


def test_running_trials_show_their_epoch():
    drawn = search.running_drawn(TRIALS, STUDY)
    assert drawn.says == "Value by epoch: trial 6 at epoch 2."
    assert search.running_drawn(TRIALS[:-1], STUDY) is None


@pytest.mark.parametrize("draw", [search.history_drawn, search.running_drawn])
def test_no_trial_no_figure(draw):
    assert draw([], STUDY) is None


def test_the_timeline_uses_slots():
    at_once = [trial(number, 0.5) for number in range(3)]
    later = trial(3, 0.5, started="2026-11-30T22:00:02", ended="2026-11-30T22:00:04")
    drawn = search.timeline_drawn([*at_once, later])
    assert drawn.says.startswith("4 trials in 4 s, 3 slots at most. The slots were busy 67% of the time.")


def test_a_slice_leaves_out_other_trials():
    late = [trial(10 + number, 0.5, params={"x": 0.1, "k": 1, "shape": "late", "gain": 0.2}) for number in range(4)]
    drawn = params.slice_drawn([*TRIALS, *late], STUDY, "gain", 12)
    assert "4 trials" in drawn.says
    assert "winner: trial 12" in drawn.svg
    assert params.slice_drawn(TRIALS, STUDY, "gain", None) is None


def test_all_params_have_an_axis():
    drawn = params.parallel_drawn(TRIALS, STUDY, 5)
    texts = [one.text for one in ElementTree.fromstring(drawn.svg).iter("text")]
    assert {"x", "k", "shape", "gain", "val"} <= set(texts)
    assert "trace-winner" in drawn.svg


def test_many_trials_stay_small():
    draw = random.Random(0)
    many = [trial(number, draw.random()) for number in range(10_000)]
    figures = [
        search.history_drawn(many, STUDY),
        search.timeline_drawn(many),
        params.parallel_drawn(many, STUDY, 3),
        params.pair_drawn(many, STUDY, ("x", "k"), 3),
        *(params.slice_drawn(many, STUDY, name, 3) for name in ("x", "k", "shape")),
    ]
    assert sum(len(one.svg) for one in figures) < 400_000
    assert "2000 of 10000 values are drawn." in figures[0].says
