"""What a training changes in its process, and where its relative paths lead."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import forked
import pytest

from hpo.backends.local import LocalBackend
from hpo.core.protocols import DONE, Decision, Resources, TrainableRef
from hpo.core.records import Job, Objective, Status
from hpo.training import TrainingRun, discard_checkpoint

PROJECT = Path(__file__).parents[1] / "project"
HEAD = """
import os, signal, sys, time, threading, subprocess
from dataclasses import dataclass
from pathlib import Path
from hpo import Context

@dataclass(frozen=True)
class Params:
    x: float = 0.0
    data: Path = Path("data/train.csv")
    table: str = "data/train.csv"
    arch: str = "data"

"""
RUN = """
import json, sys
from pathlib import Path
from hpo.core.records import *; from hpo.core.protocols import *; from hpo.training import TrainingRun
ref = TrainableRef(path="mine:train", root=sys.argv[1], objective=Objective(metric="val"))
job = Job(trial=0, params={}, seed=int(sys.argv[2]), budget=3)
training = TrainingRun(job, ref, Resources(), Path(sys.argv[1], "work"))
reports = []
while True:
    update = training.advance()
    # NEXT
    reports += [dict(report.metrics) for report in update.reports]
    if update.status is not None:
        break
unrestored = training.close()
found = {"error": update.error, "reports": reports, "unrestored": unrestored, "remarks": update.outcome.remarks}
print("FOUND" + json.dumps(found))
"""


def trained(folder, body, seed=1, before="", after="", between="pass", run=forked.run):
    """Runs a trainable with that body in its own process and returns the outcome; `between` runs after each step."""
    code = textwrap.indent(textwrap.dedent(body), "    ")
    (folder / "mine.py").write_text(f"{HEAD}\ndef train(params: Params, ctx: Context):\n{code}\n")
    (folder / "data").mkdir(exist_ok=True)
    (folder / "data" / "train.csv").write_text("1,2\n")
    done = run(
        [sys.executable, "-c", before + RUN.replace("# NEXT", between) + after, str(folder), str(seed)],
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
        cwd=folder,
    )
    assert done.stdout.count("FOUND") == 1, done.stdout + done.stderr
    return json.loads(done.stdout.partition("FOUND")[2])


@pytest.mark.slow
def test_relative_files_belong_to_a_training(tmp_path):
    (tmp_path / "best.txt").write_text("of the project")
    found = trained(tmp_path, "Path('best.txt').write_text('mine')\nyield {'val': float(len(os.listdir()))}")
    assert (found["error"], found["reports"]) == (None, [{"val": 1.0}])
    assert (tmp_path / "best.txt").read_text() == "of the project"


@pytest.mark.slow
def test_missing_project_files_give_a_hint(tmp_path):
    found = trained(tmp_path, "open('data/train.csv')\nyield {'val': 1.0}")
    assert "FileNotFoundError" in found["error"]
    assert f"data/train.csv is in the project's folder {tmp_path}" in found["error"]
    assert "ctx.project / 'data/train.csv'" in found["error"]


def test_missing_other_files_give_no_hint(tmp_path):
    assert "ctx.project" not in trained(tmp_path, "open('data/other.csv')\nyield {'val': 1.0}")["error"]


def test_path_params_are_project_paths(tmp_path):
    body = """
    assert params.data == ctx.project / "data/train.csv" == Path(params.table), params
    assert params.arch == "data"  # a text that happens to be a folder's name
    yield {"val": float(params.data.stat().st_size)}
    """
    assert trained(tmp_path, body) == {"error": None, "reports": [{"val": 4.0}], "unrestored": [], "remarks": []}


def test_files_are_kept_until_the_end(tmp_path):
    ref = TrainableRef(path="toys.nasty:train", root=str(PROJECT), objective=Objective(metric="val"))
    job = Job(trial=0, params={"x": 0.5, "nasty": True}, seed=41, budget=3)
    first = TrainingRun(job, ref, Resources(), tmp_path)
    first.advance()
    first.advance()  # it wrote left.txt after the first epoch
    first.close()
    assert (tmp_path / job.folder / "cwd" / "left.txt").exists()
    again = TrainingRun(job, ref, Resources(), tmp_path)
    again.advance()
    assert (tmp_path / job.folder / "cwd" / "left.txt").exists()
    again.close()
    discard_checkpoint(tmp_path, job)
    assert not (tmp_path / job.folder).exists()


def test_new_training_gets_empty_folder(tmp_path):
    ref = TrainableRef(path="toys.nasty:train", root=str(PROJECT), objective=Objective(metric="val"))
    job = Job(trial=0, params={"x": 0.5}, seed=41, budget=3)
    stale = tmp_path / job.folder / "cwd" / "stale.txt"
    stale.parent.mkdir(parents=True)
    stale.touch()
    training = TrainingRun(job, ref, Resources(), tmp_path)
    assert training.advance().reports[0].metrics["files"] == 0
    training.close()


def test_bad_checkpoints_clear_old_files(tmp_path):
    ref = TrainableRef(path="toys.nasty:train", root=str(PROJECT), objective=Objective(metric="val"))
    job = Job(trial=0, params={"x": 0.5}, seed=41, budget=3)
    first = TrainingRun(job, ref, Resources(), tmp_path)
    first.advance()
    first.advance()
    first.close()
    for path in (tmp_path / job.folder).glob("checkpoint*"):
        path.write_bytes(b"damaged")
    again = TrainingRun(job, ref, Resources(), tmp_path)
    assert again.advance().reports[0].metrics["files"] == 0
    again.close()


@pytest.mark.slow
def test_late_imports_are_seeded(tmp_path):
    body = """
    assert "torch" not in sys.modules
    import torch
    yield {"val": torch.rand(1).item(), "threads": torch.get_num_threads(),
           "repeatable": torch.are_deterministic_algorithms_enabled()}
    """
    one, two = (trained(tmp_path, body, seed=seed, run=subprocess.run) for seed in (1, 2))
    assert one["error"] is None
    assert one["reports"][0]["val"] != two["reports"][0]["val"]
    assert (one["reports"][0]["threads"], one["reports"][0]["repeatable"]) == (1, 1)


@pytest.mark.slow
def test_libraries_imported_between_steps_are_configured(tmp_path):
    body = """
    assert "torch" not in sys.modules
    yield {"val": 0.0}
    import torch
    yield {"val": torch.rand(1).item(), "threads": torch.get_num_threads(),
           "repeatable": torch.are_deterministic_algorithms_enabled()}
    """
    one, two = (trained(tmp_path, body, seed, between="import torch", run=subprocess.run) for seed in (1, 2))
    assert one["error"] is None
    assert one["reports"][1]["val"] != two["reports"][1]["val"]
    assert (one["reports"][1]["threads"], one["reports"][1]["repeatable"]) == (1, 1)


@pytest.mark.slow
def test_torch_compiler_is_imported_lazily(tmp_path):
    """Importing it takes as long as torch itself; once imported, it is deterministic too."""
    body = """
    import torch
    assert "torch._dynamo" not in sys.modules
    yield {"val": 1.0}
    import torch._inductor.config as compiler
    yield {"val": float(compiler.deterministic)}
    yield {"val": float(torch.are_deterministic_algorithms_enabled())}
    """
    after = "\nassert not sys.modules['torch._inductor.config'].deterministic"
    after += "\nimport os; assert not [name for name in os.environ if name.startswith('TORCHINDUCTOR')]"
    found = trained(tmp_path, body, after=after)
    assert (found["error"], found["reports"]) == (None, [{"val": 1.0}] * 3)


def test_thread_pools_are_limited(tmp_path):
    body = """
    import numpy, scipy.linalg, sklearn.ensemble
    from threadpoolctl import threadpool_info
    found = threadpool_info()
    assert len(found) >= 2, found
    yield {"val": float(max(one["num_threads"] for one in found))}
    assert max(one["num_threads"] for one in threadpool_info()) == 1
    """
    assert trained(tmp_path, body)["reports"] == [{"val": 1.0}]


def test_a_forked_training_is_ended(tmp_path):
    body = """
    os.fork()
    yield {"val": 1.0}
    """
    found = trained(tmp_path, body)
    assert (found["error"], found["reports"]) == (None, [{"val": 1.0}])


def test_leftover_children_are_ended(tmp_path):
    found = trained(tmp_path, "subprocess.Popen(['sleep', '77'])\nyield {'val': 1.0}")
    assert found["remarks"] == ["left 1 child process (sleep) running; ended"]
    assert found["unrestored"] == []


def test_a_broken_import_is_reported(tmp_path):
    """Importing it again in the same process would fail for ever; as when the working directory is deleted."""
    body = """
    import inspect
    works = inspect.getabsfile
    def fails(found, *args):
        if inspect.ismodule(found):
            raise FileNotFoundError(2, "No such file or directory")
        return works(found, *args)
    inspect.getabsfile = fails
    try:
        import torch
    except FileNotFoundError:
        pass
    inspect.getabsfile = works
    yield {"val": 1.0}
    """
    found = trained(tmp_path, body, run=subprocess.run)
    assert found["unrestored"] == ["an import of torch that failed halfway"]


@pytest.mark.slow
def test_leftover_threads_are_reported(tmp_path):
    found = trained(tmp_path, "threading.Thread(target=time.sleep, args=(5,), name='t').start()\nyield {'val': 1.0}")
    assert found["unrestored"] == ["1 thread (t) still running"]


def test_exit_functions_run_at_the_end(tmp_path):
    body = """
    import atexit
    def bye():
        (ctx.project / "bye.txt").write_text(os.getcwd())
    atexit.register(bye)
    yield {"val": 1.0}
    """
    before = "import atexit, os, sys; atexit.register(lambda: os.rename('bye.txt', 'in-time.txt'))\n"
    assert trained(tmp_path, body, before=before)["error"] is None
    assert (tmp_path / "in-time.txt").read_text().endswith("/cwd")


POOL = """
import multiprocessing
with multiprocessing.get_context("fork").Pool(1) as pool:
    try:
        pool.apply_async(time.sleep, (60,)).get(timeout=0.5)
    except multiprocessing.TimeoutError:
        pass
