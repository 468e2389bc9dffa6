"""Learning curves of the objective, for pages and to find where replicates diverge."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hpo.core.records import Evaluation, Status


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """The objective of one replicate at each epoch."""

    trial: int
    seed: str
    epochs: tuple[int, ...]
    values: tuple[float, ...]


def curve_of(one: Evaluation, metric: str) -> Iterator[Curve]:
    """Yields the curve of a replicate, or of each of its folds; nothing if it failed."""
    if one.status is Status.FAILED or one.job.variant:
        return
    for training in one.trainings:
        points = [
            (report.step, value) for report in training.reports if (value := report.metrics.get(metric)) is not None
        ]
        yield Curve(
            trial=training.job.trial,
            seed=training.job.seed_text,
            epochs=tuple(step for step, _ in points),
            values=tuple(value for _, value in points),
        )
