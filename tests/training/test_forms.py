"""One suite for all forms of a trainable: they give equal evaluations, also after interruptions."""

from __future__ import annotations

import threading
from collections import deque
from pathlib import Path

import pytest

import hpo
from hpo.backends.local import LocalBackend
from hpo.core.errors import TrainableError
from hpo.core.protocols import DONE, Decision, Resources, TrainableRef
from hpo.core.records import Job, Objective, Status
from hpo.core.tracker import JobTracker
from hpo.training import TrainingRun, discard_checkpoint

PROJECT = Path(__file__).parents[1] / "project"
FORMS = ["generator", "function", "named", "as_dict", "decorated", "tuned"]


def ref(name, **objective):
    return TrainableRef(path=f"toys.forms:{name}", root=str(PROJECT), objective=Objective(metric="val", **objective))


class Source:
    """A source of one job, which prunes it at a step."""

    def __init__(self, job=None, pruned_at=None):
        self.jobs = deque([job] if job else [])
        self.pruned_at = pruned_at
        self.evaluation = None

    def ask(self):
        return self.jobs.popleft() if self.jobs else DONE

    def report(self, job, step, value):
        return Decision.STOP if step == self.pruned_at else Decision.CONTINUE

    def tell(self, evaluation):
        self.evaluation = evaluation


def job_in(folder, fault="", budget=4):
    folder.mkdir(exist_ok=True)
    return Job(trial=0, params={"x": 0.5, "fault": fault, "log": str(folder / "log")}, seed=41, budget=budget)


def trained(name, job, work, *, pruned_at=None, pause_at=None, drop_at=None, left=None, **objective):
    """Returns the evaluation of a training as a backend makes it; None: it was paused or abandoned."""
    tracker = JobTracker(Source(pruned_at=pruned_at), job, ref(name, **objective).objective)
    training = TrainingRun(job, ref(name, **objective), Resources(), work)
    try:
        for step in range(job.budget + 2):
            if step == drop_at:
                return None
            update = training.pause() if step == pause_at else training.advance()
            if update.paused:
                return None
            if (evaluation := tracker.receive(update)) is not None:
                discard_checkpoint(work, job)
                return evaluation
    finally:
        unrestored = training.close()
        if left is not None:
            left += unrestored
    raise AssertionError("the training never ended")


def bits(evaluation):
    """Returns the parts of an evaluation that must be equal for all forms."""
    metrics = [dict(report.metrics) for report in evaluation.reports]
    return evaluation.status, evaluation.value, evaluation.step, metrics, dict(evaluation.digests), evaluation.remarks


def ran(folder):
    return (folder / "log").read_text().split()


@pytest.fixture
def whole(tmp_path):
    """The evaluation of an uninterrupted generator."""
    return trained("generator", job_in(tmp_path / "whole"), tmp_path / "whole")


@pytest.mark.parametrize("form", FORMS)
def test_forms_give_equal_bits(tmp_path, whole, form):
    found = trained(form, job_in(tmp_path), tmp_path)
    assert bits(found) == bits(whole)
    assert (found.status, len(found.reports)) == (Status.COMPLETE, 4)
    assert ran(tmp_path) == ["1", "2", "3", "4", "finally"]


@pytest.mark.parametrize("form", FORMS)
def test_forms_are_pruned(tmp_path, whole, form):
    found = trained(form, job_in(tmp_path), tmp_path, pruned_at=2)
    assert (found.status, found.step, len(found.reports)) == (Status.PRUNED, 2, 2)
    assert [dict(one.metrics) for one in found.reports] == [dict(one.metrics) for one in whole.reports[:2]]
    assert ran(tmp_path) == ["1", "2", "finally"]


