"""What a clumsy or hostile user gets: what was expected, what came, what to do; status 2; and nothing is written."""

from __future__ import annotations

import http.server
import itertools
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import forked
import pytest
import torch

from hpo import RunConfig, UsageError, load_study, promote, run
from hpo.cli.main import main

ROOT = Path(__file__).parents[2]
PROJECT = ROOT / "tests" / "project"
NUMBERS = itertools.count()
LOCAL = ("--backend", "local")
RUN = ("run", "--study", "curve", *LOCAL)
PROMOTE = ("promote", "--study", "curve", *LOCAL)
SECRET = "s3cret"


def fill(folder):
    """Makes a folder a user's own project, whose package has another name than ours."""
    shutil.copytree(PROJECT / "toys", folder / "toys_of_cli", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "studies").mkdir()
    text = (PROJECT / "studies" / "curve.toml").read_text(encoding="utf-8")
    text = text.replace("toys.", "toys_of_cli.").replace("trials = 20", "trials = 3")
    (folder / "studies" / "curve.toml").write_text(text, encoding="utf-8")


def forget_modules(path):
    """Undoes what importing a trainable does to the process, which would refuse the next project's of that name."""
    sys.path[:] = path
    for name in [name for name in sys.modules if name.startswith(("toys_of_cli", "module_of_cli"))]:
        del sys.modules[name]


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A user's own project, which is the current folder."""
    fill(tmp_path)
    monkeypatch.chdir(tmp_path)
    for name in ("HPO_STUDIES", "HPO_STORAGE", "HPO_OUTPUTS", "HPO_WORKDIR", "RAY_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    before = list(sys.path)
    yield tmp_path
    forget_modules(before)


@pytest.fixture(scope="module")
def search(tmp_path_factory):
    """A folder with what a search of three trials leaves."""
    folder = tmp_path_factory.mktemp("search")
    fill(folder)
    before = list(sys.path)
    config = RunConfig(storage=f"sqlite:///{folder / 'hpo.db'}", outputs=folder / "outputs", backend="local")
    assert run(load_study(str(folder / "studies" / "curve.toml")), config).count("complete") == 3
    forget_modules(before)
    return folder


@pytest.fixture
def cli(capsys, monkeypatch):
    """Runs the command line in this process; returns its status, stdout and stderr."""

    def command(*args):
        monkeypatch.setattr(sys, "argv", ["hpo", *args])
        capsys.readouterr()
        with pytest.raises(SystemExit) as caught:
            main()
        out, err = capsys.readouterr()
        return caught.value.code, out, err

    return command


@pytest.fixture
def refused(project, cli):
    """Runs a command that must be refused: status 2, nothing on stdout, nothing written; returns what it says."""

    def command(*args):
        before = tree(project)
        status, out, err = cli(*args)
        assert "Traceback" not in err
        assert SECRET not in out + err
        assert (status, out) == (2, "")
        assert tree(project) == before
        return err

    return command


@pytest.fixture
def searched(project, search):
    """A project whose study has been searched."""
    for file in search.glob("hpo.db*"):
        shutil.copy(file, project)
    shutil.copytree(search / "outputs", project / "outputs")
    return project


def tree(folder):
    """Returns every file and folder with its content, but for what Python and SQLite keep for themselves."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() and path.suffix != ".db" else rows(path)
        for path in sorted(folder.rglob("*"))
        if "__pycache__" not in path.parts and not path.name.endswith(("-wal", "-shm"))
    }


def rows(path):
    """Returns how many rows a database has in each of its tables."""
    if path.suffix != ".db" or not path.is_file():
        return None
    connection = sqlite3.connect(path)
    try:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in sorted(tables)}
    finally:
        connection.close()


def edit(project, *changes):
    path = project / "studies" / "curve.toml"
    text = path.read_text(encoding="utf-8")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path.write_text(text, encoding="utf-8")


def module(project, code):
    """Makes a new module of the project the study's trainable."""
    name = f"module_of_cli_{next(NUMBERS)}"
    (project / f"{name}.py").write_text(code, encoding="utf-8")
    text = (project / "studies" / "curve.toml").read_text(encoding="utf-8")
    edit(
        project,
        (next(line for line in text.splitlines() if line.startswith("trainable")), f'trainable = "{name}:train"'),
    )


# Studies.


@pytest.mark.parametrize(
    "command", [RUN, PROMOTE, ("rank", "-s", "curve"), ("show", "-s", "curve", "0"), ("check", "-s", "curve")]
)
def test_commands_name_known_studies(refused, command):
    (Path("studies") / "curve.toml").rename(Path("studies") / "curves.toml")
    expected = "error: no study named 'curve' in studies. Found: curves. Did you mean curves?\n"
    assert refused(*command) == expected


@pytest.mark.parametrize(
    "name", ["", " ", "../x", "courbé", "日本", "-x", "studies/curve", "a" * 300, "x.toml", "studies", "\x1b[31m"]
)
def test_unknown_study_is_refused(refused, name):
    err = refused("check", "--study", name)
    assert err.startswith(("error: no study named ", "error: no study file "))
    assert "Found: curve." in err
    assert "\x1b" not in err


@pytest.mark.parametrize("command", [RUN, PROMOTE, ("check", "-s", "curve"), ("rank", "-s", "curve")])
def test_commands_list_all_problems(project, refused, command):
    edit(project, ("budget = 5", "budget = 0"), ("k     =", "kk    ="), ("[objective]", "[objetive]"))
    err = refused(*command)
    assert err.splitlines()[0] == "studies/curve.toml: 4 problems"
    assert [line.split()[0] for line in err.splitlines()[1:]] == ["objective", "search.budget", "objetive", "space.kk"]


def test_check_problems_as_json(project, cli):
    edit(project, ("budget = 5", "budget = 0"))
    status, out, err = cli("check", "-s", "curve", "--json")
    assert status == 2
    assert json.loads(out)["problems"] == [{"key": "search.budget", "message": "expected at least 1, got 0"}]
    assert err == ""


def test_errors_leave_stdout_empty(refused):
    for command in (("check", "-s", "nope"), ("run", "-s", "nope", *LOCAL), ("status",), ("show", "-s", "curve", "0")):
        assert refused(*command, "--json").startswith("error: ")


def test_studies_lists_invalid_files(project, cli):
    (project / "studies" / "bad.toml").write_bytes(b"\xff")
    status, out, _ = cli("studies")
    assert status == 0
    assert "1 problem: hpo check --study bad" in out
    assert "maximize val" in out
    status, out, _ = cli("studies", "--json")
    assert [len(one["problems"]) for one in json.loads(out)] == [1, 0]


def test_folder_without_studies_is_no_error(project, cli):
    (project / "empty").mkdir()
    for folder in ("empty", "nowhere"):
        status, out, _ = cli("studies", "--studies", folder)
        assert (status, "No study files found. Put them in ./studies" in out) == (0, True)


def test_project_runs_from_another_folder(project, cli, monkeypatch):
    (project / "elsewhere").mkdir()
    monkeypatch.chdir(project / "elsewhere")
    status, out, _ = cli("run", "-s", "../studies/curve.toml", "--trials", "1", *LOCAL)
    assert status == 0
    assert "Incumbent: trial 0" in out
    assert (project / "elsewhere" / "hpo.db").is_file()
    assert not (project / "hpo.db").exists()


# Trainables.


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import no_such_package", "it needs 'no_such_package', which is not installed"),
        ("raise RuntimeError('boom')", "cannot be imported: RuntimeError: boom"),
        ("def train(*p, ctx): yield {}", "takes *p, but params have names"),
        ("class train: pass", "must be a function or a generator function, not a class"),
    ],
)
def test_unusable_trainable_is_a_problem(project, refused, code, message):
    module(project, code)
    err = refused(*RUN)
    assert err.startswith("studies/curve.toml: 1 problem\n  trainable  ")
    assert message in err


