"""The race against an independent one, over random values, slots and orders."""

from __future__ import annotations

import csv
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from typer.testing import CliRunner

import hpo
from hpo import api
from hpo.cli.main import app
from hpo.core.errors import UsageError
from hpo.core.protocols import DONE, WAIT
from hpo.core.records import Evaluation, Job, Status
from hpo.promotion.grid import MAX_TRIES, replicate
from hpo.promotion.options import PromotionOptions
from hpo.promotion.race import Plan, Race, RaceSource
from hpo.promotion.select import race_plan, race_seeds, share_of_search
from hpo.stats.ranking import Candidate
from hpo.stats.scoring import Rule


@pytest.mark.parametrize(
    ("trainings", "rungs", "widths", "cost"),
    [
        (60, (1, 2, 4), (8, 4, 2), 16),
        (120, (1, 2, 4, 8, 12), (16, 8, 5, 3, 2), 54),
        (240, (1, 2, 4, 8, 12), (20, 10, 6, 3, 2), 62),
        (10, (1, 2, 4), (4, 2, 2), 10),
    ],
)
def test_default_plan(trainings, rungs, widths, cost):
    plan = Plan.for_trainings(trainings)
    assert (plan.rungs, plan.widths, plan.cost) == (rungs, widths, cost)


@given(some.integers(30, 500), some.floats(0.3, 0.9))
def test_plan_is_widest_of_its_share(trainings, share):
    plan = Plan.for_share(trainings, share)
    assert plan.rungs == Plan.for_trainings(trainings).rungs
    assert plan.cost <= share * trainings + 1e-6 < Plan.from_first(plan.widths[0] + 1, plan.rungs).cost + 1e-6


def test_study_sets_the_share(curve):
    study = curve(promotion={"race": {"share": 0.45}})
    plan = race_plan(study, 66, PromotionOptions())
    assert plan == Plan.for_share(120, 0.45) == race_plan(study, 0, PromotionOptions(trainings=120))
    assert plan.cost == 54
    assert share_of_search(study, PromotionOptions(trainings=60)) == 60 - Plan.for_share(60, 0.45).cost
    assert race_plan(study, 66, PromotionOptions(top=4)).widths[0] == 4
    assert race_plan(curve(promotion={"race": {}}), 66, PromotionOptions()) == Plan.after_search(66)


def test_command_sets_the_share(curve):
    study, options = curve(promotion={"race": {"share": 0.45}}), PromotionOptions(trainings=60, share=0.3)
    assert race_plan(study, 0, options) == Plan.for_share(60, 0.3) != Plan.for_share(60, 0.45)
    assert race_plan(curve(), 42, PromotionOptions(race=True, share=0.3)) == Plan.for_share(60, 0.3)
    done = CliRunner().invoke(app, ["run", "--study", "digits", "--trainings", "60", "--share", "1"])
    assert "share must be above 0 and below 1" in str(done.exception or done.output)


def test_share_too_small_is_a_sentence(curve):
    said = (
        r"leaves 3 of 30 trainings \(share 0\.1\), but a race of 2 candidates under up to 4 seeds needs 8; set a larger"
    )
    with pytest.raises(UsageError, match=said):
        race_plan(curve(promotion={"race": {"share": 0.1}}), 27, PromotionOptions())


@given(some.integers(1, 3000))
def test_plan_after_a_search_is_smallest(trials):
    plan = Plan.after_search(trials)
    fits = [b for b in range(trials, trials + 70) if b - Plan.for_trainings(b).cost >= trials]
    assert plan == Plan.for_trainings(fits[0])


@pytest.mark.parametrize(
    ("rungs", "widths", "said"),
    [
        ((1, 2), (4,), "one width for each rung"),
        ((2, 2), (4, 2), "increasing numbers of seeds, such as 1,2,4, not 2,2"),
        ((0, 2), (4, 2), "increasing"),
        ((1, 2), (2, 4), "never increase, such as 8,4,2, not 2,4"),
        ((1, 2), (2, 0), "never increase"),
        ((), (), "rungs are none"),
    ],
)
def test_invalid_plan_is_refused(rungs, widths, said):
    with pytest.raises(ValueError, match=said):
        Plan(rungs, widths)


def raced(table, plan, rule, direction, slots=1, draw=None, fails=()):
    """Runs the source with so many slots, chance deciding which replicate ends next; also returns what was trained."""
    draw, seeds = draw or random.Random(0), list(range(42, 42 + plan.rungs[-1]))
    jobs = {trial: [replicate(trial, {}, seed, 1, {}) for seed in seeds] for trial in range(len(table))}
    source = RaceSource(jobs, plan, rule, direction)
    running, trained = [], []
    while True:
        while len(running) < slots and isinstance(job := source.ask(), Job):
            running.append(job)
            trained.append((job.trial, job.seed))
        if not running:
            assert source.ask() is DONE
            return source, trained
        job = running.pop(draw.randrange(len(running)))
        if (job.trial, job.seed) in fails:
            source.tell(Evaluation(job=job, status=Status.FAILED, error="no"))
        else:
            source.tell(Evaluation(job=job, status=Status.COMPLETE, value=table[job.trial][job.seed - 42]))


