"""The confidence in a promotion's winner, and how optimistic the search's values were."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from hpo.stats.names import DDOFS
from hpo.stats.ranking import Ranking
from hpo.stats.reliability import shrunken_sigmas
from hpo.stats.scoring import Rule
from hpo.stats.seed_use import Use
from hpo.stats.statistics import (
    DECIDABLE,
    chances_of_being_best,
    outperformance,
    spearman,
    t_interval,
    variation,
)

CALIBRATED = 6
"""Minimum seeds for a calibrated chance of being best; with fewer it is too high by up to 0.1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A comparison of two candidates under the same seeds.

    Attributes:
        first: number of the better ranked trial.
        second: number of the other trial.
        outperformance: share of the seeds on which the first is better; a tie counts half.
        decidable: whether that many seeds can be significant at all, at the level of 0.05.
    """

    first: int
    second: int
    outperformance: float
    decidable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Certainty:
    """The confidence in a ranking.

    Attributes:
        optimism: mean gap between the search's value and the mean on seeds that the search did not use, over all
            complete candidates; None without such seeds. The winner's own gap is biased: it was selected for being good
            on these seeds.
        optimism_interval: Student's 95 % interval; None with a single candidate.
        correlation: Spearman's correlation of the search's values and those means; None below three candidates.
        winners: the winning trial by rule or convention; None where there is no winner, or a candidate with skipped
            replicates could have won.
        chances: chance by trial that its mean -+ lambda * sigma is the best, of complete candidates whose seeds make a
            difference; empty below `CALIBRATED` seeds, with a single such candidate, or if the winner is not one.
            Rounded to 0.01.
        pairs: pairs of complete candidates whose seeds make a difference, better ranked one first.
        variations: sigma in percent of the mean, by trial; None without a sigma.
        shrunken: expected sigma under other seeds, by trial, of complete candidates whose seeds make a difference; see
            `shrunken_sigmas`. Empty if there are fewer than two, or a sigma is 0.
        seen: seeds of the promotion that the search used too.
        unseen_winner: the winner over the other seeds alone; None if the search used none or all of them.
    """

    optimism: float | None
    optimism_interval: tuple[float, float] | None
    correlation: float | None
    winners: Mapping[str, int | None]
    chances: Mapping[int, float]
    pairs: tuple[Pair, ...]
    variations: Mapping[int, float | None]
    shrunken: Mapping[int, float]
    seen: tuple[int, ...]
    unseen_winner: int | None

    @property
    def changes(self) -> dict[str, int]:
        """The conventions under which another candidate wins, with that trial."""
        return {name: trial for name, trial in self.winners.items() if trial is not None and trial != self._winner}

    @property
    def _winner(self) -> int | None:
        return self.winners.get(AS_IT_IS)

    @property
    def unknown(self) -> list[str]:
        """The conventions under which the winner is unknown, because replicates were skipped."""
        return [name for name, trial in self.winners.items() if trial is None]

    @property
    def stays(self) -> list[str]:
        """The conventions under which the winner is the same."""
        return [name for name, trial in self.winners.items() if name != AS_IT_IS and trial == self._winner]

    @property
    def changes_text(self) -> str:
        """A sentence on the conventions under which another candidate wins, and those under which the same does."""
        changes = ", ".join(f"{name} (trial {other})" for name, other in self.changes.items())
        said = [f"It changes under: {changes}."] if changes else []
        if self.stays:
            said.append(f"It stays under: {', '.join(self.stays)}.")
        return " ".join(said)


AS_IT_IS = "as it is"
"""The key in `Certainty.winners` of the rule of the ranking itself."""

SHRUNKEN = "shrunken sigma"
"""The key in `Certainty.winners` of the rule mean -+ lambda * sigma with `Certainty.shrunken`."""


def certainty(ranking: Ranking, search_seeds: Collection[int], all_candidates: Ranking | None = None) -> Certainty:
    """Returns the confidence in a ranking.

    Args:
        ranking: ranking of a promotion.
        search_seeds: seeds shared by all trials of the search; empty if each trial had its own.
        all_candidates: ranking used for the optimism, if `ranking` holds only candidates selected on its seeds; None:
            `ranking` itself.
    """
    rows = ranking.sound
    seen = tuple(seed for seed in ranking.seeds if seed in search_seeds)
    fresh = [seed for seed in ranking.seeds if seed not in seen]
    shrunken = _shrunken(ranking)
    gaps = _gaps(ranking, fresh) if all_candidates is None else _gaps(all_candidates, all_candidates.seeds)
    sign = 1.0 if ranking.direction == "maximize" else -1.0
    return Certainty(
        optimism=float(np.mean([sign * (value - mean) for value, mean in gaps])) if gaps else None,
        optimism_interval=t_interval([sign * (value - mean) for value, mean in gaps]) if gaps else None,
        correlation=spearman([value for value, _ in gaps], [mean for _, mean in gaps]),
        winners=_winners(ranking, shrunken),
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
        shrunken=shrunken,
        seen=seen,
        unseen_winner=_winner(ranking.over(fresh)) if seen and len(fresh) >= ranking.rule.min_values else None,
    )


def _gaps(ranking: Ranking, fresh: Sequence[int]) -> list[tuple[float, float]]:
    """Returns (search value, mean over fresh seeds) of each complete candidate whose seeds make a difference."""
    found = []
    for row in ranking.complete:
        if row.candidate.use is not Use.USED:
            continue  # its value is the same on every seed
        values = [value for seed in fresh if (value := row.candidate.values[seed]) is not None]
        if row.candidate.search_value is not None and values:
            found.append((row.candidate.search_value, float(np.mean(values))))
    return found


def _shrunken(ranking: Ranking) -> dict[int, float]:
    known = {row.candidate.trial: row.sigma for row in ranking.sound if row.sigma is not None}
    found = shrunken_sigmas(list(known.values()), len(ranking.seeds))
    return {} if found is None else dict(zip(known, found, strict=True))


def other_rules(own: Rule, seeds: int) -> dict[str, Rule]:
    """Returns the usual rules besides one's own, by what differs in them, that a number of seeds is enough for.

    Args:
        own: the rule that is not among them.
        seeds: number of seeds.
    """
    others: dict[str, Rule] = {}
    if own.name == "mean-std":
        others |= {f"ddof {ddof}": replace(own, ddof=ddof) for ddof in DDOFS if ddof != own.ddof}
    else:
        others["mean-std"] = Rule()
    others |= {name: replace(own, name=name, ddof=0) for name in ("mean", "min", "median", "lcb") if name != own.name}
    return {name: rule for name, rule in others.items() if rule.min_values <= seeds}


def _winners(ranking: Ranking, shrunken: Mapping[int, float]) -> dict[str, int | None]:
    own, fitting = ranking.rule, other_rules(ranking.rule, len(ranking.seeds))
    first = ranking.winner.candidate.trial if ranking.winner else None
    found = {AS_IT_IS: first, **{name: _winner(ranking.under(rule)) for name, rule in fitting.items()}}
    if own.name == "mean-std" and shrunken:
        found[SHRUNKEN] = None if ranking.undecided else _shrunken_winner(ranking, shrunken)
    return found


def _shrunken_winner(ranking: Ranking, shrunken: Mapping[int, float]) -> int:
    sign = 1.0 if ranking.direction == "maximize" else -1.0
    scores = {
        row.candidate.trial: sign * row.mean - ranking.rule.lambda_ * shrunken[row.candidate.trial]
        for row in ranking.sound
        if row.mean is not None
    }
    return max(scores, key=lambda trial: scores[trial])


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
