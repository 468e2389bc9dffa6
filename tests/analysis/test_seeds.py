"""What each source of randomness does to a trial, and whether one job gives the same bits again."""

from __future__ import annotations

import csv
import json
import math
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import forked
import numpy as np
import pytest

import hpo
from hpo import api
from hpo.analysis.draws import Draws
from hpo.analysis.options import DRAWS
from hpo.analysis.shown import decomposition_text, replay_text
from hpo.cli.tables import trial_text, trial_values
from hpo.core.errors import NothingToPromote, UsageError
from hpo.core.records import Objective
from hpo.figures.report import effects_figure
from hpo.seeds.streams import STREAMS, Streams

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def study(curve):
    def made(**changes):
        fixed = changes.pop("fixed", {})
        return curve(
            name="sources",
            trainable="toys.sources:train",
            space={"x": {"float": [0.0, 1.0]}},
            fixed=fixed,
            search={"trials": 2, "budget": 2, "pruner": "none"},
            **changes,
        )

    return made


@pytest.fixture(scope="module")
def searched_once(study, module_config):
    made = study()
    hpo.run(made, module_config)
    return made


@pytest.fixture
def searched(searched_once, restored_config):
    return searched_once


def text_of(renderable):
    from rich.console import Console

    console = Console(width=200)
    with console.capture() as capture:
        console.print(renderable, highlight=False, markup=False)
    return capture.get()


class Stopping(hpo.Observer):
    """Sets a stop after so many evaluations, and counts them."""

    def __init__(self, after):
        self.stop, self.after, self.told_jobs, self.begun = threading.Event(), after, [], None

    def begins(self, total, done):
        self.begun = (total, done)

    def told(self, evaluation):
        self.told_jobs.append(evaluation.job)
        if len(self.told_jobs) == self.after:
            self.stop.set()


def draws(**changes):
    given = {"seed": 41, "count": 4, "replays": 2, "sources": ("split", "init"), "budget": 2, "streams": {}}
    return Draws.of(0, {"x": 0.5}, **{**given, **changes})


def test_redrawn_job_changes_one_stream():
    made = draws(sources=tuple(STREAMS))
    assert len(made.jobs) == 4 * 6 + 2
    assert len({job.key for job in made.jobs}) == len({job.folder for job in made.jobs}) == len(made.jobs)
    for source, jobs in made.redrawn.items():
        for base, job in zip(made.base, jobs, strict=True):
            ours, theirs = Streams(base.seed, base.stream_seeds), Streams(job.seed, job.stream_seeds)
            other = {name for name in STREAMS if getattr(ours, name).number() != getattr(theirs, name).number()}
            assert other == {source}
            assert job.seed == base.seed, "a trainable may look at the seed itself"


def test_streams_of_all_draws_differ():
    made = draws(count=50, sources=tuple(STREAMS))
    numbers = [getattr(Streams(job.seed, job.stream_seeds), name).number() for job in made.base for name in STREAMS]
    numbers += [
        getattr(Streams(job.seed, job.stream_seeds), source).number()
        for source, jobs in made.redrawn.items()
        for job in jobs
    ]
    assert len(set(numbers)) == len(numbers) == 50 * 10


def test_more_draws_extend_the_same_jobs():
    assert draws() == draws()
    assert draws().base == draws(count=9).base[:4]
    assert draws(sources=("init",)).redrawn["init"] == draws().redrawn["init"]
    assert draws(seed=40).base[0].seed != draws().base[0].seed


@pytest.mark.slow
def test_known_sources_are_separated(searched, restored_config):
    """val = 3 split + init: of the variance 10, split has 9 and init 1, and nothing else is ever drawn."""
    found = api.decompose(searched, restored_config, trial=0, n=30, replays=1)
    by_source = {line.source: line for line in found.lines}
    assert [line.source for line in found.lines[:2]] == ["split", "init"]
    assert by_source["split"].effect.interval[0] < 3 < by_source["split"].effect.interval[1]
    assert by_source["init"].effect.interval[0] < 1 < by_source["init"].effect.interval[1]
    assert found.effects.total == pytest.approx(1.0, abs=0.4)
    assert (found.effects.interact, found.effects.leader) == (False, "split")
    assert found.advice == "The split moves this result more than any other source: add folds before adding seeds."
    for name in ("order", "augment", "dropout"):
        line = by_source[name]
        assert (line.effect.sd, line.effect.share, line.effect.interval) == (0.0, 0.0, None)
        assert (line.is_unused, line.identical, line.pairs) == (True, 30, 30)


