"""What trainings cost, and how limits of costs and deadlines end a search and a promotion."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from typer.testing import CliRunner

import hpo
from hpo import api
from hpo.cli.main import app
from hpo.core.costs import Spent
from hpo.core.errors import UsageError
from hpo.core.options import deadline_of
from hpo.core.protocols import DONE, WAIT, Observer, Resources
from hpo.core.records import Evaluation, Job, Stage, Status
from hpo.driver.costs import Costs, moment
from hpo.driver.options import LimitedOptions
from hpo.promotion.select import trainings_of_promotion
from hpo.search.shown import search_text
from hpo.serve.pages import study_page

SECOND = 3600.0
"""The price per hour at which a second costs 1."""


@pytest.fixture(scope="module", autouse=True)
def warm(curve, tmp_path_factory):
    """The first training of a process imports torch, which costs seconds."""
    folder = tmp_path_factory.mktemp("warm")
    api.run(
        curve(search={"trials": 1}), hpo.RunConfig(storage=f"sqlite:///{folder}/a.db", outputs=folder, backend="local")
    )


@pytest.fixture
def paced(curve):
    """A study whose trainings take four epochs of 0.05 s; a second costs 1."""

    def made(nap=0.05, **search):
        return curve(
            trainable="toys.curve:train_paced",
            space={"x": {"float": [0.0, 1.0]}},
            fixed={"nap": nap},
            search={"trials": 40, "pruner": "none", "budget": 4, "lag": 2, **search},
            promotion={"top": 1},
            resources={"price_per_hour": SECOND},
        )

    return made


class At(Observer, threading.Event):
    """Stops after an epoch of a trial."""

    def __init__(self, trial, step):
        super().__init__()
        self._at = trial, step

    def reported(self, job, step, value):
        if (job.trial, step) == self._at:
            self.set()


def rows(outcome):
    return [(one.number, one.state, one.params, one.value) for one in outcome.trials]


def one_second(trial):
    job = Job(trial=trial, params={"x": 0.5}, seed=41, budget=4)
    return Evaluation(job=job, status=Status.COMPLETE, value=0.5, step=1, seconds=1.0)


def spent(study, config):
    return api.status(study.name, config)[0].spent


def test_status_shows_what_was_spent(paced, config):
    study = paced()
    found = api.run(study, config, trials=2)
    now = api.status(study.name, config)[0]
    assert now.spent == found.spent
    assert 0.4 <= now.spent.seconds < 9
    assert now.spent.cost == pytest.approx(now.spent.seconds)
    assert now.plain()["spent"] == {"seconds": now.spent.seconds, "gpu_hours": 0.0, "cost": now.spent.cost}
    assert f"Spent so far: {now.spent}." in search_text(found, promotes=False)
    assert f"Spent so far: {now.spent}." in study_page(api.study_view(study.name, config), live=False)


def test_cost_ends_a_search_once(paced, config, tmp_path):
    study = paced()
    first = api.run(study, config, cost=1.5)
    assert "would not keep to a cost of 1.50" in first.limit
    assert 0 < len(first.trials) < 8
    again = api.run(study, config, cost=1.5)
    assert rows(again) == rows(first), "what was spent counts"
    assert (again.spent, bool(again.limit)) == (first.spent, True)
    more = api.run(study, config, trials=len(first.trials) + 1)
    place = hpo.RunConfig(storage=f"sqlite:///{tmp_path / 'other.db'}", outputs=tmp_path, backend="local")
    assert rows(api.run(study, place, trials=len(more.trials))) == rows(more)


def test_deadline_is_kept(paced, config):
    study = paced(nap=0.2, budget=1000)
    deadline = datetime.now(UTC) + timedelta(seconds=4)
    found = api.run(study, config, deadline=deadline)
    assert datetime.now(UTC) - deadline < timedelta(seconds=30), "of 200 that the training would take"
    assert found.open == (0,)
    assert f"the deadline, {moment(deadline)}, leaves no time for another epoch" in found.limit
    assert "goes on: " in search_text(found, promotes=False)


def test_no_training_overruns_the_deadline(paced, config):
    study = paced(nap=0.6)
    api.run(study, config, trials=1)
    found = api.run(study, config, deadline=datetime.now(UTC) + timedelta(seconds=2.2))
    assert [one.number for one in found.trials] == [0]
    assert "deadline" in found.limit  # it may be over on a machine that has just stalled


def test_stopped_trainings_count(paced, config):
    study, stop = paced(nap=0.1), At(0, 2)
    api.run(study, config, observers=[stop], stop=stop)
    before = spent(study, config)
    assert before.seconds >= 0.2
    api.run(study, config, trials=1)
    assert before.seconds + 0.2 <= spent(study, config).seconds < before.seconds + 0.4 + 5


def test_failed_trainings_count_each_time(curve, config):
    study = curve(fixed={"fault": "raise", "nap": 0.0}, search={"trials": 1, "max_failures": 9})
    first = api.run(study, config)
    assert first.spent == spent(study, config)
    assert first.spent.seconds > 0
    again = api.run(study, config, retry_failed=True)
    assert again.spent == spent(study, config)
    assert again.spent.seconds > first.spent.seconds


def test_the_promotion_gets_its_part(paced):
    study = paced()
    reserve = trainings_of_promotion(study, api.PromotionOptions(), 40)
    costs = Costs(study, Resources(), LimitedOptions(cost=10, reserve=reserve), threading.Event())
    for trial in range(5):
        assert costs.has_room()
        costs.told(one_second(trial))
    assert costs.has_room()
    costs.told(one_second(5))
    assert not costs.has_room(), "1.1 seconds are kept for each of 3 trainings"
    assert costs.limit.endswith("leave enough for the 3 trainings of the promotion; 6.00 were spent")
    promotion = Costs(study, Resources(), LimitedOptions(cost=10), threading.Event())
    for trial in range(9):
        promotion.told(one_second(trial))
    job = replace(one_second(0).job, stage=Stage.PROMOTION)
    assert promotion.refusal(job) is None
    promotion.asked(job)
    assert promotion.refusal(replace(job, seed=43)) is WAIT
    promotion.told(Evaluation(job=job, status=Status.COMPLETE, value=0.5, step=1, seconds=1.0))
    assert promotion.refusal(replace(job, seed=43)) is DONE


@pytest.mark.slow
def test_a_promotion_ends_by_cost(paced, config):
    study = paced()
    api.run(study, config, trials=2)
    found = api.promote(study, config, cost=spent(study, config).cost + 1e-6)
    assert (found.stopped, found.trained) == (True, 0)
    assert "Ended, and nothing is ranked: one more training, typically" in str(found)
    again = api.promote(study, config)
    assert (again.stopped, again.trained) == (False, 3)
    assert f"Spent so far: {spent(study, config)}." in str(again)
    assert api.promote(study, config, cost=0.01).results == again.results, "what is recorded costs nothing"


@pytest.mark.slow
@pytest.mark.parametrize(
    "tables",
    [
        {"trainable": "toys.folds:train", "validation": {"folds": 3}},
        {"objective": {"metrics": {"val": "maximize", "loss": "minimize"}, "metric": "val"}},
    ],
    ids=["folds", "objectives"],
)
def test_cost_changes_no_trial(curve, config, tmp_path, tables):
    study = curve(
        space={"x": {"float": [0.0, 1.0]}},
        fixed={"nap": 0.4},
        search={"trials": 5, "sampler": "tpe", "pruner": "none", "budget": 2, "lag": 1},
        resources={"price_per_hour": SECOND},
        **tables,
    )
    limits = [0.3, 0.6, 0.9, 1000]
    parts = [api.run(study, config, cost=cost) for cost in limits]
    assert [bool(one.limit) for one in parts] == [True, True, True, False]
    place = hpo.RunConfig(storage=f"sqlite:///{tmp_path / 'whole.db'}", outputs=tmp_path / "whole", backend="local")
    assert rows(parts[-1]) == rows(api.run(study, place))
    assert parts[-1].spent == spent(study, config)


def test_gpu_hours_count_gpus(paced):
    study = paced()
    costs = Costs(study, Resources(gpu=2), LimitedOptions(gpu_hours=1), threading.Event())
    costs.spent = Spent(seconds=1799, gpu_seconds=3598)
    assert costs.has_room()
    costs.spent = Spent(seconds=1800, gpu_seconds=3600)
    assert not costs.has_room()
    assert costs.limit == "one more training would not keep to 1.00 GPU hours; 1.00 were spent"


def test_price_is_no_part_of_the_identity(paced):
    assert "price" not in str(paced().identity())
    assert "price_per_hour" in paced().content()["resources"]


def test_deadlines_are_parsed():
    assert deadline_of("2996-12-01T08:00+01:00") == datetime(2996, 12, 1, 7, tzinfo=UTC)
    local = deadline_of("2996-12-01T08:00")
    assert local == datetime(2996, 12, 1, 8).astimezone()
    assert moment(deadline_of("2996-12-01T08:00+01:00")) == "2996-12-01 08:00 (UTC+01:00)"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"deadline": "2020-01-01T08:00"}, "deadline is in the past"),
        ({"deadline": datetime(2020, 1, 1, tzinfo=UTC)}, "deadline is in the past"),
        ({"deadline": "tomorrow"}, "expected a date with a time such as 2026-12-01T08:00"),
        ({"deadline": "2996-12-01"}, "expected a date with a time"),
        ({"deadline": 7}, "a date with a time, such as"),
        ({"gpu_hours": -1.0}, "gpu_hours must be more than 0, not -1"),
        ({"cost": 0}, "cost must be more than 0"),
        ({"cost": 5}, "a cost needs a price, which study 'curve' does not have"),
        ({"gpu_hours": 5}, "have no GPU, so --gpu-hours limits nothing"),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_wrong_limits_are_refused(curve, config, wrong, said):
    with pytest.raises(UsageError, match=said):
        hpo.run(curve(), config, **wrong)
    assert not config.outputs.exists()


def test_the_command_refuses_a_past_date():
    said = CliRunner().invoke(app, ["run", "--study", "curve", "--deadline", "2020-01-01T08:00"])
    assert said.exit_code == 2
    assert "the deadline is in the past" in said.output