def by_hand(table, plan, direction, lambda_=1.0):
    """The same race in plain numpy: who trains under which seed, and who wins."""
    sign = 1 if direction == "maximize" else -1
    values, field, trained = sign * np.asarray(table), list(range(len(table)))[: plan.widths[0]], set()
    for rung, following in zip(plan.rungs, (*plan.widths[1:], 1), strict=True):
        trained |= {(trial, 42 + seed) for trial in field for seed in range(rung)}
        seen = values[:, :rung]
        field.sort(key=lambda trial: (-(seen[trial].mean() - lambda_ * seen[trial].std()), -seen[trial].mean(), trial))
        field = field[:following]
    return field[0], trained


PLANS = [
    Plan((1, 2, 4), (8, 4, 2)),
    Plan((1, 3, 5), (6, 6, 1)),
    Plan((3,), (5,)),
    Plan((1, 2, 4, 8, 12), (7, 5, 4, 3, 2)),
]


@pytest.mark.parametrize("plan", PLANS, ids=str)
@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_race_ignores_timing(plan, direction):
    draw = random.Random(7)
    for repeat in range(40):
        table = np.random.default_rng(repeat).normal(0, 1, (plan.widths[0], 12)).tolist()
        winner, wanted = by_hand(table, plan, direction)
        source, trained = raced(table, plan, Rule(), direction, slots=draw.choice([1, 2, 3, 9]), draw=draw)
        assert sorted(trained) == sorted(wanted)  # each once
        assert len(trained) == source.total == plan.cost
        assert race_of(source, table, plan, direction).final.winner.candidate.trial == winner


def race_of(source, table, plan, direction, rule=Rule()):  # noqa: B008  a value
    seeds = range(42, 42 + plan.rungs[-1])
    found = [
        Candidate(
            trial=trial,
            values={s: source.evaluations[trial, s].value for s in seeds if (trial, s) in source.evaluations},
        )
        for trial in range(len(table))
    ]
    return Race.of(plan, found, list(seeds), rule, direction)


def test_rung_waits_for_previous_rung():
    plan = Plan((1, 2), (3, 2))
    jobs = {trial: [replicate(trial, {}, seed, 1, {}) for seed in (42, 43)] for trial in range(3)}
    source = RaceSource(jobs, plan, Rule(), "maximize")
    first = [source.ask() for _ in range(3)]
    assert {job.seed for job in first} == {42}
    for job in first[:2]:
        source.tell(Evaluation(job=job, status=Status.COMPLETE, value=1.0))
        assert source.ask() is WAIT
    source.tell(Evaluation(job=first[2], status=Status.COMPLETE, value=2.0))
    assert [(job.trial, job.seed) for job in (source.ask(), source.ask())] == [(2, 43), (0, 43)]
    assert source.ask() is WAIT


def test_failed_candidate_is_replaced():
    plan, table = Plan((1, 2, 4), (4, 2, 1)), [[9.0] * 4, [8.0] * 4, [7.0] * 4, [6.0] * 4]
    source, trained = raced(table, plan, Rule(), "maximize", fails={(0, 42), (1, 43)})
    assert trained.count((0, 42)) == MAX_TRIES
    assert {seed for trial, seed in trained if trial == 1} == {42, 43}
    race = race_of(source, table, plan, "maximize")
    assert race.final.winner.candidate.trial == 2
    assert [rung.left for rung in race.rungs] == [(3, 0), (1,), (2,)]


def test_unfinished_rung_drops_no_candidate():
    plan = Plan((1, 2), (3, 1))
    values = [{42: 1.0}, {42: 3.0}, {}]
    found = [Candidate(trial=trial, values=known) for trial, known in enumerate(values)]
    race = Race.of(plan, found, (42, 43), Rule(), "maximize")
    assert [(rung.entered, rung.left) for rung in race.rungs] == [((0, 1, 2), ())]
    assert race.final.winner is None


def test_all_failed_has_no_winner():
    plan = Plan((1, 2), (2, 1))
    source, _ = raced([[1.0, 1.0]] * 2, plan, Rule(), "maximize", fails={(0, 42), (1, 42)})
    race = race_of(source, [0, 0], plan, "maximize")
    assert race.final.winner is None
    assert len(race.rungs) == 1


def test_small_rung_uses_the_mean():
    plan, table = Plan((1, 3), (3, 2)), [[1.0, 5.0, 9.0], [2.0, 2.1, 2.2], [3.0, 3.1, 0.0]]
    source, trained = raced(table, plan, Rule(ddof=1), "maximize")
    assert {trial for trial, seed in trained if seed == 43} == {1, 2}
    assert race_of(source, table, plan, "maximize", Rule(ddof=1)).final.winner.candidate.trial == 1


