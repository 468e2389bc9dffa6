"""One suite for all backends, and what only some of them have to show."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from contextlib import closing
from pathlib import Path

import pytest

from hpo.backends.local import LocalBackend
from hpo.backends.processes import ProcessBackend, ProcessPool
from hpo.core.errors import BackendError, StorageAway, UsageError
from hpo.core.protocols import DONE, WAIT, Decision, Resources, TrainableRef
from hpo.core.records import Job, Objective, Stage, Status

PROJECT = Path(__file__).parents[1] / "project"
ROOT = PROJECT.parents[1]


class Jobs:
    """A source of given jobs; it prunes at the (trial, step) pairs in `prunes`, and waits where `barrier` says so."""

    def __init__(self, jobs, prunes=(), barrier=None):
        self.waiting = deque(jobs)
        self.prunes = set(prunes)
        self.barrier = barrier
        self.running = 0
        self.handed_out = 0
        self.evaluations = {}
        self.reports = []

    def ask(self):
        if not self.waiting:
            return WAIT if self.running else DONE
        if self.barrier and self.handed_out % self.barrier == 0 and self.running:
            return WAIT
        self.running += 1
        self.handed_out += 1
        return self.waiting.popleft()

    def report(self, job, step, value):
        self.reports.append((job.trial, step, value))
        return Decision.STOP if (job.trial, step) in self.prunes else Decision.CONTINUE

    def tell(self, evaluation):
        self.running -= 1
        self.evaluations[evaluation.job.trial] = evaluation


class Brief(Jobs):
    """A source that says DONE as soon as it has handed out its last job, as a search does."""

    def ask(self):
        return super().ask() if self.waiting else DONE


def jobs(count, budget=4, **params):
    return [Job(trial=n, params={"x": n / count, **params}, seed=41, budget=budget) for n in range(count)]


def ref(path="toys.curve:train", metric="val"):
    return TrainableRef(path=path, root=str(PROJECT), objective=Objective(metric=metric))


BACKENDS = ["local", "processes", pytest.param("ray", marks=[pytest.mark.ray])]
WITH_WORKERS = BACKENDS[1:]


@pytest.fixture(scope="module")
def pool():
    """Two worker processes, which last as long as the tests of this file."""
    with closing(ProcessPool([{}, {}])) as made:
        yield made


@pytest.fixture(params=BACKENDS)
def run(request, tmp_path):
    """Runs a source on one of the backends."""

    def local(source, trainable=None, stop=None):
        LocalBackend(tmp_path).run(source, trainable or ref(), Resources(), stop or threading.Event())
        return source

    def ray(source, trainable=None, stop=None):
        from hpo.backends.ray import RayBackend

        resources = Resources(stop_wait=300.0)  # a worker may take a minute to start on a busy machine
        RayBackend(tmp_path, 2).run(source, trainable or ref(), resources, stop or threading.Event())
        return source

    def processes(source, trainable=None, stop=None):
        pool = request.getfixturevalue("pool")
        ProcessBackend(tmp_path, pool).run(source, trainable or ref(), Resources(), stop or threading.Event())
        return source

    if request.param == "local":
        return local
    if request.param == "processes":
        return processes
    request.getfixturevalue("ray_slots")
    return ray


@pytest.fixture(params=BACKENDS)
def backend(request, tmp_path):
    """Each of the backends, with two slots where it can have them."""
    return LocalBackend(tmp_path) if request.param == "local" else with_workers(request, request.param)(tmp_path, 2)


@pytest.fixture(params=WITH_WORKERS)
def working(request):
    """Returns each of the backends with worker processes; called with its folder and up to four slots."""
    return with_workers(request, request.param)


def with_workers(request, name):
    if name == "ray":
        request.getfixturevalue("ray_slots")
        from hpo.backends.ray import RayBackend

        return RayBackend

    def made(work, slots):
        pool = request.getfixturevalue("pool")
        if slots > pool.slots:
            pool = ProcessPool([{}] * slots)
            request.addfinalizer(pool.close)
        return ProcessBackend(work, pool, slots)

    return made


@pytest.mark.slow("ray")
def test_blocked_trainings_are_interrupted(backend, tmp_path):
    """It is ended after a while, stays open, and goes on from its checkpoint in the next run."""
    params = {"x": 0.1, "fault": "block-once", "flags": str(tmp_path)}
    job = Job(trial=0, params=params, seed=41, budget=4)
    source, resources = Jobs([job]), Resources(stop_wait=2.0)

    class OnceItBlocks:
        def is_set(self):
            return (tmp_path / "blocked").exists()

    backend.run(source, ref(), resources, OnceItBlocks())
    assert (source.evaluations, backend.overdue) == ({}, (job,))
    again = Jobs([job])
    backend.run(again, ref(), resources, threading.Event())
    assert [report.step for report in again.evaluations[0].reports] == [1, 2, 3, 4]
    assert trained(tmp_path, job) == [1, 2, 2, 3, 4], "the epoch that blocked is trained again, and no other"
    assert backend.overdue == ()


def test_background_jobs_are_interrupted_too(tmp_path, request):
    """A shell lets its background jobs ignore SIGINT, by which the local backend interrupts a training."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, before))
    job = Job(trial=0, params={"x": 0.1, "fault": "block-once", "flags": str(tmp_path)}, seed=41, budget=4)

    class OnceItBlocks:
        def is_set(self):
            return (tmp_path / "blocked").exists()

    backend = LocalBackend(tmp_path)
    backend.run(Jobs([job]), ref(), Resources(stop_wait=0.5), OnceItBlocks())
    assert backend.overdue == (job,)
    assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN


