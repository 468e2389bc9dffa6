"""A promotion as the store keeps it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hpo.promotion.report import PromotionReport
from hpo.stats.ranking import Row
from hpo.store import StoredPromotion, StoredRank


def stored_promotion(report: PromotionReport, results: Sequence[Path], top: int) -> StoredPromotion:
    """Returns the promotion as the store keeps it."""
    ranking, race, winner = report.ranking, report.race, report.winner
    return StoredPromotion(
        rule=ranking.rule.name,
        lambda_=ranking.rule.lambda_,
        ddof=ranking.rule.ddof,
        seeds=ranking.seeds,
        top=top,
        results=tuple(path.name for path in results),
        ranks=tuple(_stored_rank(row) for row in ranking.rows),
        winner=winner.candidate.trial if winner else None,
        race=race.values() if race else None,
        allow_ignored=ranking.allow_ignored,
    )


def _stored_rank(row: Row) -> StoredRank:
    candidate = row.candidate
    return StoredRank(
        trial=candidate.trial,
        rank=row.rank,
        values={str(seed): value for seed, value in candidate.values.items()},
        mean=row.mean,
        sigma=row.sigma,
        score=row.score,
        search_value=candidate.search_value,
    )