def test_effects_match_numpy(searched, restored_config):
    found = api.decompose(searched, restored_config, trial=0, n=5)
    written = json.loads((restored_config.outputs / "sources" / "decomposition-trial-0.json").read_text())
    base = np.array([one["value"] for one in written["draws"]])
    assert written["sd"] == pytest.approx(base.std(ddof=1))
    assert (written["n"], written["trainings"], written["seed"]) == (5, 33, 41)
    for row in written["sources"]:
        other = np.array([one["redrawn"][row["source"]]["value"] for one in written["draws"]])
        assert row["sd"] ** 2 == pytest.approx(np.mean((base - other) ** 2) / 2)
        assert row["total_effect"] == pytest.approx(row["sd"] ** 2 / base.var(ddof=1))
    for one in written["draws"]:
        split, init = (float(getattr(Streams(one["seed"]), name).numpy().normal()) for name in ("split", "init"))
        assert one["value"] == pytest.approx(3 * split + init)
        other = float(Streams(one["redrawn"]["split"]["seed"]).split.numpy().normal())
        assert one["redrawn"]["split"]["value"] == pytest.approx(3 * other + init)
    with (restored_config.outputs / "sources" / "decomposition-trial-0.csv").open() as file:
        rows = {row["source"]: row for row in csv.DictReader(file)}
    assert float(rows["split"]["sd"]) == found.lines[0].effect.sd
    assert float(rows["all"]["sd"]) == found.effects.sd
    assert rows["replay"]["identical"] == rows["replay"]["pairs"] == "3"


def test_effects_figure(searched, restored_config):
    api.decompose(searched, restored_config, trial=0, n=3)
    page = (restored_config.outputs / "sources" / "decomposition-trial-0.html").read_text()
    drawn = page[page.rindex("Plotly.newPlot") :]
    assert '"arrayminus"' in drawn
    assert "not used: identical" in drawn
    assert "bit-identical 3 of 3" in drawn
    effects = api.decompose(searched, restored_config, trial=0, n=3).effects
    figure = effects_figure(effects, title="", metric="val", notes={"order": "no effect"})
    assert [trace.type for trace in figure.data] == ["scatter"]
    assert figure.layout.xaxis.type == "log"
    assert list(figure.data[0].y) == [effect.source for effect in effects.effects if effect.sd > 0]
    assert figure.layout.yaxis.categoryarray[0] == "order", "what has no dot is at the bottom, not left out"


@pytest.mark.slow
def test_recorded_draws_are_reused(searched, restored_config):
    first = api.decompose(searched, restored_config, trial=0, n=3)
    again = api.decompose(searched, restored_config, trial=0, n=3)
    assert (first.trained, again.trained) == (21, 0)
    assert again.plain() | {"trained": 21} == first.plain()
    assert api.decompose(searched, restored_config, trial=0, n=4).trained == 6
    assert api.decompose(searched, restored_config, trial=0, n=4, metric="product", replays=5).trained == 2
    assert api.decompose(searched, restored_config, trial=1, n=2, sources=["init"], replays=0).trained == 4


@pytest.mark.slow
def test_stopped_decomposition_resumes(searched, restored_config, study, tmp_path):
    whole = api.decompose(searched, restored_config, trial=0, n=3)
    elsewhere = replace(restored_config, storage=f"sqlite:///{tmp_path / 'other.db'}", outputs=tmp_path / "other")
    hpo.run(searched, elsewhere)
    ear = Stopping(after=5)
    cut = api.decompose(searched, elsewhere, trial=0, n=3, observers=[ear], stop=ear.stop)
    assert (cut.stopped, cut.effects, cut.files, cut.trained) == (True, None, (), 5)
    assert not list((tmp_path / "other").glob("*/decomposition*"))
    rest = Stopping(after=0)
    done = api.decompose(searched, elsewhere, trial=0, n=3, observers=[rest])
    assert rest.begun == (21, 5)
    assert not {job.key for job in rest.told_jobs} & {job.key for job in ear.told_jobs}
    assert done.plain() | {"trained": 21} == whole.plain()


def test_use_of_ctx_seed_is_deterministic(study, config):
    rooted = study(fixed={"rooted": True})
    hpo.run(rooted, config)
    found = api.decompose(rooted, config, trial=0, n=4)
    assert {line.source for line in found.lines if line.is_unused} == {"order", "augment", "dropout"}
    assert found.replays.are_identical


