"""Handles temporary outages of the database: a server that restarts, a lock that is taken, a full disk."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from json import JSONDecodeError

from pydantic import ValidationError
from sqlalchemy import Engine, event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from hpo.core.errors import HpoError, StorageAway, StorageDamaged, StorageLost
from hpo.core.redaction import secrets_in, without
from hpo.store.damage import damaged, find_damage

SHORTEST, LONGEST = 0.2, 5.0
"""Seconds between two retries; each pause is twice the previous one."""


FINAL = ("attempt to write a readonly database",)
"""Errors that do not go away by waiting."""

LACKING = re.compile(r"no such (table|column)|table \w+ has no column")
"""SQLite's messages, of the same error class, when the tables have been changed."""


class Outage:
    """Turns errors of a database that may come back into `StorageAway`, until the limit is over.

    Args:
        name: name of the database, without its password.
        limit: seconds to wait for the database; 0: no wait.
        say: called with a message when the database goes away and when it is back.
    """

    def __init__(self, name: str, limit: float = 0.0, say: Callable[[str], None] | None = None) -> None:
        self._name = name
        self._limit = limit
        self._say = say or (lambda _message: None)
        self._since: float | None = None
        self._next = 0.0
        self._pause = SHORTEST
        self._reason = ""

    @contextmanager
    def guard(self) -> Iterator[None]:
        """Guards a block that queries the database; before the next retry is due, the block does not run at all.

        Raises:
            StorageAway: if it does not answer now; the caller has to try again.
            StorageLost: if it has not answered within the limit.
        """
        moment = time.monotonic()
        if self._since is not None and moment < self._next:
            raise StorageAway(self._reason, self._next - moment)
        try:
            yield
        except Exception as error:
            reason = outage_reason(error)
            if reason is None:
                raise
            if LACKING.match(reason):
                raise StorageDamaged(_changed(self._name, reason)) from error
            if reason in FINAL:
                raise StorageLost(f"storage {self._name} cannot be written: {reason}") from error
            raise self._again(reason) from error
        if self._since is not None:
            self._say(f"storage is back after {time.monotonic() - self._since:.0f} s")
            self._since, self._pause = None, SHORTEST

    def _again(self, reason: str) -> StorageAway | StorageLost:
        moment = time.monotonic()
        if self._since is None:
            self._since = moment
            if self._limit:
                self._say(f"storage is away ({reason}); retrying for {self._limit:.0f} s, trainings continue")
        gone = moment - self._since
        if gone >= self._limit:
            for_how_long = f" has been away for {gone:.0f} s" if self._limit else " does not answer"
            return StorageLost(
                f"storage {self._name}{for_how_long}: {reason}. Trainings that were running resume from their last "
                "checkpoint: once the storage is back, run the same command again"
            )
        self._reason = f"storage {self._name} is away: {reason}"
        self._next, self._pause = moment + self._pause, min(2 * self._pause, LONGEST)
        return StorageAway(self._reason, self._next - moment)


@contextmanager
def explain_errors(url: str, name: str) -> Iterator[None]:
    """Turns a database error outside `Outage.guard` into a sentence.

    Args:
        url: normalized URL of the database.
        name: how messages call it, without its password.

    Raises:
        StorageLost: if the database did not answer.
        StorageDamaged: if its file is damaged, which can show up as any error.
    """
    try:
        yield
    except HpoError:
        raise
    except Exception as error:
        damage = find_damage(url)
        if damage is not None:
            raise StorageDamaged(damaged(name, damage)) from error
        reason = outage_reason(error)
        if reason is not None and not LACKING.match(reason):
            raise StorageLost(f"storage {name} does not answer: {reason}") from error
        unexpected = reason or _unexpected(error)
        if unexpected is None:
            raise
        raise StorageDamaged(_changed(name, without(unexpected, secrets_in(url)))) from error


class DatabaseUnavailable(Exception):
    """Replaces a database error that only hpo should retry."""


def disable_retries(engine: Engine) -> None:
    """Turns off retries by other code when the database behind `engine` does not answer.

    Optuna tries up to five times to create a trial: if a commit landed and only its answer was lost, there would be two
    trials. It retries on SQLAlchemy's errors, so these are replaced by another class.
    """

    @event.listens_for(engine, "handle_error")
    def _replace(context: ExceptionContext) -> Exception | None:
        reason = outage_reason(context.sqlalchemy_exception)
        return None if reason is None else DatabaseUnavailable(reason)


def _changed(name: str, reason: str) -> str:
    return (
        f"storage {name} does not hold what hpo stored there: {reason}. Another program has changed it, or it is "
        "an incomplete copy. Restore an earlier copy, or choose another with --storage"
    )


def _unexpected(error: BaseException | None) -> str | None:
    """Returns one line on what is wrong with the stored data; None if the error means something else."""
    while error is not None:
        if isinstance(error, DBAPIError):
            return str(error.orig or error).strip().splitlines()[0]
        if isinstance(error, JSONDecodeError):
            return f"a field is not valid JSON ({error})"
        if isinstance(error, ValidationError):  # raised by a stored study
            first = error.errors()[0]
            return f"{error.title} {'.'.join(map(str, first['loc']))}: {first['msg']}"
        error = error.__cause__
    return None


def outage_reason(error: BaseException | None) -> str | None:
    """Returns one line on why the database did not answer; None if the error means something else.

    Optuna wraps database errors, so the causes of the error are checked too.
    """
    while error is not None:
        if isinstance(error, DatabaseUnavailable):
            return str(error)
        if isinstance(error, OperationalError | InterfaceError) or (
            isinstance(error, DBAPIError) and error.connection_invalidated
        ):
            return str(error.orig or error).strip().splitlines()[0]
        error = error.__cause__
    return None
