"""What is said of a promotion, in sentences: who won, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence

from hpo.api.reporting import Confirmation, PromotionReport
from hpo.certainty import CALIBRATED, Certainty
from hpo.ranking import Ranking, Row
from hpo.shown import number


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
        score, names = (final.winner.score if final.winner else None), seeds_text(ranking.seeds)
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
            reach = f"what the {len(ranking.rows)} candidates reach under {seeds_text(report.race.rungs[0].seeds)}"
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
    text = f"P(trial {trial} is best) about {percent(chance, count)}{rough}"
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


def percent(chance: float, count: int) -> str:
    """Returns a chance as it is known under so many seeds: to ten per cent below six of them."""
    step = 0.1 if count < CALIBRATED else 0.01
    if chance < step / 2:
        return f"< {50 * step:g} %"
    return f"> {100 - 50 * step:g} %" if chance > 1 - step / 2 else f"{100 * chance:.0f} %"


def seeds_text(seeds: Sequence[int]) -> str:
    """Returns seeds as they are said: `42 43 44`, `42 .. 53`."""
    if len(seeds) > 3 and list(seeds) == list(range(seeds[0], seeds[0] + len(seeds))):
        return f"{seeds[0]} .. {seeds[-1]}"
    return " ".join(map(str, seeds))
