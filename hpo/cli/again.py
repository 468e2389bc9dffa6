"""The commands that a user may give next, with the options that were given now."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator, Sequence, Set

from hpo.core.options import declared
from hpo.core.run_config import RunConfig
from hpo.driver.options import LimitedOptions, LoggedOptions


def given_command(arguments: Sequence[str] | None = None, *, limited: bool = True) -> str:
    """Returns the command line of this process, to be given again; in a cluster's job, as it is submitted again.

    Args:
        arguments: the words after `hpo`; None: those of this process.
        limited: whether it has the same limits of costs again; else it has none.
    """
    from hpo.store.lease import JOB  # takes a second to import, and help does not need it

    words = list(sys.argv[1:] if arguments is None else arguments)
    if not limited:
        words = list(_left(words, _flags(LimitedOptions) - _flags(LoggedOptions)))
    if words[:1] == ["run"] and os.environ.get(JOB):
        words[0] = "submit"
    return shlex.join(["hpo", *words])


def next_command(verb: str, study: str, arguments: Sequence[str] | None = None) -> str:
    """Returns another command for the same study, with the options given now that say where it is stored and run.

    Args:
        verb: name of that command, e.g. `promote`.
        study: the study as it was given.
        arguments: the words after `hpo`; None: those of this process.
    """
    words = sys.argv[1:] if arguments is None else arguments
    return shlex.join(["hpo", verb, "--study", study, *_of_the_place(words)])


def _of_the_place(words: Sequence[str]) -> Iterator[str]:
    """Yields the options that say where a study is stored and run, and where its file is."""
    names = {*_flags(RunConfig), "--studies"}
    for option in _options(words):
        if option[0].partition("=")[0] in names:
            yield from option


def _flags(kind: type) -> set[str]:
    """Returns the options with a value that a class of options declares."""
    options = [one for one in declared(kind) if one.annotation is not bool]
    return {one.flag.name or f"--{one.name.replace('_', '-')}" for one in options}


def _left(words: Sequence[str], without: Set[str]) -> Iterator[str]:
    """Yields the words without those of some options."""
    for option in _options(words):
        if option[0].partition("=")[0] not in without:
            yield from option


def _options(words: Sequence[str]) -> Iterator[Sequence[str]]:
    """Yields each option with the word after it, which is its value or, for one without a value, an argument."""
    place = 0
    while place < len(words):
        has_next = words[place].startswith("-") and "=" not in words[place] and place + 1 < len(words)
        end = place + (2 if has_next and not words[place + 1].startswith("-") else 1)
        yield words[place:end]
        place = end
