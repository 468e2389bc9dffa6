"""What is said where Optuna's code for sampling and pruning raises."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from hpo.core.errors import HpoError, SamplerFailed


@contextmanager
def explained_failure(what: str) -> Iterator[None]:
    """Turns an exception of a sampler or a pruner into a sentence.

    Args:
        what: could not be done, as the beginning of the sentence.

    Raises:
        SamplerFailed: if the block raised anything but this package's own errors.
    """
    try:
        yield
    except HpoError:
        raise
    except Exception as error:  # samplers compute with torch, SciPy and NumPy, each with exceptions of its own
        raise SamplerFailed(
            f"{what}: {type(error).__name__}: {error}. What has been trained is recorded. It would fail again, so go "
            "on under another study name with another sampler or pruner, and narrower ranges or values"
        ) from error
