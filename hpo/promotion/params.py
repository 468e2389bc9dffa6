"""The params of candidates: which differ, which all have in common, and texts that tell their values apart."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from hpo.core.formatting import distinct
from hpo.core.records import Evaluation, Value
from hpo.study import ExternalTrial, Trial


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateParams:
    """The params of a promotion's candidates.

    Attributes:
        names: names of the params that any candidate has, in the order of the space.
        by_trial: values by name of each candidate, in the order of the ranking; a conditional param whose condition
            does not hold is missing. Candidates whose params are not known are left out.
    """

    names: tuple[str, ...] = ()
    by_trial: Mapping[int, Mapping[str, Value]] = field(default_factory=dict)

    @property
    def differing(self) -> tuple[str, ...]:
        """Names of the params that not all candidates have the same value of, in the order of the space."""
        shared = self.shared
        return tuple(name for name in self.names if name not in shared)

    @property
    def shared(self) -> dict[str, Value]:
        """Values of the params that are the same for all candidates, by name."""
        first, *others = self.by_trial.values() or [{}]
        return {
            name: first[name]
            for name in self.names
            if name in first and all(name in one and one[name] == first[name] for one in others)
        }

    def of(self, trial: int | None) -> dict[str, Value]:
        """Returns the params of a candidate, e.g. the winner, in the order of the space; empty if it has none."""
        found = {} if trial is None else self.by_trial.get(trial, {})
        return {name: found[name] for name in self.names if name in found}

    def texts(self, name: str) -> dict[int, str]:
        """Returns the value of a param as a text, by trial: as short as possible, and equal only if the values are."""
        texts = distinct([params.get(name) for params in self.by_trial.values()])
        return dict(zip(self.by_trial, texts, strict=True))

    def columns(self, taken: Iterable[str]) -> dict[str, str]:
        """Returns a column's name for each param that differs: its own, marked where another column has that name.

        Args:
            taken: names of the table's other columns.
        """
        others = set(taken)
        return {name: f"param {name}" if name in others else name for name in self.differing}


def candidate_params(
    trials: Sequence[int],
    space: Iterable[str],
    evaluations: Iterable[Evaluation],
    known: Iterable[Trial | ExternalTrial] = (),
) -> CandidateParams:
    """Returns the params of a promotion's candidates.

    Args:
        trials: numbers of the candidates, in the order of the ranking.
        space: names of the study's params.
        evaluations: their trainings, which have their params; others may be among them.
        known: trials that have their params, also those of candidates without a training; others may be among them.
    """
    found = {one.number: one.params for one in known} | {one.job.trial: one.job.params for one in evaluations}
    by_trial = {trial: dict(found[trial]) for trial in trials if trial in found}
    had = dict.fromkeys(name for params in by_trial.values() for name in params)
    names = [*(name for name in space if name in had), *had]
    return CandidateParams(names=tuple(dict.fromkeys(names)), by_trial=by_trial)
