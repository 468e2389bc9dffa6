"""The drivers that are compared: `python -m tests.bench.driver MODE ADDRESS` answers requests with stamps by trial."""

from __future__ import annotations

import itertools
import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.bench.channel import ROOT, serve

CONCURRENCY = 2


@dataclass
class Stamps:
    """When each trial was over, by the driver's clocks, and which process had trained it."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    workers: list[object] = field(default_factory=list)

    def add(self, worker: object) -> None:
        """Stamps a trial that is over."""
        self.wall.append(time.perf_counter())
        self.cpu.append(time.process_time())
        self.workers.append(worker)


def ours(folder: Path, address: str, steps: int, count: int, stamps: Stamps) -> None:
    """This package, as `hpo run` drives it: its progress lines included."""
    from rich.console import Console

    import hpo
    from hpo.cli.progress import Progress

    class Watch(hpo.Observer):
        """Stamps what the run says."""

        def told(self, evaluation: Any) -> None:
            stamps.add(evaluation.reports[0].metrics["worker"])

    study = study_of(steps, count)
    config = hpo.RunConfig(
        storage=f"sqlite:///{folder / 'hpo.db'}",
        outputs=folder / "outputs",
        ray_address=address,
        concurrency=CONCURRENCY,
    )
    with Path(os.devnull).open("w") as sink:
        progress = Progress(study, Console(file=sink), threading.Event(), verb=None)
        hpo.run(study, config, observers=[progress, Watch()])


def study_of(steps: int, count: int, trainable: str = "tests.bench.toys:steps", **search: object) -> Any:
    """Returns a study of three floats under the random sampler and a median pruner."""
    import hpo

    content = {
        "name": "bench",
        "trainable": trainable,
        "objective": {"metric": "val"},
        "space": {name: {"float": [0.0, 1.0]} for name in ("x", "y", "z")},
        "search": {"sampler": "random", "trials": count, "budget": steps, **search},
    }
    return hpo.Study.model_validate(content).located(ROOT)


def plain(folder: Path, address: str, steps: int, count: int, stamps: Stamps, *, wal: bool = False) -> None:
    """Optuna alone: `study.optimize` with two threads on its SQLite storage."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)

    def objective(trial: optuna.Trial) -> float:
        for name in ("x", "y", "z"):
            trial.suggest_float(name, 0.0, 1.0)
        for step in range(1, steps + 1):
            trial.report(float(step), step)
            if trial.should_prune():
                raise optuna.TrialPruned
        return float(steps)

    study = optuna.create_study(
        storage=_storage(folder, wal=wal),
        sampler=optuna.samplers.RandomSampler(seed=0),
        pruner=optuna.pruners.MedianPruner(),
        direction="maximize",
    )
    study.optimize(
        objective, n_trials=count, n_jobs=CONCURRENCY, callbacks=[lambda _study, _trial: stamps.add(os.getpid())]
    )


def tune_search(
    folder: Path,
    address: str,
    steps: int,
    count: int,
    stamps: Stamps,
    *,
    reuse: bool = False,
    store: bool = False,
    wal: bool = False,
) -> None:
    """Ray Tune with its OptunaSearch: as installed, or with actors used again on a SQLite storage."""
    import optuna
    import ray
    from ray import tune
    from ray.tune.search.optuna import OptunaSearch

    from tests.bench.toys_tune import steps_of

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if not ray.is_initialized():
        ray.init(address=address, log_to_driver=False)

    class Watch(tune.Callback):
        def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: object) -> None:
            stamps.add(trial.last_result["worker"])

    search = OptunaSearch(
        {name: optuna.distributions.FloatDistribution(0.0, 1.0) for name in ("x", "y", "z")},
        metric="val",
        mode="max",
        sampler=optuna.samplers.RandomSampler(seed=0),
        storage=_storage(folder, wal=wal) if store else None,
        study_name="bench",
    )
    tune.Tuner(
        tune.with_resources(steps_of(steps), {"cpu": 1}),
        tune_config=tune.TuneConfig(
            search_alg=search, num_samples=count, max_concurrent_trials=CONCURRENCY, reuse_actors=reuse
        ),
        run_config=tune.RunConfig(name="bench", storage_path=str(folder), callbacks=[Watch()]),
    ).fit()


def _storage(folder: Path, *, wal: bool) -> Any:
    import optuna

    storage = optuna.storages.RDBStorage(f"sqlite:///{folder / 'optuna.db'}")
    if wal:
        from hpo.store import prepare_optuna

        prepare_optuna(storage.engine)
    return storage


MODES: dict[str, Callable[..., None]] = {
    "ours": ours,
    "plain": plain,
    "plain-wal": lambda *a: plain(*a, wal=True),
    "tune": tune_search,
    "tune-reuse": lambda *a: tune_search(*a, reuse=True, store=True),
    "tune-reuse-wal": lambda *a: tune_search(*a, reuse=True, store=True, wal=True),
}


def main() -> None:
    """Serves one mode."""
    mode, address, folder = MODES[sys.argv[1]], sys.argv[2], Path(sys.argv[3])
    numbers = itertools.count()

    def answer(steps: int, count: int) -> dict[str, object]:
        config = folder / f"{sys.argv[1]}-{next(numbers)}"
        config.mkdir()
        stamps = Stamps()
        mode(config, address, steps, count, stamps)
        return {"wall": stamps.wall, "cpu": stamps.cpu, "workers": stamps.workers}

    serve(answer)


if __name__ == "__main__":
    main()
