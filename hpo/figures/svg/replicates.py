"""Figures of replicates: learning curves, what the search promised, differences by seed, and sources of noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hpo.core.formatting import counted, number, spread
from hpo.figures.svg.canvas import Drawn, Key, seed_kind, seed_shape
from hpo.figures.svg.plot import WIDE, Axis, Plot
from hpo.figures.svg.scales import ChoiceScale, NumberScale, number_scale, robust_scale
from hpo.stats.ranking import Ranking, Row
from hpo.stats.variance import Effects

MOST_CURVES = 200
"""Largest number of learning curves in a figure."""

APART = 14.0
"""Least vertical distance of two labels, in the drawing's units."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LearningCurve:
    """The objective of one replicate by epoch.

    Attributes:
        trial: number of the trial.
        seed: seed of the replicate.
        name: text of the curve, e.g. `seed 42 fold 3`.
        points: epoch and value in order of epochs.
    """

    trial: int
    seed: int
    name: str
    points: tuple[tuple[int, float], ...]


def seed_keys(seeds: Sequence[int]) -> tuple[Key, ...]:
    """Returns the legend of seeds, the same for every figure."""
    return tuple(
        Key(text=f"seed {seed}", kind=seed_kind(index), shape=seed_shape(index)) for index, seed in enumerate(seeds)
    )


def curves_drawn(
    curves: Sequence[LearningCurve], first: int | None, seeds: Sequence[int], metric: str, name: str = "curves"
) -> Drawn | None:
    """Returns the learning curves of replicates, those of one candidate in the colors of the seeds; None without any.

    Args:
        curves: curves of all candidates.
        first: trial that is pointed out; None: none is.
        seeds: seeds of the promotion, in order.
        metric: label of the value axis.
        name: id of the figure.
    """
    shown = [one for one in curves if one.points]
    shown = sorted(shown, key=lambda one: one.trial == first)[-MOST_CURVES:]
    if not shown:
        return None
    last = max(epoch for one in shown for epoch, _ in one.points)
    scale = robust_scale([value for one in shown for _, value in one.points])
    epochs = NumberScale(low=0.5 if last > 1 else 0.0, high=last + 0.5)
    plot = Plot(Axis(scale=epochs, label="epoch"), Axis(scale=scale, label=metric), width=WIDE, height=300, right=86)
    labels = []
    for one in shown:
        own = one.trial == first
        index = list(seeds).index(one.seed) if one.seed in seeds else len(seeds)
        kind = f"trace {seed_kind(index)}" if own else "trace other"
        note = f"trial {one.trial}, {one.name}: {number(one.points[-1][1])} at epoch {one.points[-1][0]}"
        plot.add_line(one.points, kind, note, trial=one.trial)
        if own or len(one.points) == 1:
            marks = one.points if len(one.points) <= 30 else one.points[-1:]
            for epoch, value in marks:
                mark = f"{one.name}, epoch {epoch}: {number(value)}"
                plot.add_mark(epoch, value, seed_kind(index), mark, shape=seed_shape(index), trial=one.trial)
        if own:
            labels.append((one.points[-1], one.name))
    _add_labels(plot, labels)
    others = {one.trial for one in shown if one.trial != first}
    colored = "" if first is None else f"Trial {first} in color, every seed in its own. "
    says = colored + (f"Gray: {counted(len(others), 'other candidate')}." if others else "")
    keys = (*seed_keys(seeds), *([Key(text="other candidates", kind="other", shape="line")] if others else []))
    return Drawn(
        name=name, title="Learning curves of the replicates", says=says, svg=plot.svg(says), keys=keys, wide=True
    )


