"""The seed of the training that runs now, for code that takes no context."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import numpy as np

_CURRENT: ContextVar[int | None] = ContextVar("seed", default=None)


def seeded(seed: int) -> int:
    """Returns the seed of the training that runs now, or the given one outside of hpo, where it also seeds generators.

    So one line serves a script that runs by itself and one whose trials hpo trains again: inside a training hpo has
    seeded the generators of Python, NumPy and PyTorch already.

    Args:
        seed: the seed outside of hpo.

    Examples:
        >>> import hpo
        >>> hpo.seeded(7)
        7
    """
    current = _CURRENT.get()
    if current is not None:
        return current
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002  the generator that scripts use
    if (torch := sys.modules.get("torch")) is not None:
        torch.manual_seed(seed)
    return seed


@contextmanager
def running(seed: int) -> Iterator[None]:
    """Lets `seeded` return this seed.

    Args:
        seed: of the training that runs.
    """
    token = _CURRENT.set(seed)
    try:
        yield
    finally:
        _CURRENT.reset(token)
