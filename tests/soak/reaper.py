"""Kills what a study needs at random moments, until it is done all the same."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[2]
PROJECT = ROOT / "tests" / "project"
COMMAND = [sys.executable, "-c", "from hpo.cli import main; main()"]
AWAY = re.compile("cannot open storage|does not answer|has been away|is away")
STUDY = """
name      = "soak"
trainable = "toys.curve:train"

[objective]
metric = "val"

[space]
x     = { float = [0.0, 1.0] }
k     = { int = [1, 5] }
shape = { choice = ["flat", "late"] }
gain  = { float = [0.1, 1.0], when = { shape = "late" } }

[fixed]
nap   = NAP
flags = "FLAGS"

[search]
lag    = 4
trials = TRIALS
budget = 5

[resources]
max_attempts = 1000
"""


@dataclass
class Reaper:
    """One study in a folder of its own, and who kills for it.

    Attributes:
        folder: of the project, the results and the SQLite file.
        storage: database URL.
        backend: ray or local.
        trials: of the study.
        nap: longest epoch in seconds; durations are drawn from the operating system's random source.
        draw: decides who dies and when.
        server: a `MortalPostgres`, None with SQLite.
        kills: how many of each kind there were.
    """

    folder: Path
    storage: str
    backend: str
    trials: int
    nap: float
    draw: random.Random
    server: object = None
    kills: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        shutil.copytree(PROJECT / "toys", self.folder / "toys", ignore=shutil.ignore_patterns("__pycache__"))
        (self.folder / "studies").mkdir()
        (self.folder / "trained").mkdir()
        text = STUDY.replace("NAP", str(self.nap)).replace("FLAGS", str(self.folder / "trained"))
        (self.folder / "studies" / "soak.toml").write_text(text.replace("TRIALS", str(self.trials)))

    def run(self, most: int) -> int:
        """Runs the study and its promotion, killing until it is done or so many were killed; returns the kills left."""
        while True:
            driver = self._start()
            while most and self._bides_its_time(driver):
                most -= self._strike(driver)
            _, errors = driver.communicate(timeout=300)
            if driver.returncode == 0:
                return most
            struck = driver.returncode in (-signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT, 130, 143)
            lost = driver.returncode in (1, 2) and AWAY.search(errors) is not None
            assert struck or lost, f"exit status {driver.returncode}:\n{errors}"

    def _start(self) -> subprocess.Popen[str]:
        command = ["run", "--study", "soak", "--promote", "--backend", self.backend]
        command += ["--concurrency", "2"] if self.backend == "ray" else []
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "HPO_STORAGE": self.storage}
        return subprocess.Popen(
            [*COMMAND, *command],
            cwd=self.folder,
            env=environment,
            text=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )

    def _bides_its_time(self, driver: subprocess.Popen[str]) -> bool:
        """Waits for the moment that was drawn; False if the driver is over before it."""
        longest = 4.0 if self.backend == "local" else 16.0
        try:
            driver.wait(self.draw.uniform(0.2, longest))
        except subprocess.TimeoutExpired:
            return True
        return False

    def _strike(self, driver: subprocess.Popen[str]) -> bool:
        """Kills something; False if there was nothing to kill."""
        before = self.kills.total()
        ways = [self._driver_killed, self._driver_killed, self._driver_stopped]
        ways += [self._worker_killed] * 3 if self.backend == "ray" else []
        ways += [self._server_killed] * 2 if self.server is not None else []
        self.draw.choice(ways)(driver)
        return self.kills.total() > before

    def _driver_killed(self, driver: subprocess.Popen[str]) -> None:
        self.kills["driver, kill -9"] += 1
        driver.kill()

    def _driver_stopped(self, driver: subprocess.Popen[str]) -> None:
        number = self.draw.choice([signal.SIGTERM, signal.SIGINT])
        self.kills[f"driver, {number.name}"] += 1
        driver.send_signal(number)

    def _worker_killed(self, driver: subprocess.Popen[str]) -> None:
        workers = [one for one in _below(driver.pid) if _title(one).startswith("ray::Worker")]
        if workers:
            self.kills["worker, kill -9"] += 1
            victim = self.draw.choice(workers)
            os.kill(victim.pid, signal.SIGKILL)

    def _server_killed(self, _driver: subprocess.Popen[str]) -> None:
        self.kills["Postgres, kill -9"] += 1
        self.server.kill()
        time.sleep(self.draw.uniform(0.0, 2.0))
        self.server.start()

    def trained_twice(self) -> int:
        """Returns how many epochs were trained again."""
        epochs = [file.read_text().split() for file in (self.folder / "trained").iterdir()]
        return sum(len(one) - len(set(one)) for one in epochs)


def _below(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""
