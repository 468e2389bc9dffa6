"""What is printed of a promotion: the ranking, and how sure it is."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from hpo.api import Confirmation, PromotionOutcome, PromotionReport
from hpo.certainty import CALIBRATED, Certainty
from hpo.cli.shown import number
from hpo.cli.tables import table
from hpo.promotion import Race
from hpo.ranking import Ranking, Row
from hpo.study import notes


def ranking_table(report: PromotionReport) -> RenderableType:
    """Returns a ranking with every seed's value, and the conventions under it."""
    ranking, sure = report.ranking, report.certainty
    rule = ranking.rule
    seeds = [f"seed {seed}{'*' if seed in sure.seen else ''}" for seed in ranking.seeds]
    score = [rule.said(ranking.direction)] if rule.name != "mean" else []
    by_race, by_folds = report.race is not None, bool(report.folds)
    made = table(
        "rank",
        "trial",
        *seeds,
        "mean",
        "sigma",
        *["fold sd"] * by_folds,
        "CV %",
        *score,
        "95 % interval",
        f"search ({report.study.seeds_said.removeprefix('seed ')})",
        *["alerts"] * bool(report.alerts),
    )
    at_best = "<=" if ranking.direction == "maximize" else ">="
    for row in ranking.rows:
        candidate = row.candidate
        values = [number(candidate.values.get(seed)) for seed in ranking.seeds]
        interval = f"{number(row.interval[0])} .. {number(row.interval[1])}" if row.interval else "-"
        variation = sure.variations.get(candidate.trial)
        made.add_row(
            report.standing(row),
            str(candidate.trial),
            *values,
            number(row.mean),
            number(row.sigma),
            *[number(report.folds[candidate.trial].sigma if candidate.trial in report.folds else None)] * by_folds,
            "-" if variation is None else f"{variation:.1f}",
            *(
                [number(row.score) if row.bound is None or by_race else f"{at_best} {number(row.bound)}"]
                if score
                else []
            ),
            interval,
            number(candidate.search_value),
            *[str(report.alerts.get(candidate.trial, 0))] * bool(report.alerts),
        )
    count = len(ranking.seeds)
    note = f"sigma: ddof {rule.ddof} · score: {rule.said(ranking.direction)} · n = {count}"
    known = " · at n = 3 sigma itself is known to ±50 %" if count == 3 else ""
    seen = "".join(f" · * {seed} is a seed of the search's too" for seed in sure.seen)
    validation = report.study.validation
    folds = (
        f"\na seed's value is the mean over {validation}; fold sd: between the folds of a seed" if validation else ""
    )
    notes_ = Text(note + known + seen + folds, style="dim")
    return Group(made, notes_) if report.race is None else Group(made, notes_, _race(report.race, report.refined))


def _race(race: Race, sure: Certainty | None) -> RenderableType:
    """Returns how a race went, and its last rung."""
    rule, direction = race.final.rule, race.final.direction
    rungs = ", ".join(f"{len(rung.entered)} under {_seeds(rung.seeds)}" for rung in race.rungs)
    score = [rule.said(direction)] if rule.name != "mean" else []
    count = len(race.rungs[-1].seeds)
    made = table("rank", "trial", f"mean of {count} seeds", "sigma", "CV %", *score, "95 % interval", "P(best)")
    for row in race.final.rows:
        trial = row.candidate.trial
        variation = sure.variations.get(trial) if sure else None
        chance = sure.chances.get(trial) if sure else None
        made.add_row(
            row.standing,
            str(trial),
            number(row.mean),
            number(row.sigma),
            "-" if variation is None else f"{variation:.1f}",
            *([number(row.score)] if score else []),
            f"{number(row.interval[0])} .. {number(row.interval[1])}" if row.interval else "-",
            "-" if chance is None else _percent(chance, count),
        )
    rough = f"P(best) is rough below {CALIBRATED} seeds"
    notes_ = [Text(rough, style="dim")] if count < CALIBRATED else []
    return Group(Text(f"Race: {rungs}. Its last rung:"), made, *notes_)


def _percent(chance: float, count: int) -> str:
    """Returns a chance as it is known under so many seeds: to ten per cent below six of them."""
    step = 0.1 if count < CALIBRATED else 0.01
    if chance < step / 2:
        return f"< {50 * step:g} %"
    return f"> {100 - 50 * step:g} %" if chance > 1 - step / 2 else f"{100 * chance:.0f} %"


def _seeds(seeds: Sequence[int]) -> str:
    if len(seeds) > 3 and list(seeds) == list(range(seeds[0], seeds[0] + len(seeds))):
        return f"{seeds[0]} .. {seeds[-1]}"
    return " ".join(map(str, seeds))


def promotion_text(outcome: PromotionOutcome) -> str:
    """Returns what stands under a promotion's table."""
    lines = []
    ranking = outcome.ranking
    if len(ranking.rows) < outcome.asked_top:
        lines.append(
            f"Promoted {len(ranking.rows)}, not {outcome.asked_top}: no more trials with params of their own completed."
        )
    incomplete = [row.candidate.trial for row in ranking.rows if row.rank is None and row.bound is None]
    left_out = [row.candidate.trial for row in ranking.rows if row.bound is not None]
    if left_out and outcome.report.race is None:
        lines.append(
            f"Not finished, for they could not win any more: trial {', '.join(map(str, left_out))}. "
            "The whole grid has the same winner."
        )
    if incomplete:
        shown = ", ".join(map(str, incomplete))
        lines.append(
            f"Incomplete, so not ranked: trial {shown}. See why: hpo show --study {outcome.study.name} {incomplete[0]}"
        )
    lines.append(certainty_text(outcome.report))
    if outcome.report.winner is None:
        return "\n".join([*lines, "Nothing was written."])
    lines.append(
        "Trained now: none, all replicates were recorded."
        if not outcome.trained
        else f"Trained now: {outcome.trained}."
    )
    lines += [f"Note: {note.key}: {note.message}." for note in notes(outcome.study)]
    names = "  ".join(path.name for path in outcome.results)
    lines.append(f"Written: {outcome.folder}/  {names}  promotion.csv  .json  .md  .tex  .html")
    return "\n".join(lines)


