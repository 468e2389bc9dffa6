"""Checks arguments of the Python API: wrong names and types get a sentence, as they do in a study file."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any, TypeVar

from hpo.core.errors import UsageError, did_you_mean

Kind = TypeVar("Kind", bound=Callable[..., Any])


def explains_arguments(called: Kind) -> Kind:
    """Lets a public class or function refuse arguments that it does not take with a sentence that lists its own.

    Args:
        called: a function, or a class whose `__init__` is changed.
    """
    signature = inspect.signature(called)
    function: Any = vars(called)["__init__"] if isinstance(called, type) else called
    first = 1 if isinstance(called, type) else 0  # self

    @wraps(function)
    def explained(*args: Any, **kwargs: Any) -> Any:
        require_known(kwargs, signature.parameters, f"hpo.{called.__name__} takes")
        try:
            signature.bind(*args[first:], **kwargs)
        except TypeError as error:
            raise UsageError(f"hpo.{called.__name__}: {error}. It takes: {', '.join(signature.parameters)}.") from None
        return function(*args, **kwargs)

    if not isinstance(called, type):
        return explained  # type: ignore[return-value]  # of the same signature
    called.__init__ = explained  # type: ignore[misc]  # as before, but for the sentence
    return called


def require_known(given: Iterable[str], known: Iterable[str], what: str) -> None:
    """Checks that all names exist.

    Args:
        given: the names that were given.
        known: the names that exist.
        what: the beginning of the message, e.g. `promote() takes`.

    Raises:
        UsageError: if a name does not exist; the message lists those that do.
    """
    known = list(known)
    for name in given:
        if name not in known:
            raise UsageError(f"{what} no {name!r}. It takes: {', '.join(known)}.{did_you_mean(name, known)}")


def require_int(name: str, value: object, low: int | None = None, high: int | None = None) -> None:
    """Checks that a value is an integer between two bounds.

    Args:
        name: name of the value, for the message.
        value: the value to check.
        low: the smallest allowed value; None: no limit.
        high: the largest allowed value; None: no limit.

    Raises:
        UsageError: if it is not.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise UsageError(f"{name} must be a whole number, not {value!r}")
    if (low is not None and value < low) or (high is not None and value > high):
        bounds = (
            f"{low} to {high}" if None not in (low, high) else f"{low} or more" if high is None else f"at most {high}"
        )
        raise UsageError(f"{name} must be {bounds}, not {value}")


def require_number(name: str, value: object, low: float = -math.inf) -> None:
    """Checks that a value is a finite number of at least `low`.

    Raises:
        UsageError: if it is not.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UsageError(f"{name} must be a number, not {value!r}")
    if not math.isfinite(value) or value < low:
        least = f" of {low:g} or more" if low > -math.inf else ""
        raise UsageError(f"{name} must be a finite number{least}, not {value:g}")


def require_type(name: str, value: object, kind: type | tuple[type, ...], wanted: str) -> None:
    """Checks the type of a value.

    Args:
        name: name of the value, for the message.
        value: the value to check.
        kind: the allowed type or types.
        wanted: how the message calls the type, e.g. `a text`.

    Raises:
        UsageError: if the value has another type.
    """
    if not isinstance(value, kind):
        raise UsageError(f"{name} must be {wanted}, not {value!r}")


def require_choice(name: str, value: object, known: Iterable[str]) -> None:
    """Checks that a value is one of the known choices.

    Raises:
        UsageError: if it is not; the message lists the choices.
    """
    known = list(known)
    if value not in known:
        hint = did_you_mean(value, known) if isinstance(value, str) else ""
        raise UsageError(f"there is no {name} {value!r}; there are {', '.join(known)}.{hint}")


def require_method(name: str, value: object, attribute: str, wanted: str) -> None:
    """Checks that a value has a method.

    Args:
        name: name of the value, for the message.
        value: the value to check.
        attribute: name of the method.
        wanted: how the message calls the expected type, e.g. `an hpo.Observer`.

    Raises:
        UsageError: if it lacks the method.
    """
    if isinstance(value, type) or not callable(getattr(value, attribute, None)):
        raise UsageError(f"{name} must be {wanted}, not {value!r}")
