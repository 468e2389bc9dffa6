"""How good a winner is: its metrics with both kinds of uncertainty, other seeds and other cases, and its ensemble."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from hpo.core.errors import UsageError
from hpo.core.files import read_json
from hpo.core.formatting import counted, number
from hpo.core.shown import Grid
from hpo.promotion.looks import Looks
from hpo.stats.classification import NAMES, UNIT
from hpo.study import Study

Part = Literal["validation", "test"]
Interval = tuple[float, float] | None

SEEDS_DIFFER = (
    "the seeds have different validation cases, so no case was held out of all replicates; with "
    '[streams] split = "fixed" they are the same'
)
FOLDS_DIFFER = "each fold has its own validation cases, so no case was held out of all models"

TOGETHER = {SEEDS_DIFFER: " of all seeds together", FOLDS_DIFFER: " of all folds together"}
"""Whose cases an interval is over if the models have different ones."""
ONE_MODEL = "there is only one model"
"""Why an ensemble cannot be evaluated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricEstimate:
    """One metric of a winner on one part of the data.

    Attributes:
        metric: key of the metric in `hpo.stats.classification.NAMES`; with the prefix `unit_` if it is over units.
        values: value by seed; a mean over the folds, if there are any; None: it is undefined.
        mean: mean of the values; None: a value is undefined.
        sigma: standard deviation of the values with the promotion's ddof; None with a single one.
        over_seeds: Student's 95 % interval of the mean over seeds.
        over_cases: bootstrap 95 % interval of the mean of these models over groups or cases.
        ensemble: the metric of the mean of all models' probabilities; None: see `PartEstimate.no_ensemble`.
        ensemble_over_cases: bootstrap 95 % interval of `ensemble`.
        per: name of the units that the metric is over, e.g. `patient`; empty: it is over single cases.
    """

    metric: str
    values: Mapping[int, float | None]
    mean: float | None
    sigma: float | None
    over_seeds: Interval
    over_cases: Interval
    ensemble: float | None
    ensemble_over_cases: Interval
    per: str = ""

    @property
    def name(self) -> str:
        """Name of the metric for readers."""
        return NAMES[self.metric.removeprefix(UNIT)] + (f" per {self.per}" if self.per else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class PartEstimate:
    """All metrics of a winner on one part of the data.

    Attributes:
        part: `validation`, on which epochs were selected, or `test`.
        cases: number of different cases.
        units: number of groups, or of cases, that the bootstrap resamples.
        unit: what the bootstrap resamples: `group`, `case`, or the name of the units.
        models: number of models: one for each seed, or for each fold of each seed.
        metrics: metrics in the order of `NAMES`, then those over units, if there are any.
        no_ensemble: why the ensemble cannot be evaluated; empty if it was.
        per: name of the units that several cases belong to; empty: there are only metrics over cases.
        aggregate: how the probabilities of a unit's cases become one.
        of_units: number of different units with a class.
        left_out: number of different units that are left out, because their cases have different classes.
    """

    part: Part
    cases: int
    units: int
    unit: str
    models: int
    metrics: tuple[MetricEstimate, ...]
    no_ensemble: str
    per: str = ""
    aggregate: str = ""
    of_units: int = 0
    left_out: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """How good a promotion's winner is.

    Attributes:
        trial: number of the winner's trial.
        seeds: seeds of its replicates.
        block: sha256 that identifies the replicates, as in their results folders.
        metric: key of the metric that the sentences are about.
        parts: estimates on the validation cases, and on the test part if it was used; empty if nothing is known.
        looks: uses of the test part; None: they were not looked up.
    """

    trial: int
    seeds: tuple[int, ...]
    block: str
    metric: str
    parts: tuple[PartEstimate, ...]
    looks: Looks | None = None

    @classmethod
    def of(cls, study: Study, trial: int, seeds: Sequence[int]) -> Estimate:
        """Returns the estimate of a winner of which nothing is known yet.

        Args:
            study: the study that was promoted.
            trial: number of the winner's trial.
            seeds: seeds of its replicates.
        """
        return cls(trial=trial, seeds=tuple(seeds), block="", metric=headline(study.objective.metric), parts=())

    def plain(self) -> dict[str, object]:
        """Returns the estimate as plain values, for promotion.json."""
        own = asdict(replace(self, looks=None))
        return {
            **own,
            "looks": self.looks.plain() if self.looks else None,
            "sentences": self.sentences,
            "rows": self.rows(),
        }

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> Estimate:
        """Returns the estimate of which `plain` made these values.

        Args:
            values: plain values, e.g. read from promotion.json.
        """
        parts = []
        for part in values["parts"]:
            metrics = []
            for one in part["metrics"]:
                pairs = ("over_seeds", "over_cases", "ensemble_over_cases")
                intervals = {name: tuple(one[name]) if one[name] else None for name in pairs}
                by_seed = {int(seed): value for seed, value in one["values"].items()}
                metrics.append(MetricEstimate(**{**one, **intervals, "values": by_seed}))
            parts.append(PartEstimate(**{**part, "metrics": tuple(metrics)}))
        own = {name: values[name] for name in ("trial", "block", "metric")}
        return cls(**own, seeds=tuple(values["seeds"]), parts=tuple(parts))

    @property
    def identity(self) -> dict[str, object]:
        """What identifies the replicates."""
        return {"block": self.block, "trial": self.trial, "seeds": list(self.seeds)}

    @property
    def with_ensemble(self) -> tuple[str, ...]:
        """The parts on which the ensemble was evaluated."""
        return tuple(part.part for part in self.parts if not part.no_ensemble)

    @property
    def sentences(self) -> list[str]:
        """One sentence for each part, on both sources of uncertainty; and why there is no ensemble."""
        return [sentence for part in self.parts for sentence in self._of_part(part)]

    def _of_part(self, part: PartEstimate) -> list[str]:
        key = self.metric.removeprefix(UNIT)
        shown = [one for one in part.metrics if one.metric in (key, f"{UNIT}{key}") and one.mean is not None]
        if not shown:
            return []
        lacking = f"No ensemble on the {part.part} cases: {part.no_ensemble}." if part.no_ensemble else ""
        return [
            *(self._of_metric(part, one) for one in shown),
            *_of_units(part),
            *([lacking] if lacking and part.no_ensemble != ONE_MODEL else []),
        ]

    def _of_metric(self, part: PartEstimate, one: MetricEstimate) -> str:
        where = (
            f"the test part ({counted(part.cases, 'case')} that no training and no choice has seen)"
            if part.part == "test"
            else "its validation cases, on which its epochs were selected,"
        )
        seeds = counted(len(self.seeds), "seed")
        by_seeds = "a single seed says nothing of other seeds"
        if one.over_seeds is not None:
            by_seeds = f"over other seeds its mean lies within {_shown(one.over_seeds)} (95 %, Student, {seeds})"
        of = counted(part.units, part.unit)
        by_cases = f"{of} are too few to say anything of other {part.unit}s"
        if not part.units:
            by_cases = "nothing is known of other cases, because the predictions are gone"
        if one.over_cases is not None:
            together = TOGETHER.get(part.no_ensemble, "")
            shown = f"{_shown(one.over_cases)} (95 %, bootstrap over {of}{together})"
            by_cases = f"on other {part.unit}s that of these models lies within {shown}"
        return (
            f"The {one.name} of trial {self.trial} on {where} is {number(one.mean)}: {by_seeds}, {by_cases}; "
            "the first says nothing of other cases, the second nothing of other seeds."
        )

    def table(self) -> Grid:
        """Returns the metrics on each part as a table."""
        units = {part.unit for part in self.parts}
        ensemble = any(not part.no_ensemble for part in self.parts)
        over = f"95 % over {units.pop()}s" if len(units) == 1 else "95 % over groups or cases"
        columns = ("on", "metric", "mean", "sigma", "95 % over seeds", over, *["ensemble"] * ensemble)
        made = Grid(*columns, left=("on", "metric"), keys=2)
        for row in self.rows():
            made.add_row(
                *[row[name] for name in ("on", "metric", "mean", "sigma", "over_seeds", "over_cases")],
                *[row["ensemble"]] * ensemble,
            )
        return made

    def rows(self) -> list[dict[str, str]]:
        """Returns the rows of the table as texts."""
        return [
            {
                "on": part.part,
                "metric": one.name,
                "mean": number(one.mean),
                "sigma": number(one.sigma),
                "over_seeds": _shown(one.over_seeds),
                "over_cases": _shown(one.over_cases),
                "ensemble": number(one.ensemble)
                + (f" ({_shown(one.ensemble_over_cases)})" if one.ensemble_over_cases else ""),
            }
            for part in self.parts
            for one in part.metrics
        ]


def _of_units(part: PartEstimate) -> list[str]:
    """Returns a sentence on how cases became units, and which units are left out."""
    if not part.aggregate:
        return []
    how = "mean" if part.aggregate == "mean" else "maximum, scaled to a sum of 1,"
    left = ""
    if part.left_out:
        left = f"; {counted(part.left_out, 'other')} left out, because their cases have different classes"
    return [
        f"Per {part.per}: the {how} of the probabilities of its {part.part} cases, for "
        f"{counted(part.of_units, part.per)}{left}."
    ]


def _shown(interval: Interval) -> str:
    return "-" if interval is None else f"{number(interval[0])} .. {number(interval[1])}"


def headline(objective: str) -> str:
    """Returns the key of the metric that is closest to the objective: the accuracy, if none is.

    Args:
        objective: name of the objective's metric.
    """
    words = {"kappa": "kappa_quadratic", "f1": "macro_f1", "auc": "auc_ovr"}
    key = next((key for word, key in words.items() if word in objective.lower()), "acc")
    return f"{UNIT}{key}" if objective == f"{UNIT}{key}" else key


def stored_estimate(folder: Path, trial: int, seeds: Sequence[int]) -> Estimate | None:
    """Returns the estimate that promotion.json has of these replicates; None if it is of others, or unreadable.

    Args:
        folder: folder of the study's results.
        trial: number of the winner's trial.
        seeds: seeds of its replicates.
    """
    try:
        found = read_json(folder / "promotion.json")
        values = found.get("estimate") if isinstance(found, dict) else None
        made = Estimate.from_plain(values) if isinstance(values, dict) else None
    except (UsageError, KeyError, TypeError, ValueError, AttributeError):
        return None
    return made if made is not None and (made.trial, made.seeds) == (trial, tuple(seeds)) else None
