"""Trials, trainings and epochs as rows of plain values, for tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from math import fsum
from typing import TYPE_CHECKING

from hpo.core.records import Evaluation, Stage
from hpo.study import Study, Trial

if TYPE_CHECKING:
    import pandas as pd

OF_TRIALS = ("number", "state", "value", "seed", "epoch", "seconds", "started", "ended", "other_code")
"""Columns of a table of trials that are neither params nor metrics."""

OF_TRAININGS = ("trial", "stage", "seed", "fold", "variant", "budget", "status", "value", "epoch", "seconds", "ended")
"""Columns of a table of trainings that are neither params nor metrics."""

OF_EPOCHS = ("trial", "stage", "seed", "fold", "variant", "epoch", "at")
"""Columns of a table of epochs that are no metrics."""

TIMES = ("started", "ended", "at")
"""Columns with moments."""

COUNTS = ("epoch",)
"""Columns with whole numbers that may be missing."""


def as_frame(rows: Sequence[Mapping[str, object]], columns: Sequence[str] = ()) -> pd.DataFrame:
    """Returns rows as a table whose moments and counts have their types.

    Args:
        rows: the rows, as the functions of this module give them.
        columns: names of the columns if there are no rows.
    """
    import pandas as pd

    found = pd.DataFrame(rows if rows else {name: [] for name in columns})
    for name in found.columns.intersection(list(TIMES)):
        found[name] = pd.to_datetime(found[name])
    for name in found.columns.intersection(list(COUNTS)):
        found[name] = found[name].astype("Int64")
    return found


def trial_rows(
    trials: Sequence[Trial], study: Study, evaluations: Iterable[Evaluation], others: Iterable[int] = ()
) -> list[dict[str, object]]:
    """Returns a row for each trial: number, state, value, constraints, params, times, and every metric.

    A metric is that of the step whose value counts; of several trainings of a trial, under several seeds or on folds,
    the mean. `seconds` adds them up; it is 0 where an identical trial answered. Start and end are local time, as Optuna
    gives it. A param or metric with the name of another column has a prefix: `params.value`, `metrics.seed`.

    Args:
        trials: trials in the order of the rows.
        study: the study that was searched.
        evaluations: evaluations of its search, without which metrics and seconds are missing.
        others: numbers of the trials that are known to come from other code.
    """
    trained: dict[int, list[Evaluation]] = {}
    for found in evaluations:
        if found.job.stage is Stage.SEARCH and not found.job.variant:
            trained.setdefault(found.job.trial, []).append(found)
    objectives, other = study.objective.metrics[1:], set(others)
    params = _renamed({*OF_TRIALS, *objectives, *study.objective.constraints}, study.space, "params")
    taken = {*OF_TRIALS, *objectives, *study.objective.constraints, *params.values()}
    seen = dict.fromkeys(name for some in trained.values() for training in some for name in training.metrics)
    metrics = _renamed(taken - {*objectives, *study.objective.constraints}, seen, "metrics")
    for name in (*objectives, *study.objective.constraints):
        metrics.pop(name, None)
    rows: list[dict[str, object]] = []
    for one in trials:
        known = trained.get(one.number, [])
        seeds = study.search_seeds(one.number) if one.state != "imported" else ()
        only = known[0] if len(known) == 1 else None
        rows.append(
            {
                "number": one.number,
                "state": one.state,
                "value": one.value,
                **dict(zip(objectives, one.vector[1:], strict=False)),
                **one.constraints,
                **{params.get(name, name): value for name, value in one.params.items()},
                **({"seed": seeds[0]} if len(seeds) == 1 else {}),
                "epoch": only.epoch if only else None,
                "seconds": fsum(training.seconds for training in known) if known else None,
                "started": one.started,
                "ended": one.ended,
                **{metrics[name]: _mean(name, known) for name in metrics},
                **({"other_code": one.number in other} if other else {}),
            }
        )
    return rows


def training_rows(evaluations: Iterable[Evaluation]) -> list[dict[str, object]]:
    """Returns a row for each training: whose it is, how it ended, its params, and the metrics of the step that counts.

    `ended` is the time of its last report in UTC, by the worker's clock; None if it reported nothing.

    Args:
        evaluations: evaluations in the order of the rows; one of several folds has a row for each of them.
    """
    whole = [training for one in evaluations for training in one.trainings]
    params = _renamed(OF_TRAININGS, dict.fromkeys(name for one in whole for name in one.job.params), "params")
    taken = {*OF_TRAININGS, *params.values()}
    metrics = _renamed(taken, dict.fromkeys(name for one in whole for name in one.metrics), "metrics")
    return [
        {
            **_job(one),
            "budget": one.job.budget,
            "status": str(one.status),
            "value": one.value,
            "epoch": one.step,
            "seconds": one.seconds,
            "ended": _moment(one.reports[-1].at) if one.reports else None,
            **{params[name]: one.job.params.get(name) for name in params},
            **{metrics[name]: one.metrics.get(name) for name in metrics},
        }
        for one in whole
    ]


def epoch_rows(evaluations: Iterable[Evaluation]) -> list[dict[str, object]]:
    """Returns a row for each epoch of each training, with all metrics and the time of the report.

    Args:
        evaluations: evaluations in the order of the rows; one of several folds has the rows of each of them.
    """
    whole = [training for one in evaluations for training in one.trainings]
    seen = dict.fromkeys(name for one in whole for report in one.reports for name in report.metrics)
    metrics = _renamed(OF_EPOCHS, seen, "metrics")
    return [
        {
            **_job(one),
            "epoch": report.step,
            "at": _moment(report.at),
            **{metrics[name]: report.metrics.get(name) for name in metrics},
        }
        for one in whole
        for report in one.reports
    ]


def _job(one: Evaluation) -> dict[str, object]:
    job = one.job
    return {
        "trial": job.trial,
        "stage": str(job.stage),
        "seed": job.seed,
        "fold": job.fold,
        "variant": job.variant,
    }


def _moment(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)


def _renamed(taken: Iterable[str], names: Iterable[str], kind: str) -> dict[str, str]:
    """Returns the column of each name: the name itself, with a prefix if another column has it."""
    others = set(taken)
    return {name: f"{kind}.{name}" if name in others else name for name in names}


def _mean(name: str, known: Sequence[Evaluation]) -> float | None:
    """Returns the mean of a metric over trainings; None if one of them does not have it."""
    values = list(_values(name, known))
    return fsum(values) / len(values) if values and len(values) == len(known) else None


def _values(name: str, known: Iterable[Evaluation]) -> Iterator[float]:
    for one in known:
        value = one.metrics.get(name)
        if value is not None:
            yield value
