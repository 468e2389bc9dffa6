"""Ranks candidates by the mean and the spread of their values over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from hpo.stats.scoring import Rule
from hpo.stats.seed_use import Use
from hpo.stats.statistics import sigma, t_interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A trial that was chosen for promotion.

    Attributes:
        trial: number of the trial.
        values: values of its replicates by seed; None for a failed one, no entry for a skipped one.
        search_value: its value in the search.
        use: whether its seeds make a difference; it has a sigma only if they are `used`.
    """

    trial: int
    values: Mapping[int, float | None]
    search_value: float | None = None
    use: Use = Use.USED


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of a ranking.

    Attributes:
        candidate: the candidate that is ranked.
        rank: 1 for the winner; None if a replicate is missing: no candidate is ranked over fewer seeds.
        mean: mean of the values.
        sigma: sigma by the rule's ddof; None with a single seed, or if seeds make no difference.
        score: score by the rule; None if it needs a sigma and there is none.
        order: the value that the rows are sorted by: what the rule gives, also with a sigma of 0 where the seed is
            ignored and there is no score.
        interval: Student's 95 % interval of the mean; None without a sigma.
        bound: the best score that it could still reach; None unless replicates were skipped and none failed.
    """

    candidate: Candidate
    rank: int | None = None
    mean: float | None = None
    sigma: float | None = None
    score: float | None = None
    order: float | None = None
    interval: tuple[float, float] | None = None
    bound: float | None = None

    @property
    def standing(self) -> str:
        """The rank, or why there is none: `incomplete` or `not finished`."""
        return str(self.rank) if self.rank else "incomplete" if self.bound is None else "not finished"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """Candidates ordered by score, incomplete ones last.

    Attributes:
        rule: rule of the score.
        direction: `maximize` or `minimize`.
        seeds: seeds in display order.
        rows: one row per candidate, winner first.
        limit: the best possible value; None: unknown.
        allow_ignored: whether candidates that ignore their seeds are ranked among the others with a sigma of 0, rather
            than behind them.
    """

    rule: Rule
    direction: str
    seeds: tuple[int, ...]
    rows: tuple[Row, ...]
    limit: float | None = None
    allow_ignored: bool = False

    @property
    def winner(self) -> Row | None:
        """The first row; None if no candidate is complete. Whether it is decided: `PromotionReport.is_decided`."""
        return self.rows[0] if self.rows and self.rows[0].rank == 1 else None

    @property
    def complete(self) -> tuple[Row, ...]:
        """The rows that have a rank."""
        return tuple(row for row in self.rows if row.rank is not None)

    @property
    def only_complete(self) -> Ranking:
        """The same ranking without the rows that have no rank."""
        return replace(self, rows=self.complete)

    @property
    def undecided(self) -> tuple[int, ...]:
        """Trials that could still win with their skipped replicates."""
        best = self.winner.order if self.winner else None
        sign = 1.0 if self.direction == "maximize" else -1.0
        return tuple(
            row.candidate.trial
            for row in self.rows
            if row.bound is not None and (best is None or sign * row.bound >= sign * best)
        )

    def values(self, row: Row) -> list[float]:
        """Returns the values of a complete row, (n,) in the order of the seeds."""
        return [value for seed in self.seeds if (value := row.candidate.values[seed]) is not None]

    @property
    def sound(self) -> tuple[Row, ...]:
        """The complete rows whose seeds make a difference: only for these is there a confidence.

        Empty if a candidate that ignores its seeds is ranked first.
        """
        if self.winner is None or self.winner.candidate.use is not Use.USED:
            return ()
        return tuple(row for row in self.complete if row.candidate.use is Use.USED)

    @property
    def ties(self) -> tuple[int, ...]:
        """Trials with exactly the winner's score, the winner first; empty if it is the only one."""
        if self.winner is None:
            return ()
        found = [
            row.candidate.trial
            for row in self.complete
            if row.order == self.winner.order and row.candidate.use is self.winner.candidate.use
        ]
        return tuple(found) if len(found) > 1 else ()

    def under(self, rule: Rule) -> Ranking:
        """Returns the same candidates, ranked by another rule."""
        return self._again(self.seeds, rule)

    def over(self, seeds: Sequence[int]) -> Ranking:
        """Returns the same candidates, ranked over other seeds."""
        return self._again(seeds, self.rule)

    def _again(self, seeds: Sequence[int], rule: Rule) -> Ranking:
        candidates = [row.candidate for row in self.rows]
        return rank(candidates, seeds, rule, self.direction, self.limit, allow_ignored=self.allow_ignored)


