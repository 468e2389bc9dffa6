"""Metrics of a classifier's predictions, and intervals for them over resampled cases.

Shapes: N cases, C classes, G units (groups, or single cases), D draws.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

NAMES = {
    "acc": "accuracy",
    "kappa_quadratic": "quadratic kappa",
    "macro_f1": "macro F1",
    "auc_ovr": "AUC (one against the rest)",
}
"""Names of the metrics by key, in the order of every table."""

UNIT = "unit_"
"""Prefix of the keys of the same metrics over units, e.g. patients, rather than cases."""

MIN_UNITS = 10
"""Minimum number of groups or cases for an interval; resampling fewer says nothing."""

DRAWS = 1000
"""Number of resamples of an interval."""

MIN_DEFINED = 0.95
"""Minimum share of the resamples in which a metric must be defined to have an interval."""

_CHUNK_CELLS = 4_000_000
"""Maximum number of weights in memory at a time."""

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sample:
    """The predictions of one model.

    Attributes:
        truth: (N,) index of the true class, 0 .. C-1.
        probabilities: (N, C) probability of each class.
        units: (N,) number of the unit that each case is resampled with; equal numbers are equal units in all samples.
    """

    truth: Indices
    probabilities: Floats
    units: Indices


def classification_scores(truth_N: Indices, probabilities_NC: Floats) -> dict[str, float | None]:
    """Returns the metrics of `NAMES` over all C classes, whether they occur or not; None if one is undefined.

    A class without cases has an F1 of 0. An AUC needs cases of every class.

    Args:
        truth_N: (N,) index of the true class, at least one.
        probabilities_NC: (N, C) probability of each class.
    """
    from sklearn.metrics import accuracy_score, f1_score  # takes a second

    predicted_N, classes = probabilities_NC.argmax(axis=1), list(range(probabilities_NC.shape[1]))
    return {
        "acc": float(accuracy_score(truth_N, predicted_N)),
        "kappa_quadratic": quadratic_kappa(truth_N, predicted_N, classes),
        "macro_f1": float(f1_score(truth_N, predicted_N, labels=classes, average="macro", zero_division=0)),
        "auc_ovr": auc_ovr(truth_N, probabilities_NC),
    }


def quadratic_kappa(truth_N: Indices, predicted_N: Indices, classes: list[int]) -> float:
    """Returns Cohen's kappa with quadratic weights.

    It is 0/0 if truth and predictions are all the same class. That becomes 0, no agreement beyond chance, because the
    report step cannot read a null here.

    Args:
        truth_N: (N,) index of the true class.
        predicted_N: (N,) index of the predicted class.
        classes: indices of all classes.
    """
    from sklearn.metrics import cohen_kappa_score

    if len({*truth_N.tolist(), *predicted_N.tolist()}) < 2:
        return 0.0
    return float(cohen_kappa_score(truth_N, predicted_N, labels=classes, weights="quadratic"))


def auc_ovr(truth_N: Indices, probabilities_NC: Floats) -> float | None:
    """Returns the mean one-against-the-rest AUC over the classes (for two classes: of the second).

    Args:
        truth_N: (N,) index of the true class.
        probabilities_NC: (N, C) probability of each class.
    """
    from sklearn.metrics import roc_auc_score

    classes = probabilities_NC.shape[1]
    if len(np.unique(truth_N)) < classes:
        return None
    wanted = [1] if classes == 2 else range(classes)
    areas = [float(roc_auc_score(truth_N == index, probabilities_NC[:, index])) for index in wanted]
    return math.fsum(areas) / len(areas)


def case_intervals(
    samples: Sequence[Sample], *, level: float = 0.95, draws: int = DRAWS
) -> dict[str, tuple[float, float] | None]:
    """Returns a percentile bootstrap interval of each metric's mean over models; whole units are resampled.

    The cluster bootstrap: G units are drawn with replacement from the G units of all samples, and every case counts as
    often as its unit was drawn, in every sample. Source: Davison and Hinkley, "Bootstrap Methods and their
    Application", 1997, section 3.8; Field and Welsh, "Bootstrapping clustered data", 2007. It says how much other
    cases would move the metric of these very models, not how much other seeds would.

    An interval is None if there are fewer than `MIN_UNITS` units, or the metric is undefined in too many resamples.

    Args:
        samples: predictions of each model, at least one.
        level: confidence level of the intervals.
        draws: number of resamples.
    """
    units = np.unique(np.concatenate([one.units for one in samples]))
    if len(units) < MIN_UNITS:
        return dict.fromkeys(NAMES)
    places = [np.searchsorted(units, one.units) for one in samples]
    found: dict[str, list[Floats]] = {name: [] for name in NAMES}
    for count_DG in _drawn(len(units), draws, max(len(one.truth) for one in samples)):
        of_samples = [
            weighted_scores(one.truth, one.probabilities, count_DG[:, place_N])
            for one, place_N in zip(samples, places, strict=True)
        ]
        for name, means in found.items():
            means.append(np.mean([scores[name] for scores in of_samples], axis=0))
    return {name: _interval(np.concatenate(means), level) for name, means in found.items()}


def weighted_scores(truth_N: Indices, probabilities_NC: Floats, weight_DN: npt.NDArray[np.int64]) -> dict[str, Floats]:
    """Returns the metrics of `NAMES` (D,) under D weights of the cases; NaN where a metric is undefined.

    Those of scikit-learn with `sample_weight`, for all draws at once: with the weighted confusion matrix O and
    E = rows x columns / sum, kappa is 1 - sum (i - j)^2 O / sum (i - j)^2 E, and an AUC is the share of the weight of
    pairs in which the case of the class has the higher probability, equal ones counted half (Mann-Whitney). In a draw
    without any case of a class that has some, macro F1 is undefined: it would measure the draw, not the model.

    Args:
        truth_N: (N,) index of the true class.
        probabilities_NC: (N, C) probability of each class.
        weight_DN: (D, N) weight of each case in each draw.
    """
    classes = probabilities_NC.shape[1]
    cell_N = truth_N * classes + probabilities_NC.argmax(axis=1)
    of_cell_NK = np.eye(classes * classes)[cell_N]
    o_DCC = (weight_DN @ of_cell_NK).reshape(-1, classes, classes)
    rows_DC, columns_DC, total_D = o_DCC.sum(axis=2), o_DCC.sum(axis=1), o_DCC.sum(axis=(1, 2))
    right_DC = np.einsum("dcc->dc", o_DCC)
    distance_CC = np.subtract.outer(np.arange(classes), np.arange(classes)) ** 2
    apart_D = (o_DCC * distance_CC).sum(axis=(1, 2))
    with np.errstate(invalid="ignore", divide="ignore"):  # a draw may have no case of this model at all
        accuracy_D = right_DC.sum(axis=1) / total_D
        expected_D = np.einsum("di,dj,ij->d", rows_DC, columns_DC, distance_CC) / total_D
        f1_DC = np.nan_to_num(2 * right_DC / (rows_DC + columns_DC))
        f1_DC[(rows_DC == 0) & np.isin(np.arange(classes), truth_N)] = np.nan  # a draw that lost a class
        kappa_D = np.where(expected_D > 0, 1 - apart_D / expected_D, np.where(total_D > 0, 0.0, np.nan))
    wanted = [1] if classes == 2 else range(classes)
    areas_DC = [_areas(truth_N == index, probabilities_NC[:, index], weight_DN) for index in wanted]
    return {
        "acc": accuracy_D,
        "kappa_quadratic": kappa_D,
        "macro_f1": f1_DC.mean(axis=1),
        "auc_ovr": np.mean(areas_DC, axis=0),
    }


def _areas(is_class_N: npt.NDArray[np.bool_], score_N: Floats, weight_DN: npt.NDArray[np.int64]) -> Floats:
    """Returns the AUC (D,) under each draw's weights; NaN where only one side has weight."""
    order_N = np.argsort(score_N, kind="stable")
    starts = np.flatnonzero(np.diff(score_N[order_N], prepend=-np.inf))  # of runs of equal scores
    sorted_DN, inside_N = weight_DN[:, order_N], is_class_N[order_N]
    inside_DR = np.add.reduceat(sorted_DN * inside_N, starts, axis=1)
    outside_DR = np.add.reduceat(sorted_DN * ~inside_N, starts, axis=1)
    below_DR = outside_DR.cumsum(axis=1) - outside_DR / 2
    with np.errstate(invalid="ignore", divide="ignore"):
        area_D: Floats = (inside_DR * below_DR).sum(axis=1) / (inside_DR.sum(axis=1) * outside_DR.sum(axis=1))
    return area_D


def _drawn(units: int, draws: int, cases: int) -> Iterator[npt.NDArray[np.int64]]:
    """Yields how often each unit was drawn, (d, G) for d of the draws at a time."""
    generator = np.random.default_rng(0)  # not the study's seeds: equal values give equal intervals everywhere
    chunk = max(1, _CHUNK_CELLS // max(units, cases))
    for start in range(0, draws, chunk):
        yield generator.multinomial(units, np.full(units, 1 / units), min(chunk, draws - start))


def _interval(means_D: Floats, level: float) -> tuple[float, float] | None:
    defined = means_D[np.isfinite(means_D)]
    if len(defined) < MIN_DEFINED * len(means_D):
        return None
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