@pytest.mark.slow("ray")
def test_slow_epochs_may_finish_after_a_stop(backend, tmp_path):
    """Two of the epochs so far are longer than the wait that was asked for."""
    stop, slow = threading.Event(), Job(trial=0, params={"x": 0.1}, seed=41, budget=4)

    class Stops(Jobs):
        def report(self, job, step, value):
            if step == 2:
                stop.set()
            return super().report(job, step, value)

    backend.run(Stops([slow]), ref("toys.curve:train_slow"), Resources(stop_wait=0.1), stop)
    assert backend.overdue == ()
    assert list(tmp_path.rglob("checkpoint.pt"))


def compared(evaluation):
    """What must be equal wherever a job is run: all but clocks, process ids and folders."""
    reports = [(r.step, {k: v for k, v in r.metrics.items() if k != "pid"}) for r in evaluation.reports]
    return evaluation.status, evaluation.value, evaluation.step, reports, dict(evaluation.digests)


@pytest.mark.slow("ray")
def test_each_job_is_told_once(run):
    source = run(Jobs(jobs(6)))
    assert sorted(source.evaluations) == list(range(6))
    assert {evaluation.status for evaluation in source.evaluations.values()} == {Status.COMPLETE}
    assert [len(evaluation.reports) for evaluation in source.evaluations.values()] == [4] * 6


def test_no_jobs_no_work(run):
    assert run(Jobs([])).evaluations == {}


@pytest.mark.slow("ray")
def test_stopped_jobs_are_pruned(run):
    source = run(Jobs(jobs(3), prunes={(1, 2)}))
    assert [source.evaluations[n].status for n in range(3)] == [Status.COMPLETE, Status.PRUNED, Status.COMPLETE]
    assert (source.evaluations[1].step, len(source.evaluations[1].reports)) == (2, 2)


@pytest.mark.slow("ray")
def test_an_exception_fails_its_job_only(run):
    made = jobs(4)
    made[1] = Job(trial=1, params={"x": 0.1, "fault": "raise"}, seed=41, budget=4)
    source = run(Jobs(made))
    assert [source.evaluations[n].status for n in (0, 2, 3)] == [Status.COMPLETE] * 3
    assert source.evaluations[1].status is Status.FAILED
    assert "the user's own mistake" in source.evaluations[1].error


@pytest.mark.slow("ray")
def test_nan_fails_its_job_only(run):
    source = run(Jobs(jobs(4)), ref("toys.curve:train_nan"))
    assert source.evaluations[3].error == "metric 'val' at step 2 is nan, not a finite number"
    assert source.evaluations[1].status is Status.COMPLETE


@pytest.mark.slow("ray")
def test_trainables_without_metrics_fail(run):
    source = run(Jobs(jobs(1)), ref("toys.curve:train_silent"))
    assert "must yield or report them once per epoch" in source.evaluations[0].error


@pytest.mark.slow("ray")
def test_wait_answers_are_respected(run):
    source = run(Jobs(jobs(8), barrier=4))
    assert len(source.evaluations) == 8


