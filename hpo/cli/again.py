"""The commands that a user may give next, with the options that were given now."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator, Sequence

from hpo.core.options import declared
from hpo.core.run_config import RunConfig


def given_command(arguments: Sequence[str] | None = None) -> str:
    """Returns the command line of this process, to be given again; in a cluster's job, as it is submitted again.

    Args:
        arguments: the words after `hpo`; None: those of this process.
    """
    from hpo.store.lease import JOB  # takes a second to import, and help does not need it

    words = list(sys.argv[1:] if arguments is None else arguments)
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
    options = [one for one in declared(RunConfig) if one.annotation is not bool]
    names = {one.flag.name or f"--{one.name.replace('_', '-')}" for one in options} | {"--studies"}
    for place, word in enumerate(words):
        name, equals, _ = word.partition("=")
        if name in names:
            yield word
            yield from () if equals else words[place + 1 : place + 2]
