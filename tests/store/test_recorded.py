"""No job is trained twice: repeated proposals are answered from the database."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from searches import in_random_order
from typer.testing import CliRunner

import hpo
from hpo.cli.main import app
from hpo.core.errors import UsageError
from hpo.core.protocols import WAIT
from hpo.core.records import Evaluation, Job, Status
from hpo.driver.session import RunContext, Session
from hpo.search.source import SearchSource
from hpo.store import RecordedSource
from hpo.study import checked_configurations

COARSE = {"x": {"float": [0.0, 1.0], "step": 0.25}, "k": {"int": [1, 2]}}


@pytest.fixture
def coarse(curve, tmp_path):
    """A space of ten points; every trained epoch adds a line to a file."""
    flags = tmp_path / "flags"
    flags.mkdir()

    def made(**search):
        return curve(space=COARSE, fixed={"flags": str(flags)}, search={"pruner": "none", "trials": 30, **search})

    return made, flags


def trained(flags):
    return sum(len(file.read_text().splitlines()) for file in flags.iterdir()) / 5


def evaluations(study, config):
    with Session.open(study, RunContext.of(study, config), create=False) as found:
        return found.store.evaluations(found.stored)


@pytest.mark.slow
def test_repeated_proposals_are_not_trained(coarse, config):
    made, flags = coarse
    outcome = hpo.run(made(), config)
    params = Counter(tuple(trial.params.items()) for trial in outcome.trials)
    assert len(params) < 30 == outcome.own
    assert trained(flags) == len(params)
    assert outcome.repeats == 30 - len(params)
    assert len(
        {(tuple(trial.params.items()), trial.value, tuple(trial.values.items())) for trial in outcome.trials}
    ) == (len(params))
    found = evaluations(made(), config)
    assert [one.job.trial for one in found] == list(range(30))  # each trial has its own
    marked = [one for one in found if any(remark.startswith("recorded: trial") for remark in one.remarks)]
    assert len(marked) == outcome.repeats
    assert {one.seconds for one in marked} == {0.0}


@pytest.mark.slow
@pytest.mark.parametrize("sampler", ["tpe", "random", "gp"])
def test_reuse_does_not_change_the_search(coarse, config, sampler, monkeypatch):
    made, flags = coarse
    hpo.run(made(sampler=sampler, trials=16), config)
    with Session.open(made(sampler=sampler), RunContext.of(made(sampler=sampler), config), create=False) as found:
        answered = [(one.number, one.params, one.value, one.values) for one in found.durable.trials()]
    monkeypatch.setattr(SearchSource, "same", lambda _self, _trial: None)
    other = hpo.RunConfig(storage=config.storage.replace("hpo.db", "other.db"), outputs=config.outputs, backend="local")
    hpo.run(made(sampler=sampler, trials=16), other)
    with Session.open(made(sampler=sampler), RunContext.of(made(sampler=sampler), other), create=False) as found:
        assert [(one.number, one.params, one.value, one.values) for one in found.durable.trials()] == answered
    assert trained(flags) > 16


@pytest.mark.slow
@pytest.mark.parametrize(("pruner", "sampler"), [("none", "tpe+gp"), ("median", "tpe"), ("hyperband", "tpe+gp")])
def test_lag_makes_timing_irrelevant(coarse, tmp_path, pruner, sampler):
    made, _ = coarse
    study, tables = made(lag=4, pruner=pruner, sampler=sampler), []
    for run in range(4):
        config = hpo.RunConfig(storage=f"sqlite:///{tmp_path / f'{run}.db'}", backend="local")
        with Session.open(study, RunContext.of(study, config), create=True) as found, found.drive("run") as lease:
            source = SearchSource(study, found.durable, 24)
            in_random_order(
                RecordedSource(source, found.store, found.stored, lease, source.same, "val"),
                1 + run,
                random.Random(run),
            )
            tables.append([(t.number, t.state, t.params, t.value, t.values) for t in found.durable.trials()])
    assert all(other == tables[0] for other in tables)
    assert ("pruned" in {row[1] for row in tables[0]}) == (pruner != "none")


def test_identical_trial_is_awaited(coarse, config):
    made, _ = coarse
    study = made(lag=False)
    queue = checked_configurations(study, [{"x": 0.5, "k": 1}, {"x": 0.75, "k": 1}], "enqueue")
    with Session.open(study, RunContext.of(study, config), create=True) as found, found.drive("run") as lease:
        found.durable.enqueue(queue)
        search = SearchSource(study, found.durable, 12)
        source = RecordedSource(search, found.store, found.stored, lease, search.same, "val")
        first = source.ask()
        running = [first]
        while isinstance(job := source.ask(), Job):
            assert job.params not in [one.params for one in running]
            running.append(job)
        assert job is WAIT
        waiting = [t.number for t in search.trials() if t.number not in [one.trial for one in running]]
        assert waiting
        for one in running:
            source.tell(Evaluation(job=one, status=Status.FAILED, error="no"))
        retried = source.ask()  # the identical trial failed, so this one is trained itself
        assert retried.trial == waiting[0]


def test_reuse_takes_the_first_success(coarse, config):
    made, _ = coarse
    study, trainings = made(sampler="random", lag=1), Counter()
    with Session.open(study, RunContext.of(study, config), create=True) as found, found.drive("run") as lease:
        search = SearchSource(study, found.durable, 40)
        source = RecordedSource(search, found.store, found.stored, lease, search.same, "val")
        while isinstance(job := source.ask(), Job):
            what = tuple(job.params.items())
            trainings[what] += 1
            if trainings[what] == 1:
                source.tell(Evaluation(job=job, status=Status.FAILED, error="once"))
            else:
                source.tell(Evaluation(job=job, status=Status.COMPLETE, value=1.0))
        proposals = Counter(tuple(trial.params.items()) for trial in search.trials())
    assert max(proposals.values()) > 2
    assert trainings == {what: min(2, count) for what, count in proposals.items()}


@pytest.mark.slow
def test_failures_are_not_reused(coarse, config):
    made, flags = coarse
    study = made(trials=12, max_failures=50)
    outcome = hpo.run(study.model_copy(update={"fixed": {**study.fixed, "fault": "raise"}}), config)
    assert outcome.count("failed") == 12
    assert outcome.repeats > 0
    assert trained(flags) * 5 == 12 * 2  # two epochs each


@pytest.mark.slow
def test_configurations_counts_distinct_ones(coarse, config):
    made, flags = coarse
    outcome = hpo.run(made(), config, configurations=5)
    assert trained(flags) == 5
    assert outcome.ended == "5 configurations have been tried"
    hpo.run(made(), config, configurations=8)
    assert trained(flags) == 8
    assert hpo.run(made(), config, configurations=8).own == len(evaluations(made(), config))


@pytest.mark.slow
def test_an_exhausted_search_ends(coarse, config):
    made, flags = coarse
    outcome = hpo.run(made(sampler="random"), config, configurations=50)
    assert trained(flags) == 10
    assert outcome.ended == "the last 200 proposals had all been tried before"


@pytest.mark.slow
def test_per_trial_seeds_reuse_nothing(coarse, config):
    made, flags = coarse
    outcome = hpo.run(made(seeding="per-trial", trials=15), config)
    assert trained(flags) == 15
    assert outcome.repeats == 0


@pytest.mark.slow
def test_replicated_trials_reuse_each_seed(coarse, config):
    made, flags = coarse
    outcome = hpo.run(made(seeding="replicated", replicates=2, trials=15), config)
    assert outcome.repeats > 0
    assert trained(flags) == 2 * (15 - outcome.repeats)


@pytest.mark.slow
def test_a_resumed_search_is_the_same(coarse, config, tmp_path):
    made, _ = coarse
    hpo.run(made(), config, trials=16)
    other = hpo.RunConfig(storage=f"sqlite:///{tmp_path / 'other.db'}", outputs=tmp_path / "o", backend="local")
    for wanted in (3, 11, 12, 16):
        hpo.run(made(), other, trials=wanted)
    with (
        Session.open(made(), RunContext.of(made(), config), create=False) as one,
        Session.open(made(), RunContext.of(made(), other), create=False) as two,
    ):
        tables = [[(t.number, t.params, t.value) for t in found.durable.trials()] for found in (one, two)]
    assert tables[0] == tables[1]


@pytest.mark.slow
def test_trainings_include_promotion(curve, config):
    study = curve()
    said = ["--study", str(study.root / "studies" / "curve.toml"), "--storage", config.storage]
    there = ["--outputs", str(config.outputs), "--backend", "local"]
    done = CliRunner().invoke(app, ["run", *said, *there, "--trainings", "36"])
    assert done.exit_code == 0, done.output
    assert len(evaluations(study, config)) == 36
    assert "Racing, seed 42 first: 11 trainings" in done.output
    assert (config.outputs / "curve" / "results_9" / "summary.json").is_file()


@pytest.mark.parametrize(
    ("said", "why"),
    [(["--trainings", "12"], "leaves the search too few"), (["--trainings", "60", "--trials", "5"], "not both")],
)
def test_unsplittable_trainings_are_refused(curve, config, said, why):
    study = curve()
    done = CliRunner().invoke(
        app, ["run", "--study", str(study.root / "studies" / "curve.toml"), "--storage", config.storage, *said]
    )
    assert isinstance(done.exception, UsageError)
    assert why in str(done.exception)
    assert not (config.outputs / "curve").exists()
