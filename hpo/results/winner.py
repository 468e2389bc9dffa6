"""What the files of a trial say about it, and the winner of a promotion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from hpo.core.records import Evaluation, Objective, Status, Value, digest
from hpo.stats.names import Ddof


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialInfo:
    """A trial of a search, as the files of its trainings describe it.

    Attributes:
        study: the study's name.
        uid: the study's uid, which a renaming does not change.
        objective: objective of the study.
        fixed: params that are the same in all trials.
        search_value: the objective's value in the search, under `search_seed`.
        search_seed: seed of its search training, the first of several; None where another tool searched.
        trial: number, state, datetime_start and datetime_complete (ISO texts or None), as the search stored them.
        project: git_commit, git_dirty, command_line and other facts about the project.
        origin: tool, source, study and trial where another tool found it; None where the study's search did.
    """

    study: str
    uid: str
    objective: Objective
    fixed: Mapping[str, Value]
    search_value: float | None
    search_seed: int | None
    trial: Mapping[str, object]
    project: Mapping[str, object]
    origin: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Winner(TrialInfo):
    """The winner of a promotion, with its replicates.

    Attributes:
        rank: 1; in a race, among the finalists, of which the ranking over fewer seeds may have another first.
        mean: mean of the replicates' values.
        sigma: sigma of the replicates' values; None with a single one, or if seeds make no difference.
        score: score by the rule; None if it needs a sigma and there is none.
        rule: name of the score's rule, e.g. `mean-std`.
        lambda_: weight of sigma in the score.
        ddof: how sigma is estimated; see `hpo.stats.names.Ddof`.
        evaluations: complete replicates in the order of the promotion's seeds.
        is_decided: whether it is a real winner; a candidate that ignores its seeds is only ranked first.
        seeds: whether its replicates under different seeds differ: `used`, `ignored` or `cannot tell`.
        warnings: warnings about its results, as sentences.
        objectives: direction, mean, sigma, score and search value by metric, where there are several objectives; the
            fields above are then those of the first one, without a score.
        formats: formats of the figures beside PNG, such as `pdf` and `svg`.
    """

    rank: int
    mean: float
    sigma: float | None
    score: float | None
    rule: str
    lambda_: float
    ddof: Ddof
    evaluations: tuple[Evaluation, ...]
    is_decided: bool = True
    seeds: str = "used"
    warnings: tuple[str, ...] = ()
    objectives: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    formats: tuple[str, ...] = ()

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
        """sha256 that identifies this set of replicates.

        The score is not part of it, because another lambda ranks the same trainings. Their number is, because mean and
        sigma of three replicates must not be mixed with those of five.
        """
        return digest([[self.uid, evaluation.job.digest, *_outcome(evaluation)] for evaluation in self.evaluations])


def _outcome(evaluation: Evaluation) -> tuple[object, ...]:
    return evaluation.value, evaluation.step, dict(evaluation.digests)
