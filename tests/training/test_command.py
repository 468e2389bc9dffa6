"""Programs as trainables: their arguments, their reports, and how they end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

import hpo
from hpo.core.protocols import Resources
from hpo.core.records import Job, Stage, Status
from hpo.training import TrainingRun, discard_checkpoint

PROJECT = Path(__file__).parents[1] / "project"
RUN = "{python} programs/train.py --x {x} --epochs {budget} --seed {seed} --out {folder}"


def study(run=RUN, space=None, objective="val", budget=3, **tables):
    command = {"run": run, **tables.pop("command", {})}
    return hpo.Study(
        name="program",
        command=command,
        objective={"metric": objective},
        space=space or {"x": {"float": [0.0, 1.0]}},
        search={"budget": budget, "trials": 3, **tables.pop("search", {})},
        **tables,
    ).located(PROJECT)


def job(budget=3, seed=41, **fields):
    return Job(trial=0, params=fields.pop("params", {"x": 0.25}), seed=seed, budget=budget, **fields)


def trained(of, one, work, close=True):
    """Trains a job to its end and returns its reports and its last update."""
    run, reports = TrainingRun(one, of.ref, Resources(), work), []
    try:
        while True:
            update = run.advance()
            reports += update.reports
            if update.status is not None:
                return reports, update
    finally:
        run.close()


def error_of(run, work, **fields):
    update = trained(study(run, **fields), job(), work)[1]
    assert (update.status, update.outcome.remarks) == (Status.FAILED, ())
    return update.error


def values(reports):
    return [report.metrics["val"] for report in reports]


def test_json_lines_are_reports(tmp_path):
    reports, update = trained(study(), job(), tmp_path)
    assert (update.status, update.error) == (Status.COMPLETE, None)
    assert [report.step for report in reports] == [1, 2, 3]
    assert set(reports[0].metrics) == {"val", "loss"}, "a text is no metric, and the step is none"
    assert values(reports) == values(trained(study(), job(), tmp_path)[0])
    assert values(reports) != values(trained(study(), job(seed=42), tmp_path)[0])


def test_a_float_keeps_all_its_digits(tmp_path):
    of = study("{python} -c 'import sys; print(sys.argv[1:])' {x}", objective="x", command={"metrics": {"x": "'(.*)'"}})
    x = 0.1 + 0.2
    assert trained(of, job(params={"x": x}), tmp_path)[0][0].metrics["x"] == x


def test_a_shell_script_trains(tmp_path):
    space = {"lr": {"float": [1e-4, 1.0], "log": True}, "opt": {"choice": ["adam", "sgd"]}}
    of = study(["programs/train.sh", "--lr", "{lr}", "--opt", "{opt}", "--seed", "{seed}"], space, "acc")
    reports, update = trained(of, job(params={"lr": 0.01, "opt": "sgd"}), tmp_path)
    assert (update.error, reports[0].metrics["acc"]) == (None, 0.8)


def test_values_are_no_shell_text(tmp_path):
    """A space or a semicolon in a value does not split an argument, with a shell or without."""
    space = {"x": {"choice": ["a b; echo {}", "c"]}}
    show = '{python} -c \'import json, sys; print(json.dumps({{"val": len(sys.argv), "n": len(sys.argv[1])}}))\' {x}'
    for shell in (False, True):
        of = study(show, space, command={"shell": shell})
        reports, update = trained(of, job(params={"x": "a b; echo {}"}), tmp_path)
        assert (update.error, reports[0].metrics) == (None, {"val": 2, "n": 12})


def test_a_missing_param_leaves_its_list_out(tmp_path):
    space = {
        "x": {"float": [0.0, 1.0]},
        "shape": {"choice": ["flat", "late"]},
        "gain": {"float": [0.1, 1.0], "when": {"shape": "late"}},
    }
    of = study([*RUN.split(), ["--gain", "{gain}"]], space, command={"reads": ["HPO_PARAMS"]})
    flat, flat_update = trained(of, job(params={"x": 0.25, "shape": "flat"}), tmp_path)
    late, late_update = trained(of, job(params={"x": 0.25, "shape": "late", "gain": 1.0}), tmp_path)
    assert flat_update.error is late_update.error is None
    assert late[0].metrics["val"] - flat[0].metrics["val"] == pytest.approx(0.01)


def test_the_environment_says_the_job(tmp_path, monkeypatch):
    monkeypatch.setenv("HPO_STORAGE", "postgresql://me:hush@db/hpo")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "hush")
    monkeypatch.setenv("WANDB_API_KEY", "for the trainings")
    of = study(f"{RUN} --fault environment", command={"artifacts": ["environment.json"]})
    one = job(stage=Stage.PROMOTION, stream_seeds={"order": 7})
    _, update = trained(of, one, tmp_path)
    found = json.loads((tmp_path / one.folder / "artifacts" / "environment.json").read_text())
    assert "hush" not in str(found)
    assert found["WANDB_API_KEY"] == "for the trainings"
    assert json.loads(found["HPO_PARAMS"]) == {"x": 0.25}
    assert (found["HPO_SEED"], found["HPO_BUDGET"], found["HPO_FOLD"]) == ("41", "3", "0")
    streams = {found[f"HPO_SEED_{name}"] for name in ("SPLIT", "INIT", "ORDER", "AUGMENT", "DROPOUT")}
    assert len(streams) == 5
    assert found["HPO_CHECKPOINT"].startswith(found["HPO_FOLDER"])
    again = trained(of, job(stage=Stage.PROMOTION), tmp_path)[1]
    other = json.loads((tmp_path / one.folder / "artifacts" / "environment.json").read_text())
    assert again.status is update.status is Status.COMPLETE
    changed = {name for name in found if name.startswith("HPO_SEED") and found[name] != other[name]}
    assert changed == {"HPO_SEED_ORDER"}


def test_artifacts_and_the_log_are_kept(tmp_path):
    one = job(stage=Stage.PROMOTION)
    of = study(command={"artifacts": ["*.pt", "plots", "*.txt"]})
    _, update = trained(of, one, tmp_path)
    kept = tmp_path / one.folder / "artifacts"
    assert {path.relative_to(kept).as_posix() for path in kept.rglob("*.p*")} == {"model.pt", "plots/roc.png"}
    assert any("matches '*.txt'" in remark for remark in update.outcome.remarks)
    assert "a log line of trial x=0.25" in (tmp_path / one.folder / "run.log").read_text()


# How programs end.


def test_a_refused_step_ends_the_whole_group(tmp_path):
    """A child that ignores SIGTERM, and its own child in another group, end with the program."""
    of = study(f"{RUN} --fault children", command={"grace": 0.2})
    run = TrainingRun(job(), of.ref, Resources(), tmp_path)
    try:
        assert [report.step for report in run.advance().reports] == [1]
        pids = [int(pid) for pid in (tmp_path / job().folder / "cwd" / "pids").read_text().split()]
        assert len(pids) == 2
        assert all(psutil.pid_exists(pid) for pid in pids)
    finally:
        run.close()
    gone_by = time.monotonic() + 400
    while any(_is_alive(pid) for pid in pids) and time.monotonic() < gone_by:
        time.sleep(0.01)
    assert not any(_is_alive(pid) for pid in pids)


def test_leftover_children_are_ended(tmp_path):
    """A child process is found by its group after its program has ended."""
    code = "import subprocess; print('val=' + str(subprocess.Popen(['sleep', '600']).pid))"
    (report,), update = trained(study(python(code), command={"metrics": {"val": "val=(.*)"}}), job(), tmp_path)
    gone_by = time.monotonic() + 400
    while _is_alive(int(report.metrics["val"])) and time.monotonic() < gone_by:
        time.sleep(0.01)
    assert (update.error, _is_alive(int(report.metrics["val"]))) == (None, False)


def _is_alive(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


RESUMED = f"{RUN} --checkpoint {{checkpoint}} --fault "
KILLED = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from tests.training.test_command import resumed, job, trained
trained(resumed(Path(sys.argv[2]), sys.argv[3]), job(5), Path(sys.argv[2]))
"""


