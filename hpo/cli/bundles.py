"""Options that go together and that several commands take: declared once, handed over as one argument."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from hpo.cli.options import (
    AllowIgnoredSeed,
    BackendName,
    Concurrency,
    ConfirmSeeds,
    Cpus,
    Curtail,
    Ddof,
    First,
    Gpus,
    Lambda,
    Outputs,
    Race,
    RayAddress,
    Rule,
    Rungs,
    StopWait,
    Storage,
    StorageWait,
    Top,
    Widths,
    Work,
    config_of,
)
from hpo.core.run_config import FIRST, OUTPUTS, STOP_WAIT, STORAGE_WAIT

Command = TypeVar("Command", bound=Callable[..., Any])

_PLACE: Mapping[str, tuple[Any, object]] = {
    "storage": (Storage, None),
    "outputs": (Outputs, OUTPUTS),
    "workdir": (Work, None),
    "backend": (BackendName, "ray"),
    "concurrency": (Concurrency, None),
    "cpus_per_trial": (Cpus, None),
    "gpus_per_trial": (Gpus, None),
    "ray_address": (RayAddress, None),
    "storage_wait": (StorageWait, STORAGE_WAIT),
    "stop_wait": (StopWait, STOP_WAIT),
}
_PROMOTION: Mapping[str, tuple[Any, object]] = {
    "top": (Top, None),
    "rule": (Rule, None),
    "lambda_": (Lambda, None),
    "ddof": (Ddof, None),
    "curtail": (Curtail, False),
    "race": (Race, False),
    "rungs": (Rungs, None),
    "widths": (Widths, None),
    "confirm_seeds": (ConfirmSeeds, None),
    "first": (First, FIRST),
    "allow_ignored_seed": (AllowIgnoredSeed, False),
}


def with_place(command: Command) -> Command:
    """Gives a command the options that say where a study is kept and run; it takes them as `config`."""
    return _bundled(command, "config", _PLACE, lambda workdir, **said: config_of(work=workdir, **said))


def with_promotion(command: Command) -> Command:
    """Gives a command the options that say how a promotion is made; it takes them as `wanted`."""

    def made(confirm_seeds: tuple[int, ...] | None, **said: Any) -> dict[str, Any]:
        return {**said, "confirm_seeds": confirm_seeds or ()}

    return _bundled(command, "wanted", _PROMOTION, made)


def _bundled(
    command: Command, name: str, options: Mapping[str, tuple[Any, object]], make: Callable[..., object]
) -> Command:
    """Replaces the parameter `name` by options, which come before the last parameter, where --json stands."""
    signature = inspect.signature(command, eval_str=True)
    *own, last = (each.replace(kind=each.KEYWORD_ONLY) for each in signature.parameters.values() if each.name != name)
    added = [
        inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
        for key, (annotation, default) in options.items()
    ]

    @functools.wraps(command)
    def called(**given: Any) -> Any:
        bundle = make(**{key: given.pop(key) for key in options})
        return command(**given, **{name: bundle})

    parameters = [*own, *added, last]
    called.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    called.__annotations__ = {each.name: each.annotation for each in parameters}
    return called  # type: ignore[return-value]