def certainty_text(report: PromotionReport) -> str:
    """Returns who won, and how sure that is."""
    ranking, sure = report.ranking, report.certainty
    winner = report.winner
    if winner is None:
        return "No candidate is complete, so there is no winner."
    trial = winner.candidate.trial
    if report.race is None or report.refined is None:
        lines = [f"Winner: trial {trial}, score {number(winner.score)}. {_changes(sure)}"]
    else:
        final, first = report.race.final, ranking.winner
        score, names = (final.winner.score if final.winner else None), _seeds(ranking.seeds)
        same = "it too" if first is winner or first is None else f"trial {first.candidate.trial}"
        lines = [
            f"Winner: trial {trial}, score {number(score)} over {len(final.seeds)} seeds. {_changes(report.refined)}",
            f"The table of seeds {names} alone names {same}. {_changes(sure)}",
        ]
    if ranking.undecided and report.race is None:
        lines.append(
            f"Not decided: with the replicates that were left out trial {', '.join(map(str, ranking.undecided))} could "
            "have won by this rule. Train them: hpo promote without --curtail"
        )
    if sure.seen:
        without = "is not known" if sure.unseen_winner is None else f"is trial {sure.unseen_winner}"
        lines.append(f"Seed {', '.join(map(str, sure.seen))} was the search's too; the winner without it {without}.")
    incumbent = _incumbent(ranking)
    if incumbent is not winner:
        lines.append(
            f"The search alone would have named trial {incumbent.candidate.trial} "
            f"({number(incumbent.candidate.search_value)} on {report.study.seeds_said})."
        )
    if sure.optimism is not None:
        side = "above" if ranking.direction == "maximize" else "below"
        interval = sure.optimism_interval
        known = f" (95 %: {number(interval[0])} .. {number(interval[1])})" if interval else ""
        rho = "" if sure.correlation is None else f"; rank correlation {number(sure.correlation)}"
        reach = "the candidates' means"
        if report.race is not None:
            reach = f"what the {len(ranking.rows)} candidates reach under {_seeds(report.race.rungs[0].seeds)}"
        lines.append(f"Optimism: search values lie {number(sure.optimism)} {side} {reach}{known}{rho}.")
    if report.confirmation is not None:
        lines.append(_confirmed(report.confirmation, winner))
    if report.race is None and (chance := sure.chances.get(trial)):
        lines.append(_chance(sure, trial, chance, len(ranking.seeds)))
    return "\n".join(lines)


def _changes(sure: Certainty) -> str:
    changes = ", ".join(f"{name} (trial {other})" for name, other in sure.changes.items())
    stays = f" It stays under: {', '.join(sure.stays)}." if sure.changes and sure.stays else ""
    unknown = f" Not known, as replicates were left out: {', '.join(sure.unknown)}." if sure.unknown else ""
    return f"It changes under: {changes or 'none'}.{stays}{unknown}"


def _confirmed(found: Confirmation, winner: Row) -> str:
    seeds = ", ".join(f"{seed}: {number(value)}" for seed, value in found.values.items())
    if found.mean is None or winner.mean is None:
        return f"Confirmed: nothing, no replicate completed ({seeds})."
    interval = f" (95 %: {number(found.interval[0])} .. {number(found.interval[1])})" if found.interval else ""
    spread = "" if found.sigma is None else f" ± {number(found.sigma)}"
    return (
        f"Unbiased estimate of the winner, on seeds of no choice ({seeds}): "
        f"mean {number(found.mean)}{spread}{interval}; the promotion's seeds said {number(winner.mean)}."
    )


def _chance(sure: Certainty, trial: int, chance: float, count: int) -> str:
    rough = " (rough below 6 seeds)" if count < CALIBRATED else ""
    text = f"P(trial {trial} is best) about {_percent(chance, count)}{rough}"
    against = next((pair for pair in sure.pairs if pair.first == trial), None)
    if against is None:
        return f"{text}."
    better = f"better on {against.outperformance * count:g} of {count} seeds"
    decided = "" if against.decidable else f", not decidable at n = {count}"
    return f"{text} · trial {trial} against {against.second}: {better}{decided}."


def _incumbent(ranking: Ranking) -> Row:
    """Returns the candidate that the search had put first: of equal ones the lower number, as it did."""
    sign = -1.0 if ranking.direction == "maximize" else 1.0
    return min(ranking.rows, key=lambda row: (sign * (row.candidate.search_value or 0.0), row.candidate.trial))


def ranking_values(report: PromotionReport) -> dict[str, object]:
    """Returns a promotion's report as plain values."""
    alerts = {str(trial): count for trial, count in report.alerts.items()}
    return {**report.values(), "candidates": report.candidates(), "alerts": alerts}
