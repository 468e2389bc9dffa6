"""Every pruner, two and four workers, again and again: minutes rather than seconds, so by `pytest -m soak` only."""

from __future__ import annotations

import pytest
from parallel import PRUNERS, in_a_loop, napping, on_ray

pytestmark = [pytest.mark.soak, pytest.mark.ray]


@pytest.mark.parametrize("sampler", ["tpe", "random", "cmaes", "qmc", "nsgaii", "toys.samplers:Climber"])
@pytest.mark.parametrize("pruner", PRUNERS)
def test_same_table_on_every_run(tmp_path, curve, ray_slots, pruner, sampler):
    study = napping(curve, pruner, sampler=sampler)
    tables = [on_ray(study, tmp_path / f"{slots}-{run}", slots) for slots in (2, 4) for run in range(3)]
    tables.append(in_a_loop(study, tmp_path / "loop"))
    assert all(other == tables[0] for other in tables)


@pytest.mark.parametrize("pruner", PRUNERS)
def test_without_a_lag_timing_decides(tmp_path, curve, ray_slots, pruner):
    study = napping(curve, pruner, lag=False)
    tables = [on_ray(study, tmp_path / str(run), 4) for run in range(3)]
    assert tables[0] != tables[1] or tables[1] != tables[2]
