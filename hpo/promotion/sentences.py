"""Sentences on a promotion: the winner, and how certain it is."""

from __future__ import annotations

from collections.abc import Sequence

from hpo.core.formatting import counted, number, percent
from hpo.promotion.front_shown import front_text
from hpo.promotion.fronts import FrontReport
from hpo.promotion.luck import Luck, luck_of, searched_on
from hpo.promotion.report import Confirmation, PromotionReport
from hpo.stats.confidence import CALIBRATED, Certainty
from hpo.stats.ranking import Ranking, Row


def certainty_text(report: PromotionReport) -> str:
    """Returns sentences on the winner and how certain it is; `PromotionReport.warnings` come before them."""
    if isinstance(report, FrontReport):
        return front_text(report)
    ranking, sure = report.ranking, report.certainty
    winner = report.winner
    if winner is None:
        return "No candidate is complete, so there is no winner."
    trial = winner.candidate.trial
    place = "Winner" if report.is_decided else "Ranked first, but no winner"
    if report.race is None or report.refined is None:
        lines = [f"{place}: trial {trial}, {_ranked_by(winner, ranking)}. {_changes(report, sure)}".rstrip()]
        lines += _margin(ranking)
    else:
        final, first = report.race.final, ranking.winner
        by = _ranked_by(final.winner, final) if final.winner else "not ranked"
        same = "the same trial" if first is winner or first is None else f"trial {first.candidate.trial}"
        lines = [
            f"{place}: trial {trial}, {by} over {counted(len(final.seeds), 'seed')}. "
            f"{_changes(report, report.refined)}",
            *_margin(final),
            f"The table of seeds {seeds_text(ranking.seeds)} alone names {same}. {_changes(report, sure)}",
        ]
    if ranking.undecided and report.race is None:
        lines.append(
            f"Not decided: by this rule trial {', '.join(map(str, ranking.undecided))} could still win with the "
            "replicates that were left out. Train them: hpo promote without --curtail"
        )
    if sure.seen:
        without = "is not known" if sure.unseen_winner is None else f"is trial {sure.unseen_winner}"
        lines.append(
            f"Seed {', '.join(map(str, sure.seen))} was also a seed of the search; the winner without it {without}."
        )
    incumbent = _incumbent(ranking)
    if incumbent is not None and incumbent.candidate.trial != trial:
        source = f"{'in' if report.external else 'on'} {searched_on(report.study, report.external)}"
        lines.append(
            f"The search alone would have named trial {incumbent.candidate.trial} "
            f"({number(incumbent.candidate.search_value)} {source})."
        )
    if (luck := luck_of(ranking, report.external)) is not None:
        lines.append(_luck(report, luck))
    if sure.optimism is not None:
        lines.append(_optimism(report))
    if report.confirmation is not None:
        lines.append(_confirmed(report.confirmation, winner))
    if trial in report.still_rising:
        lines.append(
            f"The best epoch of trial {trial} is the last of {report.study.search.budget} under every seed: it may not "
            "have converged, and with a larger budget another candidate may win."
        )
    if report.race is None and report.is_decided:
        lines += _how_sure(sure, ranking, trial)
    lines += report.estimate.sentences if report.estimate else []
    return "\n".join(lines)


def _ranked_by(winner: Row, ranking: Ranking) -> str:
    """Returns what ranked a row first: its score, or the value used instead and why it has no score."""
    if winner.score is not None:
        return f"score {number(winner.score)}"
    score = ranking.rule.formula(ranking.direction)
    if len(ranking.seeds) == 1:
        return (
            f"{number(winner.order)} under seed {ranking.seeds[0]} alone (sigma and {score} are not defined at n = 1)"
        )
    return f"mean {number(winner.mean)} ({score} is not defined without a sigma)"


def _margin(ranking: Ranking) -> list[str]:
    """Returns a sentence if the winner is tied, or ahead by less than the table shows; otherwise nothing."""
    if ties := ranking.ties:
        others = ", ".join(map(str, ties[1:]))
        return [f"Tied: trial {others} has exactly the same score; the better mean, then the lower number comes first."]
    rows = [row for row in ranking.complete if row.candidate.use is ranking.complete[0].candidate.use]
    if len(rows) < 2 or rows[0].order is None or rows[1].order is None:
        return []
    first, second = rows[0].order, rows[1].order
    if number(first) != number(second):
        return []
    return [f"It is ahead of trial {rows[1].candidate.trial} by {abs(first - second):.2g}: less than the table shows."]


