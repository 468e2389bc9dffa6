"""The durable study: Optuna's own tables, written by its storage's public methods and told every result at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any, Literal

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import BaseStorage, RDBStorage, get_storage
from optuna.storages._rdb.models import TrialIntermediateValueModel
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from hpo.core.errors import StorageDamaged, StorageUnavailable
from hpo.core.records import Value, canonical_json
from hpo.core.texts import cleaned
from hpo.store.optuna_storage.tables import make_tables
from hpo.store.optuna_storage.trials import CODE, ENQUEUED, IMPORTED, trial_of
from hpo.study import Trial

ERROR_LENGTH = 2000
"""Characters of an error that are shown in the dashboard; the record holds all of it."""


class OptunaStudies:
    """Optuna's studies in one database.

    Args:
        url: SQLAlchemy's, with its driver named.
        prepare: called with the storage's engine before it is used.
        options: for that engine.
        watched: surrounds everything that is asked of the database; see `hpo.store.Outage`.
        cached: whether finished trials are kept in memory, for a process that reads again and again and writes nothing.
        make: whether Optuna's tables are made or repaired first; False: they are there.

    Raises:
        StorageUnavailable: if Optuna cannot use the database, e.g. because another version of it wrote the tables.
    """

    def __init__(
        self,
        url: str,
        prepare: Callable[[Any], None],
        options: Mapping[str, Any] | None = None,
        watched: Callable[[], AbstractContextManager[None]] = nullcontext,
        *,
        cached: bool = False,
        make: bool = True,
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._watched = watched
        if make:
            make_tables(url)
        # Optuna would make them statement by statement, and a process that is killed between two leaves a part.
        self._rdb = open_storage(url, options or {}, skip_table_creation=True)
        prepare(self._rdb.engine)
        self._storage: BaseStorage = get_storage(self._rdb) if cached else self._rdb

    @property
    def engine(self) -> Any:
        """The storage's engine, for whoever fences what is written through it."""
        return self._rdb.engine

    @property
    def storage(self) -> BaseStorage:
        """Optuna's storage, for what else of Optuna's reads it: its dashboard."""
        return self._storage

    def close(self) -> None:
        """Closes all connections."""
        self._storage.remove_session()
        self._rdb.engine.dispose()

    def open(
        self, name: str, direction: Literal["minimize", "maximize"], attributes: Mapping[str, object]
    ) -> DurableStudy:
        """Returns the study of that name; it is made if it is missing."""
        study = optuna.create_study(study_name=name, storage=self._storage, direction=direction, load_if_exists=True)
        for key, value in attributes.items():
            if study.user_attrs.get(key) != value:
                study.set_user_attr(key, value)
        return DurableStudy(self._storage, name, self._watched)

    def handles(self, name: str, number: int) -> tuple[optuna.Study, optuna.trial.Trial]:
        """Returns Optuna's own objects of a study and of one of its trials, for what notes something on them."""
        study = optuna.load_study(study_name=name, storage=self._storage)
        row = self._storage.get_trial_id_from_study_id_trial_number(study._study_id, number)
        return study, optuna.trial.Trial(study, row)

    def find(self, name: str) -> DurableStudy | None:
        """Returns the study of that name, None if there is none."""
        found = optuna.get_all_study_names(self._storage).count(name)
        if found > 1:  # by a missing index; who only looks cannot repair that
            raise StorageUnavailable(
                f"Optuna's tables hold study {name!r} {found} times, because an index of theirs is missing; "
                f"the next hpo run --study {name} repairs that, or says what to do"
            )
        return DurableStudy(self._storage, name, self._watched) if found else None


