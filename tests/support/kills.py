"""Processes that are killed at a given statement or file, and what they leave."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from functools import partial
from pathlib import Path

import sqlalchemy as sa

from hpo.driver.storage import storage
from hpo.store import normalize_url
from hpo.store.optuna_storage.tables import OPTUNA
from hpo.store.survey import read_only_connection, survey

WRITES = ("CREATE", "INSERT", "UPDATE", "ALTER", "DROP", "DELETE", "BEGIN", "COMMIT", "SELECT pg_advisory")


def forked(work):
    """Runs something in a forked process and returns its exit status; negative: the signal that ended it."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
        except BaseException:
            traceback.print_exc(file=sys.__stderr__)
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def make(url):
    with storage(url, create=True, writes=True):
        pass


def dies_at(number, url):
    """Makes the tables and is killed just before the statement of that number that writes."""
    seen = 0

    def count(statement):
        nonlocal seen
        if statement.lstrip().upper().startswith(tuple(word.upper() for word in WRITES)):
            seen += 1
            if seen == number:
                os.kill(os.getpid(), signal.SIGKILL)

    sa.event.listen(sa.Engine, "before_cursor_execute", lambda _c, _u, statement, *_: count(statement))
    sa.event.listen(sa.Engine, "commit", lambda _connection: count("COMMIT"))
    make(url)


def surveyed(url):
    with read_only_connection(normalize_url(url)) as connection:
        return survey(connection, OPTUNA)


def kill_at_statements(url, step):
    """Kills whoever makes the tables at each step-th statement, and returns how many were killed."""
    number, killed = 1, 0
    while (status := forked(partial(dies_at, number, url))) != 0:
        assert status == -signal.SIGKILL
        number, killed = number + step, killed + 1
        if not url.startswith("sqlite") or os.path.exists(url.removeprefix("sqlite:///")):
            assert surveyed(url).tables in ("none", "current"), f"killed at statement {number}: a part is left"
    assert number > 30
    assert surveyed(url).tables == "current"
    assert surveyed(url).lacking == ()
    return killed


def dies_at_file(number, folder, work):
    """Does some work and is killed just before or after the file of that number gets its name in a folder."""
    seen = 0

    def counted(real):
        def named(source, target, *rest, **more):
            nonlocal seen
            inside = Path(target).is_relative_to(folder)
            for moment in (0, 1):
                seen += inside
                if inside and seen == number:
                    os.kill(os.getpid(), signal.SIGKILL)
                if moment == 0:
                    answer = real(source, target, *rest, **more)
            return answer

        return named

    os.rename, os.replace = counted(os.rename), counted(os.replace)
    work()