def test_waiting_without_jobs_is_an_error(run):
    class Waits(Jobs):
        def ask(self):
            return WAIT

    with pytest.raises(BackendError, match="wait forever"):
        run(Waits([]))


@pytest.mark.slow("ray")
def test_source_errors_are_raised(run):
    class Broken(Jobs):
        def tell(self, evaluation):
            raise RuntimeError("the database is gone")

    with pytest.raises(RuntimeError, match="the database is gone"):
        run(Broken(jobs(3)))


def trained(folder, job):
    """The epochs that were trained of a job, by whatever process, in order."""
    file = folder / f"epochs-of-{job.params['x']}-seed-{job.seed}"
    return [int(line) for line in file.read_text().split()] if file.exists() else []


@pytest.mark.slow
@pytest.mark.ray
def test_long_steps_stay_with_their_worker(ray_slots, tmp_path, monkeypatch, capfd):
    """Other slots are idle meanwhile: a worker that is silent for its whole first step has its job all the same."""
    from hpo.backends.ray import RayBackend

    monkeypatch.setattr("hpo.backends.bridge.STARVED_SECONDS", 1.0)
    job = Job(trial=0, params={"x": 0.1, "flags": str(tmp_path)}, seed=41, budget=2)
    source, stop = Jobs([job]), threading.Event()
    guard = threading.Timer(300, stop.set)
    guard.start()
    RayBackend(tmp_path, 4).run(source, ref("toys.curve:train_slow"), Resources(), stop)
    guard.cancel()
    assert capfd.readouterr().out == "", "what a trial that was ended before its first result leaves"
    assert source.evaluations[0].status is Status.COMPLETE
    assert trained(tmp_path, job) == [1, 2]


@pytest.mark.slow("ray")
def test_stopped_jobs_resume(run, tmp_path):
    stop, made = threading.Event(), jobs(2, budget=6, nap=0.5, flags=str(tmp_path))

    class Stops(Jobs):
        def report(self, job, step, value):
            if step == 3:
                stop.set()
            return super().report(job, step, value)

    source = run(Stops(made), stop=stop)
    assert len(source.evaluations) < 2
    assert list(tmp_path.rglob("checkpoint.pt"))
    again = run(Jobs(made))
    assert {len(evaluation.reports) for evaluation in again.evaluations.values()} == {6}
    for job in made:
        assert trained(tmp_path, job) == [1, 2, 3, 4, 5, 6]
    assert not list(tmp_path.rglob("*.pt"))


@pytest.mark.slow
def test_workers_checkpoint_to_a_url_on_stop(working, tmp_path):
    # Workers look every two seconds, and one may start many seconds after the other.
    stop, made = threading.Event(), jobs(2, budget=30, nap=1.0, flags=str(tmp_path))
    last = {}

    class Stops(Jobs):
        def report(self, job, step, value):
            last[job.trial] = step
            if min(last.get(trial, 0) for trial in (0, 1)) == 2:  # both have begun
                stop.set()
            return super().report(job, step, value)

    backend = working(f"file://{tmp_path / 'kept'}", 2)
    source = Stops(made)
    backend.run(source, ref(), Resources(), stop)
    assert len(source.evaluations) == 0
    assert len(list((tmp_path / "kept").rglob("checkpoint.pt"))) == 2
    again = Jobs(made)
    working(f"file://{tmp_path / 'kept'}", 2).run(again, ref(), Resources(), threading.Event())
    assert {len(evaluation.reports) for evaluation in again.evaluations.values()} == {30}
    for job in made:
        assert trained(tmp_path, job) == list(range(1, 31))
    left = {path.relative_to(tmp_path / "kept").parts[0] for path in (tmp_path / "kept").rglob("*") if path.is_file()}
    assert left <= {"logs"}


class Absent(Jobs):
    """A source whose database is away for some calls in a row, at every kind of call."""

    def __init__(self, made, calls):
        super().__init__(made)
        self.calls = calls
        self.left = {"ask": calls, "report": calls, "tell": calls}

    def refuse(self, what):
        self.left[what] -= 1
        if self.left[what] >= 0:
            raise StorageAway("not now", 0.05)

    def ask(self):
        if self.handed_out == 1:
            self.refuse("ask")
        return super().ask()

    def report(self, job, step, value):
        if step == 2:
            self.refuse("report")
        return super().report(job, step, value)

    def tell(self, evaluation):
        self.refuse("tell")
        super().tell(evaluation)


