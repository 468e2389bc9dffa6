"""Small networks trained by the thousand: each configuration under forty seeds, in batches that torch does at once."""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import numpy as np
import sklearn.datasets
import torch

SEEDS = 40
STEPS = 60
SPACE: dict[str, list[Any]] = {
    "lr": [0.003, 0.01, 0.03, 0.1, 0.3, 0.6, 1.0, 2.0, 4.0],
    "momentum": [0.0, 0.5, 0.9],
    "dropout": [0.0, 0.2, 0.4],
    "scale": [0.3, 1.0, 3.0],
    "width": [4, 8, 16, 32],
}
COUNT = math.prod(map(len, SPACE.values()))
ROWS = {"wine": (60, 110), "diabetes": (100, 300), "bc": (80, 300), "digits": (200, 400)}
"""Rows to train on, few, so that seeds matter; rows to judge by."""

Array = np.ndarray[Any, np.dtype[np.float64]]


def scores(dataset: str) -> Array:
    """Returns scores (C, S): minus the cross entropy, or R2 for `diabetes`, of full-batch descent with momentum.

    A seed says the split, the initial weights and the dropped units, the same for all configurations.
    """
    x_NF, y_N = _data(dataset)
    found = np.empty((COUNT, SEEDS))
    configs = list(product(*SPACE.values()))
    for width in SPACE["width"]:
        rows = [place for place, config in enumerate(configs) if config[-1] == width]
        for seed in range(SEEDS):
            found[rows, seed] = _trained(x_NF, y_N, [configs[row] for row in rows], width, seed, ROWS[dataset])
    return found


def _data(dataset: str) -> tuple[torch.Tensor, torch.Tensor]:
    name = {"bc": "breast_cancer"}.get(dataset, dataset)
    loaded = getattr(sklearn.datasets, f"load_{name}")()
    x_NF = torch.tensor(loaded.data, dtype=torch.float32)
    x_NF = (x_NF - x_NF.mean(0)) / (x_NF.std(0) + 1e-6)
    if dataset != "diabetes":
        return x_NF, torch.tensor(loaded.target)
    y_N = torch.tensor(loaded.target, dtype=torch.float32)
    return x_NF, (y_N - y_N.mean()) / y_N.std()


def _trained(
    x_NF: torch.Tensor, y_N: torch.Tensor, configs: list[tuple[Any, ...]], width: int, seed: int, rows: tuple[int, int]
) -> Array:
    """Trains all configurations of one width under one seed and returns their scores (K,)."""
    draw = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(x_NF), generator=draw)
    fit, judge = order[: rows[0]], order[rows[0] : sum(rows)]
    classes = int(y_N.max()) + 1 if y_N.dtype == torch.int64 else 1
    lr, momentum, dropout, scale, _ = (
        torch.tensor(column, dtype=torch.float32)[:, None, None] for column in zip(*configs, strict=True)
    )
    inputs = x_NF.shape[1]
    weights = [
        scale * torch.randn(1, inputs, width, generator=draw) / math.sqrt(inputs),
        torch.zeros(len(configs), 1, width),
        scale * torch.randn(1, width, classes, generator=draw) / math.sqrt(width),
        torch.zeros(len(configs), 1, classes),
    ]
    speeds = [torch.zeros_like(one) for one in weights]
    for _ in range(STEPS):
        kept = (torch.rand(1, len(fit), width, generator=draw) >= dropout).float() / (1 - dropout)
        leaves = [one.detach().requires_grad_() for one in weights]
        _loss(_forward(x_NF[fit], leaves, kept), y_N[fit]).sum().backward()
        for place, leaf in enumerate(leaves):
            slope = torch.nan_to_num(leaf.grad, 0.0, 0.0, 0.0).clamp(-10, 10)
            speeds[place] = momentum * speeds[place] - lr * slope
            weights[place] = (leaf.detach() + speeds[place]).clamp(-1e3, 1e3)
    with torch.no_grad():
        losses = _loss(_forward(x_NF[judge], weights, torch.ones(1, 1, width)), y_N[judge])
    return np.asarray((1 - losses / y_N[judge].var() if classes == 1 else -losses).clamp(min=-50).double())


def _forward(x_NF: torch.Tensor, weights: list[torch.Tensor], kept: torch.Tensor) -> torch.Tensor:
    first, bias, second, last = weights
    return (torch.relu(x_NF @ first + bias) * kept) @ second + last


def _loss(out_KNO: torch.Tensor, y_N: torch.Tensor) -> torch.Tensor:
    """Returns the mean loss (K,): cross entropy, or squared error where the target is a number."""
    if y_N.dtype != torch.int64:
        return ((out_KNO[..., 0] - y_N) ** 2).mean(-1)
    logs = torch.log_softmax(out_KNO, dim=-1)
    return -logs.gather(-1, y_N[None, :, None].expand(len(logs), -1, 1))[..., 0].mean(-1)
