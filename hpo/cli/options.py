"""The options of commands: those that a dataclass declares, and those that only the command line has."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args, get_origin

import typer

from hpo.cli.hiding import check_no_secret
from hpo.core.options import Declared, declared
from hpo.core.records import MAX_EPOCHS
from hpo.core.records import MAX_TRIALS as MOST
from hpo.core.run_config import RunConfig

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclasses.dataclass(frozen=True, slots=True)
class Only:
    """Says in an annotation which options of a class a command takes.

    Attributes:
        names: of the fields; the others keep their defaults.
    """

    names: frozenset[str]


def only(*names: str) -> Only:
    """Returns what says that a command takes these options of a class."""
    return Only(frozenset(names))


def all_but(kind: type, *names: str) -> Only:
    """Returns what says that a command takes all options of a class but these."""
    return Only(frozenset(one.name for one in declared(kind)) - {*names})


_PLACE = frozenset(one.name for one in declared(RunConfig))

Config = Annotated[RunConfig, Only(_PLACE - {"tensorboard"})]
"""Where a study is kept and run, for a command that trains."""

Stored = Annotated[RunConfig, only("storage")]
"""Where a study is kept, for a command that only asks the database."""

Written = Annotated[RunConfig, only("outputs", "work")]
"""Where files are kept, for a command that asks no database."""

StoredAndWork = Annotated[RunConfig, only("storage", "outputs", "work")]
"""Where a study is kept, for a command that touches all of its files."""

StoredAndWritten = Annotated[RunConfig, only("storage", "outputs")]
"""Where a study is kept, for a command that reads or writes results too."""


def with_options(command: Command) -> Command:
    """Gives a command the options of each dataclass that a parameter of it is annotated with, in the parameter's place.

    The command is called with the dataclass, made of what was given. An option that two of them have is one option.
    """
    signature = inspect.signature(command, eval_str=True)
    classes: dict[str, tuple[Any, list[str]]] = {}
    parameters: dict[str, inspect.Parameter] = {}
    for own in signature.parameters.values():
        kind, options = _declared_of(own.annotation)
        if kind is None:
            parameters[own.name] = own.replace(kind=own.KEYWORD_ONLY)
        else:
            classes[own.name] = kind, [one.name for one in options]
            parameters |= {one.name: _parameter(one) for one in options if one.name not in parameters}
    if "studies" not in parameters and _completes_names(parameters.get("study")):
        parameters["studies"] = inspect.Parameter(
            "studies", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=FoldersOfNames
        )

    @functools.wraps(command)
    def called(**given: Any) -> Any:
        made = {
            name: kind(**{one: given[one] for one in options if given[one] is not None})
            for name, (kind, options) in classes.items()
        }
        return command(**{name: given[name] for name in signature.parameters if name not in classes}, **made)

    called.__signature__ = signature.replace(parameters=list(parameters.values()))  # type: ignore[attr-defined]
    called.__annotations__ = {one.name: one.annotation for one in parameters.values()}
    return called  # type: ignore[return-value]


def _completes_names(study: inspect.Parameter | None) -> bool:
    """Whether an option is the name of a study that there is, which the shell completes."""
    said = () if study is None else get_args(study.annotation)
    return any(getattr(one, "autocompletion", None) is study_names for one in said)


def _declared_of(annotation: Any) -> tuple[Any, list[Declared]]:
    """Returns a class of options with those that are taken of it; None where the annotation is an option's own."""
    kind, *said = get_args(annotation) if get_origin(annotation) is Annotated else (annotation,)
    if not dataclasses.is_dataclass(kind):
        return None, []
    wanted = next((one.names for one in said if isinstance(one, Only)), None)
    return kind, [one for one in declared(kind) if wanted is None or one.name in wanted]  # type: ignore[arg-type]


@functools.lru_cache
def _parameter(one: Declared) -> inspect.Parameter:
    """Returns the parameter of a command that typer makes an option of."""
    own = one.flag
    annotation: Any = Any if own.parse else own.kind or one.annotation
    required = one.default is dataclasses.MISSING
    if not required and annotation is not bool:
        annotation = annotation | None
    whole = "int" in str(annotation) and own.low is not None
    option = typer.Option(
        own.name or f"--{one.name.strip('_').replace('_', '-')}",
        *([own.short] if own.short else []),
        min=own.low,
        max=MOST if whole and own.high is None else own.high,
        parser=_parser(own.parse) if own.parse else None,
        metavar=own.metavar,
        envvar=own.envvar,
        callback=check_no_secret if own.is_secret else None,
        help=one.help,
        show_default=not any(one.default is other for other in (None, (), False, dataclasses.MISSING)),
    )
    default = inspect.Parameter.empty if required else one.default if one.default != () else None
    return inspect.Parameter(
        one.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[annotation, option]
    )


def _parser(parse: Callable[[str], object]) -> Callable[[str], object]:
    """Returns a parser whose refusal typer shows as one of the option."""

    def parsed(text: str) -> object:
        try:
            return parse(text)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from error

    return parsed


def stored_name(study: str) -> str:
    """Returns the name of a stored study, which may be given by the path of its file."""
    return Path(study).name.removesuffix(".toml")


def study_names(context: typer.Context, incomplete: str) -> list[str]:
    """Returns the studies whose names begin so, for the shell. Where nothing begins so, it completes a path."""
    from hpo.core.study_files import listed

    folders = context.params.get("studies") or None
    try:
        names = [path.stem for path in listed(folders, installed=False)]
        return [name for name in dict.fromkeys(names) if name.startswith(incomplete)]
    except OSError:  # a folder that cannot be read is an error of the command's, which says so when it is run
        return []


StudyName = Annotated[
    str,
    typer.Option(
        "--study",
        "-s",
        help="Name of a study, or path to its .toml; may be given without --study.",
        autocompletion=study_names,
        show_default=False,
    ),
]
StoredName = Annotated[
    str,
    typer.Option(
        "--study",
        "-s",
        help="Name of a stored study; may be given without --study.",
        autocompletion=study_names,
        show_default=False,
    ),
]
Folders = Annotated[
    list[Path] | None,
    typer.Option(
        "--studies",
        help="Folder of study files (repeatable); default: HPO_STUDIES, else ./studies.",
        show_default=False,
    ),
]
FoldersOfNames = Annotated[
    list[Path] | None,
    typer.Option(
        "--studies",
        help="Folder of study files, whose names the shell completes (repeatable); the study is read from the storage.",
        show_default=False,
    ),
]
Trainings = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=MOST,
        help="Total number of trainings, split between the search and a promotion by race.",
        show_default=False,
    ),
]
EpochsTotal = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=MAX_EPOCHS,
        help="Total number of epochs, split between the search and a promotion by race; pruned trials cost less.",
        show_default=False,
    ),
]
Enqueue = Annotated[
    Path | None,
    typer.Option(help="JSON file: params, or a list of them, to try first. Enqueued once.", show_default=False),
]
Promote = Annotated[bool, typer.Option("--promote", help="Promote the best trials afterwards.")]
Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="Print a line for every epoch; what trainings print is always shown.")
]

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
