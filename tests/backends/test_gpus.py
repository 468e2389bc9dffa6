"""Graphics cards among Ray's workers: simulated ones for who gets which, a real one for its memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[2]

SCRIPT = """
import json, sys, threading
from pathlib import Path

import ray
from gathering import GatheringBackend
from hpo.backends.ray import connected
from hpo.core.protocols import Resources
from test_backends import Jobs, jobs, ref

cards, share, folder = int(sys.argv[1]), float(sys.argv[2]), Path(sys.argv[3])
ray.init(address="local", num_cpus=8, num_gpus=cards, include_dashboard=False, log_to_driver=False)
resources = Resources(cpu=1, gpu=share)
with connected(None, resources, None) as slots:
    source = Jobs(jobs(2 * slots, budget=2, nap=0.3))
    GatheringBackend(folder, slots).run(source, ref("toys.cards:train"), resources, threading.Event())
print(json.dumps([slots, [dict(one.reports[0].metrics) for one in source.evaluations.values()]]))
"""


def trained(folder, cards, share):
    """Runs jobs on a Ray of a process of its own; returns the slots and each job's first metrics."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(cards), str(share), str(folder)],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(Path(__file__).parent), str(ROOT / "tests" / "support")]),
        },
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    slots, found = json.loads(done.stdout.splitlines()[-1])
    workers = defaultdict(set)
    for one in found:
        assert one["cards"] == 1, "a worker sees more cards than it was given"
        workers[one["card"]].add(one["pid"])
    return slots, workers, found


BLIND = """
import sys
from pathlib import Path
import ray
import hpo
from hpo import api
from hpo.core.errors import UsageError

ray.init(address="local", num_cpus=2, num_gpus=1, include_dashboard=False, log_to_driver=False)
study = api.load_study(sys.argv[1])
folder, share = Path(sys.argv[2]), float(sys.argv[3])
place = hpo.RunConfig(storage=f"sqlite:///{folder}/hpo.db", outputs=folder, gpus_per_trial=share)
try:
    api.run(study, place, trials=1)
except UsageError as error:
    print("refused:", error)
print("written:", (folder / "hpo.db").exists())
"""


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.parametrize("share", ["1", "0.5"])
@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a graphics card")
def test_missing_gpus_are_refused(tmp_path, share):
    """A Ray may offer cards that are not there, or that torch was not built for."""
    study = ROOT / "tests" / "project" / "studies" / "curve.toml"
    done = subprocess.run(
        [sys.executable, "-c", BLIND, str(study), str(tmp_path), share],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert f"refused: one training requests {share} GPU; Ray offers cards on " in done.stdout, done.stderr
    assert "where torch sees none" in done.stdout
    assert "written: False" in done.stdout


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.parametrize(("share", "slots"), [pytest.param(0.4, 4, marks=pytest.mark.soak), (1.0, 2)])
def test_fractions_share_a_gpu(tmp_path, share, slots):
    given, workers, found = trained(tmp_path, 2, share)
    assert given == slots
    assert len(found) == 2 * slots
    assert {card: len(pids) for card, pids in workers.items()} == {0: slots // 2, 1: slots // 2}


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no graphics card")
def test_shared_gpu_memory_is_limited(tmp_path):
    _, _, found = trained(tmp_path, 1, 0.25)
    assert {one["share"] for one in found} == {0.25}