def resumed(work, fault):
    return study(f"{RESUMED}{fault} --flag {work}/killed", budget=5, command={"resumable": True})


def killed(work, fault):
    """Trains in a process that the program kills in its third epoch."""
    given = [str(PROJECT.parents[1]), str(work), fault]
    ended = subprocess.run([sys.executable, "-c", KILLED, *given], check=False, capture_output=True)
    assert ended.returncode == -9, ended.stderr.decode()
    assert (work / job(5).folder / "cwd" / "checkpoint").exists()


def _programs(work):
    found = [one.info["cmdline"] or [] for one in psutil.process_iter(["cmdline"])]
    return [line for line in found if str(work) in " ".join(line)]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    return values(trained(study(f"{RUN} --fault none", budget=5), job(5), tmp_path_factory.mktemp("clean"))[0])


@pytest.mark.slow
def test_command_resumes_after_a_kill(tmp_path, uninterrupted):
    """The resume is bit-exact, and no files are left at the end."""
    killed(tmp_path, "kill-once")
    gone_by = time.monotonic() + 400  # the program would sleep for ten minutes
    while _programs(tmp_path) and time.monotonic() < gone_by:
        time.sleep(0.01)
    assert _programs(tmp_path) == []
    reports, update = trained(resumed(tmp_path, "kill-once"), job(5), tmp_path)
    assert (update.error, update.outcome.remarks) == (None, ())
    assert [report.step for report in reports] == [1, 2, 3, 4, 5]
    assert values(reports) == uninterrupted
    discard_checkpoint(tmp_path, job(5))
    assert not (tmp_path / job(5).folder).exists()


