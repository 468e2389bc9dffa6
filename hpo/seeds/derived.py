"""Derives seeds from a seed: one function, and one table of purposes."""

from __future__ import annotations

from enum import IntEnum

import numpy as np


class Purpose(IntEnum):
    """What a derived seed is for; the docstring of each member lists its key.

    The numbers are frozen, because changing one changes results; they are distinct from those of `STREAMS`.
    """

    SAMPLER = 100
    """The sampler's proposal for one trial: (trial). No state is carried over, so a resumed search draws the same."""

    SEARCH = 101
    """A training of a search with several seeds: (trial) or (replicate)."""

    DRAW = 102
    """A draw of a decomposition: (draw), or (draw, id of the redrawn stream)."""

    FOLD = 103
    """A training of one fold: (fold). Neighboring seeds do not overlap, as 42 + 1 and 43 would."""

    PARTITION = 104
    """The split of the data into folds: (repeat of the cross-validation)."""

    PRUNER = 105
    """A pruner given as `module:Class` that takes a seed: (trial)."""

    TEST = 106
    """The choice of a study's test part: ()."""

    REPLICATE = 107
    """A generated seed of a promotion: (index)."""


def derive_seed(seed: int, purpose: Purpose, *key: int) -> int:
    """Returns a 32-bit seed that depends only on a seed, a purpose and a key.

    It is the first word of a `numpy.random.SeedSequence`, whose spawn keys make the seeds of all purposes independent.

    Args:
        seed: the seed to derive from.
        purpose: purpose of the derived seed.
        key: numbers that distinguish seeds of one purpose, see `Purpose`.
    """
    sequence = np.random.SeedSequence(seed, spawn_key=(int(purpose), *key))
    return int(sequence.generate_state(1, np.uint32)[0])
