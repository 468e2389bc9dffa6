"""One training per fold, and one evaluation of all folds."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hpo
from hpo.core.errors import StorageAway, StudyChanged, TooManyFailures
from hpo.core.protocols import DONE, WAIT, Decision
from hpo.core.records import Evaluation, Job, Objective, Report, Status
from hpo.driver.cross_validation import FoldedSource, fold_jobs, join_folds, mean_of
from hpo.seeds.streams import STREAMS, Streams
from hpo.training.context import Context
from hpo.training.epochs import EpochLoop
from hpo.training.progress import Progress

JOB = Job(trial=3, params={"x": 0.5}, seed=42, budget=4)
FOLDS = [0.4, 0.9, 0.5, 0.7, 0.1, 0.8]


@pytest.fixture
def study(curve):
    def made(folds=3, repeats=1, **changes):
        return curve(validation={"folds": folds, "repeats": repeats}, **changes)

    return made


def evaluation(job, value, status=Status.COMPLETE, **metrics):
    reports = tuple(Report(step=step, metrics={"val": value, **metrics}, at=0.0) for step in (1, 2))
    if status is Status.FAILED:
        return Evaluation(job=job, status=status, error="it broke", reports=reports)
    digests = {"weights": f"{value}"}
    return Evaluation(job=job, status=status, value=value, step=2, reports=reports, seconds=2.0, digests=digests)


class JobSource:
    """Hands out jobs of one fold each, prunes at the given steps, and keeps what it receives."""

    def __init__(self, jobs, prune_at=None):
        self.jobs, self.prune_at = list(jobs), prune_at or {}
        self.reports, self.told = [], []

    def ask(self):
        return self.jobs.pop(0) if self.jobs else DONE

    def report(self, job, step, value):
        self.reports.append((job.trial, step, value))
        return Decision.STOP if self.prune_at.get(job.trial) == step else Decision.CONTINUE

    def tell(self, told):
        self.told.append(told)


def test_no_folds_leave_jobs_unchanged(curve):
    assert fold_jobs(JOB, curve()) == (JOB,)
    assert "validation" not in curve().content()
    assert "validation" not in curve().identity()


@given(seed=st.integers(0, 2**63 - 2))  # a seed above is the largest
def test_folds_never_share_a_stream(seed):
    study = hpo.Study.model_validate(STUDY)
    jobs = [*fold_jobs(replace(JOB, seed=seed), study), *fold_jobs(replace(JOB, seed=seed + 1), study)]
    assert len({job.key for job in jobs}) == len({job.folder for job in jobs}) == len(jobs)
    for name in set(STREAMS) - {"split"}:
        assert len({job.stream_seeds[name] for job in jobs}) == len(jobs)
    assert not {seed, seed + 1} & {number for job in jobs for number in job.stream_seeds.values()}


STUDY = {
    "name": "folds",
    "trainable": "toys.folds:train",
    "objective": {"metric": "val"},
    "space": {"x": {"float": (0.0, 1.0)}},
    "search": {"budget": 4},
    "validation": {"folds": 3, "repeats": 2},
}


def test_folds_of_a_repeat_share_the_split(study):
    jobs = fold_jobs(JOB, study(3, 2))
    assert [job.fold for job in jobs] == [1, 2, 3, 4, 5, 6]
    divisions = [job.stream_seeds["split"] for job in jobs]
    assert divisions[:3] == divisions[:1] * 3
    assert divisions[3:] == divisions[3:4] * 3
    assert divisions[0] != divisions[3]


def test_fixed_streams_stay_fixed_in_folds(study):
    fixed = {"split": 7, "init": 5}
    first, second = (fold_jobs(replace(JOB, seed=seed, stream_seeds=fixed), study(3, 2)) for seed in (42, 43))
    assert {job.stream_seeds["init"] for job in (*first, *second)} == {5}
    assert [job.stream_seeds["split"] for job in first] == [job.stream_seeds["split"] for job in second]
    assert len({job.stream_seeds["split"] for job in first}) == 2  # repeats divide anew all the same
    assert {job.stream_seeds["order"] for job in first}.isdisjoint(job.stream_seeds["order"] for job in second)


def test_fold_mean_matches_numpy():
    jobs = [replace(JOB, fold=fold) for fold in (1, 2, 3)]
    folds = [evaluation(job, value, loss=1 - value) for job, value in zip(jobs, FOLDS, strict=False)]
    found = mean_of(JOB, folds, Objective(metric="val"))
    assert found.value == pytest.approx(np.mean(FOLDS[:3]))
    assert found.metrics == {"val": pytest.approx(np.mean(FOLDS[:3])), "loss": pytest.approx(1 - np.mean(FOLDS[:3]))}
    assert [report.metrics["val"] for report in found.reports] == pytest.approx([0.4, 0.65, 0.6])
    assert (found.job, found.seconds, found.epoch) == (JOB, 6.0, None)
    assert found.trainings == tuple(folds)
    assert folds[0].trainings == (folds[0],)


def test_undefined_metrics_and_constraints():
    first = evaluation(replace(JOB, fold=1), 0.5, auc=None, over=-1.0)
    second = evaluation(replace(JOB, fold=2), 0.7, auc=0.9, over=0.5)
    found = mean_of(JOB, [first, second], Objective(metric="val", constraints=("over",)))
    assert found.metrics == {"val": pytest.approx(0.6), "auc": None, "over": 0.5}


@given(order=st.permutations(range(6)))
def test_running_means_come_in_fold_order(order):
    source = JobSource([JOB])
    folded = FoldedSource(source, hpo.Study.model_validate(STUDY), at_once=True)
    jobs = [folded.ask() for _ in range(6)]
    assert folded.ask() is DONE
    for config in order:
        assert source.told == []
        assert folded.report(jobs[config], 1, -1.0) is Decision.CONTINUE
        folded.tell(evaluation(jobs[config], FOLDS[config]))
    assert source.reports == [(3, step, pytest.approx(np.mean(FOLDS[:step]))) for step in range(1, 7)]
    [told] = source.told
    assert (told.status, told.value) == (Status.COMPLETE, pytest.approx(np.mean(FOLDS)))


@given(order=st.permutations(range(6)), pruned_at=st.integers(1, 6))
def test_pruning_ignores_order_of_completion(order, pruned_at):
    source = JobSource([JOB], prune_at={3: pruned_at})
    folded = FoldedSource(source, hpo.Study.model_validate(STUDY), at_once=True)
    jobs = [folded.ask() for _ in range(6)]
    for config in order:
        folded.tell(evaluation(jobs[config], FOLDS[config]))
    [told] = source.told
    assert (told.status, told.step, told.value) == (Status.PRUNED, pruned_at, pytest.approx(np.mean(FOLDS[:pruned_at])))
    assert len(source.reports) == pruned_at


def test_pruner_runs_folds_in_order(study):
    source = JobSource([replace(JOB, trial=0), replace(JOB, trial=1)], prune_at={0: 2})
    folded = FoldedSource(source, study(3), at_once=False)
    first, second = folded.ask(), folded.ask()
    assert [(job.trial, job.fold) for job in (first, second)] == [(0, 1), (1, 1)]
    assert folded.ask() is WAIT  # for one of them to be over
    folded.tell(evaluation(first, 0.2))
    again = folded.ask()
    assert (again.trial, again.fold) == (0, 2)
    folded.tell(evaluation(again, 0.2))
    assert [(one.job.trial, one.status, one.step) for one in source.told] == [(0, Status.PRUNED, 2)]
    assert folded.ask() is WAIT  # the third fold of trial 0 is never trained
    for value in (0.1, 0.3, 0.5):
        folded.tell(evaluation(second, value))
        second = folded.ask()
    assert second is DONE


def test_failed_fold_fails_its_job(study):
    source = JobSource([JOB])
    folded = FoldedSource(source, study(3), at_once=True)
    first, second = folded.ask(), folded.ask()
    folded.tell(evaluation(second, 0.1, Status.FAILED))
    assert folded.ask() is DONE
    assert source.told == []
    folded.tell(evaluation(first, 0.5))
    [told] = source.told
    assert (told.status, told.error) == (Status.FAILED, "in fold 2: it broke")


@pytest.mark.parametrize(("pruned", "value"), [(0, None), (1, 0.5)])
def test_pruned_fold_prunes_its_job(study, pruned, value):
    source = JobSource([JOB])
    folded = FoldedSource(source, study(3), at_once=False)
    for fold in range(pruned + 1):
        one = folded.ask()
        folded.tell(evaluation(one, 0.5, Status.PRUNED if fold == pruned else Status.COMPLETE))
    assert folded.ask() is DONE
    [told] = source.told
    assert (told.status, told.value, len(told.folds)) == (Status.PRUNED, value, pruned + 1)


def test_outage_during_report_loses_nothing(study):
    class Away(JobSource):
        away = True

        def report(self, job, step, value):
            if self.away:
                raise StorageAway(0.1, "gone")
            return super().report(job, step, value)

    source = Away([JOB])
    folded = FoldedSource(source, study(2), at_once=False)
    first = evaluation(folded.ask(), 0.4)
    with pytest.raises(StorageAway):
        folded.tell(first)
    source.away = False
    folded.tell(first)
    folded.tell(evaluation(folded.ask(), 0.6))
    assert source.reports == [(3, 1, 0.4), (3, 2, 0.5)]
    assert len(source.told) == 1


def test_stored_folds_are_joined_per_seed(study):
    made = study(2)
    stored = []
    for seed, status in itertools.product((42, 43, 44), (Status.COMPLETE,)):
        jobs = fold_jobs(replace(JOB, seed=seed), made)
        stored += [evaluation(job, seed / 100 + job.fold, status) for job in jobs]
    stored[3] = evaluation(stored[3].job, 0.0, Status.FAILED)
    found = {one.job.seed: one for one in join_folds(reversed(stored[:-1]), made)}  # seed 44 lacks a fold
    assert found[42].value == pytest.approx(0.42 + 1.5)
    assert found[42].job == replace(JOB, stream_seeds=made.streams)
    assert (found[43].status, found[43].error) == (Status.FAILED, "in fold 2: it broke")
    assert set(found) == {42, 43}


def test_pruner_steps_are_folds(study, curve):
    assert (study(5, 2).steps, curve().steps) == (10, curve().search.budget)


@pytest.mark.parametrize("folds", [0, 1, -1, 2.5, "5"])
def test_fewer_than_two_folds_are_refused(folds):
    with pytest.raises(ValueError, match="folds"):
        hpo.Study.model_validate({**STUDY, "validation": {"folds": folds}})


def test_changed_folds_change_the_study(tmp_path, study, config):
    hpo.run(toy(study, 2), config)
    with pytest.raises(StudyChanged, match=r"validation +2 folds +-> +3 folds x 2"):
        hpo.run(toy(study, 3, 2), config)


def toy(study, folds, repeats=1, **changes):
    search = {"trials": 2, "budget": 2, "pruner": "none", **changes.pop("search", {})}
    return study(
        folds,
        repeats,
        name="folds",
        trainable="toys.folds:train",
        space={"x": {"float": [0.0, 1.0]}},
        search=search,
        **changes,
    )


def context_of(progress, folds):
    streams = Streams(progress.job.seed, {})
    loop = EpochLoop(progress, streams, "cpu", lambda: None)
    return Context(progress, loop, streams, cache=progress.folder, project=progress.folder, folds=folds)


def test_context_numbers_folds_per_repeat(tmp_path):
    found = [
        context_of(Progress(replace(JOB, fold=fold), Objective(metric="val"), tmp_path), folds=3).fold
        for fold in range(1, 7)
    ]
    assert found == [0, 1, 2, 0, 1, 2]


def test_trainable_must_read_ctx_fold(study, config):
    with pytest.raises(TooManyFailures, match=r"over 3 folds, but the trainable never read ctx\.fold"):
        hpo.run(toy(study, 3, fixed={"blind": True}, search={"max_failures": 1}), config)


@pytest.mark.parametrize(("word", "seeds"), [("fixed", {"split": 41}), ("per-seed", {}), (7, {"split": 7})])
def test_stream_modes_fixed_and_per_seed(curve, word, seeds):
    made = curve(streams={"split": word})
    assert made.streams == seeds
    assert made.content()["streams"] == {"split": word}
    assert made.identity().get("streams.split") == (str(seeds["split"]) if seeds else None)


def test_fixed_equals_the_search_seed(curve, config):
    word, number = curve(streams={"init": "fixed"}), curve(streams={"init": 41})
    assert word.identity() == number.identity()
    hpo.run(word, config, trials=2)
    assert len(hpo.run(number, config, trials=3).trials) == 3  # goes on with the same study
