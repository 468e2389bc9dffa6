"""How long the pages of a study with 10 000 trials take, on a server that has shown them before."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from starlette.testclient import TestClient

import hpo
from hpo.serve.app import application
from hpo.serve.settings import Settings
from hpo.serve.views import study_views
from hpo.study.loading import read
from tests.bench.arithmetic import Spread
from tests.bench.channel import ROOT
from tests.bench.say import Target, say, table
from tests.bench.stored import fill

TRIALS = 10_000
PAGES = {
    "a study": "/robustness/curve",
    "all studies": "/robustness",
    "trials, by program": "/hpo/v1/studies/curve/trials",
}


@dataclass(frozen=True, slots=True)
class Shown:
    """Seconds by page; the first look, at which the trials are read from the database, apart."""

    cold: float
    warm: dict[str, list[float]]


def measure(repetitions: int) -> Shown:
    """Asks for each page in turn."""
    content = read(ROOT / "tests" / "project" / "studies" / "curve.toml").study
    assert content is not None
    study = content.located(ROOT / "tests" / "project")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fill(study, folder, TRIALS)
        config = hpo.RunConfig(storage=f"sqlite:///{folder / 'hpo.db'}", outputs=folder / "outputs", backend="local")
        hpo.promote(study, config)
        with study_views(config) as views:
            client = TestClient(application(views, Settings(), config), base_url="http://127.0.0.1")
            cold = _asked(client, PAGES["a study"])
            warm: dict[str, list[float]] = {what: [] for what in PAGES}
            for repetition in range(repetitions):
                for what, path in PAGES.items():
                    warm[what].append(_asked(client, path))
                say(f"pages: {repetition + 1} of {repetitions}")
    return Shown(cold, warm)


def _asked(client: TestClient, path: str) -> float:
    began = time.perf_counter()
    client.get(path).raise_for_status()
    return time.perf_counter() - began


def report(found: Shown) -> list[Target]:
    """Prints the times."""
    rows = [["a study, first look", f"{found.cold:.2f}"]]
    rows += [[what, Spread.of(seconds).shown()] for what, seconds in found.warm.items()]
    table(f"Seconds to a page with {TRIALS} trials", ["", "median (low .. high)"], rows)
    return [
        Target(f"{what}, {TRIALS} trials", Spread.of(seconds), 1.0, unit=" s") for what, seconds in found.warm.items()
    ]
