"""Whole searches on a real backend, and what has to be equal between two of them."""

from __future__ import annotations

import threading

from gathering import GatheringBackend
from searches import table

from hpo.backends.local import LocalBackend
from hpo.search.source import SearchSource
from hpo.store import prepare_optuna
from hpo.store.optuna_storage.studies import OptunaStudies

PRUNERS = {
    "median": {"n_startup_trials": 4},
    "percentile": {"percentile": 40.0, "n_startup_trials": 4},
    "successive-halving": {"reduction_factor": 2},
    "hyperband": {},
}
TRIALS = 24


def napping(curve, pruner, **search):
    """Returns the toy study with curves that cross and durations from the operating system's random source."""
    search = {"lag": 6, "trials": TRIALS, "pruner": pruner, "pruner_options": PRUNERS[pruner], **search}
    return curve(search=search, fixed={"nap": 0.12})


def on_ray(study, folder, slots):
    """Returns the table of a search on `slots` Ray workers, all of which took part."""
    return searched(study, folder, GatheringBackend(folder / "work", slots))


def in_a_loop(study, folder):
    """Returns the table of the same search in this process, where no nap can change an order."""
    awake = study.model_validate({**study.content(), "fixed": {}}).located(study.root)
    return searched(awake, folder, LocalBackend(folder / "work"))


def searched(study, folder, backend):
    folder.mkdir(parents=True)
    durable = OptunaStudies(f"sqlite:///{folder / 'hpo.db'}", prepare_optuna)
    source = SearchSource(study, durable.open(study.name, study.objective, {}))
    backend.run(source, study.ref, study.resources, threading.Event())
    found = table(durable, study)
    durable.close()
    return found
