"""The durable study in Optuna's tables, written through the public methods of Optuna's storage."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any, TypeVar

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import BaseStorage, RDBStorage, get_storage
from optuna.storages._rdb.models import TrialIntermediateValueModel
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from hpo.core.errors import StorageDamaged, StorageUnavailable
from hpo.core.records import Objective, Value, canonical_json
from hpo.core.texts import cleaned
from hpo.store import scripts_of
from hpo.store.optuna_storage.notes import name_metrics
from hpo.store.optuna_storage.reader import Reader, StorageReader, TableReader
from hpo.store.optuna_storage.tables import OPTUNA, make_tables
from hpo.store.optuna_storage.trials import AGREEMENT, ARCHIVED, CODE, ENQUEUED, EXTERNAL, IMPORTED, PRIOR
from hpo.study import ExternalTrial, Trial
from hpo.study.external import FIRST_EXTERNAL, numbered
from hpo.study.prior import Prior, PriorUse

T = TypeVar("T")
ERROR_LENGTH = 2000
"""Characters of an error shown in the dashboard; the evaluation holds the full error."""


class OptunaStudies:
    """Optuna's studies in one database.

    Args:
        url: SQLAlchemy URL with its driver.
        prepare: called with the storage's engine before first use.
        options: options of that engine.
        guard: context manager around every query, see `hpo.store.Outage`.
        cached: whether finished trials are cached, for a process that reads often and never writes.
        make: whether Optuna's tables are created or repaired first.

    Raises:
        StorageUnavailable: if Optuna cannot use the database, e.g. because another Optuna version created the tables.
    """

    def __init__(
        self,
        url: str,
        prepare: Callable[[Any], None],
        options: Mapping[str, Any] | None = None,
        guard: Callable[[], AbstractContextManager[None]] = nullcontext,
        *,
        cached: bool = False,
        make: bool = True,
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._guard = guard
        if make:
            make_tables(url)
        # Optuna would create them statement by statement, and a killed process would leave them incomplete.
        self._rdb = open_storage(url, options or {}, skip_table_creation=True)
        prepare(self._rdb.engine)
        self._storage: BaseStorage = get_storage(self._rdb) if cached else self._rdb
        self._cached = cached
        self._readers: dict[int, TableReader] = {}

    @property
    def engine(self) -> Any:
        """The storage's engine, to add the lease's check to it."""
        return self._rdb.engine

    @property
    def storage(self) -> BaseStorage:
        """Optuna's storage, for Optuna's dashboard."""
        return self._storage

    def close(self) -> None:
        """Closes all connections."""
        self._storage.remove_session()
        self._rdb.engine.dispose()

    def open(self, name: str, objective: Objective, attributes: Mapping[str, object]) -> DurableStudy:
        """Returns the study of that name; creates it if it is missing."""
        directions = objective.directions
        study = optuna.create_study(study_name=name, storage=self._storage, directions=directions, load_if_exists=True)
        if objective.others:
            name_metrics(study, objective.metrics)
        for key, value in attributes.items():
            if study.user_attrs.get(key) != value:
                study.set_user_attr(key, value)
        return self._study(name)

    def handle(self, name: str) -> optuna.Study:
        """Returns Optuna's own object of a study, to write notes on it."""
        return optuna.load_study(study_name=name, storage=self._storage)

    def trial_id(self, study: optuna.Study, number: int) -> int:
        """Returns Optuna's id of one of a study's trials."""
        return self._storage.get_trial_id_from_study_id_trial_number(study._study_id, number)

    def find(self, name: str) -> DurableStudy | None:
        """Returns the study of that name, None if there is none."""
        found = optuna.get_all_study_names(self._storage).count(name)
        if found > 1:  # because of a missing index; a reader cannot repair that
            raise StorageUnavailable(
                f"Optuna's tables hold study {name!r} {found} times, because an index is missing; "
                f"the next hpo run --study {name} repairs that, or tells you what to do"
            )
        return self._study(name) if found else None

    def _study(self, name: str) -> DurableStudy:
        study = self._storage.get_study_id_from_name(name)
        if study not in self._readers:
            self._readers[study] = TableReader(self._rdb.engine, study, keeps=self._cached)
        return DurableStudy(self._storage, name, self._guard, self._readers[study])


