"""Tables and figures of a search, of one that ended and of one that is running."""

from __future__ import annotations

import os
import threading
from dataclasses import replace

import pytest

import hpo
from hpo.core.errors import UsageError
from hpo.figures.search import history_figure

SPACE = {"lr": hpo.Float(1e-3, 1e-1, log=True), "kind": hpo.Choice(["plain", "odd"]), "value": hpo.Int(1, 9)}


def train(lr, kind, value, *, ctx):
    for epoch in range(1, ctx.budget + 1):
        noise = ctx.streams.init.numpy(epoch).random()
        ctx.report({"val": value + epoch * lr + noise, "loss": 1 / epoch, "lr": lr / epoch, "seed": 5.0})


def fails(lr, kind, value, *, ctx):
    if kind == "odd":
        raise ValueError("it is odd")
    train(lr, kind, value, ctx=ctx)


def study(function=train, **said):
    search = {"trials": 4, "budget": 3, "pruner": "none", **said.pop("search", {})}
    given = {"objective": hpo.maximize("val", label="Value"), "space": SPACE, "search": search, **said}
    return hpo.Study(name="mine", trainable=function, **given)


def test_frame_has_metrics_and_times(config):
    found = hpo.run(study(), config)
    frame = found.frame()
    assert list(frame.columns[:3]) == ["number", "state", "value"]
    assert {"lr", "kind", "loss", "seconds", "started", "ended"} <= set(frame.columns)
    evaluations = {one.number: hpo.show("mine", one.number, config)[1][0] for one in found.trials}
    for row in frame.to_dict("records"):
        one = evaluations[row["number"]]
        assert row["loss"] == one.metrics["loss"]
        assert row["seconds"] == one.seconds
        assert row["epoch"] == one.step
        assert (row["ended"] - row["started"]).total_seconds() >= one.seconds


def test_columns_of_the_same_name(config):
    """A param `value`, a metric `seed`, and a metric `lr` beside the param."""
    found = hpo.run(study(search={"trials": 1}), config)
    [row], [trial] = found.frame().to_dict("records"), found.trials
    assert (row["value"], row["params.value"]) == (trial.value, trial.params["value"])
    assert (row["lr"], row["metrics.lr"]) == (trial.params["lr"], trial.params["lr"] / row["epoch"])
    assert (row["seed"], row["metrics.seed"]) == (41, 5.0)
    [row] = found.trainings().to_dict("records")
    assert (row["value"], row["params.value"]) == (trial.value, trial.params["value"])
    [*_, row] = found.epochs().to_dict("records")
    assert (row["seed"], row["metrics.seed"], row["lr"]) == (41, 5.0, trial.params["lr"] / 3)


def test_metrics_are_means_over_seeds(config):
    mine = study(search={"trials": 2, "seeding": "replicated", "replicates": 2, "lambda": 1.0})
    found = hpo.run(mine, config)
    frame, trainings = found.frame(), found.trainings()
    assert len(trainings) == 4
    assert "seed" not in frame.columns
    for row in frame.to_dict("records"):
        own = trainings[trainings["trial"] == row["number"]]
        assert row["val"] == pytest.approx(own["val"].mean())
        assert row["val"] > row["value"]  # less sigma
        assert row["seconds"] == pytest.approx(own["seconds"].sum())


def test_identical_trials_have_metrics(config):
    mine = study(space={"kind": SPACE["kind"]}, fixed={"lr": 0.01, "value": 3}, search={"trials": 4})
    found = hpo.run(mine, config)
    assert found.repeats >= 2
    frame = found.frame()
    assert (frame["seconds"] == 0).sum() == found.repeats
    assert frame["val"].tolist() == frame["value"].tolist()  # also of trials that were not trained


def test_failed_trials_have_no_metrics(config):
    found = hpo.run(study(fails, search={"trials": 6}), config)
    frame = found.frame().set_index("number")
    failed = frame[frame["state"] == "failed"]
    assert 0 < len(failed) < 6
    assert failed["loss"].isna().all()
    assert frame[frame["state"] == "complete"]["loss"].notna().all()
    assert "without a value" in found.plot_history().layout.title.text