def optimism_drawn(ranking: Ranking, searched_on: str, metric: str) -> Drawn | None:
    """Returns a line for each candidate from its value in the search to its mean over seeds.

    None if no candidate has both.

    Args:
        ranking: ranking of the promotion.
        searched_on: seeds of the search, e.g. `seed 41`.
        metric: label of the value axis.
    """
    rows = [(row, row.candidate.search_value, row.mean) for row in ranking.complete]
    known = [(row, value, mean) for row, value, mean in rows if value is not None and mean is not None]
    if not known:
        return None
    ends = [end for row, value, mean in known for end in (value, *_bar(row, mean))]
    left, right = f"search, {searched_on}", f"mean of {counted(len(ranking.seeds), 'seed')}"
    sides = NumberScale(low=-0.45, high=1.45)
    plot = Plot(Axis(scale=sides, count=0), Axis(scale=number_scale(ends), label=metric), height=280)
    starts, stops = [], []
    for row, value, mean in sorted(known, key=lambda one: -(one[0].rank or 0)):
        trial = row.candidate.trial
        kind = "winning" if row is ranking.winner else "other"
        note = f"trial {trial}: {number(value)} in the search, mean {number(mean)}, sigma {number(row.sigma)}"
        plot.add_line([(0.0, value), (1.0, mean)], kind, note, trial=trial)
        plot.add_mark(0.0, value, f"hollow {kind}", note, trial=trial)
        low, high = _bar(row, mean)
        plot.add_span((1.0, low), (1.0, high), f"bar-of {kind}", trial=trial)
        plot.add_mark(1.0, mean, kind, note, shape="square", trial=trial)
        starts.append(((0.0, value), f"trial {trial}"))
        stops.append(((1.0, mean), f"trial {trial}"))
    _add_labels(plot, stops)
    _add_labels(plot, starts, anchor="end", across=-8)
    plot.add_names([(0.0, left), (1.0, right)])
    below = sum((value > mean) == (ranking.direction == "maximize") and value != mean for _, value, mean in known)
    says = f"On other seeds {below} of {counted(len(known), 'candidate')} did worse than in the search."
    keys = (
        Key(text="winner", kind="winning", shape="square"),
        Key(text="other candidates", kind="other", shape="square"),
    )
    return Drawn(name="optimism", title="Promised and delivered", says=says, svg=plot.svg(says), keys=keys)


def differences_drawn(
    names: tuple[str, str],
    values: tuple[Mapping[int, float | None], Mapping[int, float | None]],
    seeds: Sequence[int],
    direction: str,
    metric: str,
) -> Drawn | None:
    """Returns how much better the first of two is than the second under each seed; None without common seeds.

    Args:
        names: names of the two.
        values: values of both by seed.
        seeds: seeds in order.
        direction: `maximize` or `minimize`.
        metric: name of the values.
    """
    sign = 1.0 if direction == "maximize" else -1.0
    pairs = [
        (index, seed, sign * (one - other))
        for index, seed in enumerate(seeds)
        if (one := values[0].get(seed)) is not None and (other := values[1].get(seed)) is not None
    ]
    if not pairs:
        return None
    numbers = [gap for *_, gap in pairs]
    mean = sum(numbers) / len(numbers)
    rows = ChoiceScale(values=tuple(reversed([f"seed {seed}" for _, seed, _ in pairs])))
    label = f"{metric}: {names[0]} better by"
    low, high = min(*numbers, 0.0), max(*numbers, 0.0)
    room = 0.25 * ((high - low) or 1.0)  # for the labels
    scale = NumberScale(low=low - room * (low < 0), high=high + room * (high > 0 or low == 0))
    plot = Plot(Axis(scale=scale, label=label), Axis(scale=rows), height=64 + 24 * len(pairs), right=20)
    ends = rows.values[0], rows.values[-1]
    plot.add_span((0.0, ends[0]), (0.0, ends[1]), "zero")
    plot.add_span((mean, ends[0]), (mean, ends[1]), "mean")
    for index, seed, gap in pairs:
        kind, note = seed_kind(index), f"seed {seed}: {gap:+.4g}"
        plot.add_span((0.0, f"seed {seed}"), (gap, f"seed {seed}"), kind)
        plot.add_mark(gap, f"seed {seed}", kind, note, shape=seed_shape(index), size=5)
        # Left of a negative one the text would lie over the seed's name.
        plot.add_text(max(gap, 0.0), f"seed {seed}", f"{gap:+.3g}", "name", move=(9, 4))
    better = sum(gap > 0 for gap in numbers)
    says = (
        f"{names[0]} is better than {names[1]} on {better} of {counted(len(pairs), 'seed')}, by {mean:+.4g} on average."
    )
    keys = (
        Key(text="mean difference", kind="mean", shape="line"),
        Key(text="no difference", kind="zero", shape="dash"),
    )
    return Drawn(name="differences", title=f"{names[0]} against {names[1]}", says=says, svg=plot.svg(says), keys=keys)


