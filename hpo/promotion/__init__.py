"""The promotion as a source: the best trials of a search, retrained under the promotion's seeds."""

from hpo.promotion.curtail import CurtailedSource
from hpo.promotion.grid import TRIES, PromotionSource, replicate
from hpo.promotion.race import Plan, Race, RaceSource, Rung

__all__ = [
    "TRIES",
    "CurtailedSource",
    "Plan",
    "PromotionSource",
    "Race",
    "RaceSource",
    "Rung",
    "replicate",
]
