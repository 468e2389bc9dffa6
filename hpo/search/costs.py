"""What a training is expected to cost, for a search that looks for improvement per cost."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from optuna.trial import FrozenTrial, TrialState

from hpo.core.records import Evaluation, Status
from hpo.search.learned import FEWEST, MOST_FITTED
from hpo.study import SECONDS, Study

if TYPE_CHECKING:
    from hpo.search.gaussian import Array, Process
    from hpo.search.units import UnitSpace

COST = "hpo:cost"
"""Attribute of a finished trial: what it cost."""


def cost_of(evaluation: Evaluation, study: Study) -> float | None:
    """Returns what a training of the search cost, above 0; None: that is not known, or the study does not ask.

    A pruned training counts what a whole one would have taken, from the time of its epochs.

    Args:
        evaluation: record of the training.
        study: the study that says what counts as the cost.
    """
    name = study.search.cost
    if name is None:
        return None
    if name == SECONDS:
        found = evaluation.seconds
        if evaluation.status is Status.PRUNED and evaluation.reports:
            found *= study.search.budget / len(evaluation.reports)
    else:
        found = evaluation.metrics.get(name) or 0.0
    return found if 0 < found < math.inf else None


@dataclass(frozen=True)
class Price:
    """The expected log cost at any point, by a Gaussian process of the known log costs.

    Dividing the expected improvement by the expected cost is from Snoek, Larochelle and Adams, "Practical Bayesian
    optimization of machine learning algorithms", 2012, section 3.2; here the cost is exp E[log cost].

    Attributes:
        process: process of the standardised log costs.
        scale: standard deviation of the log costs.
    """

    process: Process
    scale: float

    @classmethod
    def of(cls, trials: Sequence[FrozenTrial], form: UnitSpace) -> Price | None:
        """Returns the expectation that follows from trials; None: too few costs are known, or all are equal.

        Args:
            trials: finished and running trials with params.
            form: the space in units.
        """
        from hpo.search.gaussian import Process, likeliest

        known = [trial for trial in trials if COST in trial.system_attrs]
        known = known[-MOST_FITTED:]
        logs = np.log([trial.system_attrs[COST] for trial in known])
        if len(known) < FEWEST or not (scale := float(logs.std())):
            return None
        values = (logs - logs.mean()) / scale
        points = form.points(form.units([trial.params for trial in known]))
        return cls(Process.under(points, values, likeliest(points, values)), scale)

    def at(self, points: Array) -> Array:
        """Returns the expected log cost (M,), up to a constant, at (P, M, C) points."""
        return self.scale * self.process.at(points)[0]


def cost_warnings(trials: Sequence[FrozenTrial], study: Study) -> tuple[str, ...]:
    """Returns a sentence if complete trials have no cost although the study asks for it.

    Args:
        trials: finished trials of the search.
        study: the study that was searched.
    """
    whole = [trial for trial in trials if trial.state is TrialState.COMPLETE]
    without = sum(COST not in trial.system_attrs for trial in whole)
    if study.search.cost is None or not without:
        return ()
    return (
        f"The cost {study.search.cost!r} was not above 0 in {without} of {len(whole)} complete trials: nothing was "
        "learned of the cost from them.",
    )