@pytest.mark.parametrize("form", FORMS)
def test_forms_fail_with_a_traceback(tmp_path, form):
    found = trained(form, job_in(tmp_path, "raise"), tmp_path)
    assert (found.status, len(found.reports)) == (Status.FAILED, 1)
    assert "ValueError: the user's own mistake" in found.error
    assert str(Path(hpo.__file__).parent) not in found.error
    assert ran(tmp_path)[-1] == "finally"


@pytest.mark.parametrize("form", FORMS)
def test_forms_fail_where_an_iterator_ends(tmp_path, form):
    found = trained(form, job_in(tmp_path, "stop-iteration"), tmp_path)
    assert (found.status, len(found.reports)) == (Status.FAILED, 1)
    assert "StopIteration" in found.error


@pytest.mark.parametrize("form", FORMS)
def test_forms_fail_of_an_exit(tmp_path, form):
    found = trained(form, job_in(tmp_path, "exit"), tmp_path)
    assert (found.status, len(found.reports)) == (Status.FAILED, 1)
    assert "the user's own exit" in found.error


@pytest.mark.parametrize("form", FORMS)
def test_forms_prune_themselves(tmp_path, whole, form):
    found = trained(form, job_in(tmp_path, "pruned"), tmp_path)
    assert (found.status, found.step, found.value) == (Status.PRUNED, 1, whole.reports[0].metrics["val"])
    assert found.remarks == ("pruned by the trainable itself with optuna.TrialPruned, not by the study's pruner",)


@pytest.mark.parametrize("form", FORMS)
def test_forms_fail_of_nan(tmp_path, form):
    found = trained(form, job_in(tmp_path, "nan"), tmp_path)
    assert (found.status, len(found.reports)) == (Status.FAILED, 1)
    assert found.error == "metric 'val' at step 2 is nan, not a finite number"
    assert ran(tmp_path) == ["1", "2", "finally"]


@pytest.mark.parametrize("form", FORMS)
def test_forms_fail_without_a_report(tmp_path, form):
    found = trained(form, job_in(tmp_path, "silent"), tmp_path)
    assert found.status is Status.FAILED
    assert found.error.startswith("the trainable ended without reporting any metrics")


@pytest.mark.parametrize("form", ["generator", "function", "decorated"])
def test_forms_loop_once(tmp_path, form):
    found = trained(form, job_in(tmp_path, "second-loop"), tmp_path)
    assert found.status is Status.FAILED
    assert found.error.startswith("ctx.epochs() was looped over a second time")


@pytest.mark.parametrize("form", FORMS)
def test_forms_stop_early(tmp_path, whole, form):
    found = trained(form, job_in(tmp_path, "stop"), tmp_path)
    assert (found.status, len(found.reports)) == (Status.COMPLETE, 2)
    assert dict(found.reports[1].metrics) == dict(whole.reports[1].metrics)


@pytest.mark.parametrize("epoch", [1, 3])
@pytest.mark.parametrize("form", FORMS)
def test_forms_resume_after_a_pause(tmp_path, whole, form, epoch):
    assert trained(form, job_in(tmp_path), tmp_path, pause_at=epoch) is None
    assert bits(trained(form, job_in(tmp_path), tmp_path)) == bits(whole)
    before = [str(number) for number in range(1, epoch + 1)]
    assert ran(tmp_path) == [*before, "finally", *"1234"[epoch:], "finally"]


@pytest.mark.parametrize("form", FORMS)
def test_forms_resume_after_a_crash(tmp_path, whole, form):
    assert trained(form, job_in(tmp_path), tmp_path, drop_at=3) is None  # the third report was not saved yet
    assert bits(trained(form, job_in(tmp_path), tmp_path)) == bits(whole)
    assert ran(tmp_path) == [*"123", "finally", *"34", "finally"]


@pytest.mark.parametrize("form", FORMS)
def test_forms_end_while_pausing(tmp_path, whole, form):
    assert bits(trained(form, job_in(tmp_path), tmp_path, pause_at=4)) == bits(whole)