@pytest.mark.slow
def test_other_command_starts_over(tmp_path, uninterrupted):
    """It starts in an empty folder, without the steps and the checkpoint of the earlier command."""
    killed(tmp_path, "kill-once")
    reports, update = trained(resumed(tmp_path, "none --gain 1.0"), job(5), tmp_path)
    assert (update.error, values(reports)) == (None, [pytest.approx(value + 0.01) for value in uninterrupted])


@pytest.mark.slow
def test_checkpoint_ahead_restarts(tmp_path, uninterrupted):
    """The checkpoint was saved before its step was reported, so the step would be lost."""
    killed(tmp_path, "ahead-kill-once")
    reports, update = trained(resumed(tmp_path, "ahead-kill-once"), job(5), tmp_path)
    assert "started over" in str(update.outcome.remarks)
    assert (update.error, values(reports)) == (None, uninterrupted)


def test_differing_resumed_step(tmp_path):
    code = """import json
for step, val in (1, 0.5), (2, 0.7), (1, 0.9):
    print(json.dumps({"step": step, "val": val}))"""
    run = python(code)
    of = study(run, budget=2, command={"resumable": True})
    reports, update = trained(of, job(2), tmp_path / "work")
    assert [report.step for report in reports] == [1, 2]
    assert any("other metrics" in remark for remark in update.outcome.remarks)


# Sources of the metrics.


def python(code):
    return ["{python}", "-c", code.replace("{", "{{").replace("}", "}}"), "{x}"]


def test_expressions_find_last_values(tmp_path):
    code = "print('acc=0.1'); print('acc=0.75 loss=2e-3')"
    of = study(python(code), objective="acc", command={"metrics": {"acc": "acc=([0-9.]+)", "loss": r"loss=(\S+)"}})
    (report,), update = trained(of, job(), tmp_path)
    assert (update.status, dict(report.metrics)) == (Status.COMPLETE, {"acc": 0.75, "loss": 0.002})