def test_exit_on_import_is_a_problem(project, refused):
    module(project, "raise SystemExit(0)")
    assert "SystemExit" in refused("check", "-s", "curve")


def test_print_on_import_keeps_json_valid(project, cli):
    module(project, "print('hello')\nfrom dataclasses import dataclass\ndef train(p, ctx): yield {}")
    json.loads(cli("check", "-s", "curve", "--json")[1])


# Storage.


@pytest.mark.parametrize(
    ("url", "message"),
    [
        (f"postgresql://user:{SECRET}@127.0.0.1:1/x", "postgresql+psycopg://user:***@127.0.0.1:1/x: connection failed"),
        (f"mysql://user:{SECRET}@host/x", "storage mysql://user:***@host/x is neither SQLite nor Postgres; expected"),
        (f"user:{SECRET}@host/x", "the storage is not a URL; expected sqlite:///hpo.db or postgresql://user@host/name"),
        ("hpo.db", "the storage is not a URL; expected sqlite:///hpo.db"),
        ("sqlite:///nowhere/x.db", "cannot open storage sqlite:///nowhere/x.db: no such folder; choose"),
        ("sqlite:///studies", "cannot open storage sqlite:///studies: it is not a regular file; choose"),
        ("sqlite:///studies/curve.toml", "cannot open storage sqlite:///studies/curve.toml: file is not a database"),
        ("sqlite://", "a SQLite storage needs a file, e.g. sqlite:///hpo.db; one in memory would be lost"),
        ("sqlite:///:memory:", "a SQLite storage needs a file"),
    ],
)
def test_unopenable_storage_says_why(refused, monkeypatch, url, message):
    monkeypatch.setenv("HPO_STORAGE", url)
    err = refused(*RUN)
    assert err.splitlines()[-1].startswith("error: ")
    assert message in err