@pytest.mark.slow("ray")
def test_an_outage_loses_and_repeats_nothing(run, tmp_path):
    made = jobs(4, budget=4, flags=str(tmp_path))
    source = run(Absent(made, calls=10))
    assert {evaluation.status for evaluation in source.evaluations.values()} == {Status.COMPLETE}
    assert sorted(source.reports) == [(n, step, value) for n, step, value in sorted(set(source.reports))]
    assert len(source.reports) == 4 * 4
    for job in made:
        assert trained(tmp_path, job) == [1, 2, 3, 4]
    assert max(source.left.values()) < 0, "the database was away at every kind of call"


@pytest.mark.slow("ray")
def test_a_stop_during_an_outage_keeps_jobs(run, tmp_path):
    stop, made = threading.Event(), jobs(2, budget=4, flags=str(tmp_path))

    class Gone(Jobs):
        def tell(self, evaluation):
            stop.set()
            raise StorageAway("not now", 0.05)

    source = run(Gone(made), stop=stop)
    assert source.evaluations == {}
    again = run(Jobs(made))
    assert {evaluation.status for evaluation in again.evaluations.values()} == {Status.COMPLETE}
    assert trained(tmp_path, made[0])[:4] == [1, 2, 3, 4]
    assert set(trained(tmp_path, made[0])[4:]) <= {4}, "at most the epoch that no checkpoint follows is repeated"


def in_processes_of_their_own(tmp_path, count, fault):
    """Lets so many processes, one after the other, train three jobs of which the first goes wrong."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[2]); from pathlib import Path; import test_backends as t;"
        "from hpo.core.records import Job; from hpo.core.protocols import Decision, Resources; import threading;"
        "params = {'x': 0.1, 'fault': sys.argv[3], 'flags': sys.argv[1]};"
        "s = t.Jobs([Job(trial=0, params=params, seed=41, budget=4), *t.jobs(3)[1:]]);"
        "t.LocalBackend(Path(sys.argv[1])).run(s, t.ref(), Resources(max_attempts=2), threading.Event());"
        "print(*(f'{n} {e.status} {e.error}' for n, e in sorted(s.evaluations.items())), sep=chr(10))"
    )
    command = [sys.executable, "-c", code, str(tmp_path), str(Path(__file__).parent), fault]
    return [subprocess.run(command, capture_output=True, text=True, check=False) for _ in range(count)]


@pytest.mark.slow
def test_progress_resets_the_attempts(tmp_path):
    statuses = in_processes_of_their_own(tmp_path, 4, "kill-each-once")
    assert [one.returncode for one in statuses] == [-9, -9, -9, 0], statuses[-1].stderr
    assert statuses[-1].stdout.splitlines() == ["0 complete None", "1 complete None", "2 complete None"]


@pytest.mark.slow
def test_crashing_jobs_fail_after_attempts(tmp_path):
    """In this process a training that crashes takes the driver with it, and would do so for ever."""
    statuses = in_processes_of_their_own(tmp_path, 3, "kill")
    assert [one.returncode for one in statuses] == [-9, -9, 0], statuses[-1].stderr
    assert statuses[-1].stdout.splitlines() == [
        "0 failed 2 processes died while they trained it, all in the same epoch",
        "1 complete None",
        "2 complete None",
    ]
    assert not list(tmp_path.rglob("attempts"))


@pytest.mark.slow
@pytest.mark.ray
def test_workers_import_little(ray_slots, tmp_path):
    from hpo.backends.ray import RayBackend

    source = Jobs([Job(trial=0, params={"x": 0.0, "y": 0.0, "z": 0.0}, seed=41, budget=1)])
    nothing = TrainableRef(path="tests.bench.toys:loaded", root=str(ROOT), objective=Objective(metric="val"))
    RayBackend(tmp_path, 1).run(source, nothing, Resources(), threading.Event())
    found = dict(source.evaluations[0].metrics)
    assert found.pop("ray") == 1.0  # the control
    assert found == {"val": 0.0, "optuna": 0.0, "sqlalchemy": 0.0, "alembic": 0.0, "torch": 0.0}


@pytest.mark.slow
@pytest.mark.ray
def test_backends_give_equal_evaluations(ray_slots, tmp_path):
    from gathering import GatheringBackend

    made = [Job(trial=n, params={"lr": 0.02 * (n + 1)}, seed=40 + n, budget=3) for n in range(4)]
    net = ref("toys.net:train", "val_acc")
    local, ray = Jobs(made), Jobs(made)
    LocalBackend(tmp_path / "local").run(local, net, Resources(), threading.Event())
    GatheringBackend(tmp_path / "ray", 2).run(ray, net, Resources(), threading.Event())
    assert [compared(local.evaluations[n]) for n in range(4)] == [compared(ray.evaluations[n]) for n in range(4)]
    assert all(evaluation.digests["weights"] for evaluation in ray.evaluations.values())


@pytest.mark.slow
def test_short_jobs_use_all_workers(working, tmp_path):
    """Tune as it comes hands a finished trial's worker to the next one and cancels the worker that is starting."""

    class UntilAllWork(Jobs):
        """Hands out jobs until four processes have worked, or so many jobs that one process had all the time."""

        def ask(self):
            return DONE if len(self.pids()) == 4 else super().ask()

        def pids(self):
            return {evaluation.reports[0].metrics["pid"] for evaluation in self.evaluations.values()}

    source = UntilAllWork(jobs(1500, budget=1, nap=0.02))
    working(tmp_path, 4).run(source, ref(), Resources(), threading.Event())
    assert len(source.pids()) == 4
    assert len(source.evaluations) < 1500


