"""The `[command]` table of a study file: a program in any language instead of a Python trainable."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationError, model_validator

from hpo.core.code import Code
from hpo.core.command import Command, filled, placeholders
from hpo.core.errors import Problem, did_you_mean
from hpo.core.records import canonical_json
from hpo.seeds.streams import STREAMS
from hpo.study import space
from hpo.study.hooks import HookName
from hpo.study.project_code import code_of_files
from hpo.study.table import Finite, Table, dotted

PLACEHOLDERS = (
    *("budget", "seed", *(f"seed_{name}" for name in STREAMS), "fold", "folds"),
    *("folder", "checkpoint", "project", "python"),
)
"""Placeholders that a command may use besides the names of params."""

VARIABLES = ("HPO_PARAMS", "HPO_SEED", *(f"HPO_SEED_{name.upper()}" for name in STREAMS), "HPO_BUDGET", "HPO_FOLD")
"""Environment variables that a program may read instead of arguments."""

KINDS = (".jsonl", ".json", ".csv")
"""Suffixes of metrics files."""


def _argument_problem(run: object) -> str | None:
    if isinstance(run, str):
        try:
            return None if shlex.split(run) else "is empty; give the program and its arguments"
        except ValueError as error:
            return f"cannot be split into arguments: {str(error)[0].lower()}{str(error)[1:]}"
    if not isinstance(run, tuple) or not run:
        return "is empty; give the program and its arguments"
    if not isinstance(run[0], str):
        return "starts with a list, which may be left out; start with the program"
    return None


def _relative_path(path: str) -> str:
    parts = PurePosixPath(path)
    if not path or parts.is_absolute() or ".." in parts.parts:
        raise ValueError(f"expected a path below the training's folder, got {path!r}")
    return path


def _known_variables(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if name not in VARIABLES:
            raise ValueError(
                f"no variable {name!r} (variables: {', '.join(VARIABLES)}).{did_you_mean(name, VARIABLES)}"
            )
    return names


def _valid_expression(text: str) -> str:
    try:
        groups = re.compile(text).groups
    except re.error as error:
        raise ValueError(f"is not a regular expression: {error}") from error
    if groups != 1:
        raise ValueError(f"expected one group that contains the number, as in 'acc=([0-9.]+)', got {groups} groups")
    return text


Expression = Annotated[str, AfterValidator(_valid_expression)]
Below = Annotated[str, AfterValidator(_relative_path)]


class CommandTable(Table):
    """A program that trains, in any language.

    Attributes:
        run: arguments as a list, or one text that is split like a shell command; an inner list is left out if a param
            in it does not exist. Placeholders: each param, `{seed}`, `{budget}` and the others of `PLACEHOLDERS`.
        shell: whether /bin/sh runs the text; the values of placeholders are quoted.
        cwd: working directory: `folder`, the training's own; `project`, which all trainings share.
        metrics: for programs that do not print JSON lines, a regular expression per metric; the last matching line of
            stdout counts.
        metrics_file: a file with metrics in the training's folder: .jsonl is followed as it grows, .json and .csv are
            read when the program has ended.
        reads: environment variables that the program reads instead of placeholders.
        artifacts: globs of files in the training's folder that are copied to the results.
        resumable: whether the program resumes from the files in its folder; otherwise it gets an empty folder.
        may_end_early: whether it may end before its budget is used up.
        grace: seconds between SIGTERM and SIGKILL when it has to end.
    """

    run: str | Annotated[tuple[str | Annotated[tuple[str, ...], Field(strict=False)], ...], Field(strict=False)]
    shell: bool = False
    cwd: Literal["folder", "project"] = "folder"
    metrics: dict[str, Expression] = Field(default_factory=dict)
    metrics_file: Below | None = None
    reads: Annotated[tuple[str, ...], Field(strict=False), AfterValidator(_known_variables)] = ()
    artifacts: Annotated[tuple[Below, ...], Field(strict=False)] = ()
    resumable: bool = False
    may_end_early: bool = False
    grace: Annotated[Finite, Field(ge=0, le=86_400)] = 10.0

    @model_validator(mode="after")
    def _makes_sense(self) -> CommandTable:
        if self.shell and not isinstance(self.run, str):
            raise ValueError("shell = true takes run as one text, not as a list")
        if not self.shell and (wrong := _argument_problem(self.run)) is not None:
            raise ValueError(f"run {wrong}")
        if self.metrics and self.metrics_file is not None:
            raise ValueError("metrics reads stdout and metrics_file reads a file; leave one of them out")
        if self.metrics_file is not None and PurePosixPath(self.metrics_file).suffix not in KINDS:
            raise ValueError(f"metrics_file must end with {', '.join(KINDS[:-1])} or {KINDS[-1]}")
        return self

    @property
    def groups(self) -> tuple[tuple[str, ...], ...]:
        """The arguments in groups, as in `Command`."""
        if isinstance(self.run, str):
            return ((self.run,),) if self.shell else tuple((one,) for one in shlex.split(self.run))
        return tuple((one,) if isinstance(one, str) else one for one in self.run)

    def command(self) -> Command:
        """Returns the command as a plain value."""
        return Command(run=self.groups, **self.model_dump(exclude={"run", "reads"}))

    def identity(self) -> dict[str, str]:
        """Returns, as texts by key, what results depend on: the arguments and the source of the metrics."""
        run = self.run if self.shell else [one[0] if len(one) == 1 else one for one in self.groups]
        texts = {"command.run": canonical_json(run), "command.cwd": self.cwd}
        if self.shell:
            texts["command.shell"] = "true"
        if self.metrics:
            texts["command.metrics"] = canonical_json(self.metrics)
        if self.metrics_file is not None:
            texts["command.metrics_file"] = self.metrics_file
        return texts


@dataclass(frozen=True, slots=True)
class LoadedCommand:
    """A command instead of an imported trainable.

    Attributes:
        command: the command that trains.
    """

    command: Command

    def hook(self, name: HookName) -> Callable[..., Any] | None:
        """Returns None: a program has no hooks.

        Args:
            name: name of the hook.
        """

    def defaults(self, given: Collection[str], root: str | Path) -> dict[str, object]:
        """Returns an empty dict: the defaults of a program are part of its code.

        Args:
            given: names of the params that are set.
            root: the project's folder.
        """
        return {}

    def code(self, root: str | Path) -> Code:
        """Returns the files of the project that the command names, and their imports."""
        return code_of_files(*named_files(self.command, Path(root)), root)


def named_files(command: Command, root: Path) -> tuple[list[Path], list[str]]:
    """Returns the files of the project that a command names, and the modules after `-m`.

    Args:
        command: command whose arguments are searched.
        root: the project's folder.
    """
    words = [argument for group in command.run for argument in group]
    if command.shell:
        words = shlex.split(words[0].replace(";", " ; "), posix=True) if _argument_problem(words[0]) is None else []
    modules = [after for word, after in pairwise(words) if word == "-m"]
    texts = [text for word in words for text in (word, word.partition("=")[2]) if text]
    paths = [root / filled(text, {"project": str(root)}) for text in texts if len(text) < 1000 and "\0" not in text]
    return [path for path in paths if _is_below(path, root)], modules


def _is_below(path: Path, root: Path) -> bool:
    try:
        return path.is_file() and path.resolve().is_relative_to(root.resolve())
    except OSError:  # the text is too long for a path
        return False


def valid_command(content: Mapping[str, object]) -> CommandTable | None:
    """Returns the command of a study's content; None if it has none or an invalid one.

    Args:
        content: content of the file as tomllib gives it.
    """
    try:
        return CommandTable.model_validate(content["command"]) if "command" in content else None
    except ValidationError:
        return None


def command_problems(content: Mapping[str, Any], dimensions: Mapping[str, space.Dimension]) -> Iterator[Problem]:
    """Yields conflicts between a study's command and its other tables.

    Args:
        content: content of the file as tomllib gives it.
        dimensions: the valid dimensions by name.
    """
    has_command, has_function = content.get("command") is not None, content.get("trainable") is not None
    if not has_command and not has_function:
        yield Problem("trainable", 'is missing; set trainable = "module:function", or give a program in [command]')
    if has_command and has_function:
        yield Problem("trainable", "a study has either a trainable or a [command]; leave one of them out")
    table = valid_command(content) if has_command else None
    if table is None:
        return
    params = [name for key in ("space", "fixed") if isinstance(content.get(key), dict) for name in content[key]]
    used = {name for group in table.groups for argument in group for name in placeholders(argument)}
    known = (*params, *PLACEHOLDERS)
    for name in sorted(used.difference(known)):
        yield Problem(
            "command.run",
            f"no such placeholder {{{name}}} (params: {', '.join(params)}; others: {', '.join(PLACEHOLDERS)}; "
            f"braces are written {{{{{name}}}}}).{did_you_mean(name, known)}",
        )
    for name in params:
        key = dotted("space" if name in dimensions else "fixed", name)
        if name in PLACEHOLDERS:
            yield Problem(key, f"{{{name}}} has another meaning in a command; rename the param")
        elif name not in used and "HPO_PARAMS" not in table.reads:
            yield Problem(
                key,
                f"command.run has no {{{name}}}, so the param has no effect; add it to the arguments, or set "
                'reads = ["HPO_PARAMS"] in [command] if the program reads that',
            )
    yield from _condition_problems(table, dimensions)
    yield from _metric_problems(table, content)
    if isinstance(content.get("validation"), dict) and "fold" not in used and "HPO_FOLD" not in table.reads:
        yield Problem(
            "command.run",
            "has no {fold}, so all folds of [validation] would be the same; add it to the arguments, or set "
            'reads = ["HPO_FOLD"] if the program reads that',
        )


def _condition_problems(table: CommandTable, dimensions: Mapping[str, space.Dimension]) -> Iterator[Problem]:
    always = [table.run] if isinstance(table.run, str) else [one for one in table.run if isinstance(one, str)]
    for name, dimension in dimensions.items():
        if dimension.when and any(name in placeholders(one) for one in always):
            yield Problem(
                "command.run",
                f"{name} does not exist in every trial; put its arguments into an inner list, which is left out if it "
                f'does not exist: run = ["python", "train.py", ["--{name}", "{{{name}}}"]]',
            )


def _metric_problems(table: CommandTable, content: Mapping[str, Any]) -> Iterator[Problem]:
    if not table.metrics:
        return
    objective, search = content.get("objective"), content.get("search")
    wanted = [objective.get("metric")] if isinstance(objective, dict) else []
    wanted += list(search.get("constraints", ())) if isinstance(search, dict) else []
    for metric in wanted:
        if isinstance(metric, str) and metric not in table.metrics:
            yield Problem("command.metrics", f"has no expression for {metric!r}, which the study uses; add it")


def program_problems(command: Command, root: Path) -> Iterator[Problem]:
    """Yields a problem if the program of a command cannot be started on this machine.

    Args:
        command: command whose first argument is the program.
        root: the project's folder.
    """
    program = filled(command.run[0][0], {"python": sys.executable, "project": str(root)})
    if command.shell or placeholders(program) or (root / program).is_file() or shutil.which(program) is not None:
        return
    yield Problem("command.run", f"there is no program {program!r} in PATH, and no such file in the project {root}")


def command_notes(table: CommandTable) -> Iterator[Problem]:
    """Yields notes on a command: what is allowed but may be unintended.

    Args:
        table: a valid [command] table.
    """
    used = {name for group in table.groups for argument in group for name in placeholders(argument)}
    if not any(name.startswith("seed") for name in used) and not any(one.startswith("HPO_SEED") for one in table.reads):
        yield Problem("command.run", 'has no {seed}; if the program reads HPO_SEED, set reads = ["HPO_SEED"]')
    if "budget" not in used and "HPO_BUDGET" not in table.reads:
        yield Problem("command.run", 'has no {budget}; if the program reads HPO_BUDGET, set reads = ["HPO_BUDGET"]')