yield {"val": 1.0}
"""


def test_fork_pools_end_despite_handlers(tmp_path):
    before = "from hpo.cli.stopping import StopSignal; stop = StopSignal(''); stop.armed().__enter__()\n"
    assert trained(tmp_path, POOL, before=before)["reports"] == [{"val": 1.0}]


class Two:
    """A source of given jobs that keeps their evaluations."""

    def __init__(self, *jobs):
        self.jobs, self.evaluations = list(jobs), []

    def ask(self):
        return self.jobs.pop(0) if self.jobs else DONE

    def report(self, job, step, value):
        return Decision.CONTINUE

    def tell(self, evaluation):
        self.evaluations.append(evaluation)


def test_leftover_threads_give_a_remark(tmp_path):
    ref = TrainableRef(path="toys.nasty:train", root=str(PROJECT), objective=Objective(metric="val"))
    first = Job(trial=0, params={"x": 0.1, "leave": "thread"}, seed=41, budget=1)
    source = Two(first, Job(trial=1, params={"x": 0.1}, seed=41, budget=1))
    LocalBackend(tmp_path).run(source, ref, Resources(), threading.Event())
    assert [one.status for one in source.evaluations] == [Status.COMPLETE] * 2
    (remark,) = source.evaluations[1].remarks
    assert "trial 0 left 1 thread (lingers) still running" in remark


def test_the_driver_keeps_its_state(tmp_path):
    before = (os.getcwd(), signal.getsignal(signal.SIGTERM), dict(os.environ))
    ref = TrainableRef(path="toys.nasty:train", root=str(PROJECT), objective=Objective(metric="val"))
    job = Job(trial=0, params={"x": 0.1, "nasty": True}, seed=41, budget=3)
    training = TrainingRun(job, ref, Resources(), tmp_path)
    for _ in range(3):
        training.advance()
        assert (os.getcwd(), signal.getsignal(signal.SIGTERM), dict(os.environ)) == before
        assert signal.getitimer(signal.ITIMER_REAL)[0] == 0
    training.close()


def test_a_second_epoch_loop_is_refused(tmp_path):
    body = """
    for phase in (1, 2):
        for epoch in ctx.epochs():
            yield {"val": float(epoch)}
    """
    found = trained(tmp_path, body)
    assert "ctx.epochs() was looped over a second time" in found["error"]
    assert "one loop with a condition in it" in found["error"]


@pytest.mark.parametrize("name", ["models", "parts"])
def test_namespace_packages_are_imported(tmp_path, name):
    (tmp_path / name).mkdir()
    (tmp_path / name / "own.py").write_text(f"{HEAD}\ndef train(params: Params, ctx: Context):\n    yield {{}}\n")
    code = (
        "import sys; from hpo.core.protocols import *; from hpo.core.records import *;"
        "from hpo.study.trainable import load;"
        f"ref = TrainableRef(path='{name}.own:train', root=sys.argv[1], objective=Objective(metric='val'));"
        "print(load(ref).module.__file__)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert done.stdout.strip() == str(tmp_path / name / "own.py")


def test_type_checking_annotations_are_read(tmp_path):
    (tmp_path / "mine.py").write_text(
        "from __future__ import annotations\nfrom dataclasses import dataclass\nfrom typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    from collections.abc import Iterator\n    from pathlib import Path\n"
        "    from nowhere import Missing\n    from hpo import Context, Metrics\n"
        "@dataclass\nclass Params:\n    x: float\n    folder: Path | None = None\n    other: Missing | None = None\n"
        "def train(params: Params, ctx: Context) -> Iterator[Metrics]:\n    yield {}\n"
    )
    code = (
        "import sys; from hpo.core.protocols import *; from hpo.core.records import *;"
        "from hpo.study.annotations import hints_of; from hpo.study.trainable import load;"
        "ref = TrainableRef(path='mine:train', root=sys.argv[1], objective=Objective(metric='val'));"
        "print(hints_of(load(ref).params))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert "'x': <class 'float'>, 'folder': pathlib.Path | None" in done.stdout


def test_notebook_backends_are_replaced():
    code = "from hpo.results.quiet import quiet\nwith quiet():\n    import matplotlib.pyplot as p; p.figure()\n"
    environment = {**os.environ, "MPLBACKEND": "module://nowhere.backend_inline"}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment, timeout=400)


@pytest.mark.parametrize("own", ["hpo", "hpo.py", None])
def test_ray_avoids_folders_named_hpo(tmp_path, monkeypatch, own):
    from hpo.backends.ray.joining import _own_package_found

    if own is not None:
        (tmp_path / own).mkdir()
    monkeypatch.chdir(tmp_path)
    with _own_package_found():
        assert (Path.cwd() == tmp_path) is (own is None)
    assert Path.cwd() == tmp_path


POOLS = {
    "Pool": "mine = multiprocessing.get_context('fork').Pool(2); mine.map(abs, [1])",
    "ThreadPool": "from multiprocessing.pool import ThreadPool; mine = ThreadPool(2); mine.map(abs, [1])",
    "Queue": "mine = multiprocessing.Queue(); mine.put(bytes(10_000_000))",
    "read by a child": (
        "mine = multiprocessing.get_context('fork').Queue(); mine.put(bytes(10_000_000)); "
        "child = multiprocessing.get_context('fork').Process(target=mine.get); child.start()"
    ),
}


@pytest.mark.parametrize("made", POOLS.values(), ids=POOLS)
def test_leftover_pools_are_ended(tmp_path, made):
    body = f"import multiprocessing\nglobal mine\n{made}\nyield {{'val': 1.0}}"
    found = trained(tmp_path, body)
    assert (found["error"], found["reports"]) == (None, [{"val": 1.0}])
    assert any("left 1 pool" in one for one in found["remarks"]) is ("Pool(2)" in made), found
    # Nobody reads the queue, so its thread waits and the process is replaced.
    assert any("did not end" in one for one in found["unrestored"]) is (made == POOLS["Queue"])


def test_resource_limits_are_swapped(tmp_path):
    (tmp_path / "mine.py").write_text(f"""{HEAD}
