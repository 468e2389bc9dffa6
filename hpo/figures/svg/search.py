"""Figures of a search: its history, its trials in time, and the trials that are running."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import median

from hpo.core.formatting import counted, duration, number, params
from hpo.figures.svg.canvas import Drawn, Key, element, path, svg
from hpo.figures.svg.plot import NARROW, WIDE, Axis, Plot
from hpo.figures.svg.scales import ChoiceScale, NumberScale, number_scale, robust_scale
from hpo.study import Study, Trial

MOST_NOTED = 300
"""Largest number of trials that each have a note in a figure; of more, only the improvements have."""

MOST_DRAWN = 2000
"""Largest number of trials in a figure; of more, so many are drawn at equal distances."""

MOST_BARS = 600
"""Largest number of trials in the timeline; of more, the last ones are drawn."""

MOST_LANES = 24
"""Largest number of rows of the timeline."""

STATES = {
    "complete": Key(text="complete", kind="complete"),
    "pruned": Key(text="pruned", kind="pruned", shape="diamond"),
    "failed": Key(text="failed", kind="failed", shape="cross"),
    "running": Key(text="running", kind="running", shape="square"),
    "imported": Key(text="imported", kind="imported", shape="triangle"),
}
"""The mark of each state, the same in every figure; a trial that waits has none."""


def improvements(trials: Iterable[Trial], study: Study) -> list[tuple[Trial, float]]:
    """Returns the complete feasible trials that were the best so far, with their values, in order of numbers."""
    sign = 1.0 if study.objective.direction == "maximize" else -1.0
    found: list[tuple[Trial, float]] = []
    for trial in sorted(trials, key=lambda one: one.number):
        value = trial.value
        if trial.state not in ("complete", "imported") or value is None or not trial.is_feasible:
            continue
        if not found or sign * value > sign * found[-1][1]:
            found.append((trial, value))
    return found


def history_drawn(trials: Sequence[Trial], study: Study) -> Drawn | None:
    """Returns the values of all trials by number, with the best value so far; None without a value."""
    valued = [(one, value) for one in trials if (value := _value(one)) is not None]
    if not valued:
        return None
    metric, numbers = study.objective.metric, [one.number for one in trials]
    first, last = min(numbers), max(numbers)
    scale = robust_scale([value for _, value in valued])
    plot = Plot(
        Axis(scale=NumberScale(low=first - 0.5, high=last + 0.5), label="trial"),
        Axis(scale=scale, label=metric),
        width=WIDE,
    )
    best = improvements(trials, study)
    if best:
        steps = [*((trial.number, value) for trial, value in best), (last + 0.5, best[-1][1])]
        plot.add_line(steps, "incumbent", "the best value so far", steps=True)
    marked = {trial.number for trial, _ in best}
    many = len(valued) > MOST_NOTED
    if many:
        drawn = thinned(valued)
        for state in STATES:
            rest = [(one.number, value) for one, value in drawn if one.state == state and one.number not in marked]
            plot.add_points(rest, state)
    for one, value in valued:
        if not many or one.number in marked:
            key = STATES.get(one.state, STATES["complete"])
            kind = f"{key.kind} best" if one.number in marked else key.kind
            plot.add_mark(one.number, value, kind, trial_note(one, metric), shape=key.shape, trial=one.number)
    floor = scale.low
    failed = [one for one in trials if one.state == "failed" and one.value is None]
    for one in failed[:MOST_NOTED]:
        plot.add_mark(one.number, floor, "failed", trial_note(one, metric), shape="cross", trial=one.number)
    says = [_progress_text(trials, best), *beyond_text(scale, [value for _, value in valued])]
    if len(valued) > MOST_DRAWN:
        says.append(f"{MOST_DRAWN} of {len(valued)} values are drawn.")
    states = [key for state, key in STATES.items() if any(one.state == state for one in trials)]
    keys = (*states, Key(text="best so far", kind="incumbent", shape="line"))
    text = " ".join(says)
    return Drawn(name="history", title="History of the search", says=text, svg=plot.svg(text), keys=keys, wide=True)


def beyond_text(scale: NumberScale, values: Iterable[float]) -> list[str]:
    """Returns a sentence on the values that an axis does not reach, if there are any."""
    beyond = sum(not scale.contains(value) for value in values)
    verb = "is" if beyond == 1 else "are"
    return [f"{counted(beyond, 'value')} far from the others {verb} drawn at the edge."] if beyond else []


def timeline_drawn(trials: Sequence[Trial]) -> Drawn | None:
    """Returns a bar for each trial from its start to its end, those at the same time below each other; None if no
    trial has started.
    """
    every = sorted(_spans(trials), key=lambda one: one[1])
    spans = every[-MOST_BARS:]
    if not spans:
        return None
    first, last = spans[0][1], max(end for _, _, end in spans)
    lanes: list[float] = []
    placed = []
    for trial, start, end in spans:
        lane = next((index for index, free in enumerate(lanes) if free <= start), len(lanes))
        lanes[lane:] = [end, *lanes[lane + 1 :]]
        placed.append((trial, start, end, lane))
    rows = min(len(lanes), MOST_LANES)
    unit, name = _unit(last - first)
    times = NumberScale(low=0.0, high=max((last - first) / unit, 1e-3))
    slots = ChoiceScale(values=tuple(range(rows, 0, -1)))
    height = 60 + 18 * rows
    plot = Plot(
        Axis(scale=times, label=f"{name} since the start"), Axis(scale=slots, label="slot"), width=WIDE, height=height
    )
    for trial, start, end, lane in placed:
        if lane < rows:
            note = f"trial {trial.number}, {trial.state}, {duration(end - start)}"
            plot.add_bar((start - first) / unit, (end - first) / unit, lane + 1, trial.state, note)
    busy = sum(end - start for _, start, end in spans)
    says = f"{counted(len(spans), 'trial')} in {duration(last - first)}, {counted(len(lanes), 'slot')} at most."
    if last > first:
        says += f" The slots were busy {min(1.0, busy / (len(lanes) * (last - first))):.0%} of the time."
    if len(every) > len(spans):
        says = f"The last {len(spans)} of {len(every)} trials: {says}"
    if len(lanes) > rows:
        says += f" The first {rows} slots are drawn."
    states = {trial.state for trial, *_ in spans}
    keys = tuple(Key(text=one, kind=one, shape="area") for one in STATES if one in states)
    return Drawn(name="timeline", title="Trials in time", says=says, svg=plot.svg(says), keys=keys, wide=True)


def running_drawn(trials: Sequence[Trial], study: Study) -> Drawn | None:
    """Returns the values of running trials by epoch, beside the best and the median complete trial; None if none has a
    value yet.
    """
    running = [one for one in trials if one.state == "running" and one.values]
    if not running:
        return None
    best = improvements(trials, study)
    complete = [one.values for one in trials if one.state == "complete" and one.values]
    middle = {
        step: median(known)
        for step in sorted({step for values in complete for step in values})
        if (known := [values[step] for values in complete if step in values])
    }
    lines = [one.values for one in running] + ([best[-1][0].values] if best else []) + [middle]
    scale = number_scale([value for values in lines for value in values.values() if math.isfinite(value)])
    metric = study.objective.metric
    steps = NumberScale(low=0.5, high=study.search.budget + 0.5)
    plot = Plot(Axis(scale=steps, label="epoch"), Axis(scale=scale, label=metric), width=NARROW, right=60)
    if middle:
        plot.add_line(middle.items(), "middle", "median of the complete trials")
    if best and best[-1][0].values:
        plot.add_line(best[-1][0].values.items(), "incumbent", f"incumbent, trial {best[-1][0].number}")
    for one in running:
        plot.add_line(one.values.items(), "running", trial_note(one, metric), trial=one.number)
        step, value = max(one.values.items())
        plot.add_mark(step, value, "running", trial_note(one, metric), shape="square", trial=one.number)
        plot.add_text(step, value, f"trial {one.number}", "name")
    says = "Value by epoch: " + ", ".join(f"trial {one.number} at epoch {max(one.values)}" for one in running) + "."
    keys = (
        STATES["running"],
        Key(text="incumbent", kind="incumbent", shape="line"),
        Key(text="median of complete trials", kind="middle", shape="dash"),
    )
    return Drawn(name="running", title="Running now", says=says, svg=plot.svg(says), keys=keys)


def sparkline(trials: Sequence[Trial], study: Study) -> str:
    """Returns a small line of the best value so far, for lists; empty without a complete trial."""
    best = improvements(trials, study)
    if not best:
        return ""
    last = max(one.number for one in trials)
    scale, numbers = number_scale([value for _, value in best]), NumberScale(low=0.0, high=max(last, 1))
    points = [(104 * numbers.place(one.number) + 3, 25 - 22 * scale.place(value)) for one, value in best]
    points.append((107.0, points[-1][1]))
    content = element("path", d=path(points, steps=True), class_="line incumbent")
    said = f"best value so far: {number(best[0][1])} at trial {best[0][0].number}, {number(best[-1][1])} in the end"
    return svg(content, 110, 28, said)


def thinned(valued: Sequence[tuple[Trial, float]]) -> Sequence[tuple[Trial, float]]:
    """Returns at most `MOST_DRAWN` of some trials with their values, at equal distances."""
    every = max(1, math.ceil(len(valued) / MOST_DRAWN))
    return valued[::every]


def value_note(trial: Trial, metric: str, value: float) -> str:
    """Returns the short note of a trial's mark: number and value."""
    return f"trial {trial.number}, {metric} {number(value)}"