class DurableStudy:
    """One study in the database.

    Trials are created, reported and finished by the storage's methods rather than by Study's: one transaction instead
    of many, and nothing is read back in between. A contract test compares the outcome with `study.ask` and
    `study.tell`.

    Every method may be repeated after an outage, even if the first call took effect and only the answer was lost.
    """

    def __init__(
        self,
        storage: BaseStorage,
        name: str,
        guard: Callable[[], AbstractContextManager[None]],
        reader: Reader | None = None,
    ) -> None:
        self._storage = storage
        self._name = name
        self._guard = guard
        self._id = storage.get_study_id_from_name(name)
        self._reader = reader or StorageReader(storage, self._id)
        self._rows: dict[int, int] = {}  # trial number -> Optuna's trial id
        self._in_doubt: int | None = None  # number of a trial that may have been created

    @property
    def directions(self) -> list[StudyDirection]:
        """Optuna's directions of the study."""
        return self._storage.get_study_directions(self._id)

    def frozen(self) -> list[FrozenTrial]:
        """Returns all trials as they are in the database now."""
        # Not through a Study's cache, which create_new_trial on the storage does not refresh.
        with self._guard():
            found = self._all(self._checked)
        return sorted(found, key=lambda trial: trial.number)

    def trials(self) -> list[Trial]:
        """Returns all trials as plain values."""
        with self._guard():
            return self._all(self._reader.plain)

    def trial(self, number: int) -> Trial | None:
        """Returns the trial of that number, of this search or from another tool; None if there is none."""
        found = [*self.trials(), *(one.trial for one in self.external)]
        return next((one for one in found if one.number == number), None)

    @property
    def external(self) -> list[ExternalTrial]:
        """The candidates from other tools, in the order of their numbers; the search knows nothing of them."""
        with self._guard():
            stored = self._storage.get_study_user_attrs(self._id).get(EXTERNAL, [])
        return [ExternalTrial.of(FIRST_EXTERNAL + place, one) for place, one in enumerate(stored)]

    def add_external(self, found: Sequence[ExternalTrial]) -> list[ExternalTrial]:
        """Stores candidates from another tool in one transaction, and returns them with their numbers here.

        One that is stored already keeps its number; its value is replaced.
        """
        known = self.external
        made = numbered(known, found)
        listed = {one.number: one.stored() for one in [*known, *made]}
        with self._guard():
            self._storage.set_study_user_attr(self._id, EXTERNAL, list(listed.values()))
        return made

    @property
    def archived(self) -> bool:
        """Whether lists of studies leave it out unless they are asked for it."""
        with self._guard():
            return bool(self._storage.get_study_user_attrs(self._id).get(ARCHIVED, False))

    @archived.setter
    def archived(self, value: bool) -> None:
        with self._guard():
            self._storage.set_study_user_attr(self._id, ARCHIVED, value)

    @property
    def prior(self) -> Prior | None:
        """The old studies that the search starts from, as they were when it began; None: there are none."""
        with self._guard():
            stored = self._storage.get_study_system_attrs(self._id).get(PRIOR)
        return None if stored is None else Prior.of(stored)

    def keep_prior(self, prior: Prior) -> None:
        """Stores the old studies that the search starts from, unless some are stored already."""
        if self.prior is None:
            with self._guard():
                self._storage.set_study_system_attr(self._id, PRIOR, prior.stored())

    @property
    def prior_use(self) -> PriorUse | None:
        """What the search makes of the old studies; None: there are none."""
        if (prior := self.prior) is None:
            return None
        with self._guard():
            marks = [one.system_attrs for one in self._all(self._reader.frozen)]
        known = [one[AGREEMENT] for one in marks if AGREEMENT in one]
        return PriorUse(prior=prior, agreement=known[-1] if known else None)

    @property
    def enqueued(self) -> list[dict[str, Value]]:
        """The configurations to try before the sampler's own, in order, started ones included."""
        with self._guard():
            return list(self._storage.get_study_user_attrs(self._id).get(ENQUEUED, []))

    def enqueue(self, configurations: Iterable[Mapping[str, Value]]) -> int:
        """Adds configurations to the queue in one transaction, and returns how many are new; duplicates count once."""
        queue = self.enqueued
        before = len(queue)
        for one in configurations:
            if dict(one) not in queue:
                queue.append(dict(one))
        if len(queue) > before:
            with self._guard():
                self._storage.set_study_user_attr(self._id, ENQUEUED, queue)
        return len(queue) - before

    def import_trials(self, source: Mapping[str, str], trials: Sequence[FrozenTrial]) -> int:
        """Adds another study's finished trials in their order, and returns how many are new.

        The import is announced first: if it is interrupted, `unfinished_import` reports it, and a second call
        continues.

        Args:
            source: identifies the other study.
            trials: trials whose attribute `IMPORTED` tells where each comes from.
        """
        with self._guard():
            announced = self._storage.get_study_user_attrs(self._id).get(IMPORTED, [])
            others = [one for one in announced if one["source"] != source]
            planned = [*others, {"source": dict(source), "trials": len(trials)}]
            if planned != announced:
                self._storage.set_study_user_attr(self._id, IMPORTED, planned)
            here = {canonical_json(origin) for origin in self._brought()}
            new = [trial for trial in trials if canonical_json(trial.user_attrs[IMPORTED]) not in here]
            for trial in new:
                self._storage.create_new_trial(self._id, trial)
        return len(new)

    @property
    def unfinished_import(self) -> dict[str, str] | None:
        """The source of an interrupted import, None if there is none."""
        with self._guard():
            announced = self._storage.get_study_user_attrs(self._id).get(IMPORTED, [])
            here = self._brought() if announced else []
        for one in announced:
            if sum(one["source"].items() <= origin.items() for origin in here) < one["trials"]:
                return dict(one["source"])
        return None

    def _brought(self) -> list[dict[str, Any]]:
        return [trial.user_attrs[IMPORTED] for trial in self._all(self._reader.frozen) if IMPORTED in trial.user_attrs]

    def _all(self, read: Callable[[], list[T]]) -> list[T]:
        """Returns all trials as `read` reads them.

        Raises:
            StorageDamaged: if the stored trials cannot be read.
        """
        try:
            return read()
        except (LookupError, TypeError, ValueError) as error:  # of rows that contradict each other
            raise StorageDamaged(unreadable(self._name, error)) from error

    def _checked(self) -> list[FrozenTrial]:
        """Returns all trials, each validated as Optuna does when it adds a trial to a study."""
        found = self._reader.frozen()
        for trial in found:
            trial._validate()
        return found

    def create(self, template: FrozenTrial) -> int:
        """Adds a running trial with its params in one transaction, and returns its number, normally `template.number`.

        An existing trial with that number and those params is taken as created by a call whose answer was lost.
        """
        with self._guard():
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
        with self._guard():
            self._storage.set_trial_intermediate_value(self._row(number), step, value)

    def restart(self, number: int, code: str) -> None:
        """Deletes the reported values of a running trial, which starts again with other code.

        Optuna has no method for it: a stored value can only be replaced, and values of later steps would stay.

        Args:
            number: number of the trial.
            code: digest of its code from now on.
        """
        with self._guard():
            row, rdb = self._row(number), self._storage
            assert isinstance(rdb, RDBStorage)  # a driver keeps no cache
            with rdb.engine.begin() as connection:
                values = TrialIntermediateValueModel.__table__
                connection.execute(values.delete().where(values.c.trial_id == row))
            self._storage.set_trial_user_attr(row, CODE, code)

    def finish(
        self, number: int, state: TrialState, values: list[float] | None, marks: Mapping[str, Any], error: str | None
    ) -> None:
        """Finishes a trial; attributes are stored before its state, because Optuna refuses changes after that."""
        with self._guard():
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
        """Returns the number of the trial if it was created."""
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
        """Returns a trial's number; Optuna reads the whole trial for it, so the expected number is tried first."""
        with suppress(KeyError):
            if self._storage.get_trial_id_from_study_id_trial_number(self._id, expected) == trial_id:
                return expected
        return self._storage.get_trial_number_from_id(trial_id)

    def _row(self, number: int) -> int:
        if number not in self._rows:
            self._rows[number] = self._storage.get_trial_id_from_study_id_trial_number(self._id, number)
        return self._rows[number]


