"""Figures of two studies or two candidates over each other."""

from __future__ import annotations

from collections.abc import Sequence

from hpo.core.formatting import number
from hpo.figures.svg.canvas import Drawn, Key, seed_kind, seed_shape
from hpo.figures.svg.plot import WIDE, Axis, Plot
from hpo.figures.svg.replicates import LearningCurve, seed_keys
from hpo.figures.svg.scales import NumberScale, robust_scale
from hpo.figures.svg.search import improvements
from hpo.study import Study, Trial

KINDS = ("first", "second")
"""Class of each of the two in the style sheet."""


def histories_drawn(sides: Sequence[tuple[str, Sequence[Trial], Study]], metric: str) -> Drawn | None:
    """Returns the best value so far of two searches by trial; None if one has none.

    Args:
        sides: name, trials and study of each.
        metric: label of the value axis.
    """
    found = [(name, improvements(trials, study), len(trials)) for name, trials, study in sides]
    if not all(best for _, best, _ in found):
        return None
    last = max(count for *_, count in found)
    scale = robust_scale([value for _, best, _ in found for _, value in best])
    plot = Plot(
        Axis(scale=NumberScale(low=-0.5, high=last), label="trial"), Axis(scale=scale, label=metric), width=WIDE
    )
    for kind, (name, best, count) in zip(KINDS, found, strict=False):
        steps = [*((trial.number, value) for trial, value in best), (count, best[-1][1])]
        plot.add_line(steps, kind, f"{name}: best value so far", steps=True)
        for trial, value in best:
            plot.add_mark(trial.number, value, kind, f"{name}, trial {trial.number}: {number(value)}")
    says = "; ".join(f"{name}: {number(best[-1][1])} after {count} trials" for name, best, count in found) + "."
    keys = tuple(Key(text=name, kind=kind, shape="line") for kind, (name, *_) in zip(KINDS, found, strict=False))
    return Drawn(name="histories", title="Best value so far", says=says, svg=plot.svg(says), keys=keys, wide=True)


def overlaid_drawn(
    sides: Sequence[tuple[str, Sequence[LearningCurve]]], seeds: Sequence[int], metric: str
) -> Drawn | None:
    """Returns the learning curves of two candidates over each other, the second one dashed; None without any.

    Args:
        sides: name and curves of each.
        seeds: seeds of both in order, for their colors.
        metric: label of the value axis.
    """
    curves = [one for _, known in sides for one in known if one.points]
    if not curves:
        return None
    last = max(epoch for one in curves for epoch, _ in one.points)
    scale = robust_scale([value for one in curves for _, value in one.points])
    epochs = NumberScale(low=0.5 if last > 1 else 0.0, high=last + 0.5)
    plot = Plot(Axis(scale=epochs, label="epoch"), Axis(scale=scale, label=metric), width=WIDE, height=300)
    for style, (name, known) in zip(("", " dashed"), sides, strict=False):
        for one in (curve for curve in known if curve.points):
            kind = seed_kind(list(seeds).index(one.seed) if one.seed in seeds else len(seeds))
            note = f"{name}, {one.name}: {number(one.points[-1][1])} at epoch {one.points[-1][0]}"
            plot.add_line(one.points, f"trace {kind}{style}", note, trial=one.trial)
            if len(one.points) == 1:
                shape = seed_shape(list(seeds).index(one.seed) if one.seed in seeds else len(seeds))
                plot.add_mark(*one.points[0], kind, note, shape=shape)
    says = f"Solid: {sides[0][0]}. Dashed: {sides[1][0]}. Every seed has its own color."
    shapes = zip(("line", "dash"), sides, strict=False)
    own = tuple(
        Key(text=name, kind="mean dashed" if shape == "dash" else "mean", shape=shape) for shape, (name, _) in shapes
    )
    keys = (*own, *seed_keys(seeds))
    return Drawn(name="overlaid", title="Learning curves", says=says, svg=plot.svg(says), keys=keys, wide=True)
