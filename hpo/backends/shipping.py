"""A trainable that is a function of the driver's session, on its way to worker processes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from hpo.core.errors import UsageError
from hpo.core.protocols import TrainableRef
from hpo.study.functions import prepare_to_ship

Shipped = TypeVar("Shipped")


def ship(
    trainable: TrainableRef, copy: Callable[[Callable[..., object]], Shipped], by: str, otherwise: str
) -> Shipped | None:
    """Returns a copy of the function for worker processes; None: they import it.

    Args:
        trainable: refers to the function.
        copy: makes the copy.
        by: what makes it, for the message.
        otherwise: how to train without a copy.

    Raises:
        UsageError: if it cannot be copied.
    """
    if trainable.function is None:
        return None
    prepare_to_ship(trainable.function)
    try:
        return copy(trainable.function)
    except Exception as error:  # whatever an object of the user's raises that is to be copied
        raise UsageError(
            f"trainable {trainable.path!r} uses something that {by} cannot copy to its workers: "
            f"{str(error).strip().splitlines()[0]}. Make it inside the function, put the function into a module of the "
            f"project, or {otherwise}"
        ) from error
