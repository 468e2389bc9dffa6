"""What every command that trains accepts, and how the API takes options: as one value or as keywords."""

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
    """Options of every command that trains.

    Attributes:
        observers: told of every job, intermediate value and evaluation.
        stop: ends the command in order when it is set; open trainings continue next time. None: only `hpo stop`
            ends it.
        workers: keep the backend running after the command; None: it ends with the command.
    """

    observers: Sequence[Observer] = ()
    stop: Stop | None = None
    workers: Workers | None = None

    def __post_init__(self) -> None:
        refuse_unfit_options(self)


@dataclass(frozen=True, kw_only=True)
class RecordOptions(CommandOptions):
    """Options of every command that adds to a study's records.

    Attributes:
        accept_code_change: continue although the code has changed; results of other code are marked, and
            replicates are trained again.
    """

    accept_code_change: bool = field(default=False, metadata=flag())


Keywords = ParamSpec("Keywords")
Options = TypeVar("Options")
OptionsIn = TypeVar("OptionsIn", contravariant=True)
Outcome = TypeVar("Outcome", covariant=True)


class Verb(Protocol[Keywords, OptionsIn, Outcome]):
    """A function of the API that takes a study, a `RunConfig` and options."""

    @overload
    def __call__(self, study: Study | str, config: RunConfig | None, options: OptionsIn) -> Outcome: ...
    @overload
    def __call__(
        self, study: Study | str, config: RunConfig | None = None, *args: Keywords.args, **kwargs: Keywords.kwargs
    ) -> Outcome: ...


def accepts_options(
    make: Callable[Keywords, Options],
) -> Callable[[Callable[[Study | str, RunConfig | None, Options], Outcome]], Verb[Keywords, Options, Outcome]]:
    """Lets a function take its options as one value or as keywords.

    Args:
        make: class of the options, a dataclass whose fields are the keywords.
    """
    kind = cast("type", make)

    def wrap(function: Callable[[Study | str, RunConfig | None, Options], Outcome]) -> Verb[Keywords, Options, Outcome]:
        name, own = function.__name__, dataclasses.fields(kind)
        names = [one.name for one in sorted(own, key=lambda one: "flag" not in one.metadata)]  # the command's own first

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
        return cast("Verb[Keywords, Options, Outcome]", called)

    return wrap
