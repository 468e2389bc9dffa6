"""Figures of params: their importance, the value against one or two of them, and all of them together."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from hpo.core.formatting import counted, number, param, percent
from hpo.core.records import Value
from hpo.figures.svg.canvas import Drawn, Key
from hpo.figures.svg.plot import WIDE, Axis, Plot
from hpo.figures.svg.scales import ChoiceScale, NumberScale, Scale, param_scale, robust_scale
from hpo.figures.svg.search import MOST_NOTED, beyond_text, thinned, trial_note, value_note
from hpo.study import Study, Trial, space

SHADES = 5
"""Number of shades of values in the style sheet, `q0` (worst) to `q4` (best)."""

MOST_LINES = 300
"""Largest number of trials in the figure of all params; of more, the best are drawn."""

Place = Callable[[Trial, float], tuple[Value, Value]]
"""Where a trial with a value is drawn."""

RELIABLE = 20
"""Fewer complete trials say little about the importance of a param."""

FEWEST = 4
"""Least number of complete trials for a figure of params."""


def complete_trials(trials: Sequence[Trial]) -> list[tuple[Trial, float]]:
    """Returns the complete trials with a finite value."""
    return [
        (one, one.value)
        for one in trials
        if one.state in ("complete", "imported") and one.value is not None and math.isfinite(one.value)
    ]


def importance_drawn(importance: Mapping[str, float], study: Study, count: int) -> Drawn | None:
    """Returns a bar of each param's importance; None if it is not known.

    Args:
        importance: share of importance by param, the largest first.
        study: the study, for the params that have no importance.
        count: number of complete trials that it follows from.
    """
    if not importance:
        return None
    names = list(importance)[:12]
    scale = ChoiceScale(values=tuple(reversed(names)))
    shares = NumberScale(low=0.0, high=max(0.01, *importance.values()) * 1.18)
    plot = Plot(Axis(scale=shares, label="share of importance"), Axis(scale=scale), height=60 + 26 * len(names))
    for name in names:
        share = importance[name]
        plot.add_bar(0.0, share, name, "bar-accent", f"{name}: {percent(share)}")
        plot.add_text(share, name, percent(share), "name")
    first = names[0]
    says = f"{first} separates the best quarter of the trials from the others most ({percent(importance[first])})."
    if count < RELIABLE:
        says = f"From {counted(count, 'trial')} only, so this is little more than chance. {says}"
    rest = [name for name in study.space if name not in importance]
    if rest:
        says += f" Not in every trial, so left out: {', '.join(rest)}."
    return Drawn(name="importance", title="Importance of the params", says=says, svg=plot.svg(says))


def slice_drawn(trials: Sequence[Trial], study: Study, name: str, winner: int | None) -> Drawn | None:
    """Returns the value of each complete trial against one param; None with too few of them.

    Args:
        trials: trials of the search.
        study: the study that was searched.
        name: name of the param.
        winner: trial to point out; None: none.
    """
    known = [(one, value) for one, value in complete_trials(trials) if name in one.params]
    if len(known) < FEWEST:
        return None
    metric, scale = study.objective.metric, robust_scale([value for _, value in known])
    x = Axis(scale=param_scale(study.space[name]), label=_axis_label(study, name), count=4)
    plot = Plot(x, Axis(scale=scale, label=metric, count=4), height=210)
    if len(known) > MOST_NOTED:
        plot.add_points([(one.params[name], value) for one, value in thinned(known)], "complete")
    else:
        for one, value in known:
            plot.add_mark(one.params[name], value, "complete", value_note(one, metric, value), trial=one.number)
    _point_out(plot, known, winner, lambda one, value: (one.params[name], value), metric)
    says = f"{metric} against {name}, {len(known)} trials."
    best = [one.params[name] for one, _ in _best_quarter(known, study)]
    says = " ".join([f"{says} The best quarter has {_range(best)}.", *beyond_text(scale, [one for _, one in known])])
    return Drawn(name=f"slice-{name}", title=name, says=says, svg=plot.svg(says))


def pair_drawn(trials: Sequence[Trial], study: Study, names: tuple[str, str], winner: int | None) -> Drawn | None:
    """Returns the complete trials by two params, shaded by value; None with too few of them.

    Args:
        trials: trials of the search.
        study: the study that was searched.
        names: names of the two params.
        winner: trial to point out; None: none.
    """
    across, up = names
    known = [(one, value) for one, value in complete_trials(trials) if across in one.params and up in one.params]
    if len(known) < FEWEST:
        return None
    metric = study.objective.metric
    x = Axis(scale=param_scale(study.space[across]), label=_axis_label(study, across), count=4)
    y = Axis(scale=param_scale(study.space[up]), label=_axis_label(study, up), count=4)
    plot = Plot(x, y)
    for one, shade in _shaded(known, study)[-MOST_NOTED:]:
        place = (one.params[across], one.params[up])
        plot.add_mark(*place, f"q{shade}", trial_note(one, metric), size=5, trial=one.number)
    _point_out(plot, known, winner, lambda one, _: (one.params[across], one.params[up]), metric)
    says = f"Every mark is a complete trial; the stronger its color, the better the {metric}."
    return Drawn(name="pair", title=f"{across} and {up}", says=says, svg=plot.svg(says), keys=_shade_keys())


def parallel_drawn(trials: Sequence[Trial], study: Study, winner: int | None) -> Drawn | None:
    """Returns a line through all params of each complete trial, shaded by value; None with too few of them.

    Args:
        trials: trials of the search.
        study: the study that was searched.
        winner: trial to point out; None: none.
    """
    known = complete_trials(trials)
    names = list(study.space)
    if len(known) < FEWEST or len(names) < 2:
        return None
    metric = study.objective.metric
    places = [*names, metric]
    scales: dict[str, Scale] = {name: param_scale(study.space[name]) for name in names}
    scales[metric] = robust_scale([value for _, value in known])
    blank = NumberScale(low=0.0, high=1.0)
    axes = NumberScale(low=-0.35, high=len(places) - 0.45)
    plot = Plot(Axis(scale=axes), Axis(scale=blank), width=WIDE, height=290, bare=True)
    shaded = _shaded(known, study)[-MOST_LINES:]
    values = {one.number: value for one, value in known}
    for one, shade in shaded:
        kind = "trace-winner" if one.number == winner else f"q{shade}"
        whole = {**one.params, metric: values[one.number]}
        points = [(index, scales[name].place(whole[name])) for index, name in enumerate(places) if name in whole]
        plot.add_line([(x, 0.1 + 0.8 * y) for x, y in points], kind, trial_note(one, metric), trial=one.number)
    for index, name in enumerate(places):
        plot.add_span((index, 0.1), (index, 0.9), "axis")
        plot.add_text(index, 0.97, name, "label", anchor="middle", move=(0, 0))
        for place, text in scales[name].ticks(4):
            plot.add_text(index, 0.1 + 0.8 * place, text, "tick halo", move=(5, 4))
    says = f"Every line is a complete trial; the stronger its color, the better the {metric}."
    if len(known) > len(shaded):
        says += f" The best {len(shaded)} of {len(known)} are drawn."
    keys = _shade_keys() + (Key(text="winner", kind="trace-winner", shape="line"),) * (winner is not None)
    return Drawn(name="parallel", title="All params together", says=says, svg=plot.svg(says), keys=keys, wide=True)


def _best_quarter(known: Sequence[tuple[Trial, float]], study: Study) -> list[tuple[Trial, float]]:
    sign = -1.0 if study.objective.direction == "maximize" else 1.0
    ordered = sorted(known, key=lambda one: (sign * one[1], one[0].number))
    return ordered[: max(1, math.ceil(len(ordered) / 4))]


def _shaded(known: Sequence[tuple[Trial, float]], study: Study) -> list[tuple[Trial, int]]:
    """Returns the trials from the worst to the best with their shades, a fifth of the trials each."""
    sign = 1.0 if study.objective.direction == "maximize" else -1.0
    ordered = sorted(known, key=lambda one: (sign * one[1], -one[0].number))
    return [(trial, index * SHADES // len(ordered)) for index, (trial, _) in enumerate(ordered)]


def _shade_keys() -> tuple[Key, ...]:
    return (Key(text="best fifth", kind=f"q{SHADES - 1}"), Key(text="worst fifth", kind="q0"))


def _range(values: Sequence[Value]) -> str:
    """Returns which values there are: `0.02 to 0.08`, `adamw or sgd`."""
    numbers = [one for one in values if isinstance(one, int | float) and not isinstance(one, bool)]
    if len(numbers) == len(values):
        low, high = min(numbers), max(numbers)
        return param(low) if low == high else f"{param(low)} to {param(high)}"
    return " or ".join(dict.fromkeys(str(one) for one in values))


def _axis_label(study: Study, name: str) -> str:
    dimension = study.space[name]
    return f"{name} (log)" if not isinstance(dimension, space.Choice) and dimension.log else name


def _point_out(plot: Plot, known: Sequence[tuple[Trial, float]], winner: int | None, place: Place, metric: str) -> None:
    for one, value in known:
        if one.number == winner:
            x, y = place(one, value)
            note = f"winner: trial {one.number}, {metric} {number(value)} in the search"
            plot.add_mark(x, y, "winning", note, shape="star", size=6, trial=one.number)
