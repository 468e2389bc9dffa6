"""Reads a study's trials from Optuna's tables by plain queries.

Optuna makes an object of each row first, which takes eight seconds for 10,000 trials where this takes well under one.
What is read is the same; a test compares the two.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from functools import cache, lru_cache
from threading import RLock
from typing import Any, Protocol

from optuna.distributions import BaseDistribution, CategoricalDistribution, json_to_distribution
from optuna.storages import BaseStorage
from optuna.storages._rdb.models import (
    StudyModel,
    TrialIntermediateValueModel,
    TrialModel,
    TrialParamModel,
    TrialSystemAttributeModel,
    TrialUserAttributeModel,
    TrialValueModel,
)
from optuna.trial import FrozenTrial
from sqlalchemy import Connection, Engine, Select, select

from hpo.store.optuna_storage.trials import trial_of
from hpo.study import Trial

TRIALS: Any = TrialModel.__table__.c
NAMED_AT_MOST = 500
"""Trials that are asked for one by one; databases limit the number of values in a query, SQLite to 999 at least."""


class Reader(Protocol):
    """Reads the trials of one study."""

    def frozen(self) -> list[FrozenTrial]:
        """Returns all trials as they are now, in the order of their ids.

        Raises:
            LookupError, TypeError or ValueError: if rows contradict each other, or there is no such study.
        """

    def plain(self) -> list[Trial]:
        """Returns all trials as plain values; raises what `frozen` raises."""


class StorageReader:
    """Reads by a storage's own method, for one that is not a database.

    Args:
        storage: a storage of Optuna that is no database, e.g. in memory.
        study: its id of the study.
    """

    def __init__(self, storage: BaseStorage, study: int) -> None:
        self._storage = storage
        self._study = study

    def frozen(self) -> list[FrozenTrial]:
        """Returns all trials."""
        return self._storage.get_all_trials(self._study, deepcopy=False)

    def plain(self) -> list[Trial]:
        """Returns all trials as plain values."""
        return [trial_of(one) for one in self.frozen()]


class TableReader:
    """Reads a database's tables.

    Args:
        engine: engine of the database.
        study: Optuna's id of the study.
        keeps: whether finished trials are kept in memory, for a process that reads often; they never change.
    """

    def __init__(self, engine: Engine, study: int, *, keeps: bool) -> None:
        self._engine = engine
        self._study = study
        self._keeps = keeps
        self._kept: dict[int, tuple[FrozenTrial, Trial]] = {}
        self._lock = RLock()

    def frozen(self) -> list[FrozenTrial]:
        """Returns all trials."""
        return [frozen for frozen, _ in self._read()]

    def plain(self) -> list[Trial]:
        """Returns all trials as plain values."""
        return [trial or trial_of(frozen) for frozen, trial in self._read()]

    def _read(self) -> list[tuple[FrozenTrial, Trial | None]]:
        with self._lock, self._engine.connect() as connection:
            studies = StudyModel.__table__.c
            if connection.execute(select(studies.study_id).where(studies.study_id == self._study)).first() is None:
                raise KeyError(f"there is no study with the id {self._study}")
            rows = connection.execute(_trials_of(self._study)).all()
            kept = {row.trial_id: one for row in rows if (one := self._kept.get(row.trial_id)) and _is(one[0], row)}
            read = _read_trials(connection, self._study, [row for row in rows if row.trial_id not in kept])
            _require_numbers(read)
            if not self._keeps:
                return [(one, None) for one in read]
            self._kept = kept | {one._trial_id: (one, trial_of(one)) for one in read if one.state.is_finished()}
            running = {one._trial_id: one for one in read}
            return [self._kept.get(row.trial_id) or (running[row.trial_id], None) for row in rows]


def _trials_of(study: int) -> Select[Any]:
    columns = (TRIALS.trial_id, TRIALS.number, TRIALS.state, TRIALS.datetime_start, TRIALS.datetime_complete)
    return select(*columns).where(TRIALS.study_id == study).order_by(TRIALS.trial_id)


def _is(kept: FrozenTrial, row: Any) -> bool:
    """Whether a kept trial is the one of a row: SQLite gives the ids of deleted trials to new ones."""
    return (kept.number, kept.state, kept.datetime_start, kept.datetime_complete) == tuple(row)[1:]


def _read_trials(connection: Connection, study: int, rows: Sequence[Any]) -> list[FrozenTrial]:
    """Returns the trials of some rows."""
    if not rows:
        return []
    ids = [row.trial_id for row in rows]

    def read(model: Any, *names: str) -> dict[int, list[Any]]:
        """Returns the rows of a table, in the order in which they were written, by trial."""
        columns = model.__table__.c
        query = select(columns.trial_id, *(columns[name] for name in names))
        if len(ids) <= NAMED_AT_MOST:
            query = query.where(columns.trial_id.in_(ids))
        else:
            query = query.join(TrialModel.__table__, TRIALS.trial_id == columns.trial_id)
            query = query.where(TRIALS.study_id == study, TRIALS.trial_id >= min(ids))
        found: dict[int, list[Any]] = defaultdict(list)
        for trial, *values in connection.execute(query.order_by(*model.__table__.primary_key)).all():
            found[trial].append(values)
        return found

    params = read(TrialParamModel, "param_name", "param_value", "distribution_json")
    values = read(TrialValueModel, "objective", "value", "value_type")
    steps = read(TrialIntermediateValueModel, "step", "intermediate_value", "intermediate_value_type")
    noted = read(TrialUserAttributeModel, "key", "value_json")
    marks = read(TrialSystemAttributeModel, "key", "value_json")
    distribution: Callable[[str], BaseDistribution] = cache(json_to_distribution)
    intermediate = TrialIntermediateValueModel.stored_repr_to_intermediate_value
    return [
        FrozenTrial(
            number=row.number,
            state=row.state,
            value=None,
            values=_values(values[row.trial_id]),
            datetime_start=row.datetime_start,
            datetime_complete=row.datetime_complete,
            params={name: distribution(text).to_external_repr(value) for name, value, text in params[row.trial_id]},
            distributions={name: distribution(text) for name, _, text in params[row.trial_id]},
            user_attrs=_attributes(noted[row.trial_id]),
            system_attrs=_attributes(marks[row.trial_id]),
            intermediate_values={step: intermediate(value, kind) for step, value, kind in steps[row.trial_id]},
            trial_id=row.trial_id,
        )
        for row in rows
    ]


def _values(rows: Sequence[Any]) -> list[float] | None:
    if not rows:
        return None
    found = [0.0] * len(rows)
    for objective, value, kind in rows:
        found[objective] = TrialValueModel.stored_repr_to_value(value, kind)
    return found


def _attributes(rows: Iterable[Any]) -> dict[str, Any]:
    return {key: _text(text) if text.startswith('"') else json.loads(text) for key, text in rows}


_text = lru_cache(maxsize=1000)(json.loads)  # versions and digests are the same in most trials


def _require_numbers(trials: Iterable[FrozenTrial]) -> None:
    """Checks the numbers among the params: SQLite stores text in a column of numbers, and Optuna hands it out."""
    for trial in trials:
        for name, distribution in trial.distributions.items():
            value = trial.params[name]
            if not isinstance(distribution, CategoricalDistribution) and not isinstance(value, int | float):
                raise TypeError(f"trial {trial.number} has {name} = {value!r}, which is not a number")
