"""What is printed of a search."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from hpo.core.formatting import counted, curves_text, duration, number, quantity
from hpo.search.split import NOISY
from hpo.study.functions import again

if TYPE_CHECKING:
    from hpo.search.run import SearchOutcome
    from hpo.search.split import Split

MOST_SHOWN = 10
"""Largest number of trials of a front that are listed."""

VERBS = {"run": "run", "larger": "run", "promote": "promote"}
"""Commands that may come next, by what they do."""


def search_text(outcome: SearchOutcome, *, promotes: bool, commands: Mapping[str, str] | None = None) -> str:
    """Returns what a search came to, and what to do next.

    Args:
        outcome: the result of the search.
        promotes: whether a promotion follows, so that none is advised.
        commands: what goes on with the search (`run`), with other limits (`larger`), and what promotes (`promote`);
            None: the plain commands.
    """
    study, best = outcome.study, outcome.incumbent
    commands = commands or {name: again(verb, study) for name, verb in VERBS.items()}
    states = [
        f"{outcome.count(state)} {state if state != 'running' else 'to go on with'}"
        for state in ("complete", "pruned", "failed", "running")
        if outcome.count(state)
    ]
    lines = [f"! {warning}" for warning in outcome.warnings]
    lines += [f"{counted(outcome.own, 'trial')} in {duration(outcome.seconds)}: {', '.join(states) or 'none'}."]
    if outcome.repeats:
        lines.append(f"Of these {outcome.repeats} had been tried before and were answered from the records.")
    if imported := outcome.count("imported"):
        lines.append(f"It began with {counted(imported, 'imported trial')}.")
    if outcome.prior is not None:
        lines.append(str(outcome.prior))
    if outcome.stopped:
        lines.append(f"Stopped. Continue with: {commands['run']}")
    elif outcome.limit is not None:
        lines.append(f"Ended: {outcome.limit}. With a larger limit, or without one, it goes on: {commands['larger']}")
    elif outcome.timed_out:
        lines.append("Its time was up. What was running goes on next time, with the same command.")
    elif outcome.ended:
        lines.append(f"Ended: {outcome.ended}.")
    if outcome.split is not None and outcome.share is not None:
        lines.append(_split_text(outcome, outcome.split))
    if outcome.open:
        lines.append(f"Not over: trial {', '.join(map(str, outcome.open))}, which the next run goes on with.")
    lines += curves_text(outcome.events)
    lines += [outcome.kept.text()] if outcome.kept else []
    if others := outcome.of_other_code:
        listed = ", ".join(map(str, others[:10])) + (f" and {len(others) - 10} more" if len(others) > 10 else "")
        lines.append(f"Trained with other code than there is now, so their values do not compare: trial {listed}.")
    failed = [trial.number for trial in outcome.trials if trial.state == "failed"]
    if failed:
        lines.append(f"Failed: {', '.join(map(str, failed[:10]))}. See why: hpo show --study {study.name} {failed[0]}")
    infeasible = [trial.number for trial in outcome.trials if trial.state == "complete" and not trial.is_feasible]
    if infeasible:
        lines.append(f"Complete but breaking a constraint: {', '.join(map(str, infeasible[:10]))}.")
    if outcome.spent.seconds:
        lines.append(f"Spent so far: {outcome.spent}.")
    if outcome.front:
        lines.append(_front_text(outcome, "" if promotes or outcome.stopped else commands["promote"]))
    elif best is None:
        lines.append(f"No trial has completed{' and kept the constraints' if infeasible else ''}: no incumbent.")
    else:
        value = f"{study.objective.metric} {number(best.value)} on {study.search.seeds_text}"
        draw = "It was chosen for being good there" if study.search.seeding == "replicated" else "One seed is one draw"
        lines.append(
            f"Incumbent: trial {best.number}, {value}. {draw}"
            + ("." if promotes or outcome.stopped else f": {commands['promote']}")
        )
    return "\n".join(lines)


def _front_text(outcome: SearchOutcome, promote: str) -> str:
    """Returns the trials on the front of several objectives, and what to do next: the command, if there is one."""
    study, metrics = outcome.study, outcome.study.objective.metrics
    shown = []
    for trial in outcome.front[:MOST_SHOWN]:
        values = ", ".join(f"{name} {quantity(one)}" for name, one in zip(metrics, trial.vector, strict=True))
        shown.append(f"{trial.number} ({values})")
    more = f" and {len(outcome.front) - MOST_SHOWN} more" if len(outcome.front) > MOST_SHOWN else ""
    return (
        f"Front: {counted(len(outcome.front), 'trial')} on {study.search.seeds_text} that no other trial dominates: "
        f"{', '.join(shown)}{more}. One seed is one draw" + (f": {promote}" if promote else ".")
    )


def _split_text(outcome: SearchOutcome, split: Split) -> str:
    """Returns how the total was split, and why."""
    race = split.trainings - split.configurations(outcome.share)
    if outcome.contrast is None:
        why = f"The first {split.first} trials have too few values to tell whether they are noisy"
    else:
        kind = "noisy" if outcome.share == NOISY else "smooth"
        why = (
            f"The values are {kind} (the best of the first {split.first} trials lies {outcome.contrast:.1f} standard "
            "deviations of the noise from their median)"
        )
    return f"{why}, so the promotion gets {race} of {split.trainings} trainings."
