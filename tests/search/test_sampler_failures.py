"""A sampler or a pruner that raises ends a search with a sentence."""

from __future__ import annotations

import pytest

from hpo.core.errors import SamplerFailed, StorageAway
from hpo.search.failures import explained_failure


def test_sampler_error_is_one_sentence():
    said = r"^sampler 'gp' could not propose trial 7: MemoryError: 128 PiB\. What has been trained is recorded"
    with pytest.raises(SamplerFailed, match=said), explained_failure("sampler 'gp' could not propose trial 7"):
        raise MemoryError("128 PiB")


def test_database_outage_is_passed_on():
    with pytest.raises(StorageAway), explained_failure("sampler 'gp' could not propose trial 7"):
        raise StorageAway("not now", 1.0)