@pytest.mark.parametrize("url", [f"postgresql://user:{SECRET}@host:port/x", f"postgresql://user:{SECRET}@[::1/x"])
def test_invalid_port_is_one_sentence(refused, monkeypatch, url):
    monkeypatch.setenv("HPO_STORAGE", url)
    assert "the storage is not a URL" in refused("status")


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://user:pass@{SECRET}@127.0.0.1:1/x",
        f"postgresql://127.0.0.1:1/x?user=me&password=pass&{SECRET}=1",
        f"postgresql://127.0.0.1:1/x?user=me@{SECRET}&password={SECRET}",
        f"postgresql://user:pass?{SECRET}@127.0.0.1:1/x",
        f"host=127.0.0.1 password={SECRET}.db",
    ],
)
def test_ambiguous_url_is_refused(refused, monkeypatch, url):
    assert "command line" in refused("status", "--storage", url)
    monkeypatch.setenv("HPO_STORAGE", url)
    refused("status")


def test_url_may_have_parameters(refused):
    err = refused(*RUN, "--storage", "postgresql://me@127.0.0.1:1/x?sslmode=disable")
    assert "connection failed" in err


@pytest.mark.parametrize("url", ["sqlite:///hpo.db?timeout=x", "sqlite:///hpo.db?frobnicate=1"])
def test_unusable_url_parameter_is_named(refused, url):
    assert "parameters that the database's driver cannot use" in refused(*RUN, "--storage", url)


def test_traceback_hides_secrets(project):
    code = (
        "import os\nimport hpo.api\nfrom hpo.cli.main import main\n"
        "def fail(*_, **__): raise RuntimeError(f'cannot parse {os.environ[\"HPO_STORAGE\"][20:]} {os.environ}')\n"
        "hpo.api.status = fail\nmain()\n"
    )
    environment = {"HPO_STORAGE": f"postgresql://u:{SECRET}-and@more@h/x", "HPO_TOKEN": f"token-{SECRET}"}
    done = subprocess.run(
        [sys.executable, "-c", code, "status", "--study", "curve"],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, SECRET in done.stderr) == (1, False), done.stderr
    assert "RuntimeError: cannot parse " in done.stderr


def test_password_in_query_is_hidden(refused, monkeypatch):
    monkeypatch.setenv("HPO_STORAGE", f"postgresql:///x?host=127.0.0.1&port=1&user=me&password={SECRET}")
    refused("status")


def test_sqlite_query_names_the_same_file(searched, cli):
    assert cli("status", "--storage", "sqlite:///hpo.db?timeout=9")[0] == 0


@pytest.mark.parametrize("command", [PROMOTE, ("status",), ("rank", "-s", "curve"), ("show", "-s", "curve", "0")])
def test_foreign_database_is_untouched(project, refused, command):
    other = sqlite3.connect("others.db")
    other.execute("CREATE TABLE theirs (id INTEGER)")
    other.commit()
    assert "holds no studies of hpo" in refused(*command, "--storage", "sqlite:///others.db")
    assert [row[0] for row in other.execute("SELECT name FROM sqlite_master")] == ["theirs"]
    other.close()


