"""What is printed of a decomposition and of replays."""

from __future__ import annotations

from dataclasses import asdict

from rich.console import RenderableType

from hpo.api import Decomposition, Replayed
from hpo.cli.shown import counted, number
from hpo.cli.tables import table

WIDTH, MOST = 20, 25
"""Marks that a total effect of one is drawn with; no more are drawn, for more than one is chance."""


def decomposition_table(found: Decomposition) -> RenderableType:
    """Returns a row for each source: its standard deviation, interval and total effect."""
    made = table("source", "sd if only this is redrawn", "95 %", "total effect", "", left=("source", ""))
    for effect in found.effects:
        low, high = effect.interval
        total = "-" if effect.total is None else f"{effect.total:.2f}"
        bar = "" if effect.total is None else "#" * min(MOST, round(WIDTH * effect.total))
        made.add_row(effect.source, number(effect.deviation), f"{number(low)} .. {number(high)}", total, bar)
    for source in found.unused:
        made.add_row(source, number(0.0), "not used: changed no bit", "0.00", "")
    if found.replayed is not None:
        made.add_row("replay", *_replay(found.replayed), "", "")
    return made


def decomposition_text(found: Decomposition) -> str:
    """Returns what stands under the table."""
    metric = found.study.objective.metric
    lines = [
        f"Trial {found.trial}, {metric}, {counted(found.trainings, 'training')}, {len(found.values)} draws: with all "
        f"sources drawn {number(found.mean)} ± {number(found.deviation)}."
    ]
    total = found.sum_of_totals
    if total is not None and total > 1.05:
        lines.append(f"Total effects add to {total:.2f}: sources act together, shares do not add up.")
    lines.append(found.advice)
    lines.append("Trained now: none, all were recorded." if not found.trained else f"Trained now: {found.trained}.")
    lines.append(f"Written: {found.folder}/  decomposition-trial-{found.trial}.json  .csv  .html")
    return "\n".join(lines)


def decomposition_values(found: Decomposition) -> dict[str, object]:
    """Returns a decomposition as plain values."""
    return {**found.as_values(), "trained": found.trained}


def replayed_text(found: Replayed) -> str:
    """Returns whether replays have the same bits, and how much of the seed noise it is if not."""
    count = len(found.values)
    head = f"Trial {found.trial} seed {found.seed}, trained {count} times:"
    if found.is_identical:
        return f"{head} identical to the last bit, {count} of {count}."
    lines = [
        f"{head} not identical; {found.identical} of {count} have the first one's bits.",
        f"Values from {number(min(found.values))} to {number(max(found.values))}, sd {number(found.deviation)}.",
    ]
    if found.seed_deviation:
        share = 100 * found.deviation / found.seed_deviation
        lines.append(f"That is {share:.0f} % of the sd over the promotion's seeds, {number(found.seed_deviation)}.")
    return "\n".join(lines)


def replayed_values(found: Replayed) -> dict[str, object]:
    """Returns replays as plain values."""
    return {**asdict(found), "deviation": found.deviation}


def _replay(found: Replayed) -> tuple[str, str]:
    count = len(found.values)
    same = f"bit-identical {found.identical} of {count}"
    return (number(0.0), same) if found.is_identical else (number(found.deviation), f"only {same}")