def trial_note(trial: Trial, metric: str) -> str:
    """Returns the note of a trial's mark: number, state, value, params."""
    value = _value(trial)
    shown = "" if value is None else f", {metric} {number(value)}"
    error = f"\n{trial.error.strip().splitlines()[-1]}" if trial.error and trial.error.strip() else ""
    return f"trial {trial.number}, {trial.state}{shown}{error}\n{params(trial.params)}"


def _value(trial: Trial) -> float | None:
    """Returns the value that a trial is drawn at: its own, or the newest of a running one."""
    value = trial.value
    if value is None and trial.state == "running" and trial.values:
        value = trial.values[max(trial.values)]
    return value if value is not None and math.isfinite(value) else None


def _progress_text(trials: Sequence[Trial], best: Sequence[tuple[Trial, float]]) -> str:
    states = [one.state for one in trials]
    counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    if not best:
        return f"{counts}; no trial is complete yet."
    trial, value = best[-1]
    place = sum(one.number <= trial.number for one in trials)
    return (
        f"{counts}. The best value {number(value)} was found by trial {trial.number}, number {place} of {len(trials)}."
    )


def _spans(trials: Iterable[Trial]) -> Iterable[tuple[Trial, float, float]]:
    """Yields each started trial with start and end in seconds; a running one ends now."""
    now = dt.datetime.now()
    for one in trials:
        if one.started is None or one.state in ("imported", "waiting"):
            continue
        start = dt.datetime.fromisoformat(one.started)
        end = dt.datetime.fromisoformat(one.ended) if one.ended else now
        yield one, start.timestamp(), max(start, end).timestamp()


def _unit(seconds: float) -> tuple[float, str]:
    units: Mapping[str, float] = {"seconds": 1.0, "minutes": 60.0, "hours": 3600.0}
    name = "seconds" if seconds < 180 else "minutes" if seconds < 3 * 3600 else "hours"
    return units[name], name
