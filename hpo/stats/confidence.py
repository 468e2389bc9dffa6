"""How sure a promotion is of its winner, and how much too good the search made its candidates look."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from hpo.stats.ranking import Ranking
from hpo.stats.scoring import Rule
from hpo.stats.seed_use import Use
from hpo.stats.statistics import (
    DDOFS,
    DECIDABLE,
    chances_of_being_best,
    outperformance,
    spearman,
    t_interval,
    variation,
)

CALIBRATED = 6
"""Seeds from which a chance of being best is as good as it says; below, it would say too much by up to 0.1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two candidates under the same seeds.

    Attributes:
        first: a trial's number.
        second: number of the other trial.
        outperformance: share of the seeds on which the first is better; a tie counts half.
        decidable: whether so many seeds could decide it at all, at the level of 0.05.
    """

    first: int
    second: int
    outperformance: float
    decidable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Certainty:
    """What is known of a ranking beyond its order.

    Attributes:
        optimism: by how much the search's values are better than the candidates' means, over all complete candidates,
            on seeds that the search did not use; None if there are none. The winner's own gap would mislead: it was
            chosen for being good on these seeds.
        optimism_interval: Student's, 95 %; None with a single candidate.
        correlation: Spearman's, between the search's values and those means; None below three candidates.
        winners: the winning trial under other rules and conventions, by their names; None where they name none, or
            where a candidate with replicates left out could have won.
        chances: of each complete candidate whose seeds make a difference, by trial, that its mean -+ lambda * sigma is
            the best; empty below `CALIBRATED` seeds, or where there is a single such candidate, or the winner is none.
            Rounded to 0.01.
        pairs: of complete candidates whose seeds make a difference, the better ranked one first.
        variations: sigma in per cent of the mean, by trial; None where there is no sigma.
        seen: seeds of the promotion that the search had used.
        unseen_winner: the winner over the other seeds alone; None if none was seen, or none is left.
    """

    optimism: float | None
    optimism_interval: tuple[float, float] | None
    correlation: float | None
    winners: Mapping[str, int | None]
    chances: Mapping[int, float]
    pairs: tuple[Pair, ...]
    variations: Mapping[int, float | None]
    seen: tuple[int, ...]
    unseen_winner: int | None

    @property
    def changes(self) -> dict[str, int]:
        """The conventions under which another candidate would have won, and which."""
        return {name: trial for name, trial in self.winners.items() if trial is not None and trial != self._winner}

    @property
    def _winner(self) -> int | None:
        return self.winners.get(AS_IT_IS)

    @property
    def unknown(self) -> list[str]:
        """The conventions under which the winner is not known, because replicates were left out."""
        return [name for name, trial in self.winners.items() if trial is None]

    @property
    def stays(self) -> list[str]:
        """The conventions under which the winner is the same."""
        return [name for name, trial in self.winners.items() if name != AS_IT_IS and trial == self._winner]


AS_IT_IS = "as it is"
"""The name, among `Certainty.winners`, of the rule by which was ranked."""


def certainty(ranking: Ranking, search_seeds: Collection[int], all_candidates: Ranking | None = None) -> Certainty:
    """Returns what is known beyond the order.

    Args:
        ranking: of a promotion.
        search_seeds: that all trials of the search were trained under; none if each had its own.
        all_candidates: that tells the optimism, where the ranking holds those that were chosen on its seeds; None: it
            does.
    """
    rows = ranking.sound
    seen = tuple(seed for seed in ranking.seeds if seed in search_seeds)
    fresh = [seed for seed in ranking.seeds if seed not in seen]
    gaps = _gaps(ranking, fresh) if all_candidates is None else _gaps(all_candidates, all_candidates.seeds)
    sign = 1.0 if ranking.direction == "maximize" else -1.0
    return Certainty(
        optimism=float(np.mean([sign * (value - mean) for value, mean in gaps])) if gaps else None,
        optimism_interval=t_interval([sign * (value - mean) for value, mean in gaps]) if gaps else None,
        correlation=spearman([value for value, _ in gaps], [mean for _, mean in gaps]),
        winners=_winners(ranking),
        chances=_chances(ranking),
        pairs=tuple(
            Pair(
                first=one.candidate.trial,
                second=other.candidate.trial,
                outperformance=outperformance(
                    [sign * value for value in ranking.values(one)], [sign * value for value in ranking.values(other)]
                ),
                decidable=len(ranking.seeds) >= DECIDABLE,
            )
            for place, one in enumerate(rows)
            for other in rows[place + 1 :]
        ),
        variations={
            row.candidate.trial: None if row.sigma is None else variation(ranking.values(row), ranking.rule.ddof)
            for row in ranking.complete
        },
        seen=seen,
        unseen_winner=_winner(ranking.over(fresh)) if seen and len(fresh) >= ranking.rule.fewest else None,
    )


def _gaps(ranking: Ranking, fresh: Sequence[int]) -> list[tuple[float, float]]:
    """Returns the value in the search of each complete candidate whose seeds make a difference, and its fresh mean.

    Fresh: over seeds that the search did not use.
    """
    found = []
    for row in ranking.complete:
        if row.candidate.use is not Use.USED:
            continue  # on any seed it gives what it gave in the search
        values = [value for seed in fresh if (value := row.candidate.values[seed]) is not None]
        if row.candidate.search_value is not None and values:
            found.append((row.candidate.search_value, float(np.mean(values))))
    return found


def _winners(ranking: Ranking) -> dict[str, int | None]:
    own, count = ranking.rule, len(ranking.seeds)
    others: dict[str, Rule] = {}
    if own.name == "mean-std":
        others |= {f"ddof {ddof}": replace(own, ddof=ddof) for ddof in DDOFS if ddof != own.ddof}
    else:
        others["mean-std"] = Rule()
    others |= {name: replace(own, name=name, ddof=0) for name in ("mean", "min", "median", "lcb") if name != own.name}
    fitting = {name: rule for name, rule in others.items() if rule.fewest <= count}
    first = ranking.winner.candidate.trial if ranking.winner else None
    return {AS_IT_IS: first, **{name: _winner(ranking.under(rule)) for name, rule in fitting.items()}}


def _winner(ranking: Ranking) -> int | None:
    return ranking.winner.candidate.trial if ranking.winner and not ranking.undecided else None


def _chances(ranking: Ranking) -> dict[int, float]:
    rows, count = ranking.sound, len(ranking.seeds)
    if len(rows) < 2 or count < CALIBRATED:
        return {}
    sign = 1.0 if ranking.direction == "maximize" else -1.0
    samples_KN = [[sign * value for value in ranking.values(row)] for row in rows]
    found = chances_of_being_best(samples_KN, ranking.rule.lambda_)
    return {row.candidate.trial: round(chance, 2) for row, chance in zip(rows, found, strict=True)}
