"""Stores promotions in the database."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from hpo.stats.names import Ddof, RuleName, ddof_of
from hpo.store.tables import PromotionRow, RankRow, now


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRank:
    """One candidate of a stored promotion; see `hpo.stats.ranking`."""

    trial: int
    rank: int | None
    values: Mapping[str, float | None]
    mean: float | None
    sigma: float | None
    score: float | None
    search_value: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPromotion:
    """A stored ranking, with the result folders of its winner.

    Attributes:
        rule: name of the score's rule.
        lambda_: weight of sigma in the score.
        ddof: how sigma is estimated.
        seeds: seeds of the promotion.
        top: requested number of candidates.
        results: names of the winner's result folders.
        ranks: rows of all candidates.
        winner: the winning trial; None if no candidate was complete.
        race: rungs, widths and seeds of the race that chose the winner; None if the ranking did.
        allow_ignored: whether candidates that ignore their seeds were ranked among the others.
        made_at: when it was made, or repeated with the same outcome, in UTC; None before it is stored.
    """

    rule: RuleName
    lambda_: float
    ddof: Ddof
    seeds: tuple[int, ...]
    top: int
    results: tuple[str, ...]
    ranks: tuple[StoredRank, ...]
    winner: int | None = None
    race: Mapping[str, Sequence[int]] | None = None
    allow_ignored: bool = False
    made_at: dt.datetime | None = field(default=None, compare=False)


def put(connection: Connection, study_id: int, promotion: StoredPromotion) -> None:
    """Stores a promotion."""
    query = insert(PromotionRow).values(
        study_id=study_id,
        rule=promotion.rule,
        lambda_=promotion.lambda_,
        ddof=str(promotion.ddof),
        seeds=list(promotion.seeds),
        top=promotion.top,
        results=list(promotion.results),
        winner=promotion.winner,
        race=dict(promotion.race) if promotion.race else None,
        allow_ignored=promotion.allow_ignored,
        created_at=now(),
    )
    promotion_id = connection.execute(query.returning(PromotionRow.id)).scalar_one()
    for rank in promotion.ranks:
        connection.execute(
            insert(RankRow).values(
                promotion_id=promotion_id,
                trial=rank.trial,
                rank=rank.rank,
                values=dict(rank.values),
                mean=rank.mean,
                sigma=rank.sigma,
                score=rank.score,
                search_value=rank.search_value,
            )
        )


def renew(connection: Connection, study_id: int) -> None:
    """Stores the time at which the newest promotion was repeated with the same outcome."""
    last = select(func.max(PromotionRow.id)).where(PromotionRow.study_id == study_id).scalar_subquery()
    connection.execute(update(PromotionRow).where(PromotionRow.id == last).values(created_at=now()))


def newest(connection: Connection, study_id: int) -> StoredPromotion | None:
    """Returns the newest promotion of a study, None if there is none."""
    query = (
        select(PromotionRow.__table__)
        .where(PromotionRow.study_id == study_id)
        .order_by(PromotionRow.id.desc())
        .limit(1)
    )
    row = connection.execute(query).first()
    return None if row is None else _promotion(connection, row)


def _promotion(connection: Connection, row: Any) -> StoredPromotion:
    ranked: Sequence[Any] = connection.execute(
        select(RankRow.__table__)
        .where(RankRow.promotion_id == row.id)
        .order_by(RankRow.rank.is_(None), RankRow.rank, RankRow.trial)
    ).all()
    ranks = tuple(
        StoredRank(
            trial=r.trial,
            rank=r.rank,
            values=r._mapping["values"],
            mean=r.mean,
            sigma=r.sigma,
            score=r.score,
            search_value=r.search_value,
        )
        for r in ranked
    )
    return StoredPromotion(
        rule=row.rule,
        lambda_=row._mapping["lambda"],
        ddof=ddof_of(row.ddof),
        seeds=tuple(row.seeds),
        top=row.top,
        results=tuple(row.results),
        ranks=ranks,
        winner=row.winner,
        race=row.race,
        allow_ignored=row.allow_ignored,
        made_at=row.created_at,
    )
