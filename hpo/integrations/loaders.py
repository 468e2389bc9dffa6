"""Seeds of torch data loaders, with and without worker processes. torch itself is not imported here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hpo.seeds.streams import Streams


def seed_loader(loader: Any, streams: Streams, *key: int) -> None:
    """Seeds the order of a data loader from the order stream, and its worker processes from the augment stream.

    torch seeds the generators of Python, NumPy and torch in each worker from the loader's generator. Without workers,
    the dataset uses the generators of the training's process, which hpo seeds from the dropout stream. Call this
    function before each pass over the loader; it replaces the generators of the loader and its sampler.

    Args:
        loader: a `DataLoader`; other objects and samplers without a generator are not changed.
        streams: the sources of randomness of the training, `ctx.streams`.
        *key: number of the epoch, and of the loader if there are several.
    """
    loader = getattr(loader, "base_dataloader", loader)  # Accelerate's holds the one that draws
    for holder in (loader, getattr(loader, "batch_sampler", None)):
        sampler: Any = getattr(holder, "sampler", None)
        if hasattr(sampler, "generator"):
            sampler.generator = streams.order.torch(*key)
        if hasattr(sampler, "initial_seed"):  # Accelerate's sampler seeds its generator from this and the epoch
            sampler.initial_seed = streams.order.random_state(*key)
    if hasattr(loader, "generator"):
        loader.generator = streams.augment.torch(*key)
