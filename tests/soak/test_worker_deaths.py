"""A worker dies once, or twice, in every phase of a study, and all that comes of it is what an undisturbed one gives.

By `pytest -m soak`; the counts of deaths are printed at the end.
"""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import replace

import pytest

from hpo import api
from hpo.driver.session import RunContext, Session

pytestmark = [pytest.mark.soak, pytest.mark.ray]

TRIALS, REPLAYS = 4, 3
FOLDS = {"validation": {"folds": 2}}

VERBS = {
    "search": lambda study, config: api.run(study, config),
    "promotion": lambda study, config: api.promote(study, config),
    "replay": lambda study, config: api.replay(study, config, trial=0, replays=REPLAYS),
    "decomposition": lambda study, config: api.decompose(study, config, trial=0, n=2, replays=2, sources=("order",)),
}
TRAININGS = {"search": TRIALS, "promotion": 9, "replay": REPLAYS}

deaths = Counter()


@pytest.fixture(scope="module", autouse=True)
def told():
    """Prints how many workers died."""
    yield
    counted = ", ".join(f"{count} x {phase}" for phase, count in sorted(deaths.items()))
    sys.stderr.write(f"\nworker deaths, {sum(deaths.values())} in all: {counted}\n")


def outcome(study, config):
    """All that a study came to: its trials, and each evaluation once."""
    with Session.open(study, RunContext.of(study, config), create=False) as found:
        trials = [(t.number, t.state, t.params, t.value, t.values) for t in found.durable.trials()]
        evaluations = found.store.evaluations(found.stored)
    assert max(Counter(one.job.key for one in evaluations).values()) == 1
    assert {state for _, state, *_ in trials} == {"complete"}
    told = {one.job.key: (one.status, one.value, one.step, dict(one.digests)) for one in evaluations}
    return trials, told


@pytest.mark.parametrize(
    ("phase", "which", "times", "folds"),
    [
        *((phase, which, 1, False) for phase in ("search", "promotion", "replay") for which in ("first", "last")),
        *((phase, "last", 2, False) for phase in ("search", "promotion", "replay")),
        *((phase, "last", 1, True) for phase in ("search", "promotion")),
        ("decomposition", "first", 1, False),
    ],
)
def test_death_in_any_phase(curve, config, tmp_path, storage_url, ray_slots, phase, which, times, folds):
    flags = tmp_path / "flags"
    flags.mkdir()
    tables = {"space": {"x": {"float": [0.0, 1.0]}}, "fixed": {"flags": str(flags)}}
    search = {"trials": TRIALS, "budget": 3, "pruner": "none"}
    study = curve(trainable="toys.mortal:train", search=search, **tables, **(FOLDS if folds else {}))
    calm = replace(config, storage=f"sqlite:///{tmp_path / 'calm.db'}", outputs=tmp_path / "calm")
    there = replace(config, storage=storage_url, backend="ray", concurrency=2)
    number = 1 if which == "first" else TRAININGS[phase] * (2 if folds else 1)
    for verb in dict.fromkeys(("search", phase)):
        VERBS[verb](study, calm)
        if verb == phase:
            (flags / "plan").write_text(f"{number} {times}")
        VERBS[verb](study, there)
        (flags / "plan").unlink(missing_ok=True)
    assert (flags / f"death-{times}").exists(), "nobody died"
    deaths[f"{which} of a {phase}{' with folds' if folds else ''}"] += times
    assert outcome(study, there) == outcome(study, calm)
