"""Trainings that end before their budget by a rule of their own."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from hpo.core.protocols import Decision, Resources, TrainableRef
from hpo.core.records import Job, Objective, Stage, Status
from hpo.core.tracker import JobTracker
from hpo.training import TrainingRun

PROJECT = Path(__file__).parents[1] / "project"
LOSS = Objective(metric="loss", direction="minimize")
EARLY = TrainableRef(path="toys.early:train", root=str(PROJECT), objective=LOSS)


def job(budget=9, **params):
    return Job(trial=0, params=params, seed=42, budget=budget, stage=Stage.PROMOTION)


def whole(one, work, trainable=EARLY, stop_after=None):
    """Trains to the end, or leaves the training after so many steps as a killed process does."""
    training = TrainingRun(one, trainable, Resources(), work)
    reports = []
    while True:
        update = training.advance()
        reports += update.reports
        if update.status is not None or len(reports) == stop_after:
            training.close()
            return update, reports


def test_early_stop_is_complete(tmp_path):
    update, reports = whole(job(until=3, patience=2), tmp_path)
    assert (update.status, update.error) == (Status.COMPLETE, None)
    assert [report.step for report in reports] == [1, 2, 3, 4, 5]
    log = Path(update.outcome.files, "run.log").read_text()
    assert "stops before its budget of 9 epochs: no better for 2 epochs" in log


def test_saved_model_is_of_selected_epoch(tmp_path):
    stopped, _ = whole(job(until=2, patience=3), tmp_path / "stopped")
    cut, _ = whole(job(budget=2, until=2), tmp_path / "cut")
    assert stopped.outcome.digests == cut.outcome.digests
    last = TrainableRef(path=EARLY.path, root=EARLY.root, objective=Objective(**{**vars_of(LOSS), "epoch": "last"}))
    assert whole(job(until=2, patience=3), tmp_path / "last", last)[0].outcome.digests != cut.outcome.digests


def vars_of(objective):
    return {name: getattr(objective, name) for name in ("metric", "direction")}


@pytest.mark.parametrize("killed_in", [1, 2, 3, 4, 5])
def test_killed_training_stops_at_same_epoch(tmp_path, killed_in):
    expected, reports = whole(job(until=3, patience=2), tmp_path / "whole")
    whole(job(until=3, patience=2), tmp_path / "cut", stop_after=killed_in)
    torch.manual_seed(7)
    resumed, again = whole(job(until=3, patience=2), tmp_path / "cut")
    assert resumed.outcome.digests == expected.outcome.digests
    assert [report.metrics for report in again] == [report.metrics for report in reports]


def test_early_stop_has_best_value(tmp_path):
    class Heard:
        def __init__(self):
            self.steps = []

        def report(self, _, step, value):
            self.steps.append(step)
            return Decision.CONTINUE

    source, updates = Heard(), []
    training = TrainingRun(job(until=2, patience=2), EARLY, Resources(), tmp_path)
    while not updates or updates[-1].status is None:
        updates.append(training.advance())
    training.close()
    tracker = JobTracker(source, job(until=2, patience=2), LOSS)
    evaluation = [tracker.receive(update) for update in updates][-1]
    assert (evaluation.status, evaluation.step, source.steps) == (Status.COMPLETE, 2, [1, 2, 3, 4])
    assert len(evaluation.reports) == 4


def test_stop_in_last_epoch_changes_nothing(tmp_path):
    stopped, _ = whole(job(budget=4, until=2, patience=2), tmp_path / "stopped")
    never, reports = whole(job(budget=4, until=2, patience=9), tmp_path / "never")
    assert len(reports) == 4
    assert stopped.outcome.digests == never.outcome.digests


def test_stop_between_epochs_while_paused(tmp_path):
    training = TrainingRun(job(until=1, patience=1), EARLY, Resources(), tmp_path)
    training.advance()
    training.advance()
    update = training.pause()  # its second epoch was the last: nothing is left to pause
    training.close()
    assert (update.status, update.paused) == (Status.COMPLETE, False)


def test_stop_outside_an_epoch_is_refused(tmp_path):
    update, _ = whole(job(outside=True), tmp_path)
    assert update.error == "ctx.stop() ends the loop over ctx.epochs(); call it inside that loop"
