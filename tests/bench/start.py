"""From `hpo run` to the first step of a training, by stages: on a running Ray, with one of its own, and without Ray."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.bench.arithmetic import Spread
from tests.bench.channel import ROOT
from tests.bench.head import ray_head
from tests.bench.say import Target, say, table

STAGES = {
    "study read and checked": "reproducible:",
    "Ray called": " Ray",
    "study open, workers called": "starting 2 workers",
}
"""What stands on stderr when a stage is over, by its name."""

HERE = ["--backend", "local"]
"""The options of worker processes of this machine."""

IN_WORKER = {"importing": "worker up, trainable's import begins", "imported": "torch imported", "step": "first step"}
"""What the worker says the moment of, by its name there."""

STUDY = """
name      = "begins"
trainable = "tests.bench.begins:train"
[objective]
metric = "val"
[space]
x = {{ float = [0.0, 1.0] }}
[fixed]
folder = "{folder}"
[search]
trials = 2
budget = 1
"""

LIMIT = 6.0


def measure(repetitions: int) -> dict[str, list[dict[str, float]]]:
    """Starts it on a running Ray and with one of its own in turn, so often; seconds since the command, by stage."""
    found: dict[str, list[dict[str, float]]] = {"running": [], "cold": [], "processes": []}
    for repetition in range(repetitions):
        with ray_head(2) as address:
            on_it = ["--ray-address", address]
            _once(on_it)  # a Ray that has never started a worker is no running Ray
            found["running"].append(_once(on_it))
        found["cold"].append(_once([]))
        found["processes"].append(_once(HERE))
        for kind, runs in found.items():
            stages = "  ".join(f"{name} {moment:.1f}" for name, moment in runs[-1].items())
            say(f"{repetition + 1}/{repetitions}  {kind:9s} {stages}")
    return found


def _once(options: list[str]) -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="hpo-bench-") as folder:
        return _run(Path(folder), options)


def _run(folder: Path, options: list[str]) -> dict[str, float]:
    (folder / "begins.toml").write_text(STUDY.format(folder=folder))
    command = [sys.executable, "-c", "from hpo.cli import main; main()", "run", "--study", str(folder / "begins.toml")]
    command += ["--storage", f"sqlite:///{folder / 'hpo.db'}", "--outputs", str(folder), "--concurrency", "2"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment.pop("RAY_ADDRESS", None)
    began = time.time()
    process = subprocess.Popen(
        [*command, *options],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    moments: dict[str, float] = {}
    said = []
    for line in process.stderr:
        said.append(line)
        for stage, mark in STAGES.items():
            if stage not in moments and mark in line:
                moments[stage] = time.time() - began
    if process.wait():
        raise RuntimeError(f"hpo run failed: {''.join(said)[-3000:]}")
    workers = [json.loads(path.read_text()) for path in folder.glob("*.json")]
    first = min(workers, key=lambda moments: float(moments["step"]))
    moments |= {name: first[key] - began for key, name in IN_WORKER.items()}
    return {**moments, "over": time.time() - began}


def _shown(stage: str, runs: list[dict[str, float]]) -> str:
    known = [run[stage] for run in runs if stage in run]
    return Spread.of(known).shown(1, 1) if known else "-"


def report(found: dict[str, list[dict[str, float]]]) -> list[Target]:
    """Prints what was measured and returns how it compares with what was wanted."""
    stages = list(next(iter(found.values()))[0])
    table(
        "From `hpo run` to the first step, seconds since the command",
        ["stage", *found],
        [[name, *(_shown(name, runs) for runs in found.values())] for name in stages],
    )
    step = IN_WORKER["step"]
    return [Target("first step on a running Ray", Spread.of([run[step] for run in found["running"]]), LIMIT, unit=" s")]
