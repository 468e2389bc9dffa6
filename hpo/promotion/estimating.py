"""Estimates how good a winner is, from its models' predictions; nothing is trained."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hpo.core.errors import HpoError
from hpo.core.records import TEST_PART, Evaluation
from hpo.promotion.estimate import (
    FOLDS_DIFFER,
    ONE_MODEL,
    SEEDS_DIFFER,
    Estimate,
    Interval,
    MetricEstimate,
    Part,
    PartEstimate,
    stored_estimate,
)
from hpo.results.ensemble import read_ensemble
from hpo.stats.classification import NAMES, UNIT, Sample, case_intervals, classification_scores
from hpo.stats.names import Ddof
from hpo.stats.statistics import sigma, t_interval
from hpo.training import Predictions, local_copy
from hpo.training.units import UnitPredictions, by_unit


def predictions_of(evaluations: Iterable[Evaluation]) -> dict[int, list[Predictions]]:
    """Returns the predictions that trainings saved, by seed, one for each fold; empty if those of some are missing.

    Args:
        evaluations: evaluations of one trial, with the locations of their files.
    """
    found: dict[int, list[Predictions]] = {}
    for one in evaluations:
        try:
            predictions = Predictions.load(local_copy(one.files)) if one.files else None
        except (HpoError, OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return {}
        is_usable = predictions is not None and len(predictions.truth) and len(predictions.labels) > 1
        if predictions is None or not is_usable or predictions.digest != one.digests.get("predictions"):
            return {}
        found.setdefault(one.job.seed, []).append(predictions)
    return found


def estimate_part(
    part: Part, by_seed: Mapping[int, Sequence[Predictions]], ddof: Ddof
) -> tuple[PartEstimate, Predictions | None]:
    """Returns the metrics on one part of the data with their intervals, and the predictions of the ensemble.

    Args:
        part: the part that was predicted.
        by_seed: predictions of the models of each seed; each seed has equally many.
        ddof: how sigma is estimated.
    """
    models = [one for own in by_seed.values() for one in own]
    units_of_models, unit = _units(models)
    together, reason = ensemble(models, folded=len(models) > len(by_seed))
    metrics = _metrics(by_seed, units_of_models, together, ddof)
    found = PartEstimate(
        part=part,
        cases=len(_different(models)),
        units=len(np.unique(np.concatenate(units_of_models))),
        unit=unit,
        models=len(models),
        metrics=tuple(metrics),
        no_ensemble=reason,
    )
    of_units = {seed: _of_units(own) for seed, own in by_seed.items()}
    every = [one for own in of_units.values() for one in own]
    if len(every) < len(models):
        return found, together
    per = every[0].units
    names = {name for one in every for name in one.predictions.cases[per.name]}
    left_out = {name for one in every for name in one.left_out} - names
    found = replace(found, per=per.name, aggregate=per.aggregate, of_units=len(names), left_out=len(left_out))
    if any(not len(one.predictions.truth) for one in every):  # a model has no unit with a class
        return found, together
    whole = by_unit(together) if together is not None else None
    over_units = _metrics(
        {seed: [one.predictions for one in own] for seed, own in of_units.items()},
        _numbered(every),
        whole.predictions if whole is not None else None,
        ddof,
    )
    named = [replace(one, metric=f"{UNIT}{one.metric}", per=per.name) for one in over_units]
    return replace(found, metrics=(*metrics, *named)), together


def _metrics(
    by_seed: Mapping[int, Sequence[Predictions]],
    units_of_models: Sequence[npt.NDArray[np.int64]],
    together: Predictions | None,
    ddof: Ddof,
) -> list[MetricEstimate]:
    """Returns the metrics of models with their intervals.

    Args:
        by_seed: predictions of the models of each seed.
        units_of_models: for each model, the number of the unit that each case is resampled with.
        together: predictions of the ensemble, for the cases of the first model; None: there is none.
        ddof: how sigma is estimated.
    """
    models = [one for own in by_seed.values() for one in own]
    scores = {
        seed: [classification_scores(one.truth, one.probabilities) for one in own] for seed, own in by_seed.items()
    }
    over_cases = case_intervals(
        [
            Sample(truth=one.truth, probabilities=one.probabilities, units=units)
            for one, units in zip(models, units_of_models, strict=True)
        ]
    )
    of_ensemble: dict[str, float | None] = {}
    ensemble_cases: dict[str, Interval] = {}
    if together is not None:
        of_ensemble = classification_scores(together.truth, together.probabilities)
        ensemble_cases = case_intervals(
            [Sample(truth=together.truth, probabilities=together.probabilities, units=units_of_models[0])]
        )
    return [
        _metric(
            name,
            {seed: _mean([one[name] for one in own]) for seed, own in scores.items()},
            ddof,
            over_cases[name],
            of_ensemble.get(name),
            ensemble_cases.get(name),
        )
        for name in NAMES
    ]


def _of_units(models: Sequence[Predictions]) -> list[UnitPredictions]:
    return [found for one in models if (found := by_unit(one)) is not None]


def _numbered(models: Sequence[UnitPredictions]) -> list[npt.NDArray[np.int64]]:
    """Returns the number that each unit is resampled with, for each model: of its group, or of itself."""
    groups = [one.predictions.groups for one in models if one.predictions.groups is not None]
    if len(groups) == len(models):
        return groups
    names = [one.predictions.cases[one.units.name] for one in models]
    return _by_name(names)


def _by_name(names: Sequence[Sequence[str]]) -> list[npt.NDArray[np.int64]]:
    numbers = {name: number for number, name in enumerate(dict.fromkeys(name for own in names for name in own))}
    return [np.array([numbers[name] for name in own], dtype=np.int64) for own in names]


def ensemble(models: Sequence[Predictions], *, folded: bool) -> tuple[Predictions | None, str]:
    """Returns the mean of all models' probabilities, or why there is none; nothing is trained.

    Args:
        models: predictions of the models.
        folded: whether a seed has a model for each fold.
    """
    first = models[0]
    if len(models) == 1:
        return None, ONE_MODEL
    if any(not _same_cases(first, other) for other in models[1:]):
        return None, FOLDS_DIFFER if folded else SEEDS_DIFFER
    mean_NC = np.mean([one.probabilities for one in models], axis=0)
    made = Predictions.of(
        truth=first.truth, probabilities=mean_NC, labels=first.labels, names=first.names, cases=first.cases
    )
    return replace(made, units=first.units, unit=first.unit), ""


def _same_cases(one: Predictions, other: Predictions) -> bool:
    """Whether two models predicted the same cases in the same order, as far as the cases can be told apart."""
    if one.labels != other.labels or not np.array_equal(one.truth, other.truth):
        return False
    if one.rows is not None and other.rows is not None:
        return np.array_equal(one.rows, other.rows)
    return bool(one.cases) and one.cases == other.cases


def _identities(one: Predictions) -> list[object] | None:
    """Returns what tells the cases of predictions apart: their rows in the data, or their columns."""
    if one.rows is not None:
        return list(one.rows.tolist())
    return list(zip(*one.cases.values(), strict=True)) if one.cases else None


def _different(models: Sequence[Predictions]) -> list[object]:
    """Returns the different cases that the models predicted."""
    known = [_identities(one) for one in models]
    every: list[object] = []
    for index, (cases, one) in enumerate(zip(known, models, strict=True)):
        every += cases if cases is not None else [(index, place) for place in range(len(one.truth))]
    return list(dict.fromkeys(every))


def _units(models: Sequence[Predictions]) -> tuple[list[npt.NDArray[np.int64]], str]:
    """Returns the number of each case's unit for each model, and what the units are.

    A case of several models is one unit, and so are all cases of a group, or of a unit of the study if there are no
    groups; cases that cannot be recognized in other models are resampled on their own.
    """
    groups = [one.groups for one in models if one.groups is not None]
    if len(groups) == len(models):
        return groups, "group"
    named = [one.units for one in models if one.units is not None]
    if len(named) == len(models) and models[0].unit is not None:
        return _by_name(named), models[0].unit.name
    numbers = {case: index for index, case in enumerate(_different(models))}
    found = []
    for index, one in enumerate(models):
        cases = _identities(one)
        keys = cases if cases is not None else [(index, place) for place in range(len(one.truth))]
        found.append(np.array([numbers[key] for key in keys], dtype=np.int64))
    return found, "case"


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if len(known) == len(values) else None


def estimate_of(
    known: Estimate,
    replicates: Sequence[Evaluation],
    on_test: Sequence[Evaluation],
    ddof: Ddof,
    folder: Path,
) -> tuple[Estimate, dict[str, Predictions]]:
    """Returns the estimate of a winner, and the predictions of its ensembles that are not written yet.

    Args:
        known: what is known of it so far, without parts.
        replicates: its replicates, with the current locations of their files.
        on_test: evaluations of their models on the test part; empty if it was not used.
        ddof: how sigma is estimated.
        folder: folder of the study's results, with the estimate of an earlier promotion.
    """
    earlier = stored_estimate(folder, known.trial, known.seeds)
    usable = {one.part: one for one in earlier.parts} if earlier is not None and earlier.block == known.block else {}
    trainings = [training for one in replicates for training in one.trainings]
    parts: list[PartEstimate] = []
    ensembles: dict[str, Predictions] = {}
    evaluated: list[tuple[Part, Sequence[Evaluation]]] = [("validation", trainings), ("test", on_test)]
    for part, evaluations in evaluated:
        if part in usable and (usable[part].no_ensemble or read_ensemble(folder, part, known.block)):
            parts.append(_with_ddof(usable[part], ddof))
        elif by_seed := predictions_of(evaluations):
            found, together = estimate_part(part, by_seed, ddof)
            parts.append(found)
            ensembles |= {} if together is None else {part: together}
        elif part == "test" and evaluations:
            parts.append(_recorded(evaluations, ddof))
    return replace(known, parts=tuple(parts)), ensembles


def _with_ddof(part: PartEstimate, ddof: Ddof) -> PartEstimate:
    return replace(part, metrics=tuple(replace(one, sigma=_sigma(one.values, ddof)) for one in part.metrics))


def _sigma(values: Mapping[int, float | None], ddof: Ddof) -> float | None:
    known = [value for value in values.values() if value is not None]
    return sigma(known, ddof) if len(known) == len(values) > 1 else None


def _recorded(evaluations: Sequence[Evaluation], ddof: Ddof) -> PartEstimate:
    """Returns the recorded metrics on the test part, for models whose predictions are gone."""
    metrics = []
    for name in [*NAMES, *(f"{UNIT}{name}" for name in NAMES)]:
        by_seed: dict[int, list[float | None]] = {}
        for one in evaluations:
            by_seed.setdefault(one.job.seed, []).append(one.metrics.get(name))
        found = _metric(name, {seed: _mean(own) for seed, own in by_seed.items()}, ddof)
        if name in NAMES:
            metrics.append(found)
        elif any(name in one.metrics for one in evaluations):
            metrics.append(replace(found, per="unit"))
    part = evaluations[0].fingerprint.get(TEST_PART)
    return PartEstimate(
        part="test",
        cases=int(part["cases"]) if isinstance(part, Mapping) else 0,
        units=0,
        unit="case",
        models=len(evaluations),
        metrics=tuple(metrics),
        no_ensemble="the files of the predictions are gone",
    )


def _metric(
    name: str,
    values: Mapping[int, float | None],
    ddof: Ddof,
    over_cases: Interval = None,
    together: float | None = None,
    together_over_cases: Interval = None,
) -> MetricEstimate:
    known = [value for value in values.values() if value is not None]
    return MetricEstimate(
        metric=name,
        values=values,
        mean=_mean(list(values.values())),
        sigma=_sigma(values, ddof),
        over_seeds=t_interval(known) if len(known) == len(values) else None,
        over_cases=over_cases,
        ensemble=together,
        ensemble_over_cases=together_over_cases,
    )
