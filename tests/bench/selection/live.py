"""Problems that are trained on demand: a continuous and conditional space of small networks, in numpy."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import optuna
from numpy.typing import NDArray
from sklearn.datasets import make_friedman1

Array = NDArray[np.floating[Any]]

SEEDS, STEPS = 40, 32
FIT, JUDGE = 100, 400
"""Rows to train on, few, so that seeds matter; rows to judge by."""

LOWEST = -3.0
"""Score of a training that diverged."""

SPACE: dict[str, dict[str, Any]] = {
    "optimizer": {"choice": ["sgd", "adam"]},
    "lr": {"float": [1e-4, 3.0], "log": True},
    "momentum": {"float": [0.0, 0.99], "when": {"optimizer": "sgd"}},
    "beta1": {"float": [0.5, 0.99], "when": {"optimizer": "adam"}},
    "beta2": {"float": [0.8, 0.9999], "when": {"optimizer": "adam"}},
    "weight_decay": {"float": [1e-6, 0.3], "log": True},
    "dropout": {"float": [0.0, 0.7]},
    "width": {"int": [4, 48], "log": True},
    "depth": {"int": [1, 3]},
}

REFERENCES = {"friedman": (0.669, 0.047), "sines": (0.524, 0.071)}
"""Mean - sigma of the best of 400 random configurations over all seeds, and its unit; a search may find better ones."""


@dataclass(eq=False)
class Live:
    """A problem without a table: what is asked for is trained, and kept.

    Attributes:
        name: of the problem, such as `live friedman`.
    """

    name: str
    unseen = True
    seeds = SEEDS
    _rows: list[dict[str, Any]] = field(default_factory=list)
    _places: dict[tuple[Any, ...], int] = field(default_factory=dict)
    _known: dict[tuple[int, int], float] = field(default_factory=dict)

    @property
    def unit(self) -> float:
        """The median standard deviation over seeds among the best twentieth of the random configurations."""
        return REFERENCES[self.name.split()[1]][1]

    @property
    def study_space(self) -> Mapping[str, Mapping[str, Any]]:
        """The space as a study file has it."""
        return SPACE

    def suggested(self, trial: optuna.Trial) -> dict[str, Any]:
        """Returns the params that a trial of Optuna's suggests."""
        found: dict[str, Any] = {}
        for name, said in SPACE.items():
            if any(found.get(key) != wanted for key, wanted in said.get("when", {}).items()):
                continue
            if "choice" in said:
                found[name] = trial.suggest_categorical(name, said["choice"])
            elif "float" in said:
                found[name] = trial.suggest_float(name, *said["float"], log=said.get("log", False))
            else:
                found[name] = trial.suggest_int(name, *said["int"], log=said.get("log", False))
        return found

    def index(self, params: Mapping[str, Any]) -> int:
        """Returns the number of a configuration."""
        key = tuple(sorted(params.items()))
        if key not in self._places:
            self._places[key] = len(self._rows)
            self._rows.append(dict(params))
        return self._places[key]

    def value(self, row: int, column: int) -> float:
        """Returns the score of a configuration under a seed."""
        return float(self.values(row, [column])[0])

    def values(self, row: int, columns: Sequence[int]) -> Array:
        """Returns the scores of a configuration under seeds."""
        new = [column for column in columns if (row, column) not in self._known]
        if new:
            scores = fitted(self._rows[row], new, self.name.split()[1])
            self._known.update(((row, column), float(score)) for column, score in zip(new, scores, strict=True))
        return np.array([self._known[row, column] for column in columns])

    def loss(self, row: int, seen: int, order: Sequence[int]) -> float:
        """Returns how far the true mean - sigma lies below the reference, in units; below 0: above it.

        Args:
            row: number of the configuration.
            seen: how many seeds the methods may see.
            order: of the seeds in this repetition; the first are those that are seen.
        """
        scores = self.values(row, list(order)[seen:])
        return float((REFERENCES[self.name.split()[1]][0] - scores.mean() + scores.std()) / self.unit)