def _optimism(report: PromotionReport) -> str:
    ranking, sure = report.ranking, report.certainty
    assert sure.optimism is not None  # checked by the caller
    interval = ""
    if sure.optimism_interval is not None:
        low, high = (_lies(end, ranking) for end in sure.optimism_interval)
        interval = f" (95 %: {low} to {high})"
    rho = "" if sure.correlation is None else f"; rank correlation {number(sure.correlation)}"
    reach = "the candidates' means"
    if report.race is not None:
        reach = f"what the {len(ranking.rows)} candidates reach under {seeds_text(report.race.rungs[0].seeds)}"
    if sure.optimism == 0:
        return f"No optimism: search values equal {reach} on average{interval}{rho}."
    word = "Optimism" if sure.optimism > 0 else "No optimism"
    return f"{word}: search values lie {_lies(sure.optimism, ranking)} {reach}{interval}{rho}."


def _luck(report: PromotionReport, found: Luck) -> str:
    """Returns how much of another tool's best value was luck."""
    ranking, origin = report.ranking, report.external[found.trial].origin
    interval = ""
    if found.interval is not None:
        low, high = (_lies(end, ranking) for end in found.interval)
        interval = f" (95 %: {low} to {high})"
    best = f"the best value of {origin.of_study}, {number(found.value)} of its trial {origin.label},"
    seeds = f"under {counted(len(ranking.seeds), 'other seed')}"
    return (
        f"{'Luck' if found.luck > 0 else 'No luck'}: {best} lies {_lies(found.luck, ranking)} its mean {seeds}, "
        f"{number(found.mean)}{interval}."
    )


def _lies(optimism: float, ranking: Ranking) -> str:
    """Returns how far search values lie above or below the means, given how much better they are."""
    is_above = (optimism > 0) == (ranking.direction == "maximize")
    return f"{number(abs(optimism))} {'above' if is_above else 'below'}"


def _changes(report: PromotionReport, sure: Certainty) -> str:
    if not report.is_decided:
        return "The winners under other conventions are no more certain."
    unknown = f" Unknown, because replicates were left out: {', '.join(sure.unknown)}." if sure.unknown else ""
    return f"{sure.changes_text}{unknown}".strip()


def _confirmed(found: Confirmation, winner: Row) -> str:
    seeds = ", ".join(f"{seed}: {number(value)}" for seed, value in found.values.items())
    failed = sum(value is None for value in found.values.values())
    only = f" over the {len(found.values) - failed} of {len(found.values)} that completed" if failed else ""
    if found.mean is None or winner.mean is None:
        return f"Not confirmed: no replicate completed ({seeds})."
    interval = f" (95 %: {number(found.interval[0])} .. {number(found.interval[1])})" if found.interval else ""
    spread = "" if found.sigma is None else f" ± {number(found.sigma)}"
    return (
        f"Unbiased estimate of the winner, on held-out seeds ({seeds}): "
        f"mean {number(found.mean)}{spread}{interval}{only}; under the promotion's seeds it was {number(winner.mean)}."
    )


def _how_sure(sure: Certainty, ranking: Ranking, trial: int) -> list[str]:
    """Returns how often the winner beats the next candidate and, with enough seeds, how likely it is the best."""
    count = len(ranking.seeds)
    against = next((pair for pair in sure.pairs if pair.first == trial), None)
    if against is None:
        return []
    text = f"Trial {trial} against {against.second}: better on {against.outperformance * count:g} of {count} seeds"
    if not against.decidable:
        return [f"{text}, not decidable at n = {count}; no P(best) below {CALIBRATED} seeds."]
    chance = sure.chances.get(trial)
    if chance is None:
        return [f"{text}; no P(best) below {CALIBRATED} seeds."]
    return [f"P(trial {trial} is best) about {percent(chance)}. {text}."]


def _incumbent(ranking: Ranking) -> Row | None:
    """Returns the candidate that ranked first in the search; of equal ones the lower number, as in the search."""
    sign = -1.0 if ranking.direction == "maximize" else 1.0
    known = [(sign * value, row) for row in ranking.rows if (value := row.candidate.search_value) is not None]
    return min(known, key=lambda one: (one[0], one[1].candidate.trial))[1] if known else None


def seeds_text(seeds: Sequence[int]) -> str:
    """Returns seeds as text: `42 43 44`, `42 .. 53`."""
    if len(seeds) > 3 and list(seeds) == list(range(seeds[0], seeds[0] + len(seeds))):
        return f"{seeds[0]} .. {seeds[-1]}"
    return " ".join(map(str, seeds))
