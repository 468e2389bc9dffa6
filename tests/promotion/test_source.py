from __future__ import annotations

from hpo.core.protocols import DONE, WAIT, Decision
from hpo.core.records import Evaluation, Job, Stage, Status
from hpo.promotion.grid import MAX_TRIES, PromotionSource, replicate


def grid(trials=(3, 1), seeds=(42, 43)):
    return PromotionSource.grid(
        {trial: [replicate(trial, {"x": trial}, seed, 6, {"split": 0}) for seed in seeds] for trial in trials}
    )


def drained(source):
    return list(iter(source.ask, WAIT))


def test_every_candidate_gets_every_seed():
    jobs = drained(grid())
    assert [(job.trial, job.seed) for job in jobs] == [(3, 42), (1, 42), (3, 43), (1, 43)]
    assert {(job.budget, job.stage) for job in jobs} == {(6, Stage.PROMOTION)}
    assert jobs[0].params == {"x": 3}
    assert jobs[0].stream_seeds == {"split": 0}


def test_nothing_is_pruned():
    source = grid()
    assert source.report(source.ask(), 1, -1e9) is Decision.CONTINUE


def test_it_is_done_when_all_are_over():
    source = grid()
    for job in drained(source):
        source.tell(Evaluation(job=job, status=Status.COMPLETE, value=1.0))
    assert source.ask() is DONE
    assert set(source.evaluations) == {(3, 42), (1, 42), (3, 43), (1, 43)}


def test_failed_replicate_is_retried_once():
    source = PromotionSource([Job(trial=0, params={}, seed=42, budget=1, stage=Stage.PROMOTION)])
    for _ in range(MAX_TRIES):
        source.tell(Evaluation(job=source.ask(), status=Status.FAILED, error="broke"))
    assert source.ask() is DONE
    assert source.evaluations[0, 42].status is Status.FAILED


def test_no_candidates_means_done():
    assert PromotionSource([]).ask() is DONE