def sigmas_drawn(ranking: Ranking, metric: str) -> Drawn | None:
    """Returns a bar of each candidate's sigma; None if none has one."""
    rows = [row for row in ranking.complete if row.sigma is not None][:16]
    if not rows:
        return None
    names = [f"trial {row.candidate.trial}" for row in rows]
    top = max(row.sigma or 0.0 for row in rows) or 1.0
    scale = ChoiceScale(values=tuple(reversed(names)))
    axis = Axis(scale=NumberScale(low=0.0, high=top * 1.2), label=f"sigma of {metric} over seeds")
    plot = Plot(axis, Axis(scale=scale), height=60 + 26 * len(rows))
    for row, name in zip(rows, names, strict=True):
        kind = "winning" if row is ranking.winner else "bar-accent"
        plot.add_bar(0.0, row.sigma or 0.0, name, kind, f"{name}: sigma {number(row.sigma)}")
        plot.add_text(row.sigma or 0.0, name, spread(row.sigma or 0.0), "name")
    sigmas = [row.sigma or 0.0 for row in rows]
    says = f"Sigma over {counted(len(ranking.seeds), 'seed')} is {spread(min(sigmas))} to {spread(max(sigmas))}."
    return Drawn(name="sigmas", title="Sigma of the candidates", says=says, svg=plot.svg(says))


def effects_drawn(effects: Effects, metric: str, notes: Mapping[str, str]) -> Drawn | None:
    """Returns the sd of the values when a single source of randomness is drawn anew; None if no source has an effect.

    Args:
        effects: the effects, largest first.
        metric: name of the metric.
        notes: text by source in place of a mark, e.g. `not used`.
    """
    shown = [effect for effect in effects.effects if effect.sd > 0]
    if not shown:
        return None
    names = [effect.source for effect in shown] + [name for name in notes if name not in {one.source for one in shown}]
    intervals = [effect.interval or (effect.sd, effect.sd) for effect in shown]
    ends = [end for interval in intervals for end in interval] + ([effects.sd] if effects.sd > 0 else [])
    scale = number_scale([end for end in ends if end > 0], log=True)
    rows = ChoiceScale(values=tuple(reversed(names)))
    axis = Axis(scale=scale, label=f"sd of {metric} if only this is drawn anew (log)", count=4)
    plot = Plot(axis, Axis(scale=rows), height=70 + 28 * len(names))
    if effects.sd > 0:
        plot.add_span((effects.sd, names[-1]), (effects.sd, names[0]), "mean")
    for effect, (low, high) in zip(shown, intervals, strict=True):
        note = f"{effect.source}: sd {spread(effect.sd)}, 95 %: {spread(low)} to {spread(high)}"
        plot.add_span((max(low, 1e-300), effect.source), (high, effect.source), "bar-of bar-accent")
        plot.add_mark(effect.sd, effect.source, "accent", note, size=5)
    for name, note in notes.items():
        plot.add_text(scale.low, name, note, "name")
    says = (
        f"{shown[0].source} has the largest effect, sd {spread(shown[0].sd)}; all sources together "
        f"{spread(effects.sd)}."
    )
    keys = (
        Key(text="sd with 95 % interval", kind="accent"),
        Key(text="all sources", kind="mean", shape="line"),
    )
    return Drawn(name="decomposition", title="Sources of the noise", says=says, svg=plot.svg(says), keys=keys)


def _bar(row: Row, mean: float) -> tuple[float, float]:
    return (mean, mean) if row.sigma is None else (mean - row.sigma, mean + row.sigma)


def _add_labels(
    plot: Plot, labels: Sequence[tuple[tuple[float, float], str]], *, anchor: str = "start", across: float = 8
) -> None:
    """Adds labels beside points at one vertical line, moved apart where they would overlap."""
    placed = sorted((plot.place(*point)[1], point, text) for point, text in labels)
    end = -1e9
    for y, point, text in placed:
        at = max(y, end + APART)
        plot.add_text(*point, text, "name", anchor=anchor, move=(across, at - y + 4))
        end = at
