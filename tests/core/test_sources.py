from __future__ import annotations

import threading
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo.backends.running import run_all
from hpo.core.errors import BackendError, TooManyFailures
from hpo.core.protocols import Decision
from hpo.core.records import Evaluation, Job, Objective, Report, Status
from hpo.core.tracker import JobTracker, JobUpdate, Outcome
from hpo.core.wrappers import FailureLimit, check_not_stuck

JOB = Job(trial=0, params={}, seed=41, budget=8)
OBJECTIVE = Objective(metric="val")


class Critic:
    """A source that stops a job at a given step."""

    def __init__(self, prune_at=None):
        self.prune_at = prune_at
        self.heard = []

    def report(self, job, step, value):
        self.heard.append(step)
        return Decision.STOP if step == self.prune_at else Decision.CONTINUE


def updates(values, cuts, repeated=0, status=Status.COMPLETE):
    """Groups reports into updates; a resumed worker repeats the first `repeated` reports."""
    reports = [Report(step=step, metrics={"val": value}, at=float(step)) for step, value in enumerate(values, start=1)]
    said = [*reports[:repeated], *reports]
    bounds = [0, *sorted(cut % (len(said) + 1) for cut in cuts), len(said)]
    cut = [JobUpdate(reports=tuple(said[a:b])) for a, b in pairwise(bounds)]
    return [*cut[:-1], JobUpdate(reports=cut[-1].reports, status=status, outcome=Outcome(seconds=1.0))]


def outcome(values, cuts, prune_at, repeated):
    critic = Critic(prune_at)
    tracker = JobTracker(critic, JOB, OBJECTIVE)
    for update in updates(values, cuts, repeated):
        if (evaluation := tracker.receive(update)) is not None:
            return evaluation.status, evaluation.value, evaluation.step, len(evaluation.reports), critic.heard
    raise AssertionError("the last update must end the job")


@given(
    st.lists(st.floats(-1, 1), min_size=1, max_size=8),
    st.lists(st.integers(0, 20), max_size=5),
    st.none() | st.integers(1, 8),
    st.integers(0, 8),
)
def test_outcomes_ignore_grouping(values, cuts, prune_at, repeated):
    assert outcome(values, cuts, prune_at, repeated) == outcome(values, [], prune_at, 0)


def test_stop_overrides_complete():
    status, value, step, heard, _ = outcome([0.1, 0.2, 0.9], [], prune_at=2, repeated=0)
    assert (status, value, step, heard) == (Status.PRUNED, 0.2, 2, 2)


def test_a_training_without_reports_failed():
    evaluation = JobTracker(Critic(), JOB, OBJECTIVE).receive(JobUpdate(status=Status.COMPLETE))
    assert evaluation.status is Status.FAILED
    assert "without reporting" in evaluation.error


def test_stop_overrides_self_pruning():
    reports = tuple(Report(step=step, metrics={"val": 0.5}, at=float(step)) for step in (1, 2))
    outcomes = []
    for cut in ([reports[:1], reports[1:]], [reports]):
        tracker = JobTracker(Critic(prune_at=2), JOB, OBJECTIVE)
        *first, last = cut
        for said in first:
            assert tracker.receive(JobUpdate(reports=said)) is None
        outcomes.append(tracker.receive(JobUpdate(reports=last, status=Status.PRUNED, outcome=Outcome(seconds=9.0))))
    assert outcomes[0] == outcomes[1]
    assert outcomes[0].seconds == 1.0


@pytest.mark.parametrize("value", [1e200, -1e308, float("nan"), float("inf")])
def test_unstorable_values_fail_the_job(value):
    critic = Critic()
    report = Report(step=1, metrics={"val": value}, at=0.0)
    evaluation = JobTracker(critic, JOB, OBJECTIVE).receive(JobUpdate(reports=(report,), status=Status.COMPLETE))
    assert (evaluation.status, evaluation.value, critic.heard) == (Status.FAILED, None, [])
    assert "the objective's value at step 1 is" in evaluation.error


def test_lost_workers_keep_their_reports():
    tracker = JobTracker(Critic(), JOB, OBJECTIVE)
    tracker.receive(JobUpdate(reports=(Report(step=1, metrics={"val": 0.5}, at=0.0),)))
    evaluation = tracker.lost("gone")
    assert (evaluation.status, evaluation.error, len(evaluation.reports)) == (Status.FAILED, "gone", 1)


def test_waiting_without_jobs_is_an_error():
    with pytest.raises(BackendError, match="wait forever"):
        check_not_stuck(running=0)
    check_not_stuck(running=1)


def test_failures_in_a_row_end_the_work():
    class Deaf:
        def tell(self, evaluation):
            pass

    def ended(status):
        error = "the first" if not fused._failed else "a later one"
        return Evaluation(job=JOB, status=status, value=1.0 if status is Status.COMPLETE else None, error=error)

    fused = FailureLimit(Deaf(), most=3)
    for _ in range(4):
        fused.tell(ended(Status.FAILED))
        fused.tell(ended(Status.FAILED))
        fused.tell(ended(Status.COMPLETE))
    fused.tell(ended(Status.FAILED))
    fused.tell(ended(Status.FAILED))
    with pytest.raises(TooManyFailures, match="the first"):
        fused.tell(ended(Status.FAILED))


class Forgetful:
    """A backend that takes two jobs and ends without an evaluation of the second."""

    overdue = ()

    def run(self, source, trainable, resources, stop):
        source.tell(Evaluation(job=source.ask(), status=Status.FAILED, error="x"))
        source.ask()


class Two:
    """A source of two jobs."""

    def __init__(self):
        self.jobs = [Job(trial=n, params={}, seed=41, budget=8) for n in range(2)]

    def ask(self):
        return self.jobs.pop(0)

    def tell(self, evaluation):
        pass


def test_open_jobs_at_the_end_are_an_error():
    with pytest.raises(BackendError, match="trial 1 seed 41 is not over"):
        run_all(Forgetful(), Two(), None, None, threading.Event())


def test_a_stop_may_leave_jobs_open():
    stop = threading.Event()
    stop.set()
    run_all(Forgetful(), Two(), None, None, stop)
