"""Trains one job from end to end, without a driver."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from hpo import Job, Objective, Report, Resources, Stage, Status, TrainableRef
from hpo.training import Predictions, Training

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Trained:
    """What came of a job."""

    reports: tuple[Report, ...]
    digests: Mapping[str, str]
    facts: Mapping[str, object]
    error: str | None
    predictions: Predictions | None


@pytest.fixture
def trained(tmp_path) -> Callable[..., Trained]:
    """Trains a job; one with `killed_in` is abandoned in the middle of that epoch and taken up by another training."""
    counter = iter(range(1000))

    def run(path, params, *, metric="val_loss", seed=42, budget=1, streams=None, killed_in=None, gpu=0.0) -> Trained:
        job = Job(trial=0, params=params, seed=seed, budget=budget, streams=streams or {}, stage=Stage.PROMOTION)
        direction = "minimize" if metric == "val_loss" else "maximize"
        trainable = TrainableRef(path=path, root=str(ROOT), objective=Objective(metric=metric, direction=direction))
        folder = tmp_path / str(next(counter))
        if killed_in is not None:
            first = Training(job, trainable, Resources(gpu=gpu), folder)
            for _ in range(killed_in):
                assert first.advance().error is None
            first.close()
            torch.manual_seed(0)
        training = Training(job, trainable, Resources(gpu=gpu), folder)
        try:
            reports = []
            while (packet := training.advance()).status is None:
                reports += packet.reports
        finally:
            training.close()
        outcome = packet.outcome
        assert (packet.status is Status.FAILED) == (packet.error is not None)
        return Trained(
            reports=(*reports, *packet.reports),
            digests=outcome["digests"],
            error=packet.error,
            facts=outcome["fingerprint"].get("facts", {}),
            predictions=Predictions.load(folder / job.place),
        )

    return run
