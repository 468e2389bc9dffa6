"""Samplers and pruners that a study names as `module:Class`.

The study layer does not know Optuna: a class is a sampler if one of Optuna's samplers is among its bases.
"""

from __future__ import annotations

import inspect
import re
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, Literal

from hpo.core.errors import Problem, UsageError, did_you_mean
from hpo.study.options import PLUGIN
from hpo.study.table import dotted
from hpo.study.trainable import import_module_of

Kind = Literal["sampler", "pruner"]

BASES = {"sampler": "BaseSampler", "pruner": "BasePruner"}


def is_plugin(name: str) -> bool:
    """Whether a sampler or a pruner is named as `module:Class`.

    Args:
        name: what the study names.
    """
    return ":" in name


def plugin_class(kind: Kind, path: str, root: Path) -> type[Any]:
    """Imports the class of a sampler or a pruner.

    Args:
        kind: what the class has to be.
        path: the class as `module:Class`.
        root: the project's folder, which is added to the import path.

    Raises:
        UsageError: if it cannot be imported, or is no such class.
    """
    module = import_module_of(path, str(root), kind)
    name, base = path.partition(":")[2], BASES[kind]
    found = getattr(module, name, None)
    if isinstance(found, type) and any(
        one.__name__ == base and one.__module__.startswith(f"optuna.{kind}s") for one in found.__mro__
    ):
        return found
    wanted = f"expected a class with the base optuna.{kind}s.{base}"
    if found is None:
        known = sorted(key for key, value in vars(module).items() if isinstance(value, type))
        raise UsageError(f"{kind} {path!r}: {wanted}; its module has no {name!r}.{did_you_mean(name, known)}")
    given = f"{name} has other bases" if isinstance(found, type) else f"{name} is of type {type(found).__name__}"
    raise UsageError(f"{kind} {path!r}: {wanted}; {given}")


def takes_seed(found: type[Any]) -> bool:
    """Whether a class can be made with a seed.

    Args:
        found: the class of a sampler or a pruner.
    """
    return "seed" in _arguments(found)


def make_plugin(kind: Kind, path: str, options: Mapping[str, object], root: Path, seed: int) -> Any:
    """Returns a new sampler or pruner.

    Args:
        kind: what it has to be.
        path: the class as `module:Class`.
        options: keyword arguments of the class.
        root: the project's folder.
        seed: given to a class that takes a seed.

    Raises:
        UsageError: if the class cannot be imported, or raises.
    """
    found = plugin_class(kind, path, root)
    seeded = {"seed": seed} if takes_seed(found) else {}
    try:
        with warnings.catch_warnings(), redirect_stdout(sys.stderr):  # stdout is for data, e.g. of --json
            warnings.filterwarnings("ignore", message=".*is experimental")  # who names it wants it
            return found(**options, **seeded)
    except Exception as error:  # user code
        given = ", ".join(options) or "none"
        raise UsageError(
            f"{kind} {path!r} cannot be made with its options ({given}): {type(error).__name__}: {error}"
        ) from error


def plugin_problems(search: object, root: Path) -> Iterator[Problem]:
    """Yields what is wrong with the plug-ins of a study; their classes are imported and made once.

    Args:
        search: content of the table [search]; reported elsewhere if it is no table.
        root: the project's folder.
    """
    kinds: tuple[Kind, ...] = ("sampler", "pruner")
    table = search if isinstance(search, Mapping) else {}
    for kind in kinds:
        path, options = table.get(kind), table.get(f"{kind}_options", {})
        if not isinstance(path, str) or not re.fullmatch(PLUGIN, path) or not isinstance(options, Mapping):
            continue
        try:
            problems = list(_option_problems(kind, plugin_class(kind, path, root), options))
            yield from problems
            if not problems:
                make_plugin(kind, path, options, root, 0)
        except UsageError as error:
            yield Problem(f"search.{kind}", str(error).removeprefix(f"{kind} {path!r}: ").removeprefix(f"{kind} "))


def _option_problems(kind: Kind, found: type[Any], options: Mapping[str, object]) -> Iterator[Problem]:
    arguments = _arguments(found)
    known = [name for name in arguments if name != "seed"]
    takes_any = any(one.kind is one.VAR_KEYWORD for one in arguments.values())
    named = [name for name, one in arguments.items() if one.kind in (one.KEYWORD_ONLY, one.POSITIONAL_OR_KEYWORD)]
    for name in options:
        key = dotted("search", f"{kind}_options", name)
        if name == "seed":
            yield Problem(key, "hpo gives the seed, which follows from [search] sampler_seed; leave it out")
        elif name not in named and not takes_any:
            shown = f"arguments: {', '.join(known)}" if known else "it takes none"
            yield Problem(key, f"{found.__name__} has no such argument ({shown}).{did_you_mean(name, known)}")
    for name in named:
        if name not in options and name != "seed" and arguments[name].default is inspect.Parameter.empty:
            yield Problem(dotted("search", f"{kind}_options", name), f"is missing: {found.__name__} has no default")


def _arguments(found: type[Any]) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(found).parameters
    except (TypeError, ValueError):  # a class of native code
        return {"options": inspect.Parameter("options", inspect.Parameter.VAR_KEYWORD)}
