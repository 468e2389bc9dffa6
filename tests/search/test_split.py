"""A total of trainings that the first values of the search split."""

from __future__ import annotations

import random
from contextlib import nullcontext

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.storages import InMemoryStorage
from optuna.trial import TrialState, create_trial
from typer.testing import CliRunner

import hpo
from hpo import api
from hpo.cli.main import app
from hpo.core.protocols import DONE
from hpo.core.records import Evaluation, Job, Status
from hpo.promotion.race import Plan
from hpo.promotion.select import race_plan
from hpo.search.contrast import contrast_of
from hpo.search.options import SearchOptions
from hpo.search.shown import search_text
from hpo.search.source import SearchSource
from hpo.search.split import NOISY, SMOOTH, Split, share_of_race
from hpo.store.optuna_storage.studies import DurableStudy

SMOOTH_VALUES, NOISY_VALUES = 0.001, 3.0
"""Standard deviation of the noise around values of 0 to 1."""


def value(job, noise):
    draw = np.random.default_rng([job.params["k"], int(1e9 * job.params["x"])])
    return job.params["x"] ** 2 + noise * float(draw.normal())


def source_of(study, storage, split):
    return SearchSource(study, DurableStudy(storage, study.name, nullcontext), configurations=split)


def memory(study):
    storage = InMemoryStorage()
    optuna.create_study(study_name=study.name, storage=storage, direction="maximize")
    return storage


def driven(source, noise, slots=1, seed=0, most=10_000):
    """Runs a search until it says that it is done, chance deciding which training ends next, or `most` have ended."""
    draw, running, over = random.Random(seed), [], 0
    while over < most:
        while len(running) < slots and isinstance(job := source.ask(), Job):
            running.append(job)
        if not running:
            assert source.ask() is DONE
            break
        job, over = running.pop(draw.randrange(len(running))), over + 1
        if job.trial % 11 == 5:
            source.tell(Evaluation(job=job, status=Status.FAILED, error="no"))
        else:
            source.tell(Evaluation(job=job, status=Status.COMPLETE, value=value(job, noise)))
    return [trial.params for trial in source.trials()], (source.share, source.contrast)


@pytest.fixture
def study(curve):
    return curve(search={"sampler": "random", "lag": 4, "pruner": "none"})


@pytest.mark.slow
@pytest.mark.parametrize(("noise", "share"), [(SMOOTH_VALUES, SMOOTH), (NOISY_VALUES, NOISY)])
@pytest.mark.parametrize("trainings", [30, 60, 120, 240, 480])
def test_split_ignores_timing(study, trainings, noise, share):
    split = api.split_of(study, api.PromotionOptions(race=True, trainings=trainings))
    params, found = driven(source_of(study, memory(study), split), noise)
    assert found[0] == (share if trainings == 60 else None)
    plan = race_plan(study, 0, api.PromotionOptions(race=True, trainings=trainings, share=found[0]))
    assert len(params) == trainings - plan.cost
    assert driven(source_of(study, memory(study), split), noise, slots=3, seed=trainings) == (params, found)


@pytest.mark.parametrize("noise", [SMOOTH_VALUES, NOISY_VALUES])
@pytest.mark.parametrize("most", [3, 23, 24, 25, 34, 40])
def test_resumed_split_is_the_same(study, noise, most):
    split, storage = api.split_of(study, api.PromotionOptions(race=True, trainings=60)), memory(study)
    whole = driven(source_of(study, memory(study), split), noise)
    driven(source_of(study, storage, split), noise, slots=3, most=most)
    assert driven(source_of(study, storage, split), noise, slots=3, seed=1) == whole


def test_open_split_waits_for_its_trials(curve):
    """All slots but one are done with everything before one of the first trials is."""
    study = curve(search={"sampler": "random", "lag": False, "pruner": "none"})
    split = Split(trainings=20, first=4, smooth=9, noisy=5)
    source = source_of(
        study.model_copy(update={"search": study.search.model_copy(update={"lag": False})}), memory(study), split
    )
    first = source.ask()
    for _ in range(4):
        job = source.ask()
        source.tell(Evaluation(job=job, status=Status.COMPLETE, value=value(job, SMOOTH_VALUES)))
    assert source.ask() is not DONE
    assert source.ended is None
    source.tell(Evaluation(job=first, status=Status.COMPLETE, value=value(first, SMOOTH_VALUES)))
    assert source.share is not None


