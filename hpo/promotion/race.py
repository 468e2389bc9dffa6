"""The race: many candidates under one fresh seed, then ever fewer under more; all under the same ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from hpo.core.records import Job
from hpo.promotion.grid import PromotionSource, by_seed
from hpo.stats.ranking import Candidate, Ranking, rank
from hpo.stats.scoring import Rule
from hpo.stats.seed_use import Use

SHORT, LONG = (1, 2, 4), (1, 2, 4, 8, 12)
"""Seeds that a survivor has after each rung, where there are few trainings and where there are more."""

SHARES = (1.0, 0.5, 0.3, 0.17, 0.1)
"""Of the first rung's candidates, how many each rung has."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How trainings are spent on candidates.

    Attributes:
        rungs: seeds that each survivor has after every rung, rising.
        widths: candidates of every rung, never rising.
    """

    rungs: tuple[int, ...]
    widths: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.rungs or len(self.rungs) != len(self.widths):
            raise ValueError(
                f"a race has a width for each rung; rungs are {_listed(self.rungs)}, widths {_listed(self.widths)}"
            )
        if self.rungs[0] < 1 or any(later <= earlier for earlier, later in pairwise(self.rungs)):
            raise ValueError(f"rungs are numbers of seeds that rise, such as 1,2,4, not {_listed(self.rungs)}")
        if self.widths[-1] < 1 or any(later > earlier for earlier, later in pairwise(self.widths)):
            raise ValueError(
                f"widths are numbers of candidates that never rise, such as 8,4,2, not {_listed(self.widths)}"
            )

    @property
    def cost(self) -> int:
        """How many trainings it takes if none fails."""
        return sum(
            width * (rung - old) for width, (old, rung) in zip(self.widths, pairwise((0, *self.rungs)), strict=True)
        )

    def of(self, candidates: int) -> Plan:
        """Returns the plan for so many candidates, if they are fewer than it has places."""
        return Plan(self.rungs, tuple(min(width, candidates) for width in self.widths))

    @classmethod
    def from_first(cls, first: int, rungs: tuple[int, ...]) -> Plan:
        """Returns the plan of that many candidates in the first rung; later ones have their shares, at least two."""
        shares = [SHARES[min(place, len(SHARES) - 1)] for place in range(len(rungs))]
        return cls(rungs, tuple(min(first, max(2, round(first * share))) for share in shares))

    @classmethod
    def for_trainings(cls, trainings: int) -> Plan:
        """Returns the promotion's part of so many trainings, search and promotion together.

        Two candidates in 15 trainings, from 4 to 20 of them; 60 trainings: 8, 4, 2 candidates under 1, 2, 4 seeds; 120:
        16, 8, 5, 3, 2 under 1, 2, 4, 8, 12.
        """
        return cls.from_first(min(20, max(4, round(2 * trainings / 15))), SHORT if trainings < 90 else LONG)

    @classmethod
    def after_search(cls, trials: int) -> Plan:
        """Returns the plan for a search of so many trials: that of the fewest trainings that leave as many for it."""
        trainings = trials
        while trainings - cls.for_trainings(trainings).cost < trials:
            trainings += 1
        return cls.for_trainings(trainings)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """What one rung of a race came to.

    Attributes:
        seeds: under which its candidates were compared: its own and those of the rungs before.
        entered: trials that came to it, the best of the rung before first.
        left: trials that ended there, the best first; those with a failed replicate last.
    """

    seeds: tuple[int, ...]
    entered: tuple[int, ...]
    left: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Race:
    """What a race came to so far.

    Attributes:
        plan: how trainings are spent.
        rungs: that are over, and the one that is on; all have candidates.
        final: the newest rung's candidates under all seeds of the race.
    """

    plan: Plan
    rungs: tuple[Rung, ...]
    final: Ranking

    @property
    def seeds(self) -> tuple[int, ...]:
        """Of the last rung."""
        return self.final.seeds

    def values(self) -> dict[str, list[int]]:
        """Returns the plan and the seeds as plain values; with the candidates' values they make the race again."""
        return {"rungs": list(self.plan.rungs), "widths": list(self.plan.widths), "seeds": list(self.seeds)}

    def under(self, rule: Rule) -> Race:
        """Returns the same race, its last rung ranked by another rule."""
        return replace(self, final=self.final.under(rule))

    @classmethod
    def of(
        cls,
        plan: Plan,
        candidates: Sequence[Candidate],
        seeds: Sequence[int],
        rule: Rule,
        direction: str,
        *,
        allow_ignored: bool = False,
    ) -> Race:
        """Returns the race that these values make; the same values make the same race.

        Args:
            plan: how trainings are spent.
            candidates: with as many values as they got; of more than the first rung takes, the first.
            seeds: of the last rung, in their order.
            rule: by which candidates are compared; where a rung has too few seeds for it, by the mean.
            direction: `maximize` or `minimize`.
            allow_ignored: in the last rung, as in `hpo.stats.ranking.Ranking`. In the rungs before it nothing is known
                yet of the seeds that a candidate ignores.
        """
        known = {candidate.trial: candidate for candidate in candidates}
        entered = [candidate.trial for candidate in candidates[: plan.widths[0]]]
        rungs = []
        for place, count in enumerate(plan.rungs):
            here = tuple(seeds[:count])
            width = plan.widths[place + 1] if place + 1 < len(plan.rungs) else 0
            field = [replace(known[trial], use=Use.USED) for trial in entered]
            compared = _compared(field, here, rule, direction)
            is_over = all(_has_failed(one) or all(seed in one.values for seed in here) for one in field)
            ranked = [row.candidate.trial for row in compared.complete]
            survivors = ranked[:width] if is_over else []
            left = [row.candidate.trial for row in compared.rows if row.candidate.trial not in survivors]
            rungs.append(Rung(seeds=here, entered=tuple(entered), left=tuple(left) if is_over else ()))
            if not survivors:
                break
            entered = survivors
        last = rungs[-1]
        finalists = [known[trial] for trial in last.entered]
        final = rank(finalists, seeds, rule, direction, allow_ignored=allow_ignored)
        return cls(plan=plan, rungs=tuple(rungs), final=final)


