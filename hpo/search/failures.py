"""Error messages for exceptions in Optuna's samplers and pruners."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from hpo.core.errors import HpoError, SamplerFailed


@contextmanager
def explained_failure(what: str) -> Iterator[None]:
    """Turns an exception of a sampler or a pruner into an error message.

    Args:
        what: what could not be done, as the beginning of the message.

    Raises:
        SamplerFailed: if the block raised anything but this package's own errors.
    """
    try:
        yield
    except HpoError:
        raise
    except Exception as error:  # samplers use torch, SciPy and NumPy, which raise many kinds
        raise SamplerFailed(
            f"{what}: {type(error).__name__}: {error}. What has been trained is recorded. It would fail again, so go "
            "on under another study name with another sampler or pruner, and narrower ranges or values"
        ) from error
