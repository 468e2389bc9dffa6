"""One training by a command: the program is started, heard, and ended; its reports become the training's."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path, PurePath
from typing import Any

from hpo.core.code import Code
from hpo.core.command import Command, arguments, plain_text
from hpo.core.errors import TrainableError
from hpo.core.isolation import working_folder
from hpo.core.records import Job, Metrics, Value, canonical_json, digest
from hpo.core.redaction import driver_variables
from hpo.seeds.streams import STREAMS
from hpo.training.command.process import describe_end, running
from hpo.training.command.reports import StepMissing, StepReader, Tail, describe_nothing, last_values, rows_of
from hpo.training.context import Context

OWN = ".hpo"
"""Below a program's folder: what it printed, and whose attempt it is. It goes when the folder does."""

STDOUT, STDERR, MARK = "stdout", "stderr", "attempt"
"""Files in there."""

CHECKPOINT = "checkpoint"
"""In a program's folder, where it may keep what it goes on from."""

SHORTEST_NAP, LONGEST_NAP = 0.005, 0.1
"""Seconds between two looks at what a program has said."""

LAST_LINES = 10
"""Of stderr, that are shown where a training failed."""

LONGEST = 2000
"""Characters of them."""


def attempt_mark(command: Command, job: Job, code: Code) -> str:
    """Returns what an attempt must have in common with an earlier one to go on from its folder.

    Args:
        command: the program that trains.
        job: what it trains.
        code: the files that it is made of.
    """
    return digest([job.digest, code.digest, asdict(command)])


def left_by(mark: str, folder: Path) -> bool:
    """Whether an attempt with this mark left a program's folder.

    Args:
        mark: of the attempt, from `attempt_mark`.
        folder: of the training.
    """
    try:
        return (working_folder(folder) / OWN / MARK).read_text() == mark
    except (OSError, UnicodeDecodeError):
        return False


def train(
    command: Command, params: Mapping[str, Value], context: Context, mark: str, remark: Callable[[str], None]
) -> Iterator[Metrics]:
    """Yields the metrics of each step that a program reports.

    Args:
        command: the program that trains.
        params: values of the params by name.
        context: the training's Context.
        mark: of the attempt, from `attempt_mark`.
        remark: called with what goes wrong on the way and is made good.

    Raises:
        TrainableError: if the program cannot be started, fails, or does not report as it should.
    """
    folder = working_folder(context.folder)
    resumes, hearing = left_by(mark, context.folder), _Hearing(command, context, folder, remark)
    try:
        yield from _attempt(command, params, context, mark, hearing, "goes on" if resumes else "begins")
    except StepMissing as missing:
        if not resumes:
            raise
        remark(
            f"after an interruption {missing}. It was trained anew, as what it left in its folder is ahead of what it "
            "has reported; let it report a step before it saves what it goes on from"
        )
        _empty(folder)
        hearing.begin_anew()
        yield from _attempt(command, params, context, mark, hearing, "begins anew")
    yield from hearing.concluded()
    hearing.refuse_early_end()
    if context.keeps:
        _keep(command, folder, context.artefacts, remark)
    shutil.rmtree(folder / OWN, ignore_errors=True)


def _attempt(
    command: Command, params: Mapping[str, Value], context: Context, mark: str, hearing: _Hearing, how: str
) -> Iterator[Metrics]:
    """Yields the metrics of steps that are new while a program runs, until it has ended in order."""
    folder = working_folder(context.folder)
    own = folder / OWN
    own.mkdir(parents=True, exist_ok=True)
    (own / MARK).write_text(mark)
    for name in (STDOUT, STDERR):
        _end_line(own / name)
    builtin = {**_builtin(context, folder), "python": sys.executable}
    given = {**{name: plain_text(value) for name, value in params.items()}, **builtin}
    line = [_located(one, context.project) if plain else one for one, plain in arguments(command, given)]
    context.log(f"{how}: {shlex.join(line)}")
    cwd = context.project if command.cwd == "project" else folder
    output = (own / STDOUT, own / STDERR)
    with running(line, cwd, _environment(params, builtin, context), output, command.grace) as process:
        nap = SHORTEST_NAP
        while True:
            ended = process.poll() is not None  # asked first, so that nothing is missed that was said before
            said = False
            for metrics in hearing.heard(ended=ended):
                said = True
                yield metrics
            if ended:
                break
            nap = SHORTEST_NAP if said else min(2 * nap, LONGEST_NAP)
            time.sleep(nap)
        code = process.returncode
    if code != 0:
        raise TrainableError(_with_last_lines(f"the command {describe_end(code)}{hearing.so_far()}", own))


