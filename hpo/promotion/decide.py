"""Where a promotion is decided: candidates, their evaluations and a rule in; a ranking and its winner out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from hpo.core.records import Evaluation, Objective
from hpo.promotion.race import Plan, Race
from hpo.stats.ranking import Candidate, Ranking, Row, rank
from hpo.stats.scoring import Rule
from hpo.stats.seed_use import seed_uses


@dataclass(frozen=True, slots=True, kw_only=True)
class Raced:
    """How a race was run, for the choice that it made.

    Attributes:
        plan: how its trainings are spent.
        seeds: of its last rung, in their order.
        rule: by which its rungs were decided; None: by the rule of the ranking.
    """

    plan: Plan
    seeds: Sequence[int]
    rule: Rule | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """What a promotion decided.

    Attributes:
        ranking: the candidates, ranked over the seeds of the promotion.
        race: the race that made the choice; None if all candidates were trained under all seeds.
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
    raced: Raced | None = None,
    allow_ignored: bool = False,
) -> Decided:
    """Ranks candidates by their replicates; whoever names the winner of a promotion asks this function.

    Args:
        candidates: with the values of their replicates, by seed.
        evaluations: the replicates, which say whether a candidate ignores its seeds; others may be among them.
        rule: how replicates become a score.
        objective: the study's metric and direction.
        seeds: of the promotion, which all ranked candidates must have.
        limit: no value can be better than this; None: there is no such bound.
        raced: how the candidates were raced; None: all were trained under all seeds.
        allow_ignored: whether candidates that ignore their seeds are ranked among the others.
    """
    uses = seed_uses(evaluations, objective)
    known = [replace(one, use=uses[one.trial].use) if one.trial in uses else one for one in candidates]
    direction = objective.direction
    ranking = rank(known, seeds, rule, direction, limit, allow_ignored=allow_ignored)
    if raced is None:
        return Decided(ranking=ranking)
    sign = -1.0 if direction == "maximize" else 1.0
    entered = sorted(known, key=lambda one: (sign * (one.search_value or 0.0), one.trial))
    own = raced.rule or rule
    race = Race.of(raced.plan, entered, raced.seeds, own, direction, allow_ignored=allow_ignored)
    return Decided(ranking=ranking, race=race if raced.rule is None else race.under(rule))