@pytest.mark.parametrize("command", [PROMOTE, ("status",), ("rank", "-s", "curve"), ("show", "-s", "curve", "0")])
def test_reading_creates_no_storage(refused, command):
    assert refused(*command) == (
        "error: there is no storage sqlite:///hpo.db yet; make one with: hpo run --study NAME\n"
    )


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (("[0.0, 1.0]", "[0.0, 1.0000000001]"), "  space.x  float 0.0 .. 1.0   ->   float 0.0 .. 1.0000000001"),
        (
            ('"flat", "late"', '"late", "flat"'),
            '  space.shape  choice "flat", "late"   ->   choice "late", "flat"',
        ),
        (("budget = 5", "budget = 6"), "  search.budget  5   ->   6"),
        (("[search]", "[fixed]\nnap = 0.5\n[search]"), "  fixed.nap  0.0   ->   0.5"),
        (
            ('metric = "val"', 'metric = "loss"'),
            "  objective  maximize val, best epoch   ->   maximize loss, best epoch",
        ),
    ],
)
def test_changed_study_shows_the_difference(searched, refused, change, line):
    edit(searched, change)
    err = refused(*RUN)
    assert "error: study 'curve' in sqlite:///hpo.db was stored with a different " in err
    assert line in err.splitlines()
    assert err.endswith("Trials of the two cannot be compared. Give the study another name, or keep the old values.\n")
    assert line in refused(*PROMOTE).splitlines()


# Numbers.


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--trials", "0"), "Invalid value for '--trials'"),
        (("--trials", "-1"), "Invalid value for '--trials'"),
        (("--cpus-per-trial", "0"), "Invalid value for '--cpus-per-trial'"),
        (("--gpus-per-trial", "-1"), "Invalid value for '--gpus-per-trial'"),
        (("--gpus-per-trial", "1.5"), "a training gets a fraction of one GPU or a whole number of GPUs, not 1.5"),
        (("--trials", "9" * 30), "Invalid value for '--trials'"),
        (("--trials", "x"), "Invalid value for '--trials'"),
        (("--backend", "dask"), "'dask' is not one of 'ray', 'local'"),
    ],
)
def test_run_refuses_invalid_numbers(refused, options, message):
    assert message in refused(*RUN, *options)


@pytest.mark.parametrize(
    "options",
    [("--concurrency", "0"), ("--concurrency", "-1"), ("--gpus-per-trial", "nan"), ("--gpus-per-trial", "inf")],
)
def test_run_refuses_numbers_before_writing(refused, options):
    refused(*RUN, *options)


@pytest.mark.parametrize(
    "address", ["foo", "a:b", "1.2.3.4:70000", "1.2.3.4:0", ":80", "http://x:80", "local", "a b:80", "[::1]"]
)
def test_invalid_ray_address(refused, address):
    message = refused("run", "--study", "curve", "--ray-address", address)
    assert f"{address!r} is not the address of a Ray; expected host:port" in message
    assert "or auto" in message


def test_ray_client_address_is_refused(refused):
    assert "away from its database" in refused("run", "--study", "curve", "--ray-address", "ray://1.2.3.4:10001")


def test_other_server_is_not_ray(refused):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        address = f"127.0.0.1:{server.server_address[1]}"
        assert f"the server at {address} is not a Ray" in refused("run", "--study", "curve", "--ray-address", address)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def no_ray_joined(monkeypatch):
    """As in a process of the command line: the test process may have joined a Ray for other tests."""
    monkeypatch.setattr("hpo.driver.workers.ray_is_joined", lambda: False)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a graphics card")
@pytest.mark.parametrize("backend", ["local", "ray"])
def test_missing_gpu_is_refused_first(refused, no_ray_joined, backend):
    message = refused("run", "--study", "curve", "--backend", backend, "--gpus-per-trial", "0.5")
    assert "one training requests 0.5 GPU, but torch sees none here" in message


def test_too_many_cores_are_refused_first(refused, no_ray_joined):
    message = refused("run", "--study", "curve", "--backend", "ray", "--cpus-per-trial", "4096")
    assert f"one training requests 4096 CPU, but this machine has {os.cpu_count()}; request fewer" in message


@pytest.mark.slow
@pytest.mark.ray
def test_too_many_cores_for_joined_ray(refused, ray_slots):
    message = refused("run", "--study", "curve", "--backend", "ray", "--cpus-per-trial", "4096")
    assert "one training requests 4096 CPU and 0 GPU, Ray's largest machine has" in message


