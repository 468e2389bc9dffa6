"""How much of what another tool found was luck, and what else may have made the difference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hpo.stats.ranking import Ranking
from hpo.stats.seed_use import Use
from hpo.study import ExternalTrial, Study


@dataclass(frozen=True, slots=True, kw_only=True)
class Luck:
    """What the best value that another tool had found is worth under other seeds.

    Attributes:
        trial: number of the candidate that had it.
        value: the value as that tool recorded it.
        mean: of its replicates, over the promotion's seeds.
        luck: by how much the value is better than the mean; negative where it is worse.
        interval: Student's, 95 %, for that difference; None with a single seed.
    """

    trial: int
    value: float
    mean: float
    luck: float
    interval: tuple[float, float] | None


def luck_of(ranking: Ranking, external: Mapping[int, ExternalTrial]) -> Luck | None:
    """Returns how much of another tool's best value was luck.

    None where the candidates are the study's own, or the best one's replicates are not complete or do not depend on
    the seed.

    Args:
        ranking: of the promotion.
        external: by trial, the candidates that another tool found.
    """
    rows = {row.candidate.trial: row for row in ranking.rows if row.candidate.trial in external}
    sign = 1.0 if ranking.direction == "maximize" else -1.0
    best = min(rows, key=lambda trial: (-sign * external[trial].value, trial), default=None)
    if best is None or rows[best].mean is None or rows[best].candidate.use is not Use.USED:
        return None
    value, mean, interval = external[best].value, rows[best].mean, rows[best].interval
    assert mean is not None  # asked above
    ends = sorted(sign * (value - end) for end in interval) if interval else []
    return Luck(
        trial=best, value=value, mean=mean, luck=sign * (value - mean), interval=(ends[0], ends[1]) if ends else None
    )


def searched_on(study: Study, external: Mapping[int, ExternalTrial]) -> str:
    """Returns what search values were reached on: `seed 41`, or the study of another tool.

    Args:
        study: the study that was promoted.
        external: by trial, the candidates that another tool found.
    """
    return next((one.origin.of_study for one in external.values()), study.seeds_said)


def other_budget(study: Study, external: Mapping[int, ExternalTrial]) -> list[str]:
    """Returns a warning where another tool's trainings were longer or shorter than the replicates."""
    budget = study.search.budget
    steps = sorted({one.last_step for one in external.values() if one.last_step not in (None, budget)})
    if not steps or study.validation is not None:
        return []
    return [
        f"The search values are of trainings whose last step is {' or '.join(map(str, steps))}, and the replicates' "
        f"budget is {budget}: what lies between them may come from that, and not from luck."
    ]
