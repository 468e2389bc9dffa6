"""Figures of several objectives: the trials of a search, and a promotion's candidates with their seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations, pairwise
from typing import Any

from hpo.core.formatting import counted, quantity
from hpo.figures.svg.canvas import Drawn, Key, seed_kind, seed_shape
from hpo.figures.svg.plot import WIDE, Axis, Plot
from hpo.figures.svg.replicates import seed_keys
from hpo.figures.svg.scales import NumberScale, number_scale
from hpo.figures.svg.search import MOST_NOTED, trial_note
from hpo.study import Study, Trial

FAR_APART = 20
"""Ratio of the largest to the smallest value from which an axis is logarithmic."""


def trials_front_drawn(trials: Sequence[Trial], front: Sequence[Trial], study: Study) -> Drawn | None:
    """Returns the complete trials by the first two objectives, with the front of the search; None without a trial.

    Args:
        trials: trials of the search.
        front: those that no other trial dominates.
        study: the study, which has several objectives.
    """
    known = [one for one in trials if len(one.vector) > 1 and all(map(math.isfinite, one.vector))]
    if not known:
        return None
    across, up = study.objective.metrics[:2]
    plot = _plot(study, (across, up), [(one.vector[0], one.vector[1]) for one in known])
    numbers = {one.number for one in front}
    points = [(one.vector[0], one.vector[1]) for one in front]
    _add_steps(plot, points, study.objective.by_metric[across])
    for one in known[-MOST_NOTED:]:
        kind = "winning" if one.number in numbers else "complete"
        plot.add_mark(one.vector[0], one.vector[1], kind, trial_note(one, across), trial=one.number)
        if one.number in numbers:
            plot.add_text(one.vector[0], one.vector[1], str(one.number), "name")
    says = f"{counted(len(front), 'trial')} of {len(known)} on the front of {across} and {up}."
    keys = (Key(text="on the front", kind="winning"), Key(text="dominated", kind="complete"))
    return Drawn(name="search-front", title="Front of the search", says=says, svg=plot.svg(says), keys=keys, wide=True)


def fronts_drawn(rows: Sequence[Mapping[str, Any]], study: Study, seeds: Sequence[int]) -> list[Drawn]:
    """Returns a figure for each pair of objectives: every candidate's mean with bars of one sigma, and its seeds.

    Args:
        rows: plain values of the candidates, as `FrontReport.rows` gives them, the winner first.
        study: the study, which has several objectives.
        seeds: seeds of the promotion.
    """
    found = []
    for place, pair in enumerate(combinations(study.objective.metrics, 2)):
        points = {row["trial"]: _points(row, pair, seeds) for row in rows}
        known = [point for values in points.values() for point in values.values()]
        if known:
            name = "front" if place == 0 else f"front-{place}"
            found.append(_front_drawn(rows, study, pair, points, name, seeds))
    return found


def _front_drawn(
    rows: Sequence[Mapping[str, Any]],
    study: Study,
    pair: tuple[str, str],
    points: Mapping[int, Mapping[int, tuple[float, float]]],
    name: str,
    seeds: Sequence[int],
) -> Drawn:
    across, up = pair
    plot = _plot(study, pair, [point for values in points.values() for point in values.values()])
    front = [
        (row[f"{across}_score"], row[f"{up}_score"])
        for row in rows
        if row["front"] == 1 and row[f"{across}_score"] is not None
    ]
    if len(study.objective.metrics) == 2:
        _add_steps(plot, front, study.objective.by_metric[across])
    for row in reversed(rows):
        wins = row["rank"] == 1 and bool(row["keeps_bounds"])
        kind, trial = "winning" if wins else "other", row["trial"]
        center = row[f"{across}_mean"], row[f"{up}_mean"]
        for seed, point in points[trial].items():
            index = list(seeds).index(seed)
            if center[0] is not None:
                plot.add_line([center, point], f"ray {kind}", trial=trial)
            note = f"trial {trial}, seed {seed}: {across} {quantity(point[0])}, {up} {quantity(point[1])}"
            plot.add_mark(*point, seed_kind(index), note, shape=seed_shape(index), size=3.5, trial=trial)
        if center[0] is None:
            continue
        for axis, metric in enumerate(pair):
            half = row[f"{metric}_sigma"] or 0.0
            ends = [[*center], [*center]]
            ends[0][axis] -= half
            ends[1][axis] += half
            plot.add_span((ends[0][0], ends[0][1]), (ends[1][0], ends[1][1]), f"bar-of {kind}", trial=trial)
        note = f"trial {trial}, mean: {across} {quantity(center[0])}, {up} {quantity(center[1])}"
        plot.add_mark(*center, kind, note, shape="star" if wins else "circle", size=8 if wins else 6, trial=trial)
        plot.add_text(*center, f"trial {trial}", "name", move=(9, -6))
    ways = " and ".join(f"{metric} ({study.objective.by_metric[metric]})" for metric in pair)
    says = f"{ways} of {counted(len(rows), 'candidate')}."
    keys = (
        Key(text="winner, mean ± sigma", kind="winning", shape="star"),
        Key(text="other candidates, mean ± sigma", kind="other"),
        *seed_keys(seeds),
        Key(text="front of the scores", kind="front", shape="dash"),
    )
    return Drawn(name=name, title="The front and its seeds", says=says, svg=plot.svg(says), keys=keys, wide=True)


def _plot(study: Study, pair: tuple[str, str], points: Sequence[tuple[float, float]]) -> Plot:
    axes = [
        Axis(scale=_scale([point[index] for point in points]), label=f"{metric} ({study.objective.by_metric[metric]})")
        for index, metric in enumerate(pair)
    ]
    return Plot(axes[0], axes[1], width=WIDE, height=360)


def _scale(values: Sequence[float]) -> NumberScale:
    return number_scale(values, log=0 < min(values) * FAR_APART < max(values))


def _points(row: Mapping[str, Any], pair: tuple[str, str], seeds: Sequence[int]) -> dict[int, tuple[float, float]]:
    found = {seed: (row[f"{pair[0]}_seed_{seed}"], row[f"{pair[1]}_seed_{seed}"]) for seed in seeds}
    return {seed: point for seed, point in found.items() if None not in point}


def _add_steps(plot: Plot, points: Sequence[tuple[float, float]], direction: str) -> None:
    """Adds the steps between the points of a front: what they dominate lies beyond them."""
    ordered = sorted(points)
    if len(ordered) < 2:
        return
    steps = [ordered[0]]
    for (x1, y1), (x2, y2) in pairwise(ordered):
        # From left to right the next value is reached at the worse end of the first objective.
        steps += [(x2, y1) if direction == "minimize" else (x1, y2), (x2, y2)]
    plot.add_line(steps, "front")