@pytest.mark.slow
def test_decompose_another_metric(searched, restored_config):
    found = api.decompose(searched, restored_config, trial=0, n=3, metric="product")
    assert {path.name for path in found.files} == {
        f"decomposition-trial-0-product.{kind}" for kind in ("html", "json", "csv")
    }
    [job] = found.draws.base[:1]
    normal = [float(getattr(Streams(job.seed), name).numpy().normal()) for name in ("split", "init")]
    assert found.values[job.key] == pytest.approx(normal[0] * normal[1])
    same = api.decompose(searched, restored_config, trial=0, n=3, metric="sign")
    assert (same.metric, same.trained) == ("sign", 0)
    flat = api.decompose(searched, restored_config, trial=0, n=2, sources=["order"], metric="sign", replays=0)
    assert flat.lines[0].is_unused


@pytest.mark.slow
def test_failed_draws_are_left_out(study, config):
    fragile = study(fixed={"fragile": True})
    hpo.run(fragile, config, trials=1)
    found = api.decompose(fragile, config, trial=0, n=8, replays=1)
    failed = len(found.failures)
    assert 0 < failed < 49
    by_source = {line.source: line for line in found.lines}
    assert 2 <= by_source["init"].pairs < by_source["order"].pairs < 8
    assert found.effects.count == by_source["order"].pairs
    printed = text_of(decomposition_text(found))
    assert f"Failed and left out: {failed} trainings. See why: hpo show --study sources 0" in printed


def test_no_complete_draw_writes_nothing(curve, config):
    broken = curve(fixed={"fault": "raise"}, search={"trials": 1, "pruner": "none"})
    hpo.run(broken, config)
    found = api.decompose(broken, config, trial=0, n=2, sources=["init"], replays=0)
    assert (found.effects, found.files, len(found.failures)) == (None, (), 4)
    assert "Fewer than two draws completed" in text_of(decomposition_text(found))
    assert not list(config.outputs.glob("*/decomposition*"))


@pytest.mark.slow
def test_differing_replays_are_reported(study, config):
    restless = study(fixed={"restless": 5.0})
    hpo.run(restless, config)
    found = api.decompose(restless, config, trial=0, n=3, sources=["split"])
    assert (found.replays.identical, found.replays.others, found.replays.differing) == (0, 3, ("history",))
    assert found.replays.largest == pytest.approx(max(found.replays.values) - min(found.replays.values))
    printed = text_of(decomposition_text(found))
    assert "bit-identical 0 of 3" in printed
    metrics = ", ".join(found.replays.metrics)  # the sign may be the same by chance
    assert "val" in found.replays.metrics
    assert f"Replays differ in history ({metrics}): val by up to {found.replays.largest:.3g}, the seeds' sd" in printed


@pytest.mark.slow
def test_unused_streams_are_reported(searched, restored_config):
    found = api.decompose(searched, restored_config, trial=0, n=3)
    printed = text_of(decomposition_text(found))
    assert "not used: bit-identical 3 of 3" in printed
    assert "no effect" not in printed
    assert "Not used: order, augment, dropout. Drawing it anew changes no bit" in printed
    assert "(a DataLoader that shuffles without generator=, nn.Dropout) is seeded from init" in found.warnings[0]
    assert found.plain()["unused"] == ["order", "augment", "dropout"]


@pytest.fixture
def heedless(curve):
    def made(seeds, budget=2):
        return curve(
            name="heedless",
            trainable="toys.heedless:train",
            space={"x": {"float": [0.0, 1.0]}},
            fixed={"seeds": seeds},
            search={"trials": 1, "budget": budget, "pruner": "none"},
        )

    return made


def test_ignored_seed_cannot_be_decomposed(heedless, config):
    study = heedless("ignored")
    hpo.run(study, config)
    found = api.decompose(study, config, trial=0, n=3)
    assert found.warnings == ("The seed is ignored: all 3 draws are bit-identical.",)
    assert found.advice.startswith("Nothing can be decomposed: the trainable sets a seed of its own")


def test_seed_outside_streams_is_reported(heedless, config):
    study = heedless("used")
    hpo.run(study, config)
    found = api.decompose(study, config, trial=0, n=3)
    assert found.advice.startswith("No stream moves this result, but seeds do: the trainable takes its randomness from")