def test_no_checkpoint_starts_over(tmp_path, whole):
    assert trained("forgetful", job_in(tmp_path), tmp_path, pause_at=2) is None
    assert bits(trained("forgetful", job_in(tmp_path), tmp_path)) == bits(whole)
    assert ran(tmp_path) == [*"12", *"1234"]


def returned(name, what, work, **objective):
    return trained(name, Job(trial=0, params={"what": what}, seed=1, budget=3), work, **objective)


@pytest.mark.parametrize("what", ["float", "array", "metrics"])
def test_a_function_may_only_return(tmp_path, what):
    found = returned("returns", what, tmp_path)
    assert (found.status, found.value, found.step, len(found.reports)) == (Status.COMPLETE, 0.5, 3, 1)
    assert found.remarks == ()


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("nothing", "the trainable ended without reporting any metrics"),
        ("text", "a trainable must return a mapping of metrics, a number or nothing, not str"),
        ("nan", "metric 'val' at step 3 is nan, not a finite number"),
        ("other", "the objective's metric 'val' was not reported at step 3; reported: loss"),
    ],
)
def test_bad_return_value_fails(tmp_path, what, message):
    found = returned("returns", what, tmp_path)
    assert found.status is Status.FAILED
    assert found.error.startswith(message)


def test_the_counted_value_may_be_returned(tmp_path):
    found = returned("reports_and_returns", "float", tmp_path)
    assert (found.value, found.step, len(found.reports), found.remarks) == (0.5, 1, 2, ())


def test_other_returned_value_remark(tmp_path):
    last = returned("reports_and_returns", "float", tmp_path, epoch="last")
    assert (last.value, last.step) == (0.25, 2)
    assert last.remarks == ("returned after its reports: val 0.5000; not used, because epoch 2 counts (val 0.2500)",)
    more = returned("reports_and_returns", "metrics", tmp_path)
    assert more.value == 0.5
    assert more.remarks == ("returned after its reports: loss 1.0000; not used, because epoch 1 counts",)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("epochs-and-checkpoint", "ctx.epochs() writes the checkpoints"),
        ("no-load", "ctx.load() was not called"),
        ("late-load", "ctx.load() must be called before the first report"),
        ("no-mapping", "checkpoint must be a mapping of names to states, not list"),
        ("unsavable", "cannot be saved in a checkpoint"),
        ("too-many", "metrics were reported 3 times, but the budget is 2"),
        ("thread", "ctx.report() was called in another thread"),
    ],
)
def test_misuse_of_report_fails(tmp_path, how, message):
    found = trained("misuses", Job(trial=0, params={"how": how}, seed=1, budget=2), tmp_path)
    assert found.status is Status.FAILED
    assert message in found.error
    assert "Traceback" not in found.error


def test_a_generator_yields_its_metrics(tmp_path):
    found = trained("yields_and_reports", job_in(tmp_path), tmp_path)
    assert found.error.startswith("ctx.report() is for functions; a generator yields its metrics")


def test_nothing_is_reported_after_the_end(tmp_path):
    training = TrainingRun(job_in(tmp_path), ref("function"), Resources(), tmp_path)
    while training.advance().status is None:
        pass
    with pytest.raises(TrainableError, match="after the trainable had returned"):
        training._context.report({"val": 1.0})
    training.close()


def test_stuck_function_is_returned(tmp_path):
    left = []
    found = trained("stubborn", job_in(tmp_path), tmp_path, pruned_at=2, left=left)
    assert (found.status, found.step) == (Status.PRUNED, 2)
    assert left == ["a function that did not end"]


def test_a_callback_of_xgboost_reports(tmp_path):
    pytest.importorskip("xgboost")
    found, again = (trained("boosted", job_in(tmp_path / name), tmp_path / name) for name in "ab")
    assert (found.status, len(found.reports)) == (Status.COMPLETE, 4)
    assert bits(found) == bits(again)
    pruned = trained("boosted", job_in(tmp_path / "c"), tmp_path / "c", pruned_at=2)
    assert (pruned.status, pruned.step, pruned.value) == (Status.PRUNED, 2, found.reports[1].metrics["val"])
    assert ran(tmp_path / "c") == [*"12", "finally"]


