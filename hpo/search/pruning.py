"""The running trials, and the pruner's decision on each."""

from __future__ import annotations

from dataclasses import dataclass

from optuna.trial import FrozenTrial

from hpo.core.protocols import Decision
from hpo.search.failures import explained_failure
from hpo.search.view import TrialPruner


@dataclass(slots=True)
class _Running:
    """A running trial.

    Attributes:
        frozen: the trial, to which values and rung marks are added as they arrive.
        known: number of finished trials, in the order of their numbers, that its pruner may see; None: all.
        pruned: whether the pruner has stopped it.
    """

    frozen: FrozenTrial
    known: int | None
    pruned: bool = False


class RunningTrials:
    """Decides whether running trials are pruned; which others the pruner may see is fixed when a trial starts.

    The decision travels back as `Decision.STOP`: `JobTracker.receive` makes an evaluation of it, and the backend closes
    the training.

    Args:
        pruner: runs the study's Optuna pruner.
        name: name of that pruner, for messages.
        lag: trial n is proposed once the trials up to n - lag are finished; None: the pruner sees all results so far.

    Attributes:
        imported: number of imported trials; they have the first numbers and are known from the start.
    """

    def __init__(self, pruner: TrialPruner, name: str, lag: int | None) -> None:
        self._pruner = pruner
        self._name = name
        self._lag = lag
        self._trials: dict[int, _Running] = {}
        self.imported = 0

    def __contains__(self, number: object) -> bool:
        return number in self._trials

    def __len__(self) -> int:
        return len(self._trials)

    def __getitem__(self, number: int) -> FrozenTrial:
        return self._trials[number].frozen

    def have_one_up_to(self, number: int) -> bool:
        """Whether a trial with this number or a lower one is not over.

        Args:
            number: largest trial number to check.
        """
        return bool(self._trials) and min(self._trials) <= number

    def by_number(self) -> dict[int, FrozenTrial]:
        """Returns the current trials by number."""
        return {number: running.frozen for number, running in self._trials.items()}

    def add(self, frozen: FrozenTrial) -> None:
        """Adds a trial that starts.

        Args:
            frozen: the trial, without values.
        """
        # With a lag it was proposed when the trials 0 .. number - lag were over, and no other one counts.
        known = None if self._lag is None else max(self.imported, frozen.number - self._lag + 1)
        self._trials[frozen.number] = _Running(frozen, known)

    def adopt(self, frozen: FrozenTrial) -> None:
        """Adds a trial that an earlier driver left running.

        The pruner sees its stored values again, because the driver may have ended between storing a value and acting on
        the decision. The decision is the same, because it depends only on the values and the visible trials.

        Args:
            frozen: the trial, with the values that were stored.
        """
        values, frozen.intermediate_values = dict(sorted(frozen.intermediate_values.items())), {}
        self.add(frozen)
        for step, value in values.items():
            if self.report(frozen.number, step, value) is Decision.STOP:
                break

    def earlier_decision(self, number: int, step: int) -> Decision | None:
        """Returns the earlier decision on a trial at this step; None if the step has no value yet.

        Args:
            number: the trial's number.
            step: the step that is reported.
        """
        running = self._trials[number]
        if step not in running.frozen.intermediate_values:
            return None
        return Decision.STOP if running.pruned else Decision.CONTINUE

    def report(self, number: int, step: int, value: float) -> Decision:
        """Adds the value of a step and returns the pruner's decision.

        Args:
            number: the trial's number.
            step: the step that is reported.
            value: the objective's value there.
        """
        running = self._trials[number]
        running.frozen.intermediate_values[step] = value
        others = (other.frozen for other in self._trials.values() if other is not running)
        with explained_failure(f"pruner {self._name!r} failed on trial {number} at step {step}"):
            running.pruned = self._pruner.should_prune(running.frozen, running.known, () if self._lag else others)
        return Decision.STOP if running.pruned else Decision.CONTINUE

    def remove(self, number: int) -> None:
        """Removes a finished trial.

        Args:
            number: the trial's number.
        """
        del self._trials[number]
