"""Finds study files by name and checks them against their trainable."""

from __future__ import annotations

import dataclasses
import os
import tomllib
import typing
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from pydantic import PydanticUserError, TypeAdapter, ValidationError

from hpo import space
from hpo.errors import Problem, StudyInvalid, StudyNotFound, UsageError, did_you_mean
from hpo.records import Objective, Value
from hpo.seam import TrainableRef
from hpo.study import Study, dimensions_of, dotted, fixed_of, parse
from hpo.training import load

FOLDER = Path("studies")
"""Where studies are looked for if nothing is said."""

GROUP = "hpo.studies"
"""Entry points of this group name packages whose folder holds study files."""


@dataclass(frozen=True, slots=True)
class Checked:
    """A study file that was read.

    Attributes:
        path: of the file.
        study: None if it has problems.
        problems: all of them.
    """

    path: Path
    study: Study | None
    problems: tuple[Problem, ...]


def find(name: str, folders: Iterable[Path] | None = None) -> Path:
    """Returns the file of a study: `name` as a path to a .toml, or `name`.toml in the folders, or among entry points.

    Args:
        name: what the user calls it.
        folders: where to look; None: `HPO_STUDIES` (separated as in PATH), else ./studies.

    Raises:
        StudyNotFound: if there is none; the message lists what there is.
    """
    if name.endswith(".toml") and os.path.isfile(name):
        return _whole(name)
    files = {path.stem: path for path in reversed(list(listed(folders)))}  # the first folder wins
    if name in files:
        return files[name]
    where = " or ".join(_shown(folder) for folder in _folders(folders))
    found = (
        f"Found: {', '.join(sorted(files))}." if files else "There are no .toml files; name a folder with --studies."
    )
    missing = f"no study file {name!r}, and none of that name" if name.endswith(".toml") else f"no study named {name!r}"
    raise StudyNotFound(f"{missing} in {where}. {found}{did_you_mean(Path(name.removesuffix('.toml')).name, files)}")


def listed(folders: Iterable[Path] | None = None) -> Iterator[Path]:
    """Yields the study files of all folders, sorted by name within each."""
    for folder in [*_folders(folders), *_installed()]:
        if os.path.isdir(folder):  # unlike Path's, it takes a folder that may not be looked into for none
            files = (path for path in folder.glob("*.toml") if not path.name.startswith(".") and os.path.isfile(path))
            yield from sorted(map(_whole, files))


def read(path: Path) -> Checked:
    """Reads a study file and lists what is wrong with the file alone; the trainable is not imported."""
    path = path.absolute()
    content, problem = _content(path)
    if problem is not None:
        return Checked(path, None, (problem,))
    study, problems = parse(content, path.stem)
    return Checked(path, study.located(path.parent.parent) if study else None, tuple(problems))


def check(path: Path) -> Checked:
    """Reads a study file and lists every problem at once, with the trainable imported and compared."""
    path = path.absolute()
    content, problem = _content(path)
    if problem is not None:
        return Checked(path, None, (problem,))
    study, problems = parse(content, path.stem)
    if isinstance(content.get("trainable"), str):
        ref = TrainableRef(path=str(content["trainable"]), root=str(path.parent.parent), objective=Objective(metric=""))
        problems += _against_trainable(ref, content)
    sound = study is not None and not problems
    return Checked(path, study.located(path.parent.parent) if study and sound else None, tuple(problems))


def load_study(name: str, folders: Iterable[Path] | None = None, *, to_train: bool = True) -> Study:
    """Returns the study of that name.

    Args:
        name: what the user calls it.
        folders: where to look, as in `find`.
        to_train: whether its trainable is imported and compared with it. Who only looks does without, as long as the
            file is sound: a machine that shows studies has not what they train with.

    Raises:
        StudyNotFound: if there is no such file.
        StudyInvalid: if it has problems; the message lists all of them.
    """
    path = find(name, folders)
    checked = read(path)
    if to_train or checked.study is None:
        checked = check(path)
    if checked.study is None:
        raise StudyInvalid(_shown(checked.path), checked.problems)
    return checked.study


