"""Whatever user code does, its study ends, both databases keep it, and every command reads it."""

from __future__ import annotations

import os
import sys
import uuid
from collections import Counter

import pytest
from hostile_studies import hostile_params, read_all, run_to_the_end, study_of
from hostile_trainings import hostile
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import hpo
from hpo import api

SOME = settings(
    max_examples=2,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
HOSTILE = int(os.environ.get("HPO_SOAK_HOSTILE", "2000"))


def fresh(tmp_path, storage=None, backend="local"):
    folder = tmp_path / uuid.uuid4().hex[:8]
    folder.mkdir()
    url = storage or f"sqlite:///{folder / 'hpo.db'}"
    return hpo.RunConfig(
        storage=url, outputs=folder / "outputs", backend=backend, concurrency=2 if backend == "ray" else None
    )


@pytest.mark.slow
@SOME
@given(wanted=st.lists(hostile_params(), min_size=10, max_size=10))
def test_hostile_study_ends_and_is_readable(wanted, curve, tmp_path, storage_url, capsys):
    study, config = study_of(curve, wanted, f"h{uuid.uuid4().hex[:8]}"), fresh(tmp_path, storage_url)
    run_to_the_end(study, config)
    read_all(study, config, capsys)


@pytest.mark.ray
@pytest.mark.soak
def test_hostile_study_ends_on_ray(curve, tmp_path, ray_slots, capsys):
    wanted = [{"error": error} for error in ("keyboard", "exit", "unpicklable", "recursion", "base", "nul", "pruned")]
    wanted += [{"value": value} for value in ("cursed", "beyond-1e308", "float-subclass", "name-surrogate")]
    wanted += [{"fact": fact} for fact in ("cursed", "numpy-int", "tensor")]
    wanted += [{"effect": effect} for effect in ("pipe-at-checkpoint.pt", "own-facts", "folder-gone", "log-cursed")]
    kills = [{"effect": effect} for effect in hostile.TAKES_THE_PROCESS]
    study, config = study_of(curve, [*wanted, *kills], resources={"max_attempts": 2}), fresh(tmp_path, backend="ray")
    with api.Workers() as workers:
        found = run_to_the_end(study, config, workers)
    read_all(study, config, capsys)
    died = [one for one in found.values() if one.job.params["effect"] in hostile.TAKES_THE_PROCESS]
    assert len(died) == len(kills)
    assert all("died while they trained it" in one.error for one in died)
    here = run_to_the_end(study_of(curve, wanted, "local"), fresh(tmp_path)).values()
    there = {one.job.params["x"]: (one.status, one.value) for one in found.values()}
    assert {one.job.params["x"]: (one.status, one.value) for one in here}.items() <= there.items()


@pytest.mark.soak
@pytest.mark.parametrize("backend", ["local", pytest.param("ray", marks=pytest.mark.ray)])
def test_thousands_of_hostile_trainings(backend, curve, tmp_path, storage_url, capsys, request):
    """`HPO_SOAK_HOSTILE` says how many, `HPO_SOAK_SEED` repeats one."""
    import random

    if backend == "ray":
        request.getfixturevalue("ray_slots")
    seed = int(os.environ.get("HPO_SOAK_SEED", random.SystemRandom().randrange(10**6)))
    draw = random.Random(seed)
    counts, left = Counter(), HOSTILE // 2
    while left > 0:
        count = min(left, 100)
        left -= count
        wanted = [drawn(draw, backend) for _ in range(count)]
        study, config = study_of(curve, wanted, f"h{uuid.uuid4().hex[:8]}"), fresh(tmp_path, storage_url, backend)
        counts.update(str(one.status) for one in run_to_the_end(study, config).values())
        read_all(study, config, capsys)
        sys.stderr.write(f"HPO_SOAK_SEED={seed} {backend} {storage_url.partition(':')[0]} {dict(counts)}\n")
    assert set(counts) <= {"complete", "failed", "pruned"}


def drawn(draw, backend):
    """Returns what goes wrong in one training: one thing, or several."""
    from hostile_studies import CHOICES

    effects = CHOICES["effect"] if backend == "ray" and draw.random() < 0.1 else list(hostile.EFFECTS)
    if backend == "ray":  # it takes the folders of trainings that run beside it
        effects = [one for one in effects if one != "parents-gone"]
    tables = {**CHOICES, "value": CHOICES["value"][1:], "effect": effects}
    chosen = draw.sample(["value", "error", "effect", "fact"], draw.choice([1, 1, 2, 4]))
    return {
        **{one: draw.choice(tables[one]) for one in chosen},
        "epoch": draw.randint(1, 3),
        "loop": draw.random() < 0.7,
    }
