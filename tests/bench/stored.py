"""Databases with as many trials as one likes, made in a second: rows of a real search, copied under new numbers."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna

import hpo
from hpo.core.protocols import DONE, Decision
from hpo.core.records import Evaluation, Job, Report, Status
from hpo.driver.session import RunContext, Session
from hpo.search.source import SearchSource
from hpo.store import RecordedSource

FINGERPRINT = {
    "python": "3.11.0",
    "platform": "Linux",
    "machine": "x86_64",
    "device": "cpu",
    "threads": 1,
    "packages": {},
}


@dataclass
class Driver:
    """A study that is open and driven in this process, as `hpo run` does it, without a backend."""

    opened: Session
    source: RecordedSource

    def train(self) -> bool:
        """Takes a job through all its steps, with no training in between; False if there is none."""
        job = self.source.ask()
        if not isinstance(job, Job):
            assert job is DONE
            return False
        reports = []
        for step in range(1, job.budget + 1):
            reports.append(Report(step=step, metrics={"val": float(step)}, at=0.0))
            assert self.source.report(job, step, float(step)) is Decision.CONTINUE
        last = reports[-1]
        self.source.tell(
            Evaluation(
                job=job,
                status=Status.COMPLETE,
                value=last.metrics["val"],
                step=last.step,
                reports=tuple(reports),
                fingerprint=FINGERPRINT,
            )
        )
        return True


@contextmanager
def driven(study: hpo.Study, folder: Path) -> Iterator[Driver]:
    """Opens a study in the folder's database and drives it."""
    config = hpo.RunConfig(storage=f"sqlite:///{folder / 'hpo.db'}", outputs=folder, backend="local")
    with Session.open(study, RunContext.of(study, config), create=True) as found, found.drive("run") as lease:
        yield Driver(found, RecordedSource(SearchSource(study, found.durable), found.store, found.stored, lease))


def fill(study: hpo.Study, folder: Path, count: int) -> None:
    """Makes a database with `count` complete trials of the study.

    The first is made by this package; the others are copies of its rows with other params, which takes a second where
    Optuna's `add_trial` takes a minute. What came out is read back by Optuna.
    """
    one = study.model_copy(update={"search": study.search.model_copy(update={"trials": 1})})
    with driven(one, folder) as driver:
        while driver.train():
            pass
    draw = random.Random(0)
    with closing(sqlite3.connect(folder / "hpo.db")) as connection, connection:
        for table in [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]:
            columns = [row[1:3] for row in connection.execute(f"PRAGMA table_info({table})")]
            names = [name for name, _kind in columns]
            trial = next((name for name in ("trial_id", "trial") if name in names), None)
            if trial is None or table == "studies":
                continue
            key = f"{table[:-1]}_id" if table != "trials" else "trial_id"
            own = "id" if table.startswith("hpo_") else key if table == "trials" else _primary(connection, table)
            rows = [dict(zip(names, row, strict=True)) for row in connection.execute(f"SELECT * FROM {table}")]
            fresh: list[dict[str, Any]] = []
            for number in range(1, count):
                for config, row in enumerate(rows):
                    new = {**row, trial: row[trial] + number, own: number * len(rows) + config + 1}
                    if table == "trials":
                        new["number"] = number
                    if "param_value" in new:
                        new["param_value"] = _drawn(draw, row["distribution_json"])
                    if table == "trial_values":
                        new["value"] = draw.random()
                    fresh.append(new)
            marks = ", ".join(f":{name}" for name in names)
            connection.executemany(f"INSERT INTO {table} VALUES ({marks})", fresh)


def _drawn(draw: random.Random, distribution: str) -> float:
    """Returns a value of the distribution as Optuna stores it."""
    match optuna.distributions.json_to_distribution(distribution):
        case optuna.distributions.CategoricalDistribution(choices=choices):
            return draw.randrange(len(choices))
        case optuna.distributions.IntDistribution(low=low, high=high):
            return draw.randint(low, high)
        case optuna.distributions.FloatDistribution(low=low, high=high):
            return draw.uniform(low, high)
        case other:
            raise NotImplementedError(f"a value of {other}")


def _primary(connection: sqlite3.Connection, table: str) -> str:
    return next(str(row[1]) for row in connection.execute(f"PRAGMA table_info({table})") if row[5])