def test_epochs_have_every_report(config):
    epochs = hpo.run(study(search={"trials": 2}), config).epochs()
    assert list(epochs["epoch"]) == [1, 2, 3, 1, 2, 3]
    assert list(epochs["loss"]) == [1, 1 / 2, 1 / 3] * 2
    assert epochs["at"].dt.tz is not None


def test_an_empty_study_has_columns(config):
    class Now:
        def is_set(self):
            return True

    hpo.run(study(), config, stop=Now())
    stored = hpo.load("mine", config)
    assert list(stored.frame().columns[:3]) == ["number", "state", "value"]
    assert list(stored.trainings().columns[:2]) == ["trial", "stage"]
    assert len(stored.epochs()) == len(stored.trainings()) == len(stored.frame()) == 0
    assert "0 trials" in repr(stored)
    assert stored.plot_history().layout.title.text == "mine: 0 trials"
    stored.plot_slices()


def test_reading_during_a_search(config):
    """Reading needs no lease: the study is driven, one trial is complete, and another one is running."""
    is_second, goes_on = threading.Event(), threading.Event()

    def waits(lr, kind, value, *, ctx):
        for epoch in range(1, ctx.budget + 1):
            ctx.report({"val": lr * epoch})
            if ctx.trial.number == 1:
                is_second.set()
                goes_on.wait(60)

    search = threading.Thread(target=hpo.run, args=(study(waits, search={"trials": 2}), config))
    search.start()
    try:
        assert is_second.wait(60)
        stored = hpo.load("mine", config.storage)
        frame = stored.frame()
        assert list(frame["state"]) == ["complete", "running"]
        assert frame["val"].notna().tolist() == [True, False]
        assert len(stored.trainings()) == 1
        assert stored.progress().driven is not None
        assert "1 complete, 1 running" in repr(stored)
        assert "State: running, driven by process" in str(stored)
        assert len(stored.plot_curves().data) == 2
    finally:
        goes_on.set()
        search.join()
    assert list(stored.frame()["state"]) == ["complete", "complete"]


