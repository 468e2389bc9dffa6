"""Finished trials of another tool, as knowledge that a search begins with, or as candidates of a promotion."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

import optuna
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FixedTrial, FrozenTrial, TrialState, create_trial

from hpo.core.errors import StorageDamaged, StorageUnavailable, UsageError, did_you_mean
from hpo.core.records import Value
from hpo.core.redaction import NO_URL, holds_secret
from hpo.core.texts import as_identifier
from hpo.search.proposals import suggest
from hpo.store.optuna_storage.studies import open_storage, unreadable
from hpo.store.optuna_storage.trials import IMPORTED
from hpo.study import FIRST_EXTERNAL, ExternalTrial, Origin, Study, fitted
from hpo.study.space import holds

SURE_INTERVAL = 3
"""Epochs between reports from which on the steps tell where they are counted from: 1, 3, 5 may begin at either end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreign:
    """Another study's trials.

    Attributes:
        source: where it is, as it may be shown.
        study: name of the study there.
        direction: of its objective, `minimize` or `maximize`.
        trials: finished trials, in the order of their numbers.
        tool: the tool that found them.
        names: what the tool calls its trials, by number; empty where they have only numbers.
        recognized: what was read of a table, as phrases; empty for a storage.
    """

    source: str
    study: str
    direction: str
    trials: tuple[FrozenTrial, ...]
    tool: str = "Optuna"
    names: Mapping[int, str] = field(default_factory=dict)
    recognized: tuple[str, ...] = ()

    @property
    def first_step(self) -> int | None:
        """The lowest step at which any of its trials reported a value; None where none reported any."""
        return min((step for trial in self.trials for step in trial.intermediate_values), default=None)

    @property
    def step_offset(self) -> int:
        """What is added to its steps so that the first is 1, as in this package, where it counts them from 0.

        Who reports every tenth epoch and counts from 0 has the steps 9, 19, 29: then none of them is 0.
        """
        steps = {step for trial in self.trials for step in trial.intermediate_values}
        every = math.gcd(*(step + 1 for step in steps))
        is_late = len(steps) > 1 and every >= SURE_INTERVAL and math.gcd(*steps) == 1
        return 1 if self.first_step == 0 or is_late else 0

    @property
    def origin(self) -> dict[str, str]:
        """What is stored with a copy of a trial, beside its number, to say where it is from."""
        tool = {} if self.tool == "Optuna" else {"tool": self.tool}
        return {"from": self.source, "study": self.study, **tool}

    def origin_of(self, number: int) -> Origin:
        """Returns where one of its trials is from."""
        return Origin(tool=self.tool, source=self.source, study=self.study, trial=number, name=self.names.get(number))


def read_foreign(url: str, shown: str, name: str | None, options: Mapping[str, Any]) -> Foreign:
    """Reads a study, and writes nothing.

    Args:
        url: SQLAlchemy's with its driver named, or the path of a journal that Optuna's JournalStorage wrote.
        shown: what to call it in messages.
        name: of the study; None: the only one there.
        options: for SQLAlchemy's engine.

    Raises:
        UsageError: if there is no such study, or it has several objectives.
        StorageUnavailable: if there are no tables of this Optuna's, or the journal is none.
    """
    storage = _journal(url) if "://" not in url else open_storage(url, options, skip_table_creation=True)
    try:
        known = optuna.get_all_study_names(storage)
        if not known:
            raise StorageUnavailable(f"there are no studies of Optuna's in {shown}")
        if name is None and len(known) != 1:
            raise UsageError(f"--from-study is needed: {shown} has {_listed(known)}")
        if name is not None and name not in known:
            raise UsageError(f"no study {name!r} in {shown}; it has {_listed(known)}.{did_you_mean(name, known)}")
        study = optuna.load_study(study_name=name or known[0], storage=storage)
        if len(study.directions) != 1:
            raise UsageError(
                f"study {study.study_name!r} in {shown} has {len(study.directions)} objectives; expected 1"
            )
        try:
            trials = sorted(study.get_trials(deepcopy=False), key=lambda trial: trial.number)
        except (LookupError, TypeError, ValueError) as error:  # Optuna's own for rows that contradict each other
            raise StorageDamaged(unreadable(study.study_name, error)) from error
        direction = study.direction.name.lower()
        return Foreign(source=shown, study=study.study_name, direction=direction, trials=tuple(trials))
    finally:
        storage.remove_session()
        if isinstance(storage, RDBStorage):
            storage.engine.dispose()


def _journal(path: str) -> BaseStorage:
    if not os.path.isfile(path):
        shown = NO_URL if holds_secret(path) else path
        raise StorageUnavailable(
            f"there is no file {shown}; expected an Optuna storage's URL, e.g. sqlite:///old.db, or the path of a "
            "journal, of a CSV file, or of the folder of a Ray Tune experiment"
        )
    try:
        return JournalStorage(JournalFileBackend(path))
    except (ValueError, KeyError, TypeError, OSError) as error:  # ValueError: a line that is no JSON
        raise StorageUnavailable(
            f"{path} is no journal of Optuna's ({type(error).__name__}); of an SQLite file say sqlite:///{path}"
        ) from error


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return f"{'study' if len(names) == 1 else 'studies'} {', '.join(names[:10])}{more}"