def unreadable(name: str, error: Exception) -> str:
    """Returns the message for trials that Optuna cannot read."""
    reason = " ".join(cleaned(str(error), 200).split()).rstrip(".") or type(error).__name__
    return (
        f"the trials of study {name!r} cannot be read: {reason}. A newer Optuna stored them, or another program "
        "changed them. Restore an earlier copy"
    )


def open_storage(url: str, options: Mapping[str, Any], **more: Any) -> RDBStorage:
    """Returns Optuna's storage in a database.

    Raises:
        StorageUnavailable: if Optuna cannot use it, e.g. because another Optuna version created the tables.
    """
    try:
        # Optuna formats the URL with its schema version; a brace in a password would be taken for a field.
        url = url.replace("{", "{{").replace("}", "}}")
        storage = RDBStorage(url, engine_kwargs=dict(options), skip_compatibility_check=True, **more)
        if storage.get_current_version() != scripts_of(OPTUNA.scripts).get_current_head():
            storage._version_manager.check_table_schema_compatibility()  # which reads all migrations each time
        return storage
    except RuntimeError as error:
        raise StorageUnavailable(f"Optuna cannot use this storage: {error}".splitlines()[0]) from error


def shortened(error: str) -> str:
    """Returns the part of an error that the dashboard shows."""
    return cleaned(error)[-ERROR_LENGTH:]