@pytest.fixture(scope="module")
def searched(curve, module_config):
    study = curve()
    hpo.run(study, module_config, trials=12)
    return study


@pytest.fixture(scope="module")
def raced_once(searched, module_config):
    return hpo.promote(searched, module_config, race=True, rungs=(1, 3, 5), widths=(6, 3, 2))


def test_three_seed_table_beside_last_rung(searched, raced_once, restored_config):
    outcome = raced_once
    report, race = outcome.report, outcome.report.race
    assert [len(rung.entered) for rung in race.rungs] == [6, 3, 2]
    assert race.seeds == (42, 43, 44, 45, 46)
    assert outcome.trained == 6 + 3 * 2 + 2 * 2
    assert len(report.ranking.complete) == 3
    assert report.ranking.seeds == (42, 43, 44)
    winner = race.final.winner.candidate.trial
    assert report.winner.candidate.trial == winner
    assert {path.name for path in outcome.results} == {"results_7", "results_8", "results_9"}
    again = hpo.promote(searched, restored_config, race=True, rungs=(1, 3, 5), widths=(6, 3, 2))
    assert again.trained == 0
    assert again.report.plain() == report.plain()
    text = (outcome.folder / "promotion.md").read_text()
    assert "| seed 44 |" in text.replace("  ", " ").replace("  ", " ")
    assert "seed 45" not in text
    assert f"### The race's last rung: winner trial {winner}" in text
    assert text.count("left") == 2 * 3  # in the ranking, and in the table of the params
    assert "mean of 5 seeds" in report.latex()
    assert (outcome.folder / "promotion.html").read_text().count("left: trial") == 3 * 5  # a line for each mark
    with (outcome.folder / "promotion.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["seed_46"] == "" for row in rows].count(False) == 2
    stored = api.rank_stored(searched, restored_config)
    assert stored.plain() == report.plain()
    assert stored.rows() == report.rows()
    assert api.status(searched.name, restored_config)[0].promoted == winner


def test_optimism_uses_first_rung(raced_once):
    report = raced_once.report
    gaps = [row.candidate.search_value - row.candidate.values[42] for row in report.ranking.rows]
    assert len(gaps) == 6
    assert report.certainty.optimism == pytest.approx(np.mean(gaps))


@pytest.mark.usefixtures("raced_once")
def test_command_shows_rungs_and_both_tables(searched, restored_config):
    said = ["--study", str(searched.root / "studies" / "curve.toml"), "--storage", restored_config.storage]
    there = ["--outputs", str(restored_config.outputs), "--backend", "local"]
    race = ["--race", "--rungs", "1,3,5", "--widths", "6,3,2"]
    done = CliRunner().invoke(app, ["promote", *said, *there, *race])
    assert done.exit_code == 0, done.output
    assert "Race: 6 under 42, 3 under 42 43 44, 2 under 42 .. 46. Its last rung:" in done.output
    assert "over 5 seeds" in done.output
    assert "The table of seeds 42 43 44 alone names" in done.output
    assert done.output.count("\nleft ") == 3
    shown = CliRunner().invoke(app, ["rank", *said])
    assert shown.exit_code == 0, shown.output
    assert "Race: 6 under 42" in shown.output


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"rungs": (1, 2, 4)}, "rungs, widths and share are options of a race; add --race"),
        ({"share": 0.4}, "rungs, widths and share are options of a race; add --race"),
        ({"race": True, "share": 0.4, "top": 3}, "top and share both set how many candidates a race starts with"),
        ({"race": True, "share": 0.4, "widths": (4, 2, 1)}, "widths and share both set how many candidates"),
        ({"race": True, "share": 1.5}, "share must be above 0 and below 1, a part of all trainings, not 1.5"),
        ({"race": True, "share": 0.0}, "share must be above 0 and below 1, .* not 0"),
        ({"race": True, "share": float("nan")}, "share must be"),
        ({"race": True, "share": "x"}, "share must be"),
        ({"race": True, "curtail": True}, "not both"),
        ({"race": True, "top": 3, "widths": (4, 2, 1)}, "first of the widths"),
        ({"race": True, "rungs": (1, 2)}, "must have at least the promotion's 3 seeds, not 2"),
        ({"race": True, "rungs": (4, 2, 1)}, "increasing"),
        ({"race": True, "confirm_seeds": (45,)}, "seed 45 is a seed of the promotion"),
    ],
)
def test_invalid_race_is_refused_first(curve, config, options, said):
    with pytest.raises(UsageError, match=said):
        hpo.promote(curve(), config, **options)
    assert not (config.outputs / "curve").exists()


def test_race_never_uses_search_seed(curve):
    study = curve(search={"seed": 45})
    assert race_seeds(study, Plan((1, 6), (2, 1))) == (42, 43, 44, 46, 47, 48)
    shared = curve(search={"seed": 42})
    with pytest.raises(UsageError, match="seed 42 is a seed of both: search under another"):
        api.check_promotion(shared, hpo.RunConfig(), api.PromotionOptions(race=True))
