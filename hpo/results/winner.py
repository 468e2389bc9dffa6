"""What a promotion says of its winner."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hpo.core.records import Evaluation, Objective, Status, Value, digest
from hpo.stats.names import Ddof


@dataclass(frozen=True, slots=True, kw_only=True)
class Winner:
    """The candidate in row 1 of a ranking, with its replicates.

    Attributes:
        study: the study's name.
        uid: the study's uid, which survives a renaming.
        objective: which number counts.
        fixed: params that no trial changes.
        rank: place in the ranking, 1 for the first.
        mean: of the replicates' values.
        sigma: of the replicates' values, with `ddof`; None with a single one, or where seeds make no difference.
        score: what the ranking is by; None where it needs a sigma and there is none.
        rule: how the score comes from mean and sigma, e.g. `mean-std`.
        lambda_: weight of sigma in the score.
        ddof: how sigma is estimated; see `hpo.stats.names.Ddof`.
        search_value: the objective's value in the search, under `search_seed`.
        search_seed: the one seed of all search trainings.
        trial: number, state, datetime_start and datetime_complete (ISO texts or None), as the search stored them.
        evaluations: the replicates, complete, in the order of the promotion's seeds.
        project: git_commit, git_dirty, command_line and what else is known of the project.
        is_decided: whether it can be called the winner; a candidate that ignores its seeds only comes first.
        seeds: whether its replicates under different seeds differ: `used`, `ignored` or `cannot tell`.
        warnings: what has to be known before its results are read, as sentences.
    """

    study: str
    uid: str
    objective: Objective
    fixed: Mapping[str, Value]
    rank: int
    mean: float
    sigma: float | None
    score: float | None
    rule: str
    lambda_: float
    ddof: Ddof
    search_value: float | None
    search_seed: int
    trial: Mapping[str, object]
    evaluations: tuple[Evaluation, ...]
    project: Mapping[str, object]
    is_decided: bool = True
    seeds: str = "used"
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.evaluations:
            raise ValueError("a winner must have at least one evaluation")
        if len({evaluation.job.trial for evaluation in self.evaluations}) > 1:
            raise ValueError("a winner's evaluations must be of one trial")
        for evaluation in self.evaluations:
            if evaluation.status is not Status.COMPLETE or evaluation.step is None or not evaluation.metrics:
                raise ValueError(f"the evaluation of seed {evaluation.job.seed} must be complete and have its reports")

    @property
    def number(self) -> int:
        """The trial's number."""
        return self.evaluations[0].job.trial

    @property
    def block(self) -> str:
        """sha256 over what makes these replicates these replicates and no others.

        The score is not part of it: another lambda ranks the same trainings. Their number is: mean and sigma of three
        replicates must not stand beside those of five.
        """
        return digest([[self.uid, evaluation.job.digest, *_outcome(evaluation)] for evaluation in self.evaluations])


def _outcome(evaluation: Evaluation) -> tuple[object, ...]:
    return evaluation.value, evaluation.step, dict(evaluation.digests)
