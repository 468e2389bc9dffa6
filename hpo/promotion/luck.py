"""How much of another tool's best value was luck, and what else may explain the difference."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from hpo.core.records import Evaluation
from hpo.stats.ranking import Ranking
from hpo.stats.seed_use import Use
from hpo.study import ExternalTrial, Study
from hpo.training.trial import REPORTS


@dataclass(frozen=True, slots=True, kw_only=True)
class Luck:
    """The best value that another tool found, compared with its replicates under other seeds.

    Attributes:
        trial: number of the candidate with that value.
        value: the value as that tool recorded it.
        mean: mean of its replicates over the promotion's seeds.
        luck: how much better the value is than the mean; negative if it is worse.
        interval: Student's 95 % interval of that difference; None with a single seed.
    """

    trial: int
    value: float
    mean: float
    luck: float
    interval: tuple[float, float] | None


def luck_of(ranking: Ranking, external: Mapping[int, ExternalTrial]) -> Luck | None:
    """Returns how much of another tool's best value was luck.

    None if the candidates are the study's own, or if the best one's replicates are incomplete or ignore the seed.

    Args:
        ranking: ranking of the promotion.
        external: candidates that another tool found, by trial.
    """
    rows = {row.candidate.trial: row for row in ranking.rows if row.candidate.trial in external}
    sign = 1.0 if ranking.direction == "maximize" else -1.0
    best = min(rows, key=lambda trial: (-sign * external[trial].value, trial), default=None)
    if best is None or rows[best].mean is None or rows[best].candidate.use is not Use.USED:
        return None
    value, mean, interval = external[best].value, rows[best].mean, rows[best].interval
    assert mean is not None  # checked above
    ends = sorted(sign * (value - end) for end in interval) if interval else []
    return Luck(
        trial=best, value=value, mean=mean, luck=sign * (value - mean), interval=(ends[0], ends[1]) if ends else None
    )


def searched_on(study: Study, external: Mapping[int, ExternalTrial]) -> str:
    """Returns where the search values come from: `seed 41`, or the study of another tool.

    Args:
        study: the study that was promoted.
        external: candidates that another tool found, by trial.
    """
    return next((one.origin.of_study for one in external.values()), study.search.seeds_text)


def other_budget(
    study: Study, external: Mapping[int, ExternalTrial], replicates: Iterable[Evaluation]
) -> tuple[str, ...]:
    """Returns a warning if another tool's trainings were longer or shorter than the replicates.

    Args:
        study: the study that was promoted.
        external: candidates that another tool found, by trial.
        replicates: complete replicates; others than the candidates' may be among them.
    """
    if study.validation is not None:
        return ()
    budget = study.search.budget
    steps = sorted({one.last_step for one in external.values() if one.last_step not in (None, budget)})
    theirs = {one.reports for one in external.values() if one.reports is not None}
    known = [_reports(one) for one in replicates if one.job.trial in external]
    own = {count for count in known if count is not None}
    if steps:
        there, here = f"whose last step is {_listed(steps)}", f"the replicates' budget is {budget}"
    elif theirs and own and (max(theirs) < min(own) or max(own) < min(theirs)):  # some stop early, so ranges differ
        there, here = f"that reported {_listed(theirs)} values", f"the replicates reported {_listed(own)}"
    else:
        return ()
    return (
        f"The search values come from trainings {there}, but {here}: the difference may come from that rather than "
        "from luck.",
    )


def _reports(one: Evaluation) -> int | None:
    """Returns how many values an Optuna objective reported in a replicate; None: unknown."""
    facts = one.fingerprint.get("facts")
    if isinstance(facts, Mapping) and REPORTS in facts:
        return int(facts[REPORTS])
    return len(one.reports) - 1 if one.job.budget > 1 else None  # the last one is the value that it returned


def _listed(numbers: Iterable[int]) -> str:
    """Returns numbers as text: `5`, `4 or 5`, `3 to 9`."""
    low, *others = sorted(set(numbers))
    return f"{low} to {others[-1]}" if len(others) > 1 else " or ".join(map(str, [low, *others]))
