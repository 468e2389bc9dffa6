"""What every command that trains takes, and how the API takes options: as one value or as keywords."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ParamSpec, Protocol, TypeVar, cast, overload

from hpo.core.arguments import require_known, require_type
from hpo.core.errors import UsageError
from hpo.core.options import flag, refuse_unfit_options

if TYPE_CHECKING:
    from hpo.core.protocols import Observer, Stop
    from hpo.core.run_config import RunConfig
    from hpo.driver.workers import Workers
    from hpo.study import Study


@dataclass(frozen=True, kw_only=True)  # without slots, like all options: a class may derive from two
class CommandOptions:
    """What a command is run with, whatever it trains.

    Attributes:
        observers: told of every job, intermediate value and evaluation.
        stop: ends the command in order when it is set, and what is running goes on next time; None: only `hpo stop`
            does.
        workers: keep the backend running after the command; None: it ends with the command.
    """

    observers: Sequence[Observer] = ()
    stop: Stop | None = None
    workers: Workers | None = None

    def __post_init__(self) -> None:
        refuse_unfit_options(self)


@dataclass(frozen=True, kw_only=True)
class RecordOptions(CommandOptions):
    """What a command is run with that adds to a study's records.

    Attributes:
        accept_code_change: go on although the code was changed; what is of other code is marked as such, and
            replicates are trained anew.
    """

    accept_code_change: bool = field(default=False, metadata=flag())


Given = ParamSpec("Given")
Options = TypeVar("Options")
OptionsIn = TypeVar("OptionsIn", contravariant=True)
Outcome = TypeVar("Outcome", covariant=True)


class Verb(Protocol[Given, OptionsIn, Outcome]):
    """A function of the API that takes a study, where it is kept and run, and options."""

    @overload
    def __call__(self, study: Study | str, config: RunConfig | None, options: OptionsIn) -> Outcome: ...
    @overload
    def __call__(
        self, study: Study | str, config: RunConfig | None = None, *args: Given.args, **kwargs: Given.kwargs
    ) -> Outcome: ...


def takes(
    make: Callable[Given, Options],
) -> Callable[[Callable[[Study | str, RunConfig | None, Options], Outcome]], Verb[Given, Options, Outcome]]:
    """Lets a function take its options as one value or as keywords.

    Args:
        make: the options' class, a dataclass whose fields are the keywords.
    """
    kind = cast("type", make)

    def wrap(function: Callable[[Study | str, RunConfig | None, Options], Outcome]) -> Verb[Given, Options, Outcome]:
        name, own = function.__name__, dataclasses.fields(kind)
        names = [one.name for one in sorted(own, key=lambda one: "flag" not in one.metadata)]  # commands' own first

        @functools.wraps(function)
        def called(
            study: Study | str, config: RunConfig | None = None, options: Options | None = None, **given: object
        ) -> Outcome:
            require_known(given, names, f"{name}() takes")
            if options is not None and given:
                raise UsageError(f"{name}() takes options as one value or as keywords, not both: {', '.join(given)}")
            require_type("options", options, (kind, type(None)), f"a {kind.__name__}")
            return function(study, config, kind(**given) if options is None else options)

        first, second, _ = inspect.signature(function).parameters.values()
        keywords = inspect.signature(kind).parameters.values()
        called.__signature__ = inspect.Signature([first, second.replace(default=None), *keywords])  # type: ignore[attr-defined]
        return cast("Verb[Given, Options, Outcome]", called)

    return wrap