def test_small_grid_ends_undecided(curve):
    space = {"x": {"float": [0.0, 1.0], "step": 0.1}, "k": {"int": [2, 2]}}
    study = curve(search={"sampler": "grid", "pruner": "none", "lag": 1}, space=space)
    params, found = driven(source_of(study, memory(study), Split(trainings=60, first=24, smooth=49, noisy=34)), 0.1)
    assert (len(params), found) == (11, (None, None))


def test_many_confirm_seeds_leave_no_split(study):
    wanted = api.PromotionOptions(race=True, trainings=60, confirm_seeds=tuple(range(100, 111)))
    assert api.split_of(study, wanted) == api.share_of_search(study, wanted)


def trials_of(noise, count=24, direction=1.0):
    draw, found = np.random.default_rng(0), []
    space = {"x": FloatDistribution(0, 1), "c": CategoricalDistribution(["a", "b"])}
    for number in range(count):
        params = {"x": float(draw.random()), "c": "ab"[number % 2]}
        score = direction * (params["x"] ** 2 + noise * draw.normal())
        found.append(create_trial(params=params, distributions=space, value=score))
        found[-1].number = number
    return found


def test_contrast_falls_with_the_noise():
    found = [contrast_of(trials_of(noise), "maximize") for noise in (0.001, 0.05, 1.0)]
    assert found[0] > found[1] > found[2]
    assert [share_of_race(one) for one in (found[0], found[2], None)] == [SMOOTH, NOISY, SMOOTH]
    assert contrast_of(trials_of(1.0, direction=-1.0), "minimize") == found[2]
    failed = [create_trial(state=TrialState.FAIL) for _ in range(9)]
    assert contrast_of([*trials_of(0.1, count=3), *failed], "maximize") is None
    assert contrast_of(trials_of(0.1, count=8) + failed, "maximize") is not None


@pytest.mark.parametrize("options", [{"share": 0.3}, {"top": 6}, {"widths": (6, 3, 2)}, {"rungs": (1, 2, 5)}])
def test_a_given_plan_wins_over_the_values(study, curve, options):
    wanted = api.PromotionOptions(race=True, trainings=60, **options)
    assert api.split_of(study, wanted) == api.share_of_search(study, wanted)
    table = curve(promotion={"race": {"share": 0.3}})
    assert api.split_of(table, api.PromotionOptions(trainings=60)) == 60 - Plan.for_share(60, 0.3).cost
    assert isinstance(api.split_of(curve(promotion={"race": {}}), api.PromotionOptions(trainings=60)), Split)


def test_split_is_said(curve, config):
    study = curve(search={"sampler": "random", "budget": 1})
    outcome = hpo.run(study, config, configurations=Split(trainings=12, first=5, smooth=8, noisy=6))
    said = "smooth" if outcome.share == SMOOTH else "noisy"
    assert outcome.own == {SMOOTH: 8, NOISY: 6}[outcome.share]
    assert (
        f"The values are {said} (the best of the first 5 trials lies {outcome.contrast:.1f} standard deviations of the "
        f"noise from their median), so the promotion gets {12 - outcome.own} of 12 trainings."
    ) in search_text(outcome, promotes=True)


@pytest.mark.slow
def test_command_splits_a_total(curve, config):
    study = curve(search={"sampler": "random", "budget": 1})
    said = ["--study", str(study.root / "studies" / "curve.toml"), "--storage", config.storage, "--trainings", "60"]
    done = CliRunner().invoke(app, ["run", *said, "--outputs", str(config.outputs), "--backend", "local"])
    assert done.exit_code == 0, done.output
    gets, race = (11, "5 under 42, 2 ") if "The values are smooth" in done.output else (26, "12 under 42, 6 ")
    assert f"so the promotion gets {gets} of 60 trainings." in done.output
    assert f"Race: {race}" in done.output


def test_option_takes_a_split():
    split = Split(trainings=60, first=24, smooth=49, noisy=34)
    assert SearchOptions(configurations=split).configurations is split
