"""Seeds that are derived from a seed: one function, and one table of what they are for."""

from __future__ import annotations

from enum import IntEnum

import numpy as np


class Purpose(IntEnum):
    """What a derived seed is for, and what its key holds.

    The numbers are frozen, for a changed one changes results; they lie apart from those of `STREAMS`.
    """

    SAMPLER = 100
    """The sampler's proposal of one trial: (trial). None is carried over, so a resumed search draws the same."""

    SEARCH = 101
    """A training of a search that has several seeds: (trial) or (replicate)."""

    DRAW = 102
    """A draw of a decomposition: (draw), or (draw, id of the stream that is drawn anew)."""

    FOLD = 103
    """A training of one fold: (fold). Neighbouring seeds share none, as 42 + 1 and 43 would."""

    PARTITION = 104
    """The division of the data into folds: (repeat of the cross-validation)."""


def derive_seed(seed: int, purpose: Purpose, *key: int) -> int:
    """Returns a 32-bit seed that depends on a seed, a purpose and a key, and on nothing else.

    The first word of `numpy.random.SeedSequence`, whose spawn keys make the seeds of all purposes independent.

    Args:
        seed: the seed that it is derived from.
        purpose: what it is for.
        key: numbers that tell seeds of one purpose apart, as described there.
    """
    sequence = np.random.SeedSequence(seed, spawn_key=(int(purpose), *key))
    return int(sequence.generate_state(1, np.uint32)[0])
