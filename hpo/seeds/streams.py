"""Named streams of randomness under one seed.

Each stream of each seed is a `numpy.random.SeedSequence` with its own spawn key, so that streams are independent of
each other and of those of the neighbouring seeds; schemes that add offsets to a seed are not (seed 42 offset 1 is seed
43 offset 0). A stream holds no state: what it gives depends on (seed, stream, key) alone, where the key is the epoch
or the number of a sample. That is why a training resumes bit-exactly and why a stream survives pickling.
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

if TYPE_CHECKING:
    import torch

# torch is imported where it is used: the driver reads the names of streams here and trains nothing.

STREAMS: Mapping[str, int] = {"split": 1, "init": 2, "order": 3, "augment": 4, "dropout": 5}
"""The streams and their ids. The ids are frozen: a changed one changes every result."""


@dataclass(frozen=True, slots=True)
class Stream:
    """One source of randomness under a seed.

    Attributes:
        name: which one; see `STREAMS`.
        seed: the seed that it is derived from.
    """

    name: str
    seed: int

    def sequence(self, *key: int) -> np.random.SeedSequence:
        """Returns the seed sequence of `key`, e.g. of an epoch."""
        return np.random.SeedSequence(self.seed, spawn_key=(STREAMS[self.name], *key))

    def number(self, *key: int) -> int:
        """Returns a whole number of 63 bits, which every library takes as a seed."""
        return int(self.sequence(*key).generate_state(1, np.uint64)[0] >> np.uint64(1))

    def random_state(self, *key: int) -> int:
        """Returns a whole number of 31 bits: what scikit-learn, XGBoost and LightGBM take as `random_state`."""
        return self.number(*key) >> 32

    def numpy(self, *key: int) -> np.random.Generator:
        """Returns a NumPy generator."""
        return np.random.Generator(np.random.PCG64(self.sequence(*key)))

    def torch(self, *key: int, device: str = "cpu") -> torch.Generator:
        """Returns a torch generator. torch on a CPU uses the lower 32 bits of its seed only."""
        import torch

        return torch.Generator(device).manual_seed(self.number(*key))

    def seed_global(self, *key: int) -> None:
        """Seeds the process-wide generators of Python, NumPy and torch, for what can use no other (nn.Dropout).

        Those of Keras and TensorFlow too where the trainable has imported them.
        """
        number = self.number(*key)
        if (keras := sys.modules.get("keras")) is not None:
            keras.utils.set_random_seed(number % 2**32)  # TensorFlow's and its own; Python's are set anew below
        elif (tensorflow := sys.modules.get("tensorflow")) is not None:
            tensorflow.random.set_seed(number % 2**32)
        random.seed(number)
        np.random.seed(number % 2**32)  # noqa: NPY002  the legacy global generator is what other code may draw from
        if (torch := sys.modules.get("torch")) is not None:  # a trainable without torch does not pay for it
            accelerated = torch.accelerator.current_accelerator() is not None
            # manual_seed seeds the CPU and every GPU. A torch built for none is spared it: it formats the stack thrice.
            (torch if accelerated else torch.default_generator).manual_seed(number)

    @contextmanager
    def as_global(self, *key: int) -> Iterator[None]:
        """Lends the process-wide generators to this stream and gives them back as they were.

        Use it where a library draws from them and takes no generator:
        `with ctx.streams.init.as_global(): model = Net()`. Those of Keras and TensorFlow cannot be given back, and go
        on from this stream.
        """
        python, legacy = random.getstate(), np.random.get_state()  # noqa: NPY002  see seed_global
        with _torch_given_back():
            self.seed_global(*key)
            try:
                yield
            finally:
                random.setstate(python)
                np.random.set_state(legacy)  # noqa: NPY002  see seed_global


@contextmanager
def _torch_given_back() -> Iterator[None]:
    if (torch := sys.modules.get("torch")) is None:
        yield
        return
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices=devices):
        yield


class Streams:
    """All streams of one training, as attributes: `split`, `init`, `order`, `augment`, `dropout`.

    Args:
        seed: of the training.
        overrides: seeds of single streams that differ from it.

    Raises:
        UsageError: if `overrides` names an unknown stream.
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
