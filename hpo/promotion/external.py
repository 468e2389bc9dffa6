"""Candidates that another tool found: which are promoted, and which other trials stand for the same training."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from hpo.promotion.options import PromotionOptions
from hpo.search.imports import LeftOut, external_trials
from hpo.search.reading import read_source
from hpo.search.table_import import Columns
from hpo.study import ExternalTrial, Study, Trial


@dataclass(frozen=True, slots=True, kw_only=True)
class External:
    """What another tool found.

    Attributes:
        trials: complete trials that the study can train, the best value first; of equal params only the first.
        left_out: complete trials that it cannot train, the best value first.
        recognized: what was read of a table, as phrases; empty for an Optuna storage.
    """

    trials: tuple[ExternalTrial, ...]
    left_out: tuple[LeftOut, ...]
    recognized: tuple[str, ...]

    def passed_over(self, top: int, study: Study) -> tuple[LeftOut, ...]:
        """Returns those left out whose value would have put them among the best.

        Args:
            top: number of candidates that are wanted.
            study: the study that they are promoted in.
        """
        if len(self.trials) < top:
            return self.left_out
        worst = self.trials[top - 1].value
        return tuple(one for one in self.left_out if study.objective.is_better(one.value, worst))


def read_external(study: Study, source: str, options: PromotionOptions) -> External:
    """Returns what another tool found, as far as it can be promoted; nothing is written.

    Args:
        study: the study that it is promoted in.
        source: where it is, as `read_source` takes it.
        options: which study there, and where a table names its columns otherwise.

    Raises:
        UsageError: if there is no such study, or none of its trials can be trained.
        StorageUnavailable: if there is no such storage.
    """
    columns = Columns(value=options.source_value, params=options.source_params or {})
    foreign = read_source(study, source, options.source_study, columns)
    trials, left_out = external_trials(study, foreign)
    return External(trials=tuple(trials), left_out=tuple(left_out), recognized=foreign.recognized)


def twins(trials: Sequence[Trial], trained: Collection[int]) -> Callable[[int], int | None]:
    """Returns a function from a trial to another with the same params that has replicates; None where there is none.

    Args:
        trials: of the study, those from other tools included.
        trained: numbers of the trials that have replicates.
    """
    params = {trial.number: trial.params for trial in trials}

    def twin(number: int) -> int | None:
        own = params[number]
        return next((other for other in sorted(trained) if other != number and params.get(other) == own), None)

    return twin
