"""The progress bar of notebooks, where a terminal shows it as text."""

from __future__ import annotations

import pytest

import hpo
from hpo.core.errors import UsageError


def train(x, *, ctx):
    if x > 0.9:
        raise ValueError("x is too large")
    for _epoch in range(ctx.budget):
        ctx.report({"val": x + ctx.streams.init.numpy().random()})


def study(**search):
    return hpo.Study(
        name="barred",
        trainable=train,
        objective=hpo.maximize("val"),
        space={"x": hpo.Float(0.0, 1.0)},
        search={"trials": 3, "budget": 2, "pruner": "none", **search},
    )


def last_bar(shown):
    """Returns the last state of the bar that was drawn to stderr."""
    return [line for line in shown.replace("\r", "\n").splitlines() if line.startswith("barred:")][-1]


def test_bar_counts_trainings(config, capsys):
    found = hpo.run(study(), config, progress=True)
    shown = last_bar(capsys.readouterr().err)
    assert " 3/3 " in shown
    assert f"best: trial {found.incumbent.number}," in shown
    hpo.run(study(), config, trials=4, progress=True)
    assert " 4/4 " in last_bar(capsys.readouterr().err)


@pytest.mark.slow
def test_bar_counts_a_promotion(config, capsys):
    hpo.run(study(), config)
    for top in (1, 2):  # the replicates of the first one are recorded
        hpo.promote(study(), config, top=top, progress=True)
        assert f" {3 * top}/{3 * top} " in last_bar(capsys.readouterr().err)


def test_bar_counts_replicates(config, capsys):
    replicated = study(seeding="replicated", replicates=2)
    hpo.run(replicated, config, trials=1)
    hpo.run(replicated, config, trials=2, progress=True)
    assert " 4/4 " in last_bar(capsys.readouterr().err)


def test_failures_get_a_line(config, capsys):
    hpo.run(study(enqueue=[{"x": 0.95}, {"x": 0.5}]), config, trials=2, progress=True)
    shown = capsys.readouterr()
    assert "trial 0 seed 41 failed: ValueError: x is too large" in shown.out
    assert "best: trial 1," in last_bar(shown.err)


def test_no_bar_outside_notebooks(config, capsys):
    hpo.run(study(), config)
    shown = capsys.readouterr()
    assert shown.err == shown.out == ""
    with pytest.raises(UsageError, match="progress must be True or False"):
        hpo.run(study(), config, progress="yes")