class DurableStudy:
    """One study in the database.

    Trials are created, reported and finished by the storage's own methods rather than by Study's: one transaction
    instead of many, and nothing is read back in between. They are public, but a contract test holds them to what
    `study.ask` and `study.tell` would have done.

    Each may be called again after the database did not answer: it may have done what was asked, with the answer lost.
    """

    def __init__(self, storage: BaseStorage, name: str, watched: Callable[[], AbstractContextManager[None]]) -> None:
        self._storage = storage
        self._name = name
        self._watched = watched
        self._id = storage.get_study_id_from_name(name)
        self._rows: dict[int, int] = {}  # trial number -> Optuna's trial id
        self._in_doubt: int | None = None  # number of a trial that may have been created

    @property
    def directions(self) -> list[StudyDirection]:
        """Optuna's directions of the study."""
        return self._storage.get_study_directions(self._id)

    def frozen(self) -> list[FrozenTrial]:
        """Returns all trials as they are in the database now."""
        # Not through self._storage's cache: create_new_trial on the storage itself does not refresh a Study's.
        with self._watched():
            return sorted(self._all(checked=True), key=lambda trial: trial.number)

    def trials(self) -> list[Trial]:
        """Returns all trials as plain values."""
        with self._watched():
            return [trial_of(frozen) for frozen in self._all()]

    @property
    def enqueued(self) -> list[dict[str, Value]]:
        """The configurations that are to be tried before the sampler's own, in order, those begun included."""
        with self._watched():
            return list(self._storage.get_study_user_attrs(self._id).get(ENQUEUED, []))

    def enqueue(self, configurations: Iterable[Mapping[str, Value]]) -> int:
        """Adds configurations to be tried, in one transaction, and returns how many are new; equal ones are one."""
        queue = self.enqueued
        before = len(queue)
        for one in configurations:
            if dict(one) not in queue:
                queue.append(dict(one))
        if len(queue) > before:
            with self._watched():
                self._storage.set_study_user_attr(self._id, ENQUEUED, queue)
        return len(queue) - before

    def bring(self, source: Mapping[str, str], trials: Sequence[FrozenTrial]) -> int:
        """Adds another study's finished trials in their order and returns how many are new.

        What is to come is said first: where this is cut off, `half_brought` knows, and the same again goes on.

        Args:
            source: says which study it was.
            trials: each says in its attribute `IMPORTED` which one it was.
        """
        with self._watched():
            announced = self._storage.get_study_user_attrs(self._id).get(IMPORTED, [])
            others = [one for one in announced if one["source"] != source]
            said = [*others, {"source": dict(source), "trials": len(trials)}]
            if said != announced:
                self._storage.set_study_user_attr(self._id, IMPORTED, said)
            here = {canonical_json(origin) for origin in self._brought()}
            new = [trial for trial in trials if canonical_json(trial.user_attrs[IMPORTED]) not in here]
            for trial in new:
                self._storage.create_new_trial(self._id, trial)
        return len(new)

    @property
    def half_brought(self) -> dict[str, str] | None:
        """The source of an import that was cut off, None if there is none."""
        with self._watched():
            announced = self._storage.get_study_user_attrs(self._id).get(IMPORTED, [])
            here = self._brought() if announced else []
        for one in announced:
            if sum(one["source"].items() <= origin.items() for origin in here) < one["trials"]:
                return dict(one["source"])
        return None

    def _brought(self) -> list[dict[str, Any]]:
        return [trial.user_attrs[IMPORTED] for trial in self._all() if IMPORTED in trial.user_attrs]

    def _all(self, *, checked: bool = False) -> list[FrozenTrial]:
        """Returns all trials.

        Args:
            checked: whether each is looked through as Optuna does when it takes a trial into another study.

        Raises:
            StorageDamaged: if Optuna cannot make sense of what is stored.
        """
        try:
            found = self._storage.get_all_trials(self._id, deepcopy=False)
            for trial in found if checked else ():
                trial._validate()
            return found
        except (LookupError, TypeError, ValueError) as error:  # its own errors for rows that contradict each other
            raise StorageDamaged(unreadable(self._name, error)) from error

    def create(self, template: FrozenTrial) -> int:
        """Adds a running trial with its params in one transaction and returns its number, `template.number` if all is
        well. A trial of that number with those params is taken for one whose creation was not answered.
        """
        with self._watched():
            made = self._made(template) if self._in_doubt == template.number else None
            if made is not None:
                return made
            self._in_doubt = template.number
            trial_id = self._storage.create_new_trial(self._id, template)
            number = self._number(trial_id, template.number)
        self._in_doubt = None
        self._rows[number] = trial_id
        return number

    def report(self, number: int, step: int, value: float) -> None:
        """Stores the objective's value at a step."""
        with self._watched():
            self._storage.set_trial_intermediate_value(self._row(number), step, value)

    def begin_anew(self, number: int, code: str) -> None:
        """Forgets what a running trial has reported, for other code goes on with it.

        Optuna has no method for it: a stored value can only be replaced, and those of later steps would stay.

        Args:
            number: of the trial.
            code: digest of what it is trained with from now on.
        """
        with self._watched():
            row, rdb = self._row(number), self._storage
            assert isinstance(rdb, RDBStorage)  # a driver keeps no cache
            with rdb.engine.begin() as connection:
                values = TrialIntermediateValueModel.__table__
                connection.execute(values.delete().where(values.c.trial_id == row))
            self._storage.set_trial_user_attr(row, CODE, code)

    def finish(
        self, number: int, state: TrialState, values: list[float] | None, marks: Mapping[str, Any], error: str | None
    ) -> None:
        """Ends a trial; what is said of it is stored before its state, after which Optuna refuses changes."""
        with self._watched():
            row = self._row(number)
            try:
                for key, mark in marks.items():
                    self._storage.set_trial_system_attr(row, key, mark)
                if error is not None:
                    self._storage.set_trial_user_attr(row, "error", shortened(error))
                self._storage.set_trial_state_values(row, state, values)
            except UpdateFinishedTrialError:
                if self._storage.get_trial(row).state is not state:
                    raise

    def _made(self, template: FrozenTrial) -> int | None:
        """Returns the number of the trial that was to be created, if it was."""
        try:
            row = self._storage.get_trial_id_from_study_id_trial_number(self._id, template.number)
        except KeyError:
            return None
        made = self._storage.get_trial(row)
        if made.state is not TrialState.RUNNING or made.params != template.params:
            return None
        self._rows[template.number] = row
        return template.number

    def _number(self, trial_id: int, expected: int) -> int:
        """Returns a trial's number; asking for the number reads the whole trial, so the likely one is tried first."""
        with suppress(KeyError):
            if self._storage.get_trial_id_from_study_id_trial_number(self._id, expected) == trial_id:
                return expected
        return self._storage.get_trial_number_from_id(trial_id)

    def _row(self, number: int) -> int:
        if number not in self._rows:
            self._rows[number] = self._storage.get_trial_id_from_study_id_trial_number(self._id, number)
        return self._rows[number]


def unreadable(name: str, error: Exception) -> str:
    """Returns that Optuna cannot make sense of a study's trials, in a sentence."""
    reason = " ".join(cleaned(str(error), 200).split()) or type(error).__name__
    return (
        f"the trials of study {name!r} cannot be read: {reason}. A newer Optuna has stored them, or another program "
        "has changed them. Go on with a copy from before"
    )


def open_storage(url: str, options: Mapping[str, Any], **more: Any) -> RDBStorage:
    """Returns Optuna's storage in a database.

    Raises:
        StorageUnavailable: if Optuna cannot use it, e.g. because another version of it wrote the tables.
    """
    try:
        # Optuna formats the URL with its schema version; a brace in a password would be taken for a field.
        return RDBStorage(url.replace("{", "{{").replace("}", "}}"), engine_kwargs=dict(options), **more)
    except RuntimeError as error:
        raise StorageUnavailable(f"Optuna cannot use this storage: {error}".splitlines()[0]) from error


def shortened(error: str) -> str:
    """Returns as much of an error as is shown in the dashboard."""
    return cleaned(error)[-ERROR_LENGTH:]