def _content(path: Path) -> tuple[dict[str, object], Problem | None]:
    try:
        return tomllib.loads(path.read_bytes().decode("utf-8-sig")), None  # Windows' editors begin with a mark
    except tomllib.TOMLDecodeError as error:
        return {}, Problem("-", f"is no TOML: {error}")
    except UnicodeDecodeError as error:
        return {}, Problem("-", f"is no UTF-8 text: {error.reason} at byte {error.start}")
    except RecursionError:
        return {}, Problem("-", "is nested too deeply to be read")
    except ValueError:
        return {}, Problem("-", "has a number of too many digits")
    except OSError as error:
        return {}, Problem("-", f"cannot be read: {error.strerror}")


def _folders(folders: Iterable[Path] | None) -> list[Path]:
    if folders is not None:
        return [Path(folder) for folder in folders]
    named = os.environ.get("HPO_STUDIES", "")
    return [Path(folder) for folder in named.split(os.pathsep) if folder] or [FOLDER]


def _installed() -> Iterator[Path]:
    for entry in entry_points(group=GROUP):
        yield from map(Path, import_module(entry.value).__path__)


def _against_trainable(ref: TrainableRef, content: Mapping[str, object]) -> Iterator[Problem]:
    """Yields where the params dataclass and the study's space and fixed values disagree."""
    try:
        params = load(ref).params
    except UsageError as error:
        yield Problem("trainable", str(error).removeprefix(f"trainable {ref.path!r}: ").removeprefix("trainable "))
        return
    try:
        hints = typing.get_type_hints(params)
    except Exception as error:  # annotations are code of the user's own
        yield Problem("trainable", f"the annotations of {params.__name__} cannot be read: {error}")
        return
    fields = {field.name: field for field in dataclasses.fields(typing.cast(typing.Any, params)) if field.init}
    dimensions, fixed = dimensions_of(content), fixed_of(content)
    named = {table: content[table] for table in ("space", "fixed") if isinstance(content.get(table), dict)}
    for table, entries in named.items():
        for name in typing.cast(Mapping[str, object], entries):
            if name not in fields:
                known = ", ".join(fields)
                yield Problem(
                    dotted(table, name),
                    f"no such field in {params.__name__} (fields: {known}).{did_you_mean(name, fields)}",
                )
    given = {name for entries in named.values() for name in typing.cast(Mapping[str, object], entries)}
    for name, field in fields.items():
        has_default = field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
        if name not in given and not has_default:
            yield Problem("space", f"{params.__name__}.{name} has no default: give it in [space] or [fixed]")
        if name in dimensions and dimensions[name].when and not has_default:
            yield Problem(f"space.{name}.when", f"{params.__name__}.{name} has no default for when the condition fails")
        if name in dimensions:
            yield from _values_fit(name, dimensions[name], hints[name], params.__name__)
        if name in fixed:
            yield from _value_fits(f"fixed.{name}", fixed[name], name, hints[name], params.__name__)


def _values_fit(name: str, dimension: space.Dimension, hint: object, owner: str) -> Iterator[Problem]:
    if isinstance(dimension, space.Choice):
        for value in dimension.values:
            yield from _value_fits(f"space.{name}.choice", value, name, hint, owner)
    elif isinstance(dimension, space.Int):
        yield from _value_fits(f"space.{name}.int", dimension.low, name, hint, owner)
    else:  # a value no whole number could stand in for
        yield from _value_fits(f"space.{name}.float", dimension.low + 0.5, name, hint, owner)


def _value_fits(key: str, value: Value, name: str, hint: Any, owner: str) -> Iterator[Problem]:
    try:
        TypeAdapter(hint).validate_python(value, strict=True)
    except PydanticUserError:
        return  # a type of the user's own that only their code can judge
    except ValidationError:
        wanted = hint.__name__ if isinstance(hint, type) else str(hint).removeprefix("typing.")
        article = "an" if wanted[0] in "aeiouAEIOU" else "a"
        shown = "a float" if key.endswith(".float") else str(value).lower() if isinstance(value, bool) else repr(value)
        yield Problem(key, f"{shown} is not {article} {wanted}, as {owner}.{name} wants")


def _whole(path: str | Path) -> Path:
    """Returns a path from the root on, without `..`: a project has one name, wherever it is called from."""
    return Path(os.path.abspath(path))


def _shown(path: Path) -> str:
    """Returns a path as the user would type it."""
    path = path.absolute()
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
