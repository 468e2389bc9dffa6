"""Reads study files and checks them against their trainable."""

from __future__ import annotations

import tomllib
import typing
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from typing import Any

from pydantic import PydanticUserError, TypeAdapter, ValidationError

from hpo.core.errors import Problem, StudyInvalid, UsageError, did_you_mean
from hpo.core.protocols import TrainableRef
from hpo.core.records import Objective, Value
from hpo.core.study_files import find, listed, shown
from hpo.study import Study, dimensions_of, dotted, fixed_of, parse, space
from hpo.study.annotations import hints_of
from hpo.study.command import LoadedCommand, program_problems
from hpo.study.params import fields_of, takes_any
from hpo.study.plugins import plugin_problems
from hpo.study.trainable import Loaded, load

__all__ = ["Checked", "check", "find", "listed", "load_study", "read"]


@dataclass(frozen=True, slots=True)
class Checked:
    """A study file that was read.

    Attributes:
        path: path of the file.
        study: the study; None if it has problems.
        problems: all problems of the file.
    """

    path: Path
    study: Study | None
    problems: tuple[Problem, ...]


def read(path: Path) -> Checked:
    """Reads a study file and lists its problems, without importing the trainable."""
    path = path.absolute()
    content, problem = _content(path)
    if problem is not None:
        return Checked(path, None, (problem,))
    study, problems = parse(content, path.stem)
    return Checked(path, study.located(path.parent.parent) if study else None, tuple(problems))


def check(path: Path) -> Checked:
    """Reads a study file and lists all its problems, including conflicts with its trainable, which is imported."""
    path = path.absolute()
    content, problem = _content(path)
    if problem is not None:
        return Checked(path, None, (problem,))
    study, problems = parse(content, path.stem)
    if isinstance(content.get("trainable"), str):
        ref = TrainableRef(path=str(content["trainable"]), root=str(path.parent.parent), objective=Objective(metric=""))
        problems += _against_trainable(ref, content)
    problems += plugin_problems(content.get("search"), path.parent.parent)
    if study is not None and study.ref.command is not None:
        problems += program_problems(study.ref.command, path.parent.parent)
    sound = study is not None and not problems
    return Checked(path, study.located(path.parent.parent) if study and sound else None, tuple(problems))


def load_study(name: str, folders: Iterable[Path] | None = None, *, to_train: bool = True) -> Study:
    """Returns the study with this name.

    Args:
        name: name of the study, or path of its file.
        folders: folders to search, as in `find`.
        to_train: whether to import the trainable and check the file against it; not needed to view a study, e.g. on a
            machine without the training packages.

    Raises:
        StudyNotFound: if there is no such file.
        StudyInvalid: if it has problems; the message lists all of them.
    """
    path = find(name, folders)
    checked = read(path)
    if to_train or checked.study is None:
        checked = check(path)
    if checked.study is None:
        raise StudyInvalid(shown(checked.path), checked.problems)
    return checked.study


def check_space(study: Study) -> None:
    """Checks that a study fits the params of its trainable, and that its sampler and pruner can be imported.

    Raises:
        StudyInvalid: if they do not; the message lists all problems.
        UsageError: if the trainable cannot be imported.
    """
    content = study.content()
    problems = [*_params_problems(load(study.ref), content), *plugin_problems(content["search"], study.root)]
    if problems:
        raise StudyInvalid(f"study {study.name!r}", problems)


def _content(path: Path) -> tuple[dict[str, object], Problem | None]:
    try:
        return tomllib.loads(path.read_bytes().decode("utf-8-sig")), None  # editors on Windows add a byte order mark
    except tomllib.TOMLDecodeError as error:
        return {}, Problem("-", f"is not valid TOML: {error}")
    except UnicodeDecodeError as error:
        return {}, Problem("-", f"is not valid UTF-8: {error.reason} at byte {error.start}")
    except RecursionError:
        return {}, Problem("-", "is nested too deeply")
    except ValueError:
        return {}, Problem("-", "has a number with too many digits")
    except OSError as error:
        return {}, Problem("-", f"cannot be read: {error.strerror}")