def test_collapsed_draws_give_no_conclusion(heedless, config):
    study = heedless("flat", budget=3)
    hpo.run(study, config)
    found = api.decompose(study, config, trial=0, n=3)
    assert found.warnings[0].startswith("3 of 3 draws collapsed (val is ")
    assert found.advice.startswith("Draw no conclusion from these lines")
    assert "Draw no conclusion" in json.loads(found.files[1].read_text())["advice"]


def test_clock_metrics_are_ignored(heedless, config, curve):
    study = heedless("used")
    hpo.run(study, config)
    printed = replay_text(api.replay(study, config, trial=0, replays=2))
    assert "They differ in history (seconds), from epoch 1; val does not." in printed
    assert 'leave them out: [objective] ignore = ["seconds"]' in printed
    ignoring = curve(**{**study.content(), "objective": {**study.content()["objective"], "ignore": ["seconds"]}})
    assert api.replay(ignoring, config, trial=0, replays=2).replays.are_identical


def test_fixed_streams_are_not_redrawn(study, config):
    fixed = study(streams={"split": 7})
    hpo.run(fixed, config)
    found = api.decompose(fixed, config, trial=0, n=2, replays=0)
    assert [line.source for line in found.lines if line.source == "split"] == []
    assert all(job.stream_seeds["split"] == 7 for job in found.draws.jobs)
    assert "split: the same in all draws, [streams] split = 7" in text_of(decomposition_text(found))
    with pytest.raises(UsageError, match=r"fixes split \(\[streams\] split = 7\).*leave it out"):
        api.decompose(fixed, config, trial=0, sources=["split"])


@pytest.mark.slow
def test_torch_network_is_decomposed(curve, config):
    net = curve(
        name="net",
        trainable="toys.net:train",
        objective={"metric": "val_acc"},
        space={"lr": {"float": [0.01, 0.2], "log": True}},
        search={"trials": 1, "budget": 2, "pruner": "none"},
    )
    hpo.run(net, config)
    found = api.decompose(net, config, trial=0, n=2, replays=2)
    assert set(found.replays.same) == {"weights", "predictions", "history", "start"}
    assert (found.replays.identical, found.replays.others) == (2, 2)
    assert all(line.identical == 0 for line in found.lines), "every stream is drawn from"
    files = [path for path in Path(config.work_root).rglob("*") if path.is_file()]
    assert not [path for path in files if "decomposition" in str(path)], "nothing is left of them but the records"


@pytest.mark.slow
def test_workers_match_local_backend(searched, restored_config, on_workers, tmp_path):
    plain = replace(restored_config, storage=f"sqlite:///{tmp_path / 'there.db'}", outputs=tmp_path / "there")
    place = replace(plain, **on_workers)
    hpo.run(searched, plain)
    wanted = {"trial": 0, "n": 2, "sources": ["split", "order"]}
    with api.Workers() as workers:
        there = api.decompose(searched, place, **wanted, workers=workers)
        replayed = api.replay(searched, place, trial=0, workers=workers)
    here = api.decompose(searched, restored_config, **wanted)
    assert (there.values, there.effects, there.lines) == (here.values, here.effects, here.lines)
    assert (there.trained, there.replays.identical) == (here.trained, here.replays.identical) == (9, 3)
    assert replayed.replays.values == api.replay(searched, restored_config, trial=0).replays.values


WRONG = [
    ({"trial": 9}, "study 'sources' has trials 0 .. 1, not 9"),
    ({"trial": -1}, "trial must be 0 to 2000000, not -1"),
    ({"trial": 0, "n": 1}, "n must be 2 to 10000 draws, not 1"),
    ({"trial": 0, "replays": -1}, "replays must be 0 to 1000, not -1"),
    (
        {"trial": 0, "sources": ["splt"]},
        r"no source named 'splt'\. Sources: split, init, order, augment, dropout\. Did",
    ),
    ({"trial": 0, "sources": ["init", "init"]}, "source 'init' is given twice"),
    ({"trial": 0, "sources": []}, "name at least one source"),
    (
        {"trial": 0, "metric": "vall"},
        r"no metric named 'vall'\. Metrics: val, product, steps, sign\. Did you mean val\?",
    ),
]


