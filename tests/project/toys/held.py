"""A linear classifier of points in three classes, in groups of three, without torch, that splits as documented."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from hpo import Context, Metrics

NAMES = ("A", "B", "C")
LABELS = np.repeat(np.arange(3), 40)
GROUPS = tuple(f"patient-{number // 3}" for number in range(120))


def points() -> np.ndarray:
    """The features (120, 2) of every case."""
    draw = np.random.default_rng(7)
    return draw.normal(size=(120, 2)) + np.array([[0, 1.2], [1, -1], [-1, -1]])[LABELS]


@dataclass(frozen=True, slots=True)
class HeldParams:
    """Learning rate, a file with other features, and what the trainable leaves out."""

    lr: float = 0.5
    data: str = ""
    own_split: bool = False
    no_weights: bool = False
    shuffled: bool = False
    grouped: bool = True
    sees: bool = False
    pairs: bool = False
    rows: int = 120


class Linear:
    """Softmax regression whose state is two arrays."""

    def __init__(self, draw: np.random.Generator) -> None:
        self.weight, self.bias = draw.normal(size=(2, 3)) * 0.5, np.zeros(3)
        self.is_evaluated = False

    def eval(self):
        self.is_evaluated = True

    def state_dict(self):
        return {"weight": self.weight.copy(), "bias": self.bias.copy()}

    def load_state_dict(self, state):
        self.weight, self.bias = state["weight"].copy(), state["bias"].copy()

    def probabilities(self, x_N2):
        wide_N3 = np.exp(x_N2 @ self.weight + self.bias)
        return wide_N3 / wide_N3.sum(axis=1, keepdims=True)

    def step(self, x_N2, label_N, lr):
        error_N3 = self.probabilities(x_N2) - np.eye(3)[label_N]
        self.weight -= lr * x_N2.T @ error_N3 / len(x_N2)
        self.bias -= lr * error_N3.mean(axis=0)


def train(params: HeldParams, ctx: Context) -> Iterator[Metrics]:
    """Yields `val_acc`."""
    x_N2 = np.load(params.data) if params.data else points()
    label_N, groups = LABELS[: params.rows], GROUPS[: params.rows]
    if params.own_split:
        order = ctx.streams.split.numpy().permutation(params.rows)
        train_T, held_out_V = order[30:], order[:30]
    else:
        train_T, held_out_V = ctx.split(
            label_N,
            validation=0.25,
            groups=groups if params.grouped else None,
            names=NAMES,
            units={"pair": [row // 2 for row in range(params.rows)]} if params.pairs else None,
        )
    model = Linear(ctx.streams.init.numpy())
    for epoch in ctx.epochs() if params.no_weights else ctx.epochs(model=model):
        for rows_B in np.array_split(ctx.streams.order.numpy(epoch).permutation(train_T), 4):
            model.step(x_N2[rows_B], label_N[rows_B], params.lr)
        model.eval()
        if params.sees:
            seen_VC = model.probabilities(x_N2[held_out_V])
            ctx.saw_predictions(truth=label_N[held_out_V], probabilities=seen_VC)
        right = model.probabilities(x_N2[held_out_V]).argmax(axis=1) == label_N[held_out_V]
        yield {"val_acc": float(right.mean()), "loss": float(np.abs(model.weight).sum())}
    assert model.is_evaluated
    if params.shuffled:
        held_out_V = held_out_V[::-1]
    ctx.save_predictions(
        truth=label_N[held_out_V],
        probabilities=model.probabilities(x_N2[held_out_V]),
        labels=(1, 2, 3),
        names=NAMES,
        cases={"path": [f"case-{row}" for row in held_out_V]},
    )
