"""What `hpo --help` takes, in turn with `optuna --help`."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from tests.bench.arithmetic import Spread, paired
from tests.bench.say import Target, say, table

COMMANDS = {"hpo": "from hpo.cli import main; main()", "optuna": "from optuna.cli import main; main()"}


def measure(repetitions: int) -> dict[str, list[float]]:
    """Calls both in turn, so often, after one call of each that fills the caches; seconds by command."""
    found: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for repetition in range(-1, repetitions):
        for name, code in COMMANDS.items():
            began = time.perf_counter()
            subprocess.run([sys.executable, "-c", code, "--help"], check=True, capture_output=True, cwd=Path.home())
            if repetition >= 0:
                found[name].append(time.perf_counter() - began)
    say(f"{repetitions} of each")
    return found


def report(found: dict[str, list[float]]) -> list[Target]:
    """Prints what was measured and returns how it compares with what was wanted."""
    rows = [[name, Spread.of(seconds).shown()] for name, seconds in found.items()]
    table("The help of the command line, seconds", ["command", "--help"], rows)
    return [Target("hpo --help / optuna --help", paired(found["hpo"], found["optuna"]), 1.0)]
