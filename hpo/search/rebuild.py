"""Rebuilds the study in memory as it was when the last driver ended."""

from __future__ import annotations

from dataclasses import dataclass, field

from optuna.trial import FrozenTrial

from hpo.search.duplicates import DuplicateIndex
from hpo.search.limits import Limits
from hpo.search.memory import MemoryStudy, without_marks
from hpo.search.pruning import RunningTrials
from hpo.store.optuna_storage.studies import DurableStudy
from hpo.store.optuna_storage.trials import CODE, ENQUEUED, IMPORTED, OPTUNA_VERSION


@dataclass(slots=True, kw_only=True)
class Rebuilt:
    """State of a search when its last driver ended.

    Attributes:
        next: number of the next trial.
        imported: number of imported trials.
        taken: number of queued configurations that became trials.
        finished: the finished trials, by number.
        untold: finished trials that the study in memory was not told of.
        left_open: numbers of the trials that an earlier driver left running.
        was_retried: whether one of the running trials is older than finished ones.
        versions: the versions of Optuna that proposed its trials, sorted.
        is_repeated: whether a sampler of which one object proposes all trials has proposed the same params again.
    """

    next: int
    imported: int
    taken: int
    finished: dict[int, FrozenTrial] = field(default_factory=dict)
    untold: dict[int, FrozenTrial] = field(default_factory=dict)
    left_open: list[int] = field(default_factory=list)
    was_retried: bool = False
    versions: tuple[str, ...] = ()
    is_repeated: bool = True


def rebuild(
    durable: DurableStudy,
    memory: MemoryStudy,
    running: RunningTrials,
    index: DuplicateIndex,
    limits: Limits,
    lag: int | None,
    code: str,
) -> Rebuilt:
    """Reads the durable study and fills the others from it.

    Args:
        durable: the trials in the database.
        memory: the study in memory, still empty.
        running: receives the trials that were running.
        index: receives each trial that was not imported.
        limits: receive each trial that the study in memory knows.
        lag: trial n is proposed once the trials up to n - lag are finished; None: timing decides.
        code: digest of the code; empty: not known. A trial left open by other code is trained from the start.
    """
    stored = durable.frozen()
    found = Rebuilt(
        next=len(stored),
        imported=sum(IMPORTED in trial.user_attrs for trial in stored),
        taken=sum(ENQUEUED in trial.user_attrs for trial in stored),
        versions=tuple(
            sorted({trial.user_attrs[OPTUNA_VERSION] for trial in stored if OPTUNA_VERSION in trial.user_attrs})
        ),
    )
    running.imported = found.imported
    # With a lag of None timing decided; what a driver with one slot had known is tried then.
    found.is_repeated = memory.replay(stored, lambda number: number - (lag or 1), durable.enqueued)
    for trial in stored:
        memory.restore_shared(trial)
        over, imported = trial.state.is_finished(), IMPORTED in trial.user_attrs
        if not imported:
            index.add(trial)
        if over:
            found.finished[trial.number] = trial
        if over and (imported or lag is None or trial.number <= found.next - lag):
            if not imported:
                limits.receive(trial)
            memory.restore_finished(trial)
            continue
        memory.restore_running(trial)
        if over:
            found.untold[trial.number] = trial
            continue
        found.was_retried = found.was_retried or trial.number <= found.next - (lag or found.next)
        began_with = trial.user_attrs.get(CODE)
        if code and began_with and began_with != code:
            durable.restart(trial.number, code)
            trial.intermediate_values, trial.user_attrs[CODE] = {}, code
        trial.system_attrs = without_marks(trial)
        running.adopt(trial)
        found.left_open.append(trial.number)
    return found