def _against_trainable(ref: TrainableRef, content: Mapping[str, object]) -> Iterator[Problem]:
    """Yields the conflicts between the trainable's params and the study's space and fixed params."""
    try:
        loaded = load(ref)
    except UsageError as error:
        yield Problem("trainable", str(error).removeprefix(f"trainable {ref.path!r}: ").removeprefix("trainable "))
        return
    yield from _params_problems(loaded, content)
    yield from _hook_problems(loaded, dimensions_of(content), fixed_of(content), content.get("validation"))


def _params_problems(loaded: Loaded | LoadedCommand, content: Mapping[str, object]) -> Iterator[Problem]:
    """Yields the conflicts between a loaded trainable's params and the study's space and fixed params."""
    if isinstance(loaded, LoadedCommand):
        return  # its placeholders were checked when the study was parsed
    params = loaded.params
    try:
        hints = hints_of(params)
    except Exception as error:  # annotations are user code
        yield Problem("trainable", f"the annotations of {params.__name__} cannot be read: {error}")
        return
    fields, any_name = fields_of(params), takes_any(params)
    what = "field in {}, fields" if isinstance(params, type) else "argument of {}(), arguments"
    no_such, known_are = what.format(params.__name__).split(", ")
    dimensions, fixed = dimensions_of(content), fixed_of(content)
    named = {table: content[table] for table in ("space", "fixed") if isinstance(content.get(table), dict)}
    for table, entries in named.items():
        for name in typing.cast(Mapping[str, object], entries):
            if name not in fields and not any_name:
                known = ", ".join(fields) or "none"
                yield Problem(
                    dotted(table, name), f"no such {no_such} ({known_are}: {known}).{did_you_mean(name, fields)}"
                )
    given = {name for entries in named.values() for name in typing.cast(Mapping[str, object], entries)}
    for name, field in fields.items():
        owner = f"{params.__name__}.{name}" if isinstance(params, type) else f"{name} of {params.__name__}()"
        hint = hints.get(name, Any)
        if name not in given and field.is_required:
            yield Problem("space", f"{owner} has no default: give it in [space] or [fixed]")
        if name in dimensions and dimensions[name].when and field.is_required:
            yield Problem(f"space.{name}.when", f"{owner} has no default for when the condition fails")
        if name in dimensions:
            yield from _values_fit(name, dimensions[name], hint, owner)
        if name in fixed:
            yield from _value_fits(f"fixed.{name}", fixed[name], hint, owner)


def _hook_problems(
    loaded: Loaded | LoadedCommand,
    dimensions: Mapping[str, space.Dimension],
    fixed: Mapping[str, Value],
    validation: object,
) -> Iterator[Problem]:
    """Yields the problems that the trainable's module finds: a missing package or file, unusable data."""
    check_hook = loaded.hook("check_values")
    if check_hook is None:
        return
    values: dict[str, tuple[Value, ...]] = {
        name: tuple(one.values) if isinstance(one, space.Choice) else (one.low, one.high)
        for name, one in dimensions.items()
    }
    table = validation if isinstance(validation, dict) else {}
    taken = signature(check_hook).parameters
    kinds = {"folds": int, "units": str}
    known = {name: table[name] for name, kind in kinds.items() if name in taken and isinstance(table.get(name), kind)}
    try:
        check_hook({**values, **{name: (value,) for name, value in fixed.items()}}, **known)
    except UsageError as error:
        yield Problem("trainable", str(error))


def _values_fit(name: str, dimension: space.Dimension, hint: object, owner: str) -> Iterator[Problem]:
    if isinstance(dimension, space.Choice):
        for value in dimension.values:
            yield from _value_fits(f"space.{name}.choice", value, hint, owner)
    elif isinstance(dimension, space.Int):
        yield from _value_fits(f"space.{name}.int", dimension.low, hint, owner)
    else:  # a value that is not an integer
        yield from _value_fits(f"space.{name}.float", dimension.low + 0.5, hint, owner)


def _value_fits(key: str, value: Value, hint: Any, owner: str) -> Iterator[Problem]:
    try:
        TypeAdapter(hint).validate_python(value, strict=True)
    except PydanticUserError:
        return  # a user-defined type that pydantic cannot check
    except ValidationError:
        wanted = hint.__name__ if isinstance(hint, type) else str(hint).removeprefix("typing.")
        article = "an" if wanted[0] in "aeiouAEIOU" else "a"
        shown = "a float" if key.endswith(".float") else str(value).lower() if isinstance(value, bool) else repr(value)
        yield Problem(key, f"{shown} is not {article} {wanted}, the type of {owner}")
