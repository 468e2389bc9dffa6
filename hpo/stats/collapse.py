"""Detects collapsed trainings: the model predicts one class for every case, or its value never changes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from hpo.core.records import Evaluation, Objective, Stage, Status

ONE_CLASS = "one-class-predictions"
"""The kind of the alert that reports it for an epoch."""

MIN_STEPS = 3
"""Minimum number of reports for a constant value to count as a collapse."""

AGREEMENT = re.compile(r"kappa|(?:^|_)mcc(?:$|_)|matthews", re.IGNORECASE)
"""Names of metrics that are exactly 0 if all predictions are one class."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Collapse:
    """A trial with collapsed replicates.

    Attributes:
        trial: number of the trial.
        reasons: why each collapsed replicate counts as such, by seed.
        replicates: number of complete replicates.
    """

    trial: int
    reasons: Mapping[int, str]
    replicates: int

    @property
    def is_whole(self) -> bool:
        """Whether all complete replicates collapsed."""
        return len(self.reasons) == self.replicates

    @property
    def description(self) -> str:
        """The end of a sentence about the trial: `collapsed under every seed: ...`."""
        by_reason: dict[str, list[str]] = {}
        for seed, reason in self.reasons.items():
            by_reason.setdefault(reason, []).append(str(seed))
        where = "; ".join(f"seed {', '.join(seeds)}: {reason}" for reason, seeds in by_reason.items())
        reach = "every seed" if self.is_whole else f"{len(self.reasons)} of {self.replicates} seeds"
        return f"collapsed under {reach} ({where})"


def collapses(
    evaluations: Iterable[Evaluation],
    objective: Objective,
    limit: float | None = None,
    one_class: Mapping[tuple[int, int], str] | None = None,
) -> dict[int, Collapse]:
    """Returns the trials with collapsed replicates.

    Args:
        evaluations: evaluations of any stage; only those of promotions are used.
        objective: objective of the study.
        limit: the best possible value; reaching it in every epoch is not a collapse.
        one_class: name of the one predicted class by trial and seed, where the prediction files show only one.
    """
    counts: dict[int, int] = {}
    reasons: dict[int, dict[int, str]] = {}
    for one in evaluations:
        job = one.job
        if job.stage is not Stage.PROMOTION or one.status is not Status.COMPLETE or job.variant:
            continue
        counts[job.trial] = counts.get(job.trial, 0) + 1
        name = (one_class or {}).get((job.trial, job.seed))
        when = "" if one.step is None else f" in epoch {one.step}, the selected one"
        found = (
            f"all validation cases were predicted as class {name}{when}" if name else collapse_of(one, objective, limit)
        )
        if found is not None:
            reasons.setdefault(job.trial, {})[job.seed] = found
    return {
        trial: Collapse(trial=trial, reasons=found, replicates=counts[trial])
        for trial, found in sorted(reasons.items())
    }


def collapse_of(one: Evaluation, objective: Objective, limit: float | None = None) -> str | None:
    """Returns why a training counts as collapsed, None if it does not.

    A cross-validated training counts only if all of its folds collapsed.
    """
    found = [_collapsed(training, objective, limit) for training in one.trainings]
    return found[0] if found and all(found) else None


def _collapsed(one: Evaluation, objective: Objective, limit: float | None) -> str | None:
    values = [report.metrics.get(objective.metric) for report in one.reports]
    for number, report in enumerate(one.reports):
        alert = next((alert for alert in report.alerts if alert.kind == ONE_CLASS), None)
        if alert is None or one.step is None:
            continue
        # The alert is raised once, in the second such epoch. Later epochs raise none: a constant value since then
        # means that the model still predicts one class.
        has_stayed = all(value == values[number] for value in values[number:])
        if alert.epoch - 1 <= one.step <= alert.epoch or (one.step > alert.epoch and has_stayed):
            return alert.message
    undecided = [name for name, value in one.metrics.items() if value == 0 and AGREEMENT.search(name)]
    if undecided:
        return f"{undecided[0]} is exactly 0, as when all cases are predicted as one class"
    first = values[0] if values else None
    is_best = first is not None and first == (limit if limit is not None else _best_of_a_share(objective))
    curves = [[report.metrics.get(name) for report in one.reports] for name in objective.metrics]
    is_constant = all(len(set(curve)) == 1 for curve in curves)  # a size is constant, and is no collapse
    if len(values) >= MIN_STEPS and first is not None and not is_best and is_constant:
        return f"{objective.metric} is {first:.4g} in every epoch"
    return None


def _best_of_a_share(objective: Objective) -> float:
    return 1.0 if objective.direction == "maximize" else 0.0