import resource
def train(params: Params, ctx: Context):
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
    yield {{"val": 1.0}}
    yield {{"val": float(resource.getrlimit(resource.RLIMIT_FSIZE)[0])}}
""")
    ref = TrainableRef(path="mine:train", root=str(tmp_path), objective=Objective(metric="val"))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    training = TrainingRun(Job(trial=0, params={}, seed=1, budget=2), ref, Resources(), tmp_path / "work")
    try:
        training.advance()
        assert resource.getrlimit(resource.RLIMIT_FSIZE) == before
        [report] = training.advance().reports
        assert report.metrics == {"val": 1000.0}
    finally:
        training.close()
        sys.modules.pop("mine", None)


@pytest.mark.parametrize(
    ("looked", "named"),
    [
        ("Path('data/train.csv').exists()", "data/train.csv"),
        ("os.path.isfile('data/train.csv')", "data/train.csv"),
        ("list(Path('data').glob('*.csv'))", "data, data/*.csv"),
        ("__import__('glob').glob('data/*.csv')", "data, data/*.csv"),
        ("__import__('glob').glob('*.py')", "*.py"),
        ("list(Path('.').glob('mi*.py'))", "mi*.py"),
        ("list(os.walk('data'))", "data"),
    ],
)
def test_missed_project_files_give_a_remark(tmp_path, looked, named):
    found = trained(tmp_path, f"found = {looked}\nyield {{'val': float(bool(found))}}")
    assert found["reports"] == [{"val": 0.0}]
    assert found["remarks"] == [
        f"looked for {named} by a relative path, which is not in its working directory but in the project's "
        f"folder; to read it from there, use ctx.project / {named.partition(',')[0]!r}"
    ]


@pytest.mark.parametrize(
    "looked",
    [
        "Path('cache.npz').exists()",
        "(ctx.project / 'data/train.csv').exists()",
        "list(Path().glob('*.pt'))",
        "list(Path().rglob('*.csv'))",
        "os.stat in os.supports_fd and os.stat in os.supports_follow_symlinks and os.scandir in os.supports_fd",
        "Path('own.csv').write_text('1') and Path('own.csv').exists() and list(Path().glob('*.csv'))",
    ],
)
def test_other_lookups_give_no_remark(tmp_path, looked):
    (tmp_path / "own.csv").write_text("1")
    assert trained(tmp_path, f"found = {looked}\nyield {{'val': 1.0}}")["remarks"] == []


def test_time_zone_and_limits_are_restored(tmp_path):
    before = "import pandas, socket, sys, time\n"
    after = (
        "\nassert (time.timezone, socket.getdefaulttimeout(), sys.get_int_max_str_digits()) == (0, None, 4300)"
        "\nassert pandas.get_option('display.precision') == 6\n"
    )
    found = trained(
        tmp_path,
        """
        import pandas, socket
        os.environ["TZ"] = "UTC+5"
        time.tzset()
        socket.setdefaulttimeout(0.001)
        sys.set_int_max_str_digits(9999)
        pandas.set_option("display.precision", 2)
        for step in (1, 2):
            yield {"val": time.timezone + pandas.get_option("display.precision")}
        """,
        before=f"import os, time; os.environ['TZ'] = 'UTC'; time.tzset()\n{before}",
        after=after,
    )
    assert (found["error"], found["reports"], found["unrestored"]) == (None, [{"val": 18002.0}] * 2, [])


def test_finders_of_packages_stay(tmp_path):
    package = tmp_path / "site-packages" / "backport.py"
    package.parent.mkdir()
    package.write_text(
        "import sys\nclass Backport:\n    def find_spec(self, *_): pass\nsys.meta_path.append(Backport())\n"
    )
    trained(
        tmp_path,
        f"""
        sys.path.append({str(package.parent)!r})
        import backport
        class Mine(backport.Backport): pass
        sys.meta_path.append(Mine())
        yield {{"val": 1.0}}
        """,
        after="Path(sys.argv[1], 'left').write_text(' '.join(type(one).__name__ for one in sys.meta_path))",
    )
    left = (tmp_path / "left").read_text().split()
    assert ("Backport" in left, "Mine" in left, "Imports" in left) == (True, False, False)


def test_versions_are_found_after_a_backport(tmp_path):
    pytest.importorskip("importlib_metadata")
    trained(
        tmp_path,
        "import importlib_metadata\nyield {'val': 1.0}",
        after="import importlib.metadata as m; Path(sys.argv[1], 'version').write_text(m.version('numpy'))",
    )
    assert (tmp_path / "version").read_text()


def test_watchdogs_end_with_their_training(tmp_path):
    body = "import faulthandler; faulthandler.dump_traceback_later(1.0, exit=True)\nyield {'val': 1.0}"
    code = RUN + "import time; time.sleep(2); print('ALIVE')"
    (tmp_path / "mine.py").write_text(
        f"{HEAD}\ndef train(params: Params, ctx: Context):\n{textwrap.indent(body, '    ')}\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path), "1"], capture_output=True, text=True, check=False)
    assert "ALIVE" in done.stdout, done.stderr