class RaceSource(PromotionSource):
    """Hands out a rung's replicates, and the next rung's when all of them are over.

    Args:
        candidates: jobs by trial, a job for each seed in their order; the best of the search first.
        plan: how trainings are spent.
        rule: by which candidates are compared.
        direction: `maximize` or `minimize`.
    """

    def __init__(self, candidates: Mapping[int, Sequence[Job]], plan: Plan, rule: Rule, direction: str) -> None:
        super().__init__([])
        self.jobs = by_seed(candidates)
        self._candidates = candidates
        self._plan = plan.of(len(candidates))
        self._rule = rule
        self._direction = direction

    @property
    def total(self) -> int:
        return self._plan.cost

    def _refill(self) -> None:
        if self._running:  # a rung is compared when all of it is over
            return
        found = [Candidate(trial=trial, values=self._values(trial)) for trial in self._candidates]
        seeds = [job.seed for job in next(iter(self._candidates.values()))]
        rung = Race.of(self._plan, found, seeds, self._rule, self._direction).rungs[-1]
        self._waiting.extend(
            self._candidates[trial][place]
            for place, seed in enumerate(rung.seeds)
            for trial in rung.entered
            if (trial, seed) not in self.evaluations
        )

    def _values(self, trial: int) -> dict[int, float | None]:
        found = {job.seed: self.evaluations.get((trial, job.seed)) for job in self._candidates[trial]}
        return {seed: one.value for seed, one in found.items() if one is not None}


def _listed(numbers: Sequence[int]) -> str:
    return ",".join(map(str, numbers)) or "none"


def _compared(candidates: Sequence[Candidate], seeds: Sequence[int], rule: Rule, direction: str) -> Ranking:
    return rank(candidates, seeds, rule if len(seeds) >= rule.min_values else Rule(name="mean"), direction)


def _has_failed(candidate: Candidate) -> bool:
    return None in candidate.values.values()
