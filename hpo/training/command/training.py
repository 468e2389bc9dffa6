"""One training by a command: starts the program, reads its reports, and ends it."""

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
from hpo.core.groups import describe_end
from hpo.core.isolation import working_folder
from hpo.core.records import Job, Metrics, Value, canonical_json, digest
from hpo.core.redaction import driver_variables
from hpo.seeds.streams import STREAMS
from hpo.training.command.process import running
from hpo.training.command.reports import StepMissing, StepReader, Tail, last_values, missing_metric_message, rows_of
from hpo.training.context import Context

HPO_FOLDER = ".hpo"
"""Folder in a program's folder with its output and the digest of its attempt; deleted with it."""

STDOUT, STDERR, ATTEMPT = "stdout", "stderr", "attempt"
"""Names of the files in `HPO_FOLDER`."""

CHECKPOINT = "checkpoint"
"""Name in a program's folder under which it may save its checkpoint."""

MIN_POLL_SECONDS, MAX_POLL_SECONDS = 0.005, 0.1
"""Seconds between two reads of a program's output."""

LAST_LINES = 10
"""Number of the last lines of stderr that the message of a failed training shows."""

MAX_CHARACTERS = 2000
"""Maximum characters of these lines."""


def attempt_digest(command: Command, job: Job, code: Code) -> str:
    """Returns the digest of an attempt; an attempt with the same digest may resume from its folder.

    Args:
        command: command that trains.
        job: job that is trained.
        code: source files of the program.
    """
    return digest([job.digest, code.digest, asdict(command)])


def was_left_by(attempt: str, folder: Path) -> bool:
    """Whether the program's folder was left by an attempt with the same digest.

    Args:
        attempt: digest of the attempt, from `attempt_digest`.
        folder: folder of the training.
    """
    try:
        return (working_folder(folder) / HPO_FOLDER / ATTEMPT).read_text() == attempt
    except (OSError, UnicodeDecodeError):
        return False


def train(
    command: Command, params: Mapping[str, Value], context: Context, attempt: str, remark: Callable[[str], None]
) -> Iterator[Metrics]:
    """Yields the metrics of each step that a program reports.

    Args:
        command: command that trains.
        params: values of the params by name.
        context: Context of the training.
        attempt: digest of the attempt, from `attempt_digest`.
        remark: called with a message on a problem that does not fail the training.

    Raises:
        TrainableError: if the program cannot be started, fails, or reports wrongly.
    """
    folder = working_folder(context.folder)
    resumes, reports = was_left_by(attempt, context.folder), _ProgramReports(command, context, folder, remark)
    try:
        yield from _run_program(command, params, context, attempt, reports, "resumes" if resumes else "starts")
    except StepMissing as missing:
        if not resumes:
            raise
        remark(
            f"after an interruption {missing}. It was started over, because its checkpoint is ahead of its reports; "
            "let it report a step before it saves the checkpoint"
        )
        _empty(folder)
        reports.restart()
        yield from _run_program(command, params, context, attempt, reports, "starts over")
    yield from reports.final_steps()
    reports.check_all_reported()
    if context.keeps:
        _keep(command, folder, context.artifacts, remark)
    shutil.rmtree(folder / HPO_FOLDER, ignore_errors=True)


def _run_program(
    command: Command, params: Mapping[str, Value], context: Context, attempt: str, reports: _ProgramReports, how: str
) -> Iterator[Metrics]:
    """Yields the metrics of new steps while a program runs, and raises if it fails."""
    folder = working_folder(context.folder)
    hpo_folder = folder / HPO_FOLDER
    hpo_folder.mkdir(parents=True, exist_ok=True)
    (hpo_folder / ATTEMPT).write_text(attempt)
    for name in (STDOUT, STDERR):
        _end_line(hpo_folder / name)
    builtin = {**_builtin(context, folder), "python": sys.executable}
    values = {**{name: plain_text(value) for name, value in params.items()}, **builtin}
    line = [_resolved(text, context.project) if plain else text for text, plain in arguments(command, values)]
    context.log(f"{how}: {shlex.join(line)}")
    cwd = context.project if command.cwd == "project" else folder
    output = (hpo_folder / STDOUT, hpo_folder / STDERR)
    with running(line, cwd, _environment(params, builtin, context), output, command.grace) as process:
        pause = MIN_POLL_SECONDS
        while True:
            ended = process.poll() is not None  # checked first, so that no output before the end is missed
            has_reported = False
            for metrics in reports.new_steps(ended=ended):
                has_reported = True
                yield metrics
            if ended:
                break
            pause = MIN_POLL_SECONDS if has_reported else min(2 * pause, MAX_POLL_SECONDS)
            time.sleep(pause)
        code = process.returncode
    if code != 0:
        raise TrainableError(_with_last_lines(f"the command {describe_end(code)}{reports.so_far()}", hpo_folder))


