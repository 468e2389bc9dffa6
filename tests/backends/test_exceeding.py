"""A training that exceeds a limit fails with the reason, and the others go on."""

from __future__ import annotations

import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import psutil
import pytest

import hpo
from hpo.backends.limits import Usage, memory_in_use
from hpo.backends.local import LocalBackend
from hpo.backends.processes import ProcessBackend, ProcessPool
from hpo.core.errors import UsageError
from hpo.core.protocols import DONE, Decision, Resources, TrainableRef
from hpo.core.records import Job, Objective, Status

PROJECT = Path(__file__).parents[1] / "project"
REF = TrainableRef(path="toys.exceeds:train", root=str(PROJECT), objective=Objective(metric="val"))
LONG = "ran for longer than 1s in one process"
LARGE = "needed more memory than 100 MiB"


class Jobs:
    """A source of jobs of which the first goes wrong."""

    def __init__(self, fault, count=3):
        faults = [{"fault": fault}] + [{}] * (count - 1)
        self.waiting = [
            Job(trial=n, params={"x": n / count, **extra}, seed=41, budget=3) for n, extra in enumerate(faults)
        ]
        self.evaluations = {}

    def ask(self):
        return self.waiting.pop(0) if self.waiting else DONE

    def report(self, job, step, value):
        return Decision.CONTINUE

    def tell(self, evaluation):
        self.evaluations[evaluation.job.trial] = evaluation


def assert_first_failed(source, reason):
    first, *others = [source.evaluations[trial] for trial in sorted(source.evaluations)]
    assert (first.status, [one.status for one in others]) == (Status.FAILED, [Status.COMPLETE] * 2)
    assert reason in first.error


def test_memory_of_children_counts():
    code = "held = bytearray(60 * 2**20); print('ready', flush=True); input()"
    before = memory_in_use()
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        child.stdout.readline()
        assert memory_in_use() - before > 60 * 2**20
        assert memory_in_use(exact=False) >= memory_in_use()
        child.communicate(b"\n")


def test_memory_had_before_is_free():
    held = bytearray(30 * 2**20)
    usage = Usage(Resources(memory="20 MiB"))
    assert usage.exceeded() is None
    more = bytearray(30 * 2**20)
    assert usage.exceeded() == "memory"
    assert held is not more


def test_time_outside_is_free(monkeypatch):
    now = 0.0
    monkeypatch.setattr("hpo.backends.limits.time.monotonic", lambda: now)
    usage = Usage(Resources(time="10s"))
    for now in (100.0, 200.0):
        usage.enter()
        now += 6.0
        assert usage.exceeded() == (None if now < 200 else "time")
        usage.leave()


def test_children_end_with_the_process():
    """Those in a group of their own too, as a program is, with what it has started and no longer knows."""
    code = (
        "import subprocess, sys; from hpo.backends.limits import end_this_process\n"
        "null = subprocess.DEVNULL; lines = [('sleep 600', False), ('(sleep 600 & echo $!); exec sleep 600', True)]\n"
        "made = [subprocess.Popen(['sh', '-c', line], start_new_session=own, stdout=subprocess.PIPE, stderr=null)"
        " for line, own in lines]\n"
        "print(made[0].pid, made[1].pid, made[1].stdout.readline().decode().strip(), flush=True)\n"
        "end_this_process()"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    pids = ended.stdout.split()
    assert (ended.returncode, len(pids)) == (-9, 3), ended.stderr
    left = [psutil.Process(int(pid)) for pid in pids if psutil.pid_exists(int(pid))]
    _, alive = psutil.wait_procs(left, timeout=5)
    assert [one for one in alive if one.status() != psutil.STATUS_ZOMBIE] == []


@pytest.mark.parametrize(
    ("fault", "limits", "reason"),
    [("block", {"time": "1s"}, LONG), ("grow", {"memory": "100 MiB"}, LARGE)],
)
def test_limits_in_this_process(tmp_path, fault, limits, reason):
    source, backend = Jobs(fault), LocalBackend(tmp_path)
    backend.run(source, REF, Resources(**limits), threading.Event())
    assert_first_failed(source, reason)
    assert [report.step for report in source.evaluations[0].reports] == [1], "what was reported before stays"
    assert backend.overdue == ()
    assert not list(tmp_path.rglob("attempts"))


def test_a_command_ends_with_its_children(tmp_path, config):
    (tmp_path / "train.sh").write_text(f"sleep 60 &\necho $! $$ > {tmp_path}/pids\nwait\n")
    study = hpo.Study.model_validate(
        {
            "name": "sleeps",
            "command": {"run": "sh {project}/train.sh {lr}"},
            "objective": {"metric": "loss"},
            "space": {"lr": {"float": [0.1, 1.0]}},
            "search": {"trials": 1, "budget": 1, "pruner": "none"},
            "resources": {"time": "1s", "max_attempts": 1},
        }
    )
    [trial] = hpo.run(study.located(tmp_path), config).trials
    assert LONG in trial.error
    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    left = [psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)]
    _, alive = psutil.wait_procs(left, timeout=5)
    assert [one for one in alive if one.status() != psutil.STATUS_ZOMBIE] == []