@pytest.mark.parametrize(("given", "message"), WRONG)
def test_invalid_decomposition_is_refused(searched, restored_config, given, message):
    before = api.show("sources", 0, restored_config)[1]
    with pytest.raises(UsageError, match=message):
        api.decompose(searched, restored_config, **given)
    assert api.show("sources", 0, restored_config)[1] == before
    assert not (restored_config.outputs / "sources").exists()


def test_unsearched_study_is_refused(searched, curve, restored_config):
    never = curve(name="never")
    for verb in (api.decompose, api.replay):
        with pytest.raises(NothingToPromote, match="has not been searched"):
            verb(never, restored_config, trial=0)
    assert not (restored_config.outputs / "never").exists()


def test_unfinished_trial_is_refused(searched, restored_config):
    class Halfway(Stopping):
        def reported(self, job, step, value):
            self.stop.set()

    ear = Halfway(after=0)
    hpo.run(searched, restored_config, trials=3, observers=[ear], stop=ear.stop)
    with pytest.raises(UsageError, match=r"trial 2 of study 'sources' is running; finish the search first: hpo run"):
        api.decompose(searched, restored_config, trial=2)


@pytest.mark.slow
def test_replays_are_identical(searched, restored_config):
    before = api.replay(searched, restored_config, trial=0)
    assert (before.seed_sd, before.share) == (None, None)
    assert "Promote it: hpo promote --study sources" in replay_text(before)
    promoted = hpo.promote(searched, restored_config, top=2)
    found = api.replay(searched, restored_config, trial=0, replays=4)
    assert (found.trained, found.job.seed, found.replays.are_identical) == (1, 42, True)
    [row] = [row for row in promoted.ranking.rows if row.candidate.trial == 0]
    values = list(row.candidate.values.values())
    assert found.seed_sd == pytest.approx(np.std(values, ddof=1))
    assert found.replays.values == (row.candidate.values[42],) * 4
    assert found.share == 0.0
    printed = replay_text(found)
    assert "bit-identical 4 of 4" in printed
    assert "Nondeterminism is 0 % of seed noise." in printed


@pytest.mark.slow
def test_nondeterminism_as_percentage(study, config):
    restless = study(fixed={"restless": 0.3})
    hpo.run(restless, config)
    hpo.promote(restless, config, top=2)
    found = api.replay(restless, config, trial=0, seed=43, replays=5)
    assert (found.job.seed, found.replays.identical, found.replays.epoch) == (43, 0, 1)
    assert found.replays.sd == pytest.approx(np.std(found.replays.values, ddof=1))
    assert found.share == pytest.approx(found.replays.sd / found.seed_sd)
    printed = replay_text(found)
    assert "bit-identical 1 of 5" in printed
    assert "They differ in history (val), from epoch 1; val by up to" in printed
    assert f"Nondeterminism is {100 * found.share:.2g} % of seed noise." in printed


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"replays": 1}, "replays must be 2 to 1000 trainings of the same job, not 1"),
        ({"seed": -1}, "a seed must be 0 to"),
        ({"trial": 5}, r"has trials 0 \.\. 1, not 5"),
    ],
)
def test_invalid_replay_is_refused(searched, restored_config, given, message):
    with pytest.raises(UsageError, match=message):
        api.replay(searched, restored_config, **{"trial": 0, **given})


def test_replays_are_shown_but_not_verified(searched, restored_config):
    api.decompose(searched, restored_config, trial=0, n=2, replays=0)
    api.replay(searched, restored_config, trial=0)
    assert [one.recorded.job.seed for one in api.verify(searched, restored_config, trial=0)] == [41]
    shown, evaluations = api.show(searched, 0, restored_config)
    printed = text_of(trial_text(shown, evaluations, Objective(metric="val")))
    assert "12 trainings of hpo seeds decompose; each is in --json" in printed
    assert "3 trainings of hpo seeds replay" in printed
    assert len([line for line in printed.splitlines() if line.startswith(("search", "decomposition"))]) == 1
    variants = [one["variant"] for one in trial_values(shown, evaluations)["evaluations"]]
    assert sorted(variants) == sorted(["", "", "", *2 * list(STREAMS), "replay-1", "replay-2", "replay-3"])