@pytest.mark.slow
def test_killed_workers_resume_their_jobs(working, tmp_path, request):
    made = [Job(trial=n, params={"x": 0.1 * n}, seed=41, budget=5) for n in range(3)]
    made[1] = Job(trial=1, params={"x": 0.1, "fault": "kill-once", "flags": str(tmp_path)}, seed=41, budget=5)
    source = Jobs(made)
    working(tmp_path / "work", 2).run(source, ref(), Resources(), threading.Event())
    assert {evaluation.status for evaluation in source.evaluations.values()} == {Status.COMPLETE}
    undisturbed = Jobs([Job(trial=1, params={"x": 0.1}, seed=41, budget=5)])
    LocalBackend(tmp_path / "local").run(undisturbed, ref(), Resources(), threading.Event())
    assert source.evaluations[1].value == undisturbed.evaluations[1].value
    [remark] = source.evaluations[1].remarks
    how = {"ray": "SIGSEGV", "processes": "its process was ended by SIGKILL"}[request.node.callspec.params["working"]]
    assert how in remark, "the end of Ray's own account is kept"
    assert remark.startswith("went on in another worker after one had died: ")
    pids = [report.metrics["pid"] for report in source.evaluations[1].reports]
    assert len(set(pids)) == 2


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 3])
def test_the_last_job_survives_its_worker(working, tmp_path, count):
    """The source has nothing more to hand out and the other slot is idle when the worker dies, twice."""
    made = [Job(trial=n, params={"x": 0.1 * n}, seed=41, budget=3) for n in range(count)]
    params = {"x": 0.9, "fault": "kill-each-once", "nap": 0.5, "flags": str(tmp_path)}
    made[-1] = Job(trial=count - 1, params=params, seed=41, budget=3)
    source = Brief(made)
    working(tmp_path / "work", 2).run(source, ref(), Resources(), threading.Event())
    assert sorted(source.evaluations) == list(range(count))
    assert {evaluation.status for evaluation in source.evaluations.values()} == {Status.COMPLETE}
    assert len({report.metrics["pid"] for report in source.evaluations[count - 1].reports}) >= 2


@pytest.mark.slow
def test_jobs_that_kill_workers_fail(working, tmp_path):
    made = [Job(trial=n, params={"x": 0.1 * n}, seed=41, budget=3) for n in range(4)]
    made[0] = Job(trial=0, params={"x": 0.1, "fault": "kill"}, seed=41, budget=3)
    source = Jobs(made)
    working(tmp_path, 2).run(source, ref(), Resources(max_attempts=2), threading.Event())
    assert source.evaluations[0].status is Status.FAILED
    assert "2 workers died while they trained it; the last: " in source.evaluations[0].error
    assert [source.evaluations[n].status for n in (1, 2, 3)] == [Status.COMPLETE] * 3


