"""The race: trains many candidates under one seed, then fewer under more seeds; all candidates share the seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from hpo.core.records import Job
from hpo.promotion.grid import PromotionSource, in_seed_order
from hpo.stats.ranking import Candidate, Ranking, rank
from hpo.stats.scoring import Rule
from hpo.stats.seed_use import Use

SHORT, LONG = (1, 2, 4), (1, 2, 4, 8, 12)
"""Number of seeds per survivor after each rung: for few trainings, and for many."""

SHARES = (1.0, 0.5, 0.3, 0.17, 0.1)
"""Number of candidates in each rung, as a share of the first rung's."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The plan of a race: how many candidates are trained under how many seeds.

    Attributes:
        rungs: number of seeds that each survivor has after each rung, increasing.
        widths: number of candidates in each rung, never increasing.
    """

    rungs: tuple[int, ...]
    widths: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.rungs or len(self.rungs) != len(self.widths):
            raise ValueError(
                f"a race needs one width for each rung; rungs are {_listed(self.rungs)}, widths {_listed(self.widths)}"
            )
        if self.rungs[0] < 1 or any(later <= earlier for earlier, later in pairwise(self.rungs)):
            raise ValueError(f"rungs must be increasing numbers of seeds, such as 1,2,4, not {_listed(self.rungs)}")
        if self.widths[-1] < 1 or any(later > earlier for earlier, later in pairwise(self.widths)):
            raise ValueError(
                f"widths must be numbers of candidates that never increase, such as 8,4,2, not {_listed(self.widths)}"
            )

    @property
    def cost(self) -> int:
        """Number of trainings if none fails."""
        return sum(
            width * (rung - old) for width, (old, rung) in zip(self.widths, pairwise((0, *self.rungs)), strict=True)
        )

    def limited_to(self, candidates: int) -> Plan:
        """Returns the plan with no rung wider than this number of candidates."""
        return Plan(self.rungs, tuple(min(width, candidates) for width in self.widths))

    @classmethod
    def from_first(cls, first: int, rungs: tuple[int, ...]) -> Plan:
        """Returns the plan with `first` candidates in the first rung; later rungs have a share of it, at least two."""
        shares = [SHARES[min(place, len(SHARES) - 1)] for place in range(len(rungs))]
        return cls(rungs, tuple(min(first, max(2, round(first * share))) for share in shares))

    @classmethod
    def for_trainings(cls, trainings: int) -> Plan:
        """Returns the plan of the promotion if search and promotion together have this number of trainings.

        The first rung has two candidates per 15 trainings, at least 4 and at most 20. With 60 trainings: 8, 4, 2
        candidates under 1, 2, 4 seeds; with 120: 16, 8, 5, 3, 2 candidates under 1, 2, 4, 8, 12 seeds.
        """
        return cls.from_first(min(20, max(4, round(2 * trainings / 15))), SHORT if trainings < 90 else LONG)

    @classmethod
    def for_share(cls, trainings: int, share: float, rungs: tuple[int, ...] | None = None) -> Plan:
        """Returns the widest plan that costs at most a share of the trainings of search and promotion together.

        Args:
            trainings: number of trainings of search and promotion.
            share: part of them that the promotion gets.
            rungs: number of seeds after each rung; None: by number of trainings.

        Raises:
            ValueError: if it is too little for a race of two candidates.
        """
        rungs = rungs or cls.for_trainings(trainings).rungs
        most, plan = int(share * trainings + 1e-9), cls.from_first(2, rungs)
        if plan.cost > most:
            raise ValueError(
                f"the race's share leaves {most} of {trainings} trainings (share {share:g}), but a race of 2 "
                f"candidates under up to {rungs[-1]} seeds needs {plan.cost}; set a larger share, or train more"
            )
        while (wider := cls.from_first(plan.widths[0] + 1, rungs)).cost <= most:
            plan = wider
        return plan

    @classmethod
    def after_search(cls, trials: int) -> Plan:
        """Returns the plan for a search of `trials` trials, from the smallest total that leaves the search as many."""
        trainings = trials
        while trainings - cls.for_trainings(trainings).cost < trials:
            trainings += 1
        return cls.for_trainings(trainings)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """The result of one rung of a race.

    Attributes:
        seeds: seeds under which its candidates are compared: its own and those of earlier rungs.
        entered: trials that take part, the best of the previous rung first.
        left: trials that are eliminated here, the best first; those with a failed replicate last.
    """

    seeds: tuple[int, ...]
    entered: tuple[int, ...]
    left: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Race:
    """The state or result of a race.

    Attributes:
        plan: seeds and candidates of each rung.
        rungs: the finished rungs and the current one; each has candidates.
        final: ranking of the newest rung's candidates under all seeds of the race.
    """

    plan: Plan
    rungs: tuple[Rung, ...]
    final: Ranking

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds of the last rung."""
        return self.final.seeds

    def values(self) -> dict[str, list[int]]:
        """Returns the plan and the seeds as plain values; with the candidates' values they reproduce the race."""
        return {"rungs": list(self.plan.rungs), "widths": list(self.plan.widths), "seeds": list(self.seeds)}

    def under(self, rule: Rule) -> Race:
        """Returns the same race with its last rung ranked by another rule."""
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
        """Returns the race that follows from these values; the same values give the same race.

        Args:
            plan: seeds and candidates of each rung.
            candidates: candidates with the values known so far; those beyond the first rung's width are ignored.
            seeds: seeds of the last rung, in order.
            rule: rule that ranks the candidates; a rung with too few seeds for it is ranked by the mean.
            direction: `maximize` or `minimize`.
            allow_ignored: as in `hpo.stats.ranking.Ranking`, for the last rung. In earlier rungs it is not yet known
                which candidates ignore their seeds.
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
    """Hands out the replicates of a rung, and those of the next rung when all of them are finished.

    Args:
        candidates: by trial, one job per seed in seed order; the best trial of the search first.
        plan: seeds and candidates of each rung.
        rule: rule that ranks the candidates of a rung.
        direction: `maximize` or `minimize`.
    """

    def __init__(self, candidates: Mapping[int, Sequence[Job]], plan: Plan, rule: Rule, direction: str) -> None:
        super().__init__([])
        self.jobs = in_seed_order(candidates)
        self._candidates = candidates
        self._plan = plan.limited_to(len(candidates))
        self._rule = rule
        self._direction = direction

    @property
    def total(self) -> int:
        return self._plan.cost

    def _refill(self) -> None:
        if self._running:  # a rung is ranked when all its replicates are finished
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