def study_file(study, config):
    """Returns the path of the study as a file beside the toys."""
    folder = Path(config.outputs).parent / "project"
    if not folder.exists():
        shutil.copytree(study.root, folder, ignore=shutil.ignore_patterns("__pycache__"))
    fixed = "".join(f"{name} = {json.dumps(value)}\n" for name, value in study.fixed.items())
    (folder / "studies" / "sources.toml").write_text(
        'name = "sources"\ntrainable = "toys.sources:train"\n[objective]\nmetric = "val"\n'
        f"[space]\nx = {{ float = [0.0, 1.0] }}\n[fixed]\n{fixed}"
        '[search]\ntrials = 2\nbudget = 2\npruner = "none"\nlag = 4\n'
    )
    return str(folder / "studies" / "sources.toml")


def started(folder, *arguments):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return forked.Popen(
        [sys.executable, "-c", "from hpo.cli import main; main()", *arguments],
        cwd=folder,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def ended(folder, *arguments):
    """Returns exit status, stdout and stderr of a command."""
    with started(folder, *arguments) as process:
        out, errors = process.communicate(timeout=400)
    return process.returncode, out, errors


@pytest.mark.slow
def test_commands_print_tables_and_json(searched, restored_config):
    file = study_file(searched, restored_config)
    folder = Path(file).parents[1]
    common = ["--study", file, "--trial", "0", "--backend", "local", "--storage", restored_config.storage]
    decompose = ["seeds", "decompose", *common, "--n", "3", "--sources", "split,init"]
    _, out, errors = ended(folder, *decompose)
    assert "Decomposing trial 0: 12 trainings (2 epochs each)" in errors
    assert re.search(r"\[12/12\] trial 0 seed \d+ replay-3 complete", errors)
    assert out.startswith("trial 0 · val · 12 trainings · all sources: ")
    assert re.search(r"^split +[\d.]+ +[\d.]+ \.\. [\d.]+ +[\d.]+ +#+ *$", out, re.MULTILINE)
    assert re.search(r"^replay +0 +bit-identical 3 of 3 *$", out, re.MULTILINE)
    assert "Written: outputs/sources/decomposition-trial-0.html  .json  .csv" in out
    _, out, _ = ended(folder, *decompose, "--json")
    assert json.loads(out) == json.loads((folder / "outputs/sources/decomposition-trial-0.json").read_text())
    assert json.loads(out)["trained"] == 0
    status, out, _ = ended(folder, "seeds", "replay", *common, "--json")
    assert (json.loads(out)["identical"], status) == (True, 0)
    assert ended(folder, "seeds", "decompose", *common, "--sources", "dropuot") == (
        2,
        "",
        "error: no source named 'dropuot'. Sources: split, init, order, augment, dropout. Did you mean dropout?\n",
    )


@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_signal_stops_and_command_resumes(study, config, number, status):
    flags = Path(config.outputs).parent / "flags"
    flags.mkdir()
    slow = study(fixed={"nap": 0.05, "flags": str(flags)})
    hpo.run(slow, config, trials=1)
    file = study_file(slow, config)
    folder = Path(file).parents[1]
    (flags / "epochs").unlink()
    command = ["seeds", "decompose", "--study", file, "--trial", "0", "--backend", "local", "--n", "4"]
    command += ["--storage", config.storage]
    with started(folder, *command) as process:
        for line in process.stderr:
            if line.startswith("[5/27]"):
                break
        process.send_signal(number)
        out, errors = process.communicate(timeout=400)
    assert process.returncode == status
    assert "[27/27]" not in errors
    assert "Traceback" not in errors
    if number == signal.SIGINT:
        assert f"Stopped. Continue with: {shlex.join(['hpo', *command])}\n" in out
    assert not list(folder.glob("outputs/*/decomposition*"))
    status, out, errors = ended(folder, *command)
    assert status == 0
    assert "Written: outputs/sources/decomposition-trial-0.html" in out
    assert re.search(r"27 trainings \(2 epochs each, [5-9] recorded already\)", errors)
    epochs = (flags / "epochs").read_text().splitlines()
    most = 0 if number == signal.SIGINT else 1
    unlike = 4 * 3  # split and init change what is written; the other three and the replays look like their draw
    assert len(set(epochs)) == 2 * unlike
    assert 27 * 2 <= len(epochs) <= 27 * 2 + most, "the epoch in flight, and no other"


def test_precision_of_sd_from_ten_draws():
    draw = np.random.default_rng(0)
    sds = np.sqrt((draw.standard_normal((4000, DRAWS, 2)) @ [1, -1] / math.sqrt(2)) ** 2 @ np.ones(DRAWS) / DRAWS)
    assert sds.std() / sds.mean() == pytest.approx(0.23, abs=0.02)