def test_imports_are_not_interrupted(tmp_path, monkeypatch):
    monkeypatch.setenv("TOY_WHOLE", str(tmp_path / "whole"))
    source = Jobs("import")
    LocalBackend(tmp_path / "work").run(source, REF, Resources(time="1s"), threading.Event())
    assert_first_failed(source, LONG)
    assert (tmp_path / "whole").exists()


def test_no_limits_outside_the_main_thread(tmp_path):
    found = []

    def call():
        with pytest.raises(UsageError, match="train in processes of their own: concurrency=1") as error:
            LocalBackend(tmp_path).run(Jobs(""), REF, Resources(time="1h"), threading.Event())
        found.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    thread.join()
    assert found


@pytest.mark.slow
def test_ignored_interrupts_end_the_process(tmp_path):
    """The process is the command's own; the next one fails the job and goes on with the others."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[2]); from pathlib import Path; import test_exceeding as t;"
        "from hpo.cli.stopping import StopSignal\n"
        "with StopSignal('hpo run').armed() as stop:\n"
        "    source = t.Jobs('swallow')\n"
        "    t.LocalBackend(Path(sys.argv[1])).run(source, t.REF, t.Resources(time='1s'), stop)\n"
        "print(*(one.error for one in source.evaluations.values()), sep='; ')"
    )
    command = [sys.executable, "-c", code, str(tmp_path), str(Path(__file__).parent)]
    first, second = (subprocess.run(command, capture_output=True, text=True, check=False) for _ in range(2))
    assert first.returncode == 1
    assert f"trial 0 seed 41: the training was ended: it {LONG}" in first.stderr
    assert "it ignores the interrupt, so this process ends\nContinue with: hpo run" in first.stderr
    assert second.returncode == 0, second.stderr
    assert LONG in second.stdout
    assert second.stdout.endswith("; None; None\n")


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["processes", pytest.param("ray", marks=pytest.mark.ray)])
@pytest.mark.parametrize(
    ("fault", "limits", "reason"),
    [
        ("swallow", {"time": "4s"}, "longer than 4s"),
        ("hold", {"time": "4s"}, "longer than 4s"),
        ("grow", {"memory": "100 MiB"}, LARGE),
    ],
)
def test_limits_in_workers(request, tmp_path, monkeypatch, backend, fault, limits, reason):
    monkeypatch.setattr("hpo.backends.bridge.STUCK_SECONDS", 2.0)
    source = Jobs(fault)
    if backend == "ray":
        request.getfixturevalue("ray_slots")
        from hpo.backends.ray import RayBackend

        RayBackend(tmp_path, 2).run(source, REF, Resources(**limits), threading.Event())
    else:
        with closing(ProcessPool([{}, {}])) as pool:
            ProcessBackend(tmp_path, pool).run(source, REF, Resources(**limits), threading.Event())
    assert_first_failed(source, reason)
    assert not [path.name for path in tmp_path.iterdir() if path.name.startswith("halt")], "its flag is lowered"


@pytest.mark.ray
def test_rays_memory_monitor_is_named():
    from hpo.backends.ray.deaths import describe_death

    text = "ray.exceptions.OutOfMemoryError: Memory on the node (IP: 10.0.0.1) was 15.2GB / 16GB (0.95)"
    assert "the memory of its machine was nearly used up" in describe_death(text)
    assert describe_death("The worker died.") == "The worker died."
