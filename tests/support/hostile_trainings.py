"""Trainings of `toys.hostile` and their evaluations."""

from __future__ import annotations

import math
from pathlib import Path

from hpo.core.protocols import Decision, Resources, TrainableRef
from hpo.core.records import Job, Objective, Stage
from hpo.core.tracker import JobTracker
from hpo.study.trainable import load
from hpo.training import TrainingRun, discard_checkpoint

PROJECT = Path(__file__).parents[1] / "project"


def ref(name="train"):
    return TrainableRef(path=f"toys.hostile:{name}", root=str(PROJECT), objective=Objective(metric="val"))


hostile = load(ref()).module


class Listener:
    """A source that prunes nothing."""

    def report(self, job, step, value):
        assert type(value) is float
        assert math.isfinite(value)
        return Decision.CONTINUE


def trained(work, name="train", stage=Stage.PROMOTION, budget=3, pause_at=None, **params):
    """Returns the evaluation of a hostile training as a backend makes it; None: it was paused."""
    job = Job(trial=0, params=params, seed=41, budget=budget, stage=stage)
    tracker = JobTracker(Listener(), job, ref(name).objective)
    training = TrainingRun(job, ref(name), Resources(), work)
    try:
        for step in range(budget + 2):
            update = training.pause() if step == pause_at else training.advance()
            if update.paused:
                return None
            if (evaluation := tracker.receive(update)) is not None:
                return evaluation
    finally:
        training.close()
        discard_checkpoint(work, job)
    raise AssertionError("the training never ended")