def rank(
    candidates: Sequence[Candidate],
    seeds: Sequence[int],
    rule: Rule,
    direction: str,
    limit: float | None = None,
    *,
    allow_ignored: bool = False,
) -> Ranking:
    """Returns the ranking. Ties in the score are broken by the mean, then by the lower trial number.

    A candidate that ignores its seeds is ranked behind all others unless `allow_ignored` is set, because its sigma of 0
    would be an advantage. With a single seed no candidate has a sigma, and the value itself decides.

    Args:
        candidates: candidates to rank.
        seeds: seeds of the promotion.
        rule: rule of the score.
        direction: `maximize` or `minimize`.
        limit: the best possible value; None: unknown.
        allow_ignored: whether candidates that ignore their seeds are ranked among the others.

    Examples:
        >>> import hpo
        >>> lucky = hpo.Candidate(trial=1, values={42: 0.95, 43: 0.85, 44: 0.90})
        >>> steady = hpo.Candidate(trial=4, values={42: 0.88, 43: 0.89, 44: 0.90})
        >>> ranking = hpo.rank([lucky, steady], [42, 43, 44], hpo.Rule(), "maximize")
        >>> [(row.candidate.trial, round(row.score, 3)) for row in ranking.rows]
        [(4, 0.882), (1, 0.859)]
    """
    sign = -1.0 if direction == "maximize" else 1.0
    complete = [_row(candidate, seeds, rule, direction) for candidate in candidates if _is_complete(candidate, seeds)]
    complete.sort(
        key=lambda row: (
            row.candidate.use is Use.IGNORED and not allow_ignored,
            sign * (row.order or 0.0),
            sign * (row.mean or 0.0),
            row.candidate.trial,
        )
    )
    ranked = [replace(row, rank=place) for place, row in enumerate(complete, start=1)]
    others = [
        Row(candidate=candidate, bound=_bound(candidate, seeds, rule, direction, limit))
        for candidate in candidates
        if not _is_complete(candidate, seeds)
    ]
    others.sort(key=lambda row: (row.bound is None, sign * (row.bound or 0.0), row.candidate.trial))
    return Ranking(
        rule=rule,
        direction=direction,
        seeds=tuple(seeds),
        rows=(*ranked, *others),
        limit=limit,
        allow_ignored=allow_ignored,
    )


def _is_complete(candidate: Candidate, seeds: Sequence[int]) -> bool:
    return all(candidate.values.get(seed) is not None for seed in seeds)


def _bound(candidate: Candidate, seeds: Sequence[int], rule: Rule, direction: str, limit: float | None) -> float | None:
    values = [candidate.values[seed] for seed in seeds if seed in candidate.values]
    known = [value for value in values if value is not None]
    return rule.bound(known, len(seeds), direction, limit) if len(known) == len(values) else None


def _row(candidate: Candidate, seeds: Sequence[int], rule: Rule, direction: str) -> Row:
    values = [value for seed in seeds if (value := candidate.values[seed]) is not None]
    order = rule.score(values, direction)
    has_sigma = len(values) > 1 and candidate.use is Use.USED
    return Row(
        candidate=candidate,
        mean=float(np.mean(values)),
        sigma=sigma(values, rule.ddof) if has_sigma else None,
        score=order if has_sigma or not rule.needs_sigma else None,
        order=order,
        interval=t_interval(values) if has_sigma else None,
    )
