"""Samplers and pruners that a study names as `module:Class`."""

from __future__ import annotations

import random
import re

import optuna
import pytest
from searches import in_random_order, one_by_one, open_source, table, train, value

import hpo
from hpo.cli.progress import header
from hpo.cli.tables import progress_table, trial_text
from hpo.core.errors import UsageError
from hpo.core.records import Job
from hpo.search.plugins import doubts, notes
from hpo.search.proposals import suggest
from hpo.seeds.derived import Purpose, derive_seed
from hpo.store import prepare_optuna
from hpo.store.optuna_storage.studies import OptunaStudies
from hpo.study import TIMING

TRIALS = 18
COIN = {"pruner": "toys.samplers:Coin", "pruner_options": {"chance": 0.2}}


@pytest.fixture
def stored(tmp_path):
    """Returns new databases, which are closed after the test."""
    opened = []

    def made():
        opened.append(OptunaStudies(f"sqlite:///{tmp_path / str(len(opened))}.db", prepare_optuna))
        return opened[-1]

    yield made
    for one in opened:
        one.close()


def in_parts(durable, study):
    """Searches with four drivers that each leave trials open, and a fifth one that ends it."""
    draw = random.Random(1)
    for _ in range(4):
        source = open_source(durable, study, TRIALS)
        for upto in (None, None, draw.randint(1, 3), None, draw.randint(1, 4)):
            if isinstance(job := source.ask(), Job):
                train(source, job, upto)
    one_by_one(open_source(durable, study, TRIALS))


SEEDED = [
    {"sampler": "toys.samplers:Climber", "sampler_options": {"width": 0.2}},
    {"sampler": "toys.samplers:Climber", "pruner": "none"},
    {"sampler": "optuna.samplers:TPESampler", "sampler_options": {"n_startup_trials": 5}},
    {
        "sampler": "optuna.samplers:QMCSampler",
        "sampler_options": {"scramble": True, "warn_independent_sampling": False},
    },
    {"sampler": "optuna.samplers:BruteForceSampler", "space": {"k": {"int": [1, 25]}, "x": {"choice": [0.5]}}},
    {"sampler": "toys.samplers:Climber", **COIN},
]


@pytest.mark.slow
@pytest.mark.parametrize("search", SEEDED, ids=lambda one: one["sampler"].partition(":")[2] + one.get("pruner", ""))
def test_resumed_is_uninterrupted(stored, curve, search):
    tables = {"space": search["space"]} if "space" in search else {}
    study = curve(search={"lag": 4, **{key: one for key, one in search.items() if key != "space"}}, **tables)
    whole, shuffled, cut = stored(), stored(), stored()
    one_by_one(open_source(whole, study, TRIALS))
    in_random_order(open_source(shuffled, study, TRIALS), 4, random.Random(3))
    in_parts(cut, study)
    assert len(table(whole, study)) == TRIALS
    assert table(shuffled, study) == table(cut, study) == table(whole, study)
    assert {one.not_reproducible for one in cut.find(study.name).trials()} == {None}


def test_kept_sampler_matches_optuna(stored, curve):
    study = curve(search={"lag": 1, "sampler": "toys.samplers:Climber", "pruner": "none"})
    durable = stored()
    one_by_one(open_source(durable, study, TRIALS))
    from toys.samplers import Climber

    alone = optuna.create_study(
        direction="maximize", sampler=Climber(seed=derive_seed(study.sampler_seed, Purpose.SAMPLER, 0))
    )
    for _ in range(TRIALS):
        trial = alone.ask()
        params = suggest(trial, study.space)
        alone.tell(trial, max(value(params, step) for step in range(1, study.search.budget + 1)))
    assert [row[2] for row in table(durable, study)] == [trial.params for trial in alone.trials]


def test_pruner_marks_survive(stored, curve):
    study, durable = curve(search={"sampler": "random", **COIN}), stored()
    in_parts(durable, study)
    frozen = durable.find(study.name).frozen()
    assert any(trial.state is optuna.trial.TrialState.PRUNED for trial in frozen)
    assert [one.system_attrs["asked"] for one in frozen] == [len(one.intermediate_values) for one in frozen]


DOUBTFUL = [
    ({"sampler": "toys.samplers:Seedless"}, "sampler 'toys.samplers:Seedless' takes no argument `seed`"),
    ({"sampler": "toys.samplers:Careless"}, "two samplers .* of the same seed propose different params"),
    ({"pruner": "toys.samplers:Dice"}, "two pruners .* decide differently on the same trials"),
]


@pytest.mark.parametrize(("search", "why"), DOUBTFUL)
def test_irreproducible_is_labeled(stored, curve, search, why):
    study, durable = curve(search={"lag": 2, **search}), stored()
    in_parts(durable, study)
    trial = durable.find(study.name).trials()[7]
    assert len(table(durable, study)) == TRIALS
    assert [note.message for note in notes(study)] == [f"not reproducible: {trial.not_reproducible}"]
    (said,) = doubts(study)
    assert said == trial.not_reproducible
    assert f"! Not reproducible: {said}." in trial_text(trial, [], study.objective).blocks
    assert re.fullmatch(why, said)


def test_run_says_it_is_irreproducible(curve, config):
    study = curve(search={"sampler": "toys.samplers:Seedless", "trials": 2})
    said = "sampler 'toys.samplers:Seedless' takes no argument `seed`"
    assert hpo.run(study, config).warnings == (f"Not reproducible: {said}.",)
    assert header(study, "sqlite:///x.db", "2 trials").splitlines()[1].endswith(f"reproducible: no ({said})")
    shown = progress_table(hpo.status(config=config)).blocks
    assert shown[1:] == [f"! {study.name} is not reproducible: {said}."]


def test_timing_is_irreproducible(curve, config):
    study = curve(search={"lag": False, "trials": 1})
    assert hpo.run(study, config).warnings == (f"Not reproducible: {TIMING}.",)
    assert hpo.status(study, config)[0].plain()["not_reproducible"] == (TIMING,)


def test_failed_replay_is_labeled(stored, curve):
    study, durable = curve(search={"lag": 2, "sampler": "toys.samplers:Forgetful", "pruner": "none"}), stored()
    one_by_one(open_source(durable, study, 17))
    assert not doubts(study)
    one_by_one(open_source(durable, study, TRIALS))
    reasons = [one.not_reproducible for one in durable.find(study.name).trials()]
    assert reasons[:17] == [None] * 17
    assert reasons[17] == "sampler 'toys.samplers:Forgetful' did not propose the earlier trials again as they are"


def test_sampler_may_end_the_search(stored, curve):
    study, durable = curve(search={"lag": 1, "sampler": "toys.samplers:Ending", "pruner": "none"}), stored()
    one_by_one(open_source(durable, study, 4))
    source = open_source(durable, study, TRIALS)
    one_by_one(source)
    assert (len(table(durable, study)), source.ended) == (7, "the sampler has nothing left to propose")
    assert not open_source(durable, study, TRIALS).has_work


def test_choking_sampler_is_a_sentence(curve):
    said = r"failed on 14 made-up trials before the search: sampler .*:Choking' could not .* ValueError: no idea"
    with pytest.raises(UsageError, match=said):
        doubts(curve(search={"sampler": "toys.samplers:Choking"}))