@pytest.mark.parametrize("options", [("--top", "0"), ("--lambda", "-1"), ("--ddof", "2"), ("--first", "-1")])
def test_run_checks_promotion_options_first(refused, options):
    refused(*RUN, "--promote", *options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--top", "0"), "Invalid value for '--top'"),
        (("--top", "-3"), "Invalid value for '--top'"),
        (("--first", "-1"), "Invalid value for '--first'"),
        (("--lambda", "-1"), "Invalid value for '--lambda'"),
        (("--lambda", "nan"), "Invalid value for '--lambda'"),
        (("--lambda", "inf"), "lambda must be a finite number of 0 or more"),
        (("--ddof", "2"), "expected 0, 1 or unbiased, got '2'"),
        (("--ddof", "-1"), "expected 0, 1 or unbiased, got '-1'"),
        (("--rule", "best"), "'best' is not one of"),
        (("--trials", "3"), "No such option: --trials"),
    ],
)
def test_promote_and_rank_invalid_numbers(searched, refused, options, message):
    assert message in refused(*PROMOTE, *options)
    if options[0] in ("--lambda", "--ddof", "--rule"):
        assert message in refused("rank", "-s", "curve", *options)


@pytest.mark.parametrize("options", [("--cpus-per-trial", "0"), ("--concurrency", "0"), ("--gpus-per-trial", "-1")])
def test_promote_checks_resources_first(searched, refused, options):
    refused(*PROMOTE, *options)


def test_show_names_known_trials(searched, refused):
    assert refused("show", "-s", "curve", "99") == "error: study 'curve' has trials 0 .. 2, not 99\n"
    assert "Invalid value for 'trial'" in refused("show", "-s", "curve", "--", "-1")
    assert "Invalid value for 'trial'" in refused("show", "-s", "curve", "first")


def test_status_names_stored_studies(searched, refused):
    assert refused("status", "-s", "curv") == (
        "error: no study named 'curv' in storage sqlite:///hpo.db. Stored there: curve.\n"
    )


# Promotions.


@pytest.mark.slow
def test_promotion_of_fewer_trials_says_so(searched, cli):
    status, out, _ = cli(*PROMOTE, "--top", "50")
    assert status == 0
    assert "Promoted 3, not 50: no more trials with different params completed." in out
    assert json.loads(cli("rank", "-s", "curve", "--json")[1])["candidates"][2]["rank"] == 3


def test_promotion_needs_a_complete_trial(project, cli, refused):
    edit(project, ("[search]", '[fixed]\nfault = "raise"\n[search]'))
    assert cli(*RUN)[0] == 1
    err = refused(*PROMOTE)
    assert "study 'curve' has no completed trial to promote (3 failed); search first: hpo run --study curve" in err


def test_early_promote_writes_nothing(searched, refused):
    text = Path("studies/curve.toml").read_text(encoding="utf-8")
    Path("studies/other.toml").write_text(text.replace('"curve"', '"other"'), encoding="utf-8")
    err = refused("promote", "-s", "other", *LOCAL)
    assert "study 'other'" in err
    assert "hpo run --study other" in err


def test_rank_needs_a_promotion(searched, refused):
    err = refused("rank", "-s", "curve")
    assert err == "error: study 'curve' has no promotion yet; make one with: hpo promote --study curve\n"


@pytest.mark.parametrize("blocked", ["outputs", "outputs/curve"])
def test_unwritable_results_fail_early(searched, refused, blocked):
    shutil.rmtree("outputs")
    Path(blocked).parent.mkdir(exist_ok=True)
    Path(blocked).write_text("a file in its place")
    err = refused(*PROMOTE)
    assert err.startswith("error: cannot write in ")
    assert "choose another folder" in err


@pytest.mark.parametrize("options", [("--outputs", "blocked"), ("--workdir", "blocked")])
def test_unwritable_work_fails_early(project, refused, options):
    (project / "blocked").write_text("a file in its place")
    err = refused(*RUN, *options)
    assert "blocked" in err


# The command line itself.


def test_no_command_prints_help(cli):
    status, out, err = cli()
    assert status == 2
    assert all(name in out + err for name in ("run", "promote", "check", "studies"))


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("run",), "Missing option '--study'"),
        (("run", "--study"), "requires an argument"),
        (("check", "curve", "other"), "Got unexpected extra argument(s) (other)"),
        (("show", "-s", "curve"), "Missing argument 'trial'"),
        (("chekc",), "No such command 'chekc'. Did you mean 'check'?"),
        (("run", "-s", "curve", "--trails", "3"), "No such option"),
    ],
)
def test_missing_or_unknown_arguments(refused, args, message):
    assert message in " ".join(refused(*args).split())


def hpo(*args, cwd, **env):
    """Runs the command line in a process of its own."""
    how = subprocess if any(name.startswith("PYTHON") for name in env) else forked
    return how.run(
        [sys.executable, "-c", "from hpo.cli import main; main()", *args],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), **env},
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )


