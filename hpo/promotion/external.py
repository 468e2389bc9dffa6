"""Candidates that another tool found, and which other trials have the same params."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

from hpo.promotion.options import PromotionOptions
from hpo.search.imports import LeftOut, external_trials
from hpo.search.reading import read_source
from hpo.search.table_import import Columns
from hpo.study import ExternalTrial, Study, Trial
from hpo.study.trainable import Loaded, load


@dataclass(frozen=True, slots=True, kw_only=True)
class ExternalCandidates:
    """Candidates that another tool found.

    Attributes:
        trials: complete trials that the study can train, the best value first; one trial per set of params.
        left_out: complete trials that it cannot train, the best value first.
        recognized: phrases on what was read from a table; empty for an Optuna storage.
    """

    trials: tuple[ExternalTrial, ...]
    left_out: tuple[LeftOut, ...]
    recognized: tuple[str, ...]

    def left_out_of_top(self, top: int, study: Study) -> tuple[LeftOut, ...]:
        """Returns the left-out trials whose value would have put them among the best.

        Args:
            top: number of candidates that were asked for.
            study: the study that they are promoted in.
        """
        if len(self.trials) < top:
            return self.left_out
        worst = self.trials[top - 1].value
        return tuple(one for one in self.left_out if study.objective.is_better(one.value, worst))


def read_external(study: Study, source: str, options: PromotionOptions) -> ExternalCandidates:
    """Reads the trials of another tool that can be promoted; nothing is written.

    Args:
        study: the study that they are promoted in.
        source: URL or path, as `read_source` takes it.
        options: which study to read there, and the names of a table's columns.

    Raises:
        UsageError: if the source has no such study, or none of its trials can be trained.
        StorageUnavailable: if the source does not exist or cannot be read.
    """
    columns = Columns(value=options.source_value, params=options.source_params or {})
    foreign = read_source(study, source, options.source_study, columns)
    trials, left_out = external_trials(study, foreign)
    loaded = load(study.ref)
    # An objective trains as long as it decides itself: its steps say nothing about the budget, their number does.
    if isinstance(loaded, Loaded) and loaded.arguments.is_objective:
        trials = [replace(one, last_step=None) for one in trials]
    else:
        trials = [replace(one, reports=None) for one in trials]
    return ExternalCandidates(trials=tuple(trials), left_out=tuple(left_out), recognized=foreign.recognized)


def same_params(trials: Sequence[Trial], trained: Collection[int]) -> Callable[[int], int | None]:
    """Returns a function that maps a trial to another one with the same params and with replicates, or to None.

    Args:
        trials: the study's trials, including those from other tools.
        trained: numbers of the trials that have replicates.
    """
    params = {trial.number: trial.params for trial in trials}

    def other(number: int) -> int | None:
        own = params[number]
        return next((one for one in sorted(trained) if one != number and params.get(one) == own), None)

    return other
