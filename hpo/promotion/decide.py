"""Decides a promotion: turns candidates, their evaluations and a rule into a ranking and its winner."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from hpo.core.records import Evaluation, Objective
from hpo.promotion.race import Plan, Race
from hpo.stats.ranking import Candidate, Ranking, Row, rank
from hpo.stats.scoring import Rule
from hpo.stats.seed_use import seed_uses


@dataclass(frozen=True, slots=True, kw_only=True)
class RaceSettings:
    """How a race was run.

    Attributes:
        plan: seeds and candidates of each rung.
        seeds: seeds of the last rung, in order.
        rule: rule that decided the rungs; None: the rule of the ranking.
    """

    plan: Plan
    seeds: Sequence[int]
    rule: Rule | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PromotionDecision:
    """The result of a promotion.

    Attributes:
        ranking: the candidates, ranked over the promotion's seeds.
        race: the race that chose the winner; None: all candidates were trained under all seeds.
    """

    ranking: Ranking
    race: Race | None = None

    @property
    def winner(self) -> Row | None:
        """The winner's row of the ranking; None if no candidate is complete."""
        if self.race is None:
            return self.ranking.winner
        first = self.race.final.winner
        if first is None:
            return None
        return next(row for row in self.ranking.rows if row.candidate.trial == first.candidate.trial)


def decide(
    candidates: Iterable[Candidate],
    evaluations: Iterable[Evaluation],
    rule: Rule,
    *,
    objective: Objective,
    seeds: Sequence[int],
    limit: float | None = None,
    race: RaceSettings | None = None,
    allow_ignored: bool = False,
) -> PromotionDecision:
    """Ranks candidates by their replicates; all code that names the winner of a promotion calls this function.

    Args:
        candidates: candidates with the values of their replicates by seed.
        evaluations: the replicates, which show whether a candidate ignores its seeds; others may be among them.
        rule: rule that turns replicates into a score.
        objective: the study's metric and direction.
        seeds: the promotion's seeds; a ranked candidate has a value under each.
        limit: best possible value of the metric; None: unknown.
        race: how the candidates were raced; None: all were trained under all seeds.
        allow_ignored: whether candidates that ignore their seeds are ranked among the others.
    """
    uses = seed_uses(evaluations, objective)
    known = [replace(one, use=uses[one.trial].use) if one.trial in uses else one for one in candidates]
    direction = objective.direction
    ranking = rank(known, seeds, rule, direction, limit, allow_ignored=allow_ignored)
    if race is None:
        return PromotionDecision(ranking=ranking)
    sign = -1.0 if direction == "maximize" else 1.0
    entered = sorted(known, key=lambda one: (sign * (one.search_value or 0.0), one.trial))
    by = race.rule or rule
    run = Race.of(race.plan, entered, race.seeds, by, direction, allow_ignored=allow_ignored)
    return PromotionDecision(ranking=ranking, race=run if race.rule is None else run.under(rule))