def test_another_folder_reads_the_same(config, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    here = replace(config, storage="sqlite:///here.db")
    found, stored = hpo.run(study(search={"trials": 1}), here), hpo.load("mine", "sqlite:///here.db")
    os.mkdir("below")
    monkeypatch.chdir("below")
    assert len(found.trainings()) == len(stored.trainings()) == 1


def test_a_stored_space_keeps_its_order(config):
    hpo.run(study(search={"trials": 1}), config)
    stored = hpo.load("mine", config)
    assert list(stored.study.space) == list(SPACE) != sorted(SPACE)
    assert list(stored.frame().columns[3:6]) == ["lr", "kind", "params.value"]


def test_load_explains_itself(config, tmp_path):
    hpo.run(study(search={"trials": 1}), config)
    with pytest.raises(UsageError, match=r"no study named 'other' .*Stored there: mine"):
        hpo.load("other", config)
    with pytest.raises(hpo.HpoError, match="there is no storage"):
        hpo.load("mine", f"sqlite:///{tmp_path / 'none.db'}")
    with pytest.raises(UsageError, match="storage must be the URL of a database"):
        hpo.load("mine", 3)
    with pytest.raises(hpo.HpoError, match="has no promotion yet"):
        hpo.load("mine", config).promotion()


def test_history_shows_the_best_so_far(config):
    found = hpo.run(study(search={"trials": 6, "pruner": "median", "pruner_options": {"n_startup_trials": 1}}), config)
    figure = found.plot_history()
    traces = {trace.name: trace for trace in figure.data}
    assert figure.layout.yaxis.title.text == "Value"
    complete = {one.number: one.value for one in found.trials if one.state == "complete"}
    assert dict(zip(traces["complete"].x, traces["complete"].y, strict=True)) == complete
    best = traces["best so far"]
    assert list(best.y) == sorted(best.y)
    assert max(best.y) == found.incumbent.value
    assert best.x[-1] == 5


def trial(number, state, value, **given):
    params = {"lr": 0.01, "kind": "plain", "value": 3}
    return hpo.Trial(
        number=number, state=state, params=params, value=value, values={}, error=None, started=None, ended=None, **given
    )


def test_only_complete_trials_are_the_best():
    trials = [
        trial(0, "complete", 1.0),
        trial(1, "pruned", 9.0),
        trial(2, "complete", 8.0, constraints={"excess": 0.5}),
        trial(3, "imported", 7.0),
        trial(4, "failed", None),
        trial(5, "complete", 2.0),
        trial(6, "running", None),
    ]
    figure = history_figure(trials, study(), "val")
    traces = {trace.name: trace for trace in figure.data}
    best = traces.pop("best so far")
    assert (list(best.x), list(best.y)) == ([0, 5, 6], [1.0, 2.0, 2.0])
    shown = {name: list(trace.y) for name, trace in traces.items()}
    assert shown == {"complete": [1.0, 2.0], "breaking a constraint": [8.0], "imported": [7.0], "pruned": [9.0]}
    assert figure.layout.title.text == "mine: 7 trials, without a value: 1 failed, 1 running"


def test_slices_have_a_panel_for_each_param(config):
    found = hpo.run(study(), config)
    figure = found.plot_slices()
    assert [trace.name for trace in figure.data] == list(SPACE)
    for trace in figure.data:
        assert list(trace.y) == [one.value for one in found.trials]
        assert list(trace.x) == [one.params[trace.name] for one in found.trials]
    assert (figure.layout.xaxis.type, figure.layout.xaxis2.type) == ("log", "category")


@pytest.mark.slow
def test_importance_needs_enough_trials(config):
    found = hpo.run(study(), config)
    with pytest.raises(UsageError, match="has 4 complete trials; it takes 8"):
        found.plot_importance()
    bars = hpo.run(study(), config, trials=20).plot_importance().data[0]
    assert sum(bars.x) == pytest.approx(1)
    assert bars.y[-1] == "value"


def test_several_objectives_are_plotted(config):
    two = {"metrics": {"val": "maximize", "loss": "minimize"}, "label": {"loss": "Loss"}}
    found = hpo.run(study(objective=two, search={"pruner": "none"}), config)
    figure = found.plot_history("loss")
    assert figure.layout.yaxis.title.text == "Loss"
    assert list(figure.data[0].y) == [one.vector[1] for one in found.trials]
    assert f"front of {len(found.front)}" in repr(found)
    with pytest.raises(UsageError, match="'lr' is no objective of study 'mine'; expected val, loss"):
        found.plot_slices("lr")
    with pytest.raises(UsageError, match="importance is for one objective"):
        found.plot_importance()


@pytest.mark.slow
def test_trainings_of_a_promotion(config):
    hpo.run(study(), config)
    promoted = hpo.promote(study(), config, top=2, confirm_seeds=[45])
    trainings = promoted.trainings()
    assert sorted(trainings["seed"]) == [42, 42, 43, 43, 44, 44, 45]
    assert {"val", "loss", "kind", "seconds"} <= set(trainings.columns)
    winner = trainings[trainings["trial"] == promoted.report.winner.candidate.trial]
    assert winner[winner["seed"] < 45]["value"].mean() == pytest.approx(promoted.report.winner.mean)
    again = hpo.load("mine", config)
    assert again.promotion().rows() == promoted.rows()
    assert set(again.trainings()["stage"]) == {"search", "promotion"}


@pytest.mark.slow
def test_reprs_are_one_line(config):
    mine = study()
    searched = hpo.run(mine, config)
    promoted = hpo.promote(mine, config, top=1)
    best = searched.incumbent
    assert repr(searched).startswith(f"<SearchOutcome mine: 4 trials (4 complete), incumbent trial {best.number}: val ")
    assert repr(promoted).startswith(f"<PromotionOutcome mine: winner trial {best.number} of 1 candidate, val ")
    assert repr(promoted.report).startswith("<PromotionReport mine: winner")
    assert repr(hpo.load(mine, config)).startswith("<StudyReader mine: 4 trials")
    assert repr(hpo.status(mine, config)).startswith("[<Progress mine: promoted, 4 complete of 4, incumbent trial")
    assert promoted.plot().to_json() == promoted.figure().to_json()
    assert promoted.plot().layout.xaxis.title.text == "Value"