@pytest.mark.slow
def test_process_exits_2_with_one_line(project):
    done = hpo("run", "--study", "curv", *LOCAL, cwd=project)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: no study named 'curv' in studies. Found: curve. Did you mean curve?\n"


@pytest.mark.slow
def test_undecodable_file_name_is_listed(project):
    Path(os.fsdecode(b"studies/\xff.toml")).write_text("x", encoding="utf-8")
    for extra in ((), ("--json",)):
        done = hpo("studies", *extra, cwd=project, PYTHONIOENCODING="utf-8")
        assert (done.returncode, "Traceback" in done.stderr) == (0, False)
        assert "curve" in done.stdout


@pytest.mark.slow
def test_process_output_has_no_password(project):
    url = f"postgresql://user:{SECRET}@127.0.0.1:1/x"
    done = hpo(*RUN, cwd=project, HPO_STORAGE=url)
    assert done.returncode == 2
    assert "user:***@127.0.0.1:1/x" in done.stderr
    assert SECRET not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


# Numbers that no column holds, names that no disk holds, files that no parser takes.

HUGE = "9" * 30
LONG = "n" * 300


@pytest.mark.parametrize(
    "command",
    [
        ["compare", LONG, "x"],
        ["compare", HUGE, "1", "--study", "curve"],
        ["compare", "big.csv", "big.csv"],
        ["compare", "nan.csv", "nan.csv"],
        ["compare", "twice.csv", "twice.csv"],
        ["compare", "deep", "deep"],
        ["compare", "infinite", "infinite"],
        ["verify", "--study", "curve", "--trial", HUGE],
        ["verify", "--study", "curve", "--trial", "-1"],
        ["verify", "--study", "curve", "--seed", HUGE],
        ["diagnose", "--study", "curve", "--trial", HUGE],
        ["seeds", "replay", "--study", "curve", "--trial", HUGE],
        ["seeds", "decompose", "--study", "curve", "--trial", "0", "--n", HUGE],
        ["show", "--study", "curve", HUGE],
        ["report", "--study", "curve", "--out", "."],
        ["report", "--study", "curve", "--out", "afile/x.html"],
        ["report", "--study", "curve", "--out", f"{LONG}/x.html"],
        ["assets", "--study", "curve", "--out", "as", "--results", "deep"],
        ["assets", "--study", "curve", "--out", "as", "--results", LONG],
        ["instability", "--study", "curve", "--outputs", "afile"],
        ["promote", "--study", "curve", "--backend", "local", "--top", HUGE],
        ["promote", "--study", "curve", "--backend", "local", "--first", HUGE],
        ["promote", "--study", "curve", "--backend", "local", "--confirm-seeds", HUGE],
        ["promote", "--study", "curve", "--backend", "local", "--workdir", "http://[::1"],
        ["run", "--study", "curve", "--backend", "local", "--trials", "1e3"],
        ["run", "--study", "curve", "--backend", "local", "--enqueue", "deep/summary.json"],
        ["serve", "--port", "99999"],
    ],
    ids=lambda command: " ".join(command)[:60].replace(LONG[:40], "LONG"),
)
def test_fuzzed_arguments_never_trace_back(searched, cli, command):
    (searched / "afile").touch()
    (searched / "big.csv").write_text("seed,value\n1," + "9" * 200_000)
    (searched / "nan.csv").write_text("seed,value\n1,nan\n")
    (searched / "twice.csv").write_text("seed,value\n1,0.5\n1,0.6\n")
    for name, text in (("deep", "[" * 100_000), ("infinite", '{"seed": Infinity, "best_metric": 1}')):
        (searched / name).mkdir()
        (searched / name / "summary.json").write_text(text)
    status, out, err = cli(*command)
    assert (status, out) == (2, "")
    assert "Traceback" not in err
    assert err.strip()


@pytest.mark.parametrize(
    ("verb", "wanted", "message"),
    [
        (run, {"trials": 0}, "trials must be 1 to 1000000, not 0"),
        (run, {"configurations": 10**30}, "configurations must be 1 to 1000000"),
        (promote, {"top": 0}, "top must be 1 to 1000000, not 0"),
        (promote, {"first": 10**30}, "first must be 0 to 1000000"),
    ],
)
def test_library_refuses_the_same_numbers(curve, config, verb, wanted, message):
    with pytest.raises(UsageError, match=message):
        verb(curve(), config, **wanted)
    assert not config.outputs.exists()
