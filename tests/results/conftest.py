"""Winners whose replicates left real files, as the worker leaves them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from hpo.core.records import Evaluation, Job, Objective, Report, Stage, Status, Value
from hpo.results import Winner, write_results
from hpo.training.predictions import Predictions

CASES = 60


@dataclass(kw_only=True)
class Maker:
    """Makes winners; what a test wants otherwise it says by name."""

    work: Path
    trial: int = 14
    seeds: Sequence[int] = (42, 43, 44)
    epochs: int = 6
    density: bool = True
    model: bool = True
    log: bool = True
    absent: int | None = None
    changes: Mapping[str, object] = field(default_factory=dict)

    def predictions(self, seed: int) -> Predictions:
        random = np.random.default_rng(seed)
        truth = random.choice(4, size=CASES, p=[0.1, 0.25, 0.45, 0.2])
        truth[:4] = range(4)
        if self.absent is not None:
            truth[truth == self.absent] = (self.absent + 1) % 4
        logits = random.normal(size=(CASES, 4)) - 0.9 * np.abs(np.arange(4) - truth[:, None])
        odds = np.exp(logits)
        names = [f"{n:06d}" for n in range(CASES)]
        return Predictions.of(
            truth=truth,
            probabilities=odds / odds.sum(axis=1, keepdims=True),
            labels=(1, 2, 3, 4),
            names="ABCD",
            cases={"path": [f"archive/{name}/a, b.dcm" for name in names], "accession": names},
        )

    def reports(self, seed: int) -> tuple[Report, ...]:
        noise = np.random.default_rng(seed).normal(scale=0.02, size=(self.epochs, 5))
        steps = range(1, self.epochs + 1)
        return tuple(
            Report(step=step, metrics=self.metrics(step - 1, noise[step - 1]), at=1.7e9 + 10 * (step - 1))
            for step in steps
        )

    def metrics(self, n: int, noise: npt.NDArray[np.float64]) -> dict[str, float | None]:
        rise = 1 - math.exp(-(n + 1) / 2)
        if not self.density:
            return {"reward": 10 * rise + noise[0], "entropy": 1.2 - rise + noise[1], "best": None}
        return {
            "val_kappa": 0.75 * rise + noise[0] - 0.02 * max(0, n - 3),
            "val_acc": 0.3 + 0.4 * rise + noise[1],
            "train_acc": 0.3 + 0.5 * rise,
            "val_loss": 1.4 - 0.7 * rise - noise[0],
            "train_loss": 1.4 - 0.9 * rise,
            "val_macro_f1": 0.6 * rise + noise[2],
            "val_auc": 0.9 if n else None,
            "val_bal_acc": 0.58,
            "val_bal_acc_adj": 0.44,
            "lr": 1e-3,
        }

    def evaluation(self, seed: int, objective: Objective) -> Evaluation:
        params: dict[str, Value] = {"lr": 3e-4, "width": 8, "optimizer": "adamw", "seed_word": "é"}
        job = Job(trial=self.trial, params=params, seed=seed, budget=self.epochs, stage=Stage.PROMOTION)
        files = self.work / job.folder
        files.mkdir(parents=True, exist_ok=True)
        digests = {}
        if self.model:
            (files / "best_model.pt").write_bytes(b"weights of %d" % seed)
            digests["weights"] = f"{seed:064x}"
        if self.density:
            predictions = self.predictions(seed)
            predictions.save(files)
            digests["predictions"] = predictions.digest
        if self.log:
            (files / "run.log").write_text("2026-01-01 00:00:00 [INFO] said by the worker\n", encoding="utf-8")
        (files / "checkpoint.pt").write_bytes(b"must stay here")
        reports = self.reports(seed)
        chosen = objective.select(reports)
        return Evaluation(
            job=job,
            status=Status.COMPLETE,
            value=objective.value(chosen),
            step=chosen.step,
            reports=reports,
            seconds=57.5,
            digests=digests,
            files=str(files),
            fingerprint={
                "python": "3.11.7",
                "platform": "Linux",
                "threads": 1,
                "device": "cpu",
                "packages": {"torch": "2.13.0", "numpy": "2.4.0"},
                "facts": {"data": "d4" * 32},
            },
        )

    def __call__(self) -> Winner:
        objective = Objective(metric="val_kappa" if self.density else "reward")
        evaluations = tuple(self.evaluation(seed, objective) for seed in self.seeds)
        values = [evaluation.value for evaluation in evaluations if evaluation.value is not None]
        mean, sigma = float(np.mean(values)), float(np.std(values))
        given: dict[str, Any] = {
            "study": "unet-density",
            "uid": "u" * 32,
            "objective": objective,
            "fixed": {"data": "phantoms", "epochs": 99},
            "rule": "mean-std",
            "rank": 1,
            "mean": mean,
            "sigma": sigma,
            "score": mean - sigma,
            "lambda_": 1.0,
            "ddof": 0,
            "search_value": 0.7123,
            "search_seed": 41,
            "evaluations": evaluations,
            "trial": {
                "number": self.trial,
                "state": "COMPLETE",
                "datetime_start": "2026-01-01T00:00:00",
                "datetime_complete": None,
            },
            "project": {"git_commit": "abc", "git_dirty": False, "command_line": "hpo promote unet-density"},
        }
        return Winner(**{**given, **self.changes})


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Winner]:
    """Returns a function that makes a winner; its keywords are `Maker`'s."""
    return lambda **wanted: Maker(work=tmp_path / "work", **wanted)()


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Winner, tuple[Path, ...]]:
    """A winner of three replicates and its directories, which the tests only read."""
    folder = tmp_path_factory.mktemp("written")
    winner = Maker(work=folder / "work")()
    return winner, write_results(folder / "out", winner)
