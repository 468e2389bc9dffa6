"""The search in memory proposes what `hpo run` proposes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import hpo

PAGE = Path(__file__).parents[2] / "docs" / "ask-and-tell.md"
SEARCHES = [
    {"sampler": "tpe", "pruner": "median"},
    {"sampler": "tpe+gp", "sampler_options": {"n_startup_trials": 6}, "pruner": "none", "lag": 1},
    {"sampler": "toys.samplers:Climber", "pruner": "hyperband"},
]


@pytest.mark.slow
@pytest.mark.parametrize("search", SEARCHES, ids=lambda one: one["sampler"])
def test_same_trials_as_run(curve, config, search):
    study = curve(search={"trials": 14, **search, "enqueue": [{"x": 0.25, "k": 2, "shape": "flat"}]})
    stored, own = hpo.run(study, config).trials, hpo.Search(study)
    while (trial := own.ask()) is not None:
        values = stored[trial.number].values
        goes_on = [own.report(trial, step, value) for step, value in values.items()]
        assert all(goes_on[:-1])
        own.tell(trial, stored[trial.number].value)
    shown = [(one.number, one.state, one.params, one.value, one.values) for one in own.trials]
    assert shown == [(one.number, one.state, one.params, one.value, one.values) for one in stored]
    assert own.ended == "the study has its 14 trials"
    assert own.incumbent.value == max(one.value for one in stored if one.state == "complete")


def returned(x: float) -> float:
    return -((x - 0.3) ** 2)


def test_value_is_the_only_report(config):
    study = hpo.Study(
        name="returned",
        trainable=returned,
        objective=hpo.maximize("value"),
        space={"x": hpo.Float(0.0, 1.0)},
        search={"budget": 1, "trials": 12},
    )
    own, stored = hpo.Search(study), hpo.run(study, config)
    while (trial := own.ask()) is not None:
        own.tell(trial, returned(**trial.params))
    assert [(one.state, one.params, one.value) for one in own.trials] == [
        (one.state, one.params, one.value) for one in stored.trials
    ]
    assert "pruned" in {one.state for one in own.trials}


def test_open_trials_within_lag(curve):
    own = hpo.Search(curve(search={"lag": 2}))
    first, second = own.ask(), own.ask()
    said = r"tell those of trial 0, 1 first; with lag 2, trial n needs those of trials up to n - 2"
    with pytest.raises(hpo.UsageError, match=said):
        own.ask()
    own.tell(second, 0.5)
    own.tell(first)
    assert own.ask().number == 2
    assert [one.state for one in own.trials] == ["failed", "complete", "running"]


def test_wrong_tells_are_sentences(curve):
    own = hpo.Search(curve(search={"constraints": ["size"]}))
    trial = own.ask()
    with pytest.raises(hpo.UsageError, match="value must be a finite number"):
        own.tell(trial, float("nan"))
    with pytest.raises(hpo.UsageError, match=r"metrics lacks size, which \[search\] constraints names"):
        own.tell(trial, 0.5)
    with pytest.raises(hpo.UsageError, match="trial must be a trial that ask"):
        own.tell(0, 0.5)
    with pytest.raises(hpo.UsageError, match="step"):
        own.report(trial, 6, 0.5)
    own.tell(trial, 0.5, metrics={"size": 1.0})
    with pytest.raises(hpo.UsageError, match="trial 0 is not open: it was told, or not asked for; open: none"):
        own.tell(trial, 0.5)
    assert own.trials[0].constraints == {"size": 1.0}
    assert own.incumbent is None


def test_readme_example_runs(tmp_path, capsys):
    (code,) = re.findall(r"```python\n([^`]*hpo\.Search\([^`]*)```", PAGE.read_text())
    exec(compile(code, "ask-and-tell.md", "exec"), {"__name__": "example"})
    number, x, value = capsys.readouterr().out.split()
    assert 0 <= int(number) < 20
    assert float(value) == -((float(x) - 0.3) ** 2)