class _Hearing:
    """What a program says while it runs and when it has ended."""

    def __init__(self, command: Command, context: Context, folder: Path, remark: Callable[[str], None]) -> None:
        self._command = command
        self._context = context
        self._steps = StepReader(context.objective, again=command.resumable, remark=remark)
        self._own = folder / OWN
        self._file = folder / command.metrics_file if command.metrics_file else None
        self.begin_anew()

    def begin_anew(self) -> None:
        """Reads all files from their beginnings; the steps that are known already are known."""
        self._tails = Tail(self._own / STDOUT), Tail(self._own / STDERR)
        self._follows = Tail(self._file) if self._file is not None and self._file.suffix == ".jsonl" else None

    def heard(self, *, ended: bool) -> Iterator[Metrics]:
        """Yields the metrics of steps that are new; all lines go into the log."""
        printed = self._tails[0].lines(ended=ended)
        for line in (*printed, *self._tails[1].lines(ended=ended)):
            shown = [part for part in line.split("\r") if part.strip()]  # a bar of progress is drawn over itself
            if shown:
                self._context.log(shown[-1])
        if self._follows is not None:
            printed = self._follows.lines(ended=ended)
        elif self._file is not None or self._command.metrics:
            return
        for line in printed:
            if (metrics := self._steps.of_line(line)) is not None:
                yield metrics

    def concluded(self) -> Iterator[Metrics]:
        """Yields the metrics that are read when the program has ended."""
        if self._command.metrics:
            found = last_values(self._command.metrics, Tail(self._own / STDOUT).lines(ended=True))
            for name, text in self._command.metrics.items():
                if name not in found:
                    raise TrainableError(
                        _with_last_lines(f"no line of stdout has {name!r}, which is looked for by {text!r}", self._own)
                    )
            self._steps.steps.append({})
            yield {name: _number(text) for name, text in found.items()}
        elif self._file is not None and self._follows is None:
            for row in rows_of(self._file):
                if (metrics := self._steps.of(row)) is not None:
                    yield metrics

    def so_far(self) -> str:
        """Returns after which step it was, in words."""
        return f" after step {len(self._steps.steps)} of {self._context.budget}" if self._steps.steps else ""

    def refuse_early_end(self) -> None:
        """Raises TrainableError where a program that ended in order has reported nothing, or too little."""
        count, budget = len(self._steps.steps), self._context.budget
        if not count:
            where = f"in {self._file.name}" if self._file is not None else "on stdout"
            nothing = describe_nothing(self._context.objective, self._steps.others, where)
            raise TrainableError(_with_last_lines(nothing, self._own))
        if self._steps.said_steps and count < budget and not self._command.may_end_early:
            raise TrainableError(
                f"the command ended after step {count} of {budget}, with exit code 0; let it report all steps, or say "
                "may_end_early = true in [command] if it may stop by itself"
            )


def _builtin(context: Context, folder: Path) -> dict[str, str]:
    """Returns the values of the placeholders beside the params; a stream's seed has 31 bits, as most libraries want."""
    return {
        "budget": str(context.budget),
        "seed": str(context.seed),
        **{f"seed_{name}": str(getattr(context.streams, name).random_state()) for name in STREAMS},
        "fold": str(context.fold),  # that the command has it is checked when the study is read
        "folds": str(context.folds),
        "folder": str(folder),
        "checkpoint": str(folder / CHECKPOINT),
        "project": str(context.project),
    }


def _environment(params: Mapping[str, Value], builtin: Mapping[str, str], context: Context) -> dict[str, str]:
    """Returns a program's environment: this one without what the driver alone needs, and what the job says."""
    environment = dict(os.environ)
    for name in driver_variables(environment, of_ray=True):
        del environment[name]
    environment |= {f"HPO_{name.upper()}": value for name, value in builtin.items() if name != "python"}
    environment["HPO_PARAMS"] = canonical_json(dict(params))
    path = [str(context.project), environment.get("PYTHONPATH", "")]
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, path))  # for `python -m` of the project's modules
    environment["PYTHONUNBUFFERED"] = "1"  # a report that waits in a buffer comes too late to prune by
    environment.setdefault("PYTHONHASHSEED", "0")  # the order of a set is another one in every process
    return environment


def _located(argument: str, project: Path) -> str:
    """Returns an argument that names a file of the project as its path: the program begins in another folder."""
    option, equals, value = argument.partition("=") if argument.startswith("-") else ("", "", argument)
    try:
        if ("/" in value or PurePath(value).suffix) and (project / value).is_file():
            return f"{option}{equals}{project / value}"
    except (OSError, ValueError):  # too long, or no text that can be a path
        pass
    return argument


def _end_line(path: Path) -> None:
    """Ends the line that a program was killed in the midst of; makes the file."""
    with path.open("ab+") as file:
        if file.tell():
            file.seek(-1, 2)
            if file.read() != b"\n":
                file.write(b"\n")


def _empty(folder: Path) -> None:
    """Deletes what is in a folder, but not the folder, in which this process is."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()


def _with_last_lines(said: str, own: Path) -> str:
    for name in (STDERR, STDOUT):
        lines = [line for line in Tail(own / name).lines(ended=True) if line.strip()]
        if lines:
            return f"{said}; the last lines of its {name}:\n" + "\n".join(lines[-LAST_LINES:])[-LONGEST:]
    return f"{said}; it printed nothing"


def _number(text: str) -> Any:
    try:
        return float(text)
    except ValueError:
        return text  # refused where metrics are checked


def _keep(command: Command, folder: Path, target: Path, remark: Callable[[str], None]) -> None:
    """Copies the files that a study wants of a program's folder into the artefacts."""
    for pattern in command.artifacts:
        matches = [one for one in sorted(folder.glob(pattern)) if OWN not in one.relative_to(folder).parts]
        if not matches:
            remark(f"artifacts: nothing in the command's folder matches {pattern!r}")
        for match in matches:
            for file in [match, *sorted(match.rglob("*"))] if match.is_dir() else [match]:
                name = file.relative_to(folder)
                if file.is_symlink():
                    remark(f"not kept: {name}: it is a link")
                elif file.is_file():
                    (target / name).parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy2(file, target / name)
