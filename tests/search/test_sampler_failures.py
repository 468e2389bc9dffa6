"""A sampler or a pruner that raises ends a search with a sentence."""

from __future__ import annotations

import pytest

from hpo.core.errors import SamplerFailed, StorageAway
from hpo.search.failures import explained_failure


def test_an_exception_becomes_a_sentence():
    said = r"^sampler 'gp' could not propose trial 7: MemoryError: 128 PiB\. What has been trained is recorded"
    with pytest.raises(SamplerFailed, match=said), explained_failure("sampler 'gp' could not propose trial 7"):
        raise MemoryError("128 PiB")


def test_a_database_that_is_away_stays_so():
    with pytest.raises(StorageAway), explained_failure("sampler 'gp' could not propose trial 7"):
        raise StorageAway("not now", 1.0)