@pytest.mark.slow
def test_printed_text_reaches_the_driver(working, tmp_path, capsys):
    params = {"x": 0.5}
    made = [Job(trial=n, params=params, seed=41 + n, budget=2, stage=Stage.PROMOTION) for n in range(2)]
    source = Jobs(made)
    working(tmp_path, 1).run(source, ref("toys.curve:train_talks"), Resources(), threading.Event())
    shown = [line for line in capsys.readouterr().err.splitlines() if line.startswith("trial ")]
    wanted = ["begins with 0.5", "half a line, and the rest of 1", "only 1 rows", "half a line, and the rest of 2"]
    for trial in (0, 1):
        mine = [line.partition(": ")[2] for line in shown if line.startswith(f"trial {trial}: ")]
        assert mine[:4] == wanted
        assert len(mine) < 60
        assert "lines more" in mine[-1]
        log = (Path(source.evaluations[trial].files) / "run.log").read_text()
        assert [word for word in (*wanted, "many 99") if word not in log] == [], "the log has all"


@pytest.mark.slow
def test_unrestored_workers_cost_no_attempt(working, tmp_path):
    source = Jobs(jobs(5, budget=1))
    resources = Resources(max_attempts=1)
    working(tmp_path, 1).run(source, ref("toys.curve:train_unrestored"), resources, threading.Event())
    assert {evaluation.status for evaluation in source.evaluations.values()} == {Status.COMPLETE}
    assert [one.remarks for one in source.evaluations.values() if "another worker" in str(one.remarks)] == []


@pytest.mark.slow
def test_workers_continue_during_an_outage(working, tmp_path):
    away = threading.Event()
    heard = {}

    class Slow(Jobs):
        def report(self, job, step, value):
            if step == 2 and not away.is_set():
                heard.setdefault("since", time.time())
                if time.time() < heard["since"] + 4:
                    raise StorageAway("not now", 0.05)
                away.set()
            return super().report(job, step, value)

    source = Slow(jobs(1, budget=8, nap=0.6))
    working(tmp_path, 1).run(source, ref(), Resources(), threading.Event())
    reports = source.evaluations[0].reports
    meanwhile = [report.step for report in reports if heard["since"] < report.at < heard["since"] + 4]
    assert len(meanwhile) >= 4, "epochs of 0.3 s on average went on for the 4 s that nobody listened"
    assert [step for _, step, _ in source.reports] == list(range(1, 9))


@pytest.mark.ray
def test_too_large_trainings_are_refused(ray_slots):
    from hpo.backends.ray import connected

    with pytest.raises(UsageError, match="one training requests 512 CPU"), connected(None, Resources(cpu=512), None):
        pass


def innocent_after(run, *before):
    """The evaluation of an innocent training that comes after others in the same process."""
    made = [*before, Job(trial=9, params={"x": 0.5}, seed=41, budget=3)]
    return run(Jobs(made), ref("toys.nasty:train")).evaluations[9]


@pytest.mark.slow("ray")
def test_workers_isolate_trainings(run):
    nasty = [Job(trial=n, params={"x": 0.1, "nasty": True}, seed=41, budget=3) for n in range(4)]
    alone, after = innocent_after(run), innocent_after(run, *nasty)
    assert alone.status is Status.COMPLETE, alone.error
    assert dict(after.reports[0].metrics) == dict(alone.reports[0].metrics)
    assert compared(after) == compared(alone)
    assert after.remarks == alone.remarks == ()


@pytest.mark.slow
def test_workers_with_threads_are_replaced(working, tmp_path, capfd):
    first = Job(trial=0, params={"x": 0.1, "leave": "thread"}, seed=41, budget=1)
    source = Jobs([first, *(Job(trial=n, params={"x": 0.1}, seed=41, budget=1) for n in (1, 2))])
    working(tmp_path, 1).run(source, ref("toys.nasty:train"), Resources(), threading.Event())
    assert [source.evaluations[n].status for n in range(3)] == [Status.COMPLETE] * 3
    assert [source.evaluations[n].remarks for n in range(3)] == [()] * 3
    said = capfd.readouterr().err
    first, second, third = re.findall(r"trial \d: in process (\d+)", said)
    assert first != second == third
    assert "NotRestored" not in said