@pytest.mark.parametrize(
    ("file", "text", "steps"),
    [
        ("m.json", '{"val": {"auc": 0.75}, "model": "unet"}', [{"val.auc": 0.75}]),
        ("m.json", '[{"step": 1, "val.auc": 0.5}, {"step": 2, "val.auc": 0.75}, {"step": 3, "val.auc": 1}]', None),
        ("m.csv", "step,val.auc,model\n1,0.5,unet\n2,0.75,unet\n3,1.0,unet\n", None),
        ("m.jsonl", '{"step": 1, "val.auc": 0.5}\n{"step": 2, "val.auc": 0.75}\n{"step": 3, "val.auc": 1}', None),
    ],
)
def test_a_file_holds_the_metrics(tmp_path, file, text, steps):
    of = study(python(f"open({file!r}, 'w').write({text!r})"), objective="val.auc", command={"metrics_file": file})
    reports, update = trained(of, job(), tmp_path)
    assert update.error is None
    found = [dict(report.metrics) for report in reports]
    assert found == (steps or [{"val.auc": 0.5}, {"val.auc": 0.75}, {"val.auc": 1.0}])


# Errors and their messages.


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ("exit", "ended with exit code 3; the last lines of its stderr:\nthere are no data"),
        ("silent", "without reporting 'val' on stdout"),
        ("nan", "metric 'val' at step 2 is nan"),
        ("order", "step 3 was reported instead of step 2"),
        ("early", "ended after step 1 of 3"),
        ("file", "programs/train.py is in the project's folder"),
    ],
)
def test_faulty_program_fails(tmp_path, fault, sentence):
    assert sentence in error_of(f"{RUN} --fault {fault}", tmp_path)


def test_an_early_end_may_be_allowed(tmp_path):
    of = study(f"{RUN} --fault early", command={"may_end_early": True})
    assert trained(of, job(), tmp_path)[1].status is Status.COMPLETE


def test_unstartable_command_fails(tmp_path):
    assert "the command was not found: there is no program 'no-such-one'" in error_of("no-such-one {x}", tmp_path)
    assert "is not executable; run chmod +x" in error_of("programs/curves.py {x}", tmp_path)


@pytest.mark.parametrize(
    ("code", "command", "sentence"),
    [
        ("print('{\"auc\": 1}')", {}, "it reported auc"),
        ('print(\'{"step": 0, "val": 1}\')', {}, "step must be a whole number of at least 1, not 0"),
        ("print('{\"val\": 1}')", {"resumable": True}, "a report has no 'step', which every report must have"),
        ('print(\'{"val": "good"}\')', {}, "metric 'val' at step 1 is 'good', not a number"),
        ("print('val=')", {"metrics": {"val": "val=([0-9]+)"}}, "no line of stdout matches"),
        ("print('val=nan')", {"metrics": {"val": "val=(.*)"}}, "metric 'val' at step 1 is nan"),
        ("pass", {"metrics_file": "m.json"}, "has not written m.json"),
        ("open('m.json', 'w').write('3')", {"metrics_file": "m.json"}, "must hold objects, not 3"),
        ("open('m.csv', 'w').write('a,b\\n1,2')", {"metrics_file": "m.csv"}, "in m.csv; it reported a, b"),
        ("import os; os.abort()", {}, "was ended by SIGABRT"),
    ],
)
def test_wrong_reports_are_refused(tmp_path, code, command, sentence):
    assert sentence in error_of(python(code), tmp_path, command=command)


def test_more_steps_than_the_budget_fail(tmp_path):
    of = study(RUN.replace("{budget}", "4"))
    assert "metrics were reported 4 times, but the budget is 3" in trained(of, job(), tmp_path)[1].error


def test_an_option_file_is_found(tmp_path):
    """Paths of project files are relative to the project's folder, although the program starts in another one."""
    code = (
        "import sys; print('val=' + str(sum(len(open(one.removeprefix('--c=')).read()) > 0 for one in sys.argv[1:3])))"
    )
    run = ["{python}", "-c", code, "--c=programs/curves.py", "studies/curve.toml", "{x}"]
    (report,), update = trained(study(run, command={"metrics": {"val": "val=(.)"}}), job(), tmp_path)
    assert (update.error, report.metrics["val"]) == (None, 2.0)
    assert os.getcwd() != str(PROJECT)