class _ProgramReports:
    """The reports of a program while it runs and after its end."""

    def __init__(self, command: Command, context: Context, folder: Path, remark: Callable[[str], None]) -> None:
        self._command = command
        self._context = context
        self._steps = StepReader(context.objective, resumable=command.resumable, remark=remark)
        self._hpo_folder = folder / HPO_FOLDER
        self._file = folder / command.metrics_file if command.metrics_file else None
        self.restart()

    def restart(self) -> None:
        """Reads all files from the start; steps that were already read stay known."""
        self._tails = Tail(self._hpo_folder / STDOUT), Tail(self._hpo_folder / STDERR)
        self._follows = Tail(self._file) if self._file is not None and self._file.suffix == ".jsonl" else None

    def new_steps(self, *, ended: bool) -> Iterator[Metrics]:
        """Yields the metrics of new steps; all lines go into the log."""
        printed = self._tails[0].lines(ended=ended)
        for line in (*printed, *self._tails[1].lines(ended=ended)):
            shown = [part for part in line.split("\r") if part.strip()]  # a progress bar overwrites itself
            if shown:
                self._context.log(shown[-1])
        if self._follows is not None:
            printed = self._follows.lines(ended=ended)
        elif self._file is not None or self._command.metrics:
            return
        for line in printed:
            if (metrics := self._steps.read_line(line)) is not None:
                yield metrics

    def final_steps(self) -> Iterator[Metrics]:
        """Yields the metrics that are read after the program's end."""
        if self._command.metrics:
            found = last_values(self._command.metrics, Tail(self._hpo_folder / STDOUT).lines(ended=True))
            for name, text in self._command.metrics.items():
                if name not in found:
                    raise TrainableError(
                        _with_last_lines(f"no line of stdout matches {text!r}, which finds {name!r}", self._hpo_folder)
                    )
            self._steps.steps.append({})
            yield {name: _number(text) for name, text in found.items()}
        elif self._file is not None and self._follows is None:
            for row in rows_of(self._file):
                if (metrics := self._steps.read(row)) is not None:
                    yield metrics

    def so_far(self) -> str:
        """Returns the number of the last step as part of a message."""
        return f" after step {len(self._steps.steps)} of {self._context.budget}" if self._steps.steps else ""

    def check_all_reported(self) -> None:
        """Raises TrainableError if a program that ended with exit code 0 has reported no step or too few."""
        count, budget = len(self._steps.steps), self._context.budget
        if not count:
            where = f"in {self._file.name}" if self._file is not None else "on stdout"
            message = missing_metric_message(self._context.objective, self._steps.others, where)
            raise TrainableError(_with_last_lines(message, self._hpo_folder))
        if self._steps.is_numbered and count < budget and not self._command.may_end_early:
            raise TrainableError(
                f"the command ended after step {count} of {budget}, with exit code 0; let it report all steps, or set "
                "may_end_early = true in [command] if it may stop by itself"
            )


def _builtin(context: Context, folder: Path) -> dict[str, str]:
    """Returns the values of the built-in placeholders; a stream's seed has 31 bits, which most libraries accept."""
    return {
        "budget": str(context.budget),
        "seed": str(context.seed),
        **{f"seed_{name}": str(getattr(context.streams, name).random_state()) for name in STREAMS},
        "fold": str(context.fold),  # that the command uses it is checked when the study is loaded
        "folds": str(context.folds),
        "folder": str(folder),
        "checkpoint": str(folder / CHECKPOINT),
        "project": str(context.project),
    }


def _environment(params: Mapping[str, Value], builtin: Mapping[str, str], context: Context) -> dict[str, str]:
    """Returns a program's environment: this one without the driver's own variables, and with the job's values."""
    environment = dict(os.environ)
    for name in driver_variables(environment, of_ray=True):
        del environment[name]
    environment |= {f"HPO_{name.upper()}": value for name, value in builtin.items() if name != "python"}
    environment["HPO_PARAMS"] = canonical_json(dict(params))
    path = [str(context.project), environment.get("PYTHONPATH", "")]
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, path))  # for `python -m` of the project's modules
    environment["PYTHONUNBUFFERED"] = "1"  # a buffered report would arrive too late for pruning
    environment.setdefault("PYTHONHASHSEED", "0")  # otherwise the order of a set differs in every process
    return environment


def _resolved(argument: str, project: Path) -> str:
    """Returns an argument with a project file's full path: the program starts in another folder."""
    option, equals, value = argument.partition("=") if argument.startswith("-") else ("", "", argument)
    try:
        if ("/" in value or PurePath(value).suffix) and (project / value).is_file():
            return f"{option}{equals}{project / value}"
    except (OSError, ValueError):  # too long, or not a valid path
        pass
    return argument


def _end_line(path: Path) -> None:
    """Creates a file, or ends the line in which a program was killed."""
    with path.open("ab+") as file:
        if file.tell():
            file.seek(-1, 2)
            if file.read() != b"\n":
                file.write(b"\n")


def _empty(folder: Path) -> None:
    """Deletes the content of a folder, but not the folder, which is this process's working directory."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()


def _with_last_lines(message: str, hpo_folder: Path) -> str:
    for name in (STDERR, STDOUT):
        lines = [line for line in Tail(hpo_folder / name).lines(ended=True) if line.strip()]
        if lines:
            return f"{message}; the last lines of its {name}:\n" + "\n".join(lines[-LAST_LINES:])[-MAX_CHARACTERS:]
    return f"{message}; it printed nothing"


def _number(text: str) -> Any:
    try:
        return float(text)
    except ValueError:
        return text  # an error when the metrics are checked


def _keep(command: Command, folder: Path, target: Path, remark: Callable[[str], None]) -> None:
    """Copies the files of a program's folder that match the study's patterns to the artifacts."""
    for pattern in command.artifacts:
        matches = [path for path in sorted(folder.glob(pattern)) if HPO_FOLDER not in path.relative_to(folder).parts]
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