class Once:
    """A stop signal that is set once an epoch has begun."""

    def __init__(self, folder, epoch):
        self._log, self._epoch = folder / "log", epoch

    def is_set(self):
        return self._log.exists() and str(self._epoch) in self._log.read_text()


@pytest.mark.parametrize("form", FORMS)
def test_forms_go_on_after_a_stop(tmp_path, whole, form):
    source, backend = Source(job_in(tmp_path)), LocalBackend(tmp_path)
    backend.run(source, ref(form), Resources(), Once(tmp_path, 2))
    assert source.evaluation is None
    assert ran(tmp_path) == [*"12", "finally"]
    source = Source(job_in(tmp_path))
    backend.run(source, ref(form), Resources(), threading.Event())
    assert bits(source.evaluation) == bits(whole)
    assert ran(tmp_path) == [*"12", "finally", *"34", "finally"]


def test_blocking_function_interrupted(tmp_path, whole):
    source, backend = Source(job := job_in(tmp_path)), LocalBackend(tmp_path)
    backend.run(source, ref("blocks"), Resources(stop_wait=0.1), Once(tmp_path, 2))
    assert (source.evaluation, backend.overdue) == (None, (job,))
    source = Source(job)
    backend.run(source, ref("blocks"), Resources(), threading.Event())
    assert bits(source.evaluation) == bits(whole)
    assert ran(tmp_path) == [*"12", *"234"]


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.parametrize(("form", "pruned_at"), [("function", None), ("named", 2), ("tuned", 2)])
def test_forms_on_ray(tmp_path, ray_slots, whole, form, pruned_at):
    from hpo.backends.ray import RayBackend

    source = Source(job_in(tmp_path), pruned_at)
    RayBackend(tmp_path, 1).run(source, ref(form), Resources(), threading.Event())
    expected = whole if pruned_at is None else trained("generator", job_in(tmp_path / "p"), tmp_path / "p", pruned_at=2)
    assert bits(source.evaluation) == bits(expected)


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.parametrize("form", ["function", "named", "tuned"])
def test_forms_survive_their_process(tmp_path, ray_slots, whole, form):
    from hpo.backends.ray import RayBackend

    source = Source(job_in(tmp_path, "kill"))
    RayBackend(tmp_path, 1).run(source, ref(form), Resources(), threading.Event())
    [remark] = source.evaluation.remarks
    assert remark.startswith("went on in another worker")
    assert bits(source.evaluation)[:-1] == bits(whole)[:-1]
    assert ran(tmp_path) == [*"12", *"234", "finally"]


SEEDED = """
import hpo


def generator(*, ctx):
    for _ in range(ctx.budget):
        yield {"val": hpo.seeded(0)}


def function(*, ctx):
    for _ in range(ctx.budget):
        ctx.report({"val": hpo.seeded(0)})


def returned(*, ctx):
    return hpo.seeded(0)
"""


@pytest.mark.parametrize("name", ["generator", "function", "returned"])
def test_seeded_in_every_form(tmp_path, name):
    (tmp_path / f"seeding_{name}.py").write_text(SEEDED)
    path = TrainableRef(path=f"seeding_{name}:{name}", root=str(tmp_path), objective=Objective(metric="val"))
    training = TrainingRun(Job(trial=0, params={}, seed=44, budget=2), path, Resources(), tmp_path / "work")
    values = []
    try:
        for _ in range(4):
            update = training.advance()
            values += [report.metrics["val"] for report in update.reports]
            if update.status is not None:
                break
    finally:
        training.close()
    assert (update.status, set(values)) == (Status.COMPLETE, {44}), update.error
