"""Named streams of randomness under one seed.

Each stream of each seed is a `numpy.random.SeedSequence` with its own spawn key, so streams are independent of each
other and of those of neighboring seeds. Adding offsets to a seed does not ensure that: seed 42 offset 1 is seed 43
offset 0. A stream holds no state: its numbers depend only on (seed, stream, key), where the key is the epoch or the
index of a sample. Therefore a training resumes bit-exactly, and a stream can be pickled.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hpo.core.errors import UsageError, did_you_mean
from hpo.core.optional_torch import require_torch

if TYPE_CHECKING:
    import torch

# torch is imported where it is used: the driver only reads the names of streams here.

STREAMS: Mapping[str, int] = {"split": 1, "init": 2, "order": 3, "augment": 4, "dropout": 5}
"""The streams and their ids. The ids are frozen: changing one changes every result."""


@dataclass(frozen=True, slots=True)
class Stream:
    """One source of randomness under a seed.

    Attributes:
        name: name of the stream, see `STREAMS`.
        seed: the seed that it is derived from.
    """

    name: str
    seed: int

    def sequence(self, *key: int) -> np.random.SeedSequence:
        """Returns the seed sequence of `key`, e.g. of an epoch."""
        return np.random.SeedSequence(self.seed, spawn_key=(STREAMS[self.name], *key))

    def number(self, *key: int) -> int:
        """Returns a 63-bit integer, which every library accepts as a seed."""
        return int(self.sequence(*key).generate_state(1, np.uint64)[0] >> np.uint64(1))

    def random_state(self, *key: int) -> int:
        """Returns a 31-bit integer, the `random_state` of scikit-learn, XGBoost and LightGBM."""
        return self.number(*key) >> 32

    def numpy(self, *key: int) -> np.random.Generator:
        """Returns a NumPy generator."""
        return np.random.Generator(np.random.PCG64(self.sequence(*key)))

    def torch(self, *key: int, device: str = "cpu") -> torch.Generator:
        """Returns a torch generator. On a CPU, torch uses only the lower 32 bits of the seed.

        Raises:
            UsageError: if torch is not installed.
        """
        require_torch(f"ctx.streams.{self.name}.torch()")
        import torch

        return torch.Generator(device).manual_seed(self.number(*key))

    def seed_global(self, *key: int) -> None:
        """Seeds the global generators of Python, NumPy and torch, for code that cannot take a generator (nn.Dropout).

        Those of Keras and TensorFlow are seeded too if the trainable has imported them.
        """
        number = self.number(*key)
        if (keras := sys.modules.get("keras")) is not None:
            keras.utils.set_random_seed(number % 2**32)  # TensorFlow's and its own; Python's are seeded again below
        elif (tensorflow := sys.modules.get("tensorflow")) is not None:
            tensorflow.random.set_seed(number % 2**32)
        random.seed(number)
        np.random.seed(number % 2**32)  # noqa: NPY002  other code may draw from the legacy global generator
        if (torch := sys.modules.get("torch")) is not None:  # not imported for a trainable without torch
            accelerated = torch.accelerator.current_accelerator() is not None
            # manual_seed seeds the CPU and every GPU, but is slow: it formats the stack three times.
            (torch if accelerated else torch.default_generator).manual_seed(number)

    @contextmanager
    def as_global(self, *key: int) -> Iterator[None]:
        """Seeds the global generators from this stream, and restores their state afterwards.

        Use it for a library that takes no generator: `with ctx.streams.init.as_global(): model = Net()`. The generators
        of Keras and TensorFlow cannot be restored, and continue from this stream.
        """
        python, legacy = random.getstate(), np.random.get_state()  # noqa: NPY002  see seed_global
        with _torch_restored():
            self.seed_global(*key)
            try:
                yield
            finally:
                random.setstate(python)
                np.random.set_state(legacy)  # noqa: NPY002  see seed_global


@contextmanager
def _torch_restored() -> Iterator[None]:
    if (torch := sys.modules.get("torch")) is None:
        yield
        return
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices=devices):
        yield


class Streams:
    """All streams of one training, as attributes: `split`, `init`, `order`, `augment`, `dropout`.

    Args:
        seed: seed of the training.
        overrides: seeds by stream, where they differ from it.

    Raises:
        UsageError: if `overrides` names an unknown stream.

    Examples:
        >>> import hpo
        >>> streams = hpo.Streams(42)
        >>> streams.split.random_state()
        15621041
        >>> streams.order.numpy(0).permutation(5)  # the order of epoch 0, another one than that of epoch 1
        array([2, 4, 3, 0, 1])
    """

    __slots__ = ("augment", "dropout", "init", "order", "split")

    def __init__(self, seed: int, overrides: Mapping[str, int] | None = None) -> None:
        overrides = overrides or {}
        for name in overrides:
            if name not in STREAMS:
                known = ", ".join(STREAMS)
                raise UsageError(f"no stream named {name!r}. Streams: {known}.{did_you_mean(name, STREAMS)}")
        self.split = Stream("split", overrides.get("split", seed))
        self.init = Stream("init", overrides.get("init", seed))
        self.order = Stream("order", overrides.get("order", seed))
        self.augment = Stream("augment", overrides.get("augment", seed))
        self.dropout = Stream("dropout", overrides.get("dropout", seed))
