"""A database that is away for a while: a server that restarts, a lock that somebody else holds, a disk that is full."""

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
from hpo.store.damage import damage_of, damaged

SHORTEST, LONGEST = 0.2, 5.0
"""Seconds between two tries; each pause is twice the one before."""


FINAL = ("attempt to write a readonly database",)
"""Reasons that no waiting mends."""

LACKING = re.compile(r"no such (table|column)|table \w+ has no column")
"""What SQLite says, as an error of the same kind, where the tables are not what they were."""


class Outage:
    """Turns errors of a database that may come back into `StorageAway`, until it has been away for too long.

    Args:
        name: of the database, without its password.
        limit: how many seconds to bear it; 0: not at all.
        say: told when the database goes away and when it is back.
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
    def watched(self) -> Iterator[None]:
        """Runs something that asks the database; between two tries it is not asked at all.

        Raises:
            StorageAway: if it does not answer now; what was asked of it has to be asked again.
            StorageLost: if it has not answered for the limit.
        """
        moment = time.monotonic()
        if self._since is not None and moment < self._next:
            raise StorageAway(self._reason, self._next - moment)
        try:
            yield
        except Exception as error:
            reason = away(error)
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
                self._say(f"storage is away ({reason}); trying again for {self._limit:.0f} s, trainings go on")
        gone = moment - self._since
        if gone >= self._limit:
            for_how_long = f" has been away for {gone:.0f} s" if self._limit else " does not answer"
            return StorageLost(
                f"storage {self._name}{for_how_long}: {reason}. What was running goes on from its last checkpoint: "
                "when the storage is back, give the same command again"
            )
        self._reason = f"storage {self._name} is away: {reason}"
        self._next, self._pause = moment + self._pause, min(2 * self._pause, LONGEST)
        return StorageAway(self._reason, self._next - moment)


@contextmanager
def explained(url: str, name: str) -> Iterator[None]:
    """Turns an error of a database that nobody watched into a sentence.

    Args:
        url: of the database, normalised.
        name: what to call it, without its password.

    Raises:
        StorageLost: if the database did not answer.
        StorageDamaged: if its file is damaged, which shows in errors of any kind.
    """
    try:
        yield
    except HpoError:
        raise
    except Exception as error:
        damage = damage_of(url)
        if damage is not None:
            raise StorageDamaged(damaged(name, damage)) from error
        reason = away(error)
        if reason is not None and not LACKING.match(reason):
            raise StorageLost(f"storage {name} does not answer: {reason}") from error
        unexpected = reason or _unexpected(error)
        if unexpected is None:
            raise
        raise StorageDamaged(_changed(name, without(unexpected, secrets_in(url)))) from error


class Unanswered(Exception):
    """Stands for an error of the database that nobody but us is to make good."""


def unretried(engine: Engine) -> None:
    """Keeps others from asking again by themselves when the database behind `engine` does not answer.

    Optuna creates a trial up to five times, with a pause between: if a commit landed and only its answer was lost,
    there would be two. It does so for errors of SQLAlchemy, so these become another one.
    """

    @event.listens_for(engine, "handle_error")
    def _replace(context: ExceptionContext) -> Exception | None:
        reason = away(context.sqlalchemy_exception)
        return None if reason is None else Unanswered(reason)


def _changed(name: str, reason: str) -> str:
    return (
        f"storage {name} does not hold what hpo has stored there: {reason}. Another program has changed it, or it is "
        "no whole copy. Go on with a copy from before, or choose another with --storage"
    )


def _unexpected(error: BaseException | None) -> str | None:
    """Returns, in a line, what is wrong with what is stored; None if the error means something else."""
    while error is not None:
        if isinstance(error, DBAPIError):
            return str(error.orig or error).strip().splitlines()[0]
        if isinstance(error, JSONDecodeError):
            return f"a field is no JSON ({error})"
        if isinstance(error, ValidationError):  # of a study as it is stored
            first = error.errors()[0]
            return f"{error.title} {'.'.join(map(str, first['loc']))}: {first['msg']}"
        error = error.__cause__
    return None


def away(error: BaseException | None) -> str | None:
    """Returns, in a line, why the database did not answer; None if the error means something else.

    Optuna wraps errors of the database, so what caused an error is looked at too.
    """
    while error is not None:
        if isinstance(error, Unanswered):
            return str(error)
        if isinstance(error, OperationalError | InterfaceError) or (
            isinstance(error, DBAPIError) and error.connection_invalidated
        ):
            return str(error.orig or error).strip().splitlines()[0]
        error = error.__cause__
    return None
