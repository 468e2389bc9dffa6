"""Opens a storage: our tables and Optuna's, side by side in one database."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

from hpo.core.arguments import require_type
from hpo.core.errors import StorageUnavailable, UsageError
from hpo.store import (
    JOB,
    MAKE_ONE,
    Outage,
    Store,
    StoredStudy,
    engine_options,
    explain_errors,
    masked,
    normalize_url,
    prepare_optuna,
    sqlite_file,
)
from hpo.store.optuna_storage.studies import OptunaStudies
from hpo.store.optuna_storage.tables import OPTUNA
from hpo.study import Study


@contextmanager
def storage(
    url: str, *, create: bool = False, writes: bool = False, outage: Outage | None = None, cached: bool = False
) -> Iterator[tuple[Store, OptunaStudies]]:
    """Opens a database.

    Args:
        url: database URL as SQLAlchemy takes it.
        create: whether to create a missing SQLite file and missing tables.
        writes: whether anything may be written; otherwise the database refuses writes.
        outage: for how long the database may be unreachable once it is open; None: not at all.
        cached: whether finished trials are kept in memory; see `OptunaStudies`.

    Raises:
        StorageUnavailable: if it cannot be opened, or is missing and `create` is False.
    """
    url = normalize_url(url)
    path = sqlite_file(url)
    # os.path.exists is False for a name that is too long, where Path.exists raises.
    if path is not None and not create and not os.path.exists(path):
        raise StorageUnavailable(f"there is no storage {masked(url)} yet; {MAKE_ONE}")
    outage = outage or Outage(masked(url))
    with explain_errors(url, masked(url)), ExitStack() as stack:
        store = Store(url, outage, create=create, writes=writes, library=OPTUNA)
        stack.callback(store.close)
        prepare, options = partial(prepare_optuna, read_only=not writes), engine_options(url, read_only=not writes)
        durable = OptunaStudies(store.location, prepare, options, outage.guard, cached=cached, make=False)
        stack.callback(durable.close)
        yield store, durable


def stored_study(store: Store, name: str) -> StoredStudy:
    """Returns a study as it is stored.

    Raises:
        UsageError: if no stored study has that name.
    """
    stored = store.find(name)
    if stored is None:
        known = ", ".join(store.names()) or "none"
        raise UsageError(f"no study named {name!r} in storage {masked(store.url)}. Stored there: {known}.")
    return stored


def name_of(study: Study | str) -> str:
    """Returns the name of a stored study.

    Args:
        study: the study itself, or its name.

    Raises:
        UsageError: if it is something else.
    """
    require_type("study", study, (Study, str), "a Study or the name of one")
    return study if isinstance(study, str) else study.name


def check_same_database(name: str, known: StoredStudy | None, store: Store) -> None:
    """Raises, before anything is written, if this process is a job that was submitted for another database.

    Raises:
        UsageError: if the databases differ.
    """
    job = os.environ.get(JOB)
    if job is not None and (known is None or known.job != job):
        raise UsageError(
            f"job {job} of study {name!r} was submitted with another database than {masked(store.url)}, which "
            "HPO_STORAGE, or the file that HPO_STORAGE_FILE names, sets in the cluster's environment. Use the same "
            "database in both places."
        )
