"""A Ray of the bench's own, which no other on this machine notices: own folder, own ports, ended with its block."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from tests.bench.channel import ROOT


@contextmanager
def ray_head(cpus: int) -> Iterator[str]:
    """Starts Ray in this process, as anybody's would be, and gives its address."""
    os.environ["PYTHONPATH"] = str(ROOT)  # of the workers, for the trainables
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray

    with tempfile.TemporaryDirectory(prefix="hpo-bench-ray-") as folder:
        ray.init(address="local", num_cpus=cpus, include_dashboard=False, log_to_driver=False, _temp_dir=folder)
        try:
            yield ray.get_runtime_context().gcs_address
        finally:
            ray.shutdown()