def chosen(study: Study, foreign: Foreign) -> tuple[list[FrozenTrial], dict[int, str]]:
    """Returns the trials that `study` can learn from, as its own, and why each of the others is left out.

    Their steps are counted from 1 afterwards: a pruner compares values of equal steps.

    Raises:
        UsageError: if better is lower in the one study and higher in the other.
    """
    if foreign.direction != study.objective.direction:
        raise UsageError(
            f"study {foreign.study!r} is to {foreign.direction}, {study.name!r} to {study.objective.direction}; "
            "its values would mislead the search"
        )
    taken: list[FrozenTrial] = []
    left_out: dict[int, str] = {}
    for trial in foreign.trials:
        named = _named(study, trial.params)
        params = {name: value for name, value in named.items() if (name, value) not in study.fixed.items()}
        if reason := _unusable(study, trial) or _misfit(study, params):
            left_out[trial.number] = reason
        else:
            taken.append(_own(study, trial, params, foreign))
    return taken, left_out


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A complete trial of another tool that cannot be a candidate.

    Attributes:
        origin: where it is from.
        value: of the objective, as the other tool recorded it.
        reason: why it cannot be trained in this study.
    """

    origin: Origin
    value: float
    reason: str


def external_trials(study: Study, foreign: Foreign) -> tuple[list[ExternalTrial], list[LeftOut]]:
    """Returns the complete trials that `study` can train, of equal params only the first, and those that it cannot.

    Both have the best value first. The numbers in the study are not given yet.

    Raises:
        UsageError: if better is lower in the one study and higher in the other, or no trial can be used.
    """
    taken, left_out = chosen(study, foreign)
    sign = -1.0 if study.objective.direction == "maximize" else 1.0
    theirs = [trial for trial in foreign.trials if trial.number not in left_out]
    made: list[ExternalTrial] = []
    pairs = zip(theirs, taken, strict=True)
    for one, own in sorted(pairs, key=lambda pair: (sign * pair[1].values[0], pair[0].number)):
        is_feasible = all(value <= 0 for value in own.constraints.values())
        if own.state is TrialState.COMPLETE and is_feasible and all(own.params != other.params for other in made):
            made.append(_external(foreign.origin_of(one.number), own, one))
    if not made:
        raise_unusable(study, foreign, left_out)
    unfit = [
        LeftOut(origin=foreign.origin_of(trial.number), value=trial.values[0], reason=left_out[trial.number])
        for trial in foreign.trials
        if trial.number in left_out and trial.state is TrialState.COMPLETE and _unusable(study, trial) is None
    ]
    return made, sorted(unfit, key=lambda one: (sign * one.value, one.origin.trial))


def _external(origin: Origin, trial: FrozenTrial, theirs: FrozenTrial) -> ExternalTrial:
    began, ended = theirs.datetime_start, theirs.datetime_complete
    return ExternalTrial(
        number=FIRST_EXTERNAL,
        origin=origin,
        params=trial.params,
        value=trial.values[0],
        last_step=max(trial.intermediate_values, default=None),
        reports=len(trial.intermediate_values),
        started=began.isoformat() if began else None,
        ended=ended.isoformat() if ended else None,
    )


def raise_unusable(study: Study, foreign: Foreign, left_out: Mapping[int, str]) -> NoReturn:
    """Raises because none of another tool's trials can be used.

    Raises:
        UsageError: with the reason of the first.
    """
    why = f" The first: {next(iter(left_out.values()))}." if left_out else ""
    raise UsageError(
        f"none of the {len(foreign.trials)} trials of study {foreign.study!r} in {foreign.source} can be used by "
        f"{study.name!r}.{why}"
    )


def _unusable(study: Study, trial: FrozenTrial) -> str | None:
    if trial.state not in (TrialState.COMPLETE, TrialState.PRUNED):
        return {TrialState.FAIL: "failed"}.get(trial.state, "not over")
    if not trial.values or not math.isfinite(trial.values[0]):
        return "no finite value"
    missing = [name for name in study.objective.constraints if name not in trial.constraints]
    return f"no constraint {missing[0]}" if missing else None


def _named(study: Study, params: Mapping[str, Any]) -> dict[str, Any]:
    """Returns params under the study's names, which are identifiers: `learning-rate` is `learning_rate`."""
    known = {*study.space, *study.fixed}
    own = {name: name if name in known else as_identifier(name) for name in params}
    return {own[name] if own[name] in known - {*params} else name: value for name, value in params.items()}


def _misfit(study: Study, params: Mapping[str, Any]) -> str | None:
    values, problems = fitted(study.space, study.fixed, params)
    if problems:
        return f"{problems[0].key}: {problems[0].message}"
    missing = [name for name, one in study.space.items() if name not in values and holds(one.when, values)]
    return f"no param {missing[0]}" if missing else None


def _own(study: Study, trial: FrozenTrial, params: dict[str, Any], foreign: Foreign) -> FrozenTrial:
    fixed = FixedTrial(fitted(study.space, study.fixed, params)[0])
    values: dict[str, Value] = suggest(fixed, study.space)
    made = create_trial(
        state=trial.state,
        params=values,
        distributions=fixed.distributions,
        values=trial.values,
        intermediate_values={
            step + foreign.step_offset: value
            for step, value in sorted(trial.intermediate_values.items())
            if math.isfinite(value)
        },
        user_attrs={IMPORTED: {**foreign.origin, "trial": trial.number}},
        system_attrs={f"constraints:{name}": trial.constraints[name] for name in study.objective.constraints},
    )
    if trial.datetime_start is not None:  # a table knows no times, and Optuna needs some
        made.datetime_start, made.datetime_complete = trial.datetime_start, trial.datetime_complete
    return made