def _data(name: str) -> tuple[Array, Array]:
    if name == "friedman":
        x_NF, y_N = make_friedman1(800, n_features=10, noise=1.0, random_state=11)
        x_NF = (x_NF - x_NF.mean(0)) / x_NF.std(0)
    else:
        draw = np.random.default_rng(8)
        x_NF = draw.uniform(-1, 1, size=(800, 5))
        y_N = np.sin(4 * x_NF[:, 0]) * x_NF[:, 1] + np.cos(3 * x_NF[:, 2]) + 0.3 * draw.normal(size=800)
    return x_NF.astype(np.float32), ((y_N - y_N.mean()) / y_N.std()).astype(np.float32)


def fitted(params: Mapping[str, Any], seeds: Sequence[int], name: str) -> Array:
    """Returns R2 (S,) of networks that were trained under these seeds, all at once.

    A seed says the split, the initial weights and the dropped units.
    """
    x_NF, y_N = _data(name)
    draws = [np.random.default_rng([int(seed), 5]) for seed in seeds]
    orders = np.stack([draw.permutation(len(x_NF)) for draw in draws])
    fit, judge = orders[:, :FIT], orders[:, FIT : FIT + JUDGE]
    depth, width = int(params["depth"]), int(params["width"])
    sizes = [x_NF.shape[1], *[width] * depth, 1]
    weights: list[Array] = []
    for inputs, outputs in pairwise(sizes):
        drawn = [draw.standard_normal((inputs, outputs), dtype=np.float32) for draw in draws]
        weights += [np.stack(drawn) * np.float32(math.sqrt(2 / inputs)), np.zeros((len(seeds), 1, outputs), np.float32)]
    speeds, squares = [np.zeros_like(one) for one in weights], [np.zeros_like(one) for one in weights]
    for step in range(1, STEPS + 1):
        slopes = _slopes(x_NF[fit], y_N[fit], weights, float(params["dropout"]), draws)
        for place, slope in enumerate(slopes):
            slope = np.clip(np.nan_to_num(slope, nan=0.0, posinf=0.0, neginf=0.0), -10, 10)
            slope = slope + (params["weight_decay"] * weights[place] if place % 2 == 0 else 0.0)
            if params["optimizer"] == "adam":
                one, two = params["beta1"], params["beta2"]
                speeds[place] = one * speeds[place] + (1 - one) * slope
                squares[place] = two * squares[place] + (1 - two) * slope**2
                move = speeds[place] / (1 - one**step) / (np.sqrt(squares[place] / (1 - two**step)) + 1e-8)
                moved = weights[place] - params["lr"] * move
            else:
                speeds[place] = params["momentum"] * speeds[place] - params["lr"] * slope
                moved = weights[place] + speeds[place]
            weights[place] = np.clip(moved, -1e3, 1e3).astype(np.float32)
    hidden = x_NF[judge]
    for layer in range(depth):
        hidden = np.maximum(hidden @ weights[2 * layer] + weights[2 * layer + 1], 0)
    errors = (((hidden @ weights[-2] + weights[-1])[..., 0] - y_N[judge]) ** 2).mean(-1)
    return np.nan_to_num(np.clip(1 - errors / y_N[judge].var(-1), LOWEST, 1), nan=LOWEST).astype(float)


def _slopes(
    x_SNF: Array, y_SN: Array, weights: Sequence[Array], dropout: float, draws: Sequence[np.random.Generator]
) -> list[Array]:
    depth = len(weights) // 2 - 1
    layers, masks = [x_SNF], []
    for layer in range(depth):
        hidden = np.maximum(layers[-1] @ weights[2 * layer] + weights[2 * layer + 1], 0)
        kept = np.stack([draw.random(hidden.shape[1:], dtype=np.float32) for draw in draws]) >= dropout
        masks.append(kept / np.float32(1 - dropout))
        layers.append(hidden * masks[-1])
    back = np.float32(2 / FIT) * (layers[-1] @ weights[-2] + weights[-1] - y_SN[..., None])
    found: list[Array] = [back] * len(weights)
    for layer in range(depth, -1, -1):
        found[2 * layer], found[2 * layer + 1] = layers[layer].transpose(0, 2, 1) @ back, back.sum(1, keepdims=True)
        if layer:
            back = (back @ weights[2 * layer].transpose(0, 2, 1)) * masks[layer - 1] * (layers[layer] > 0)
    return found
