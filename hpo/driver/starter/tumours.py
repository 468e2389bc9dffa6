"""Benign or malignant: a small network on the 569 tumours that come with scikit-learn, 30 measurements of each.

Shapes: N tumours, F measurements, T tumours trained on, V judged on, B in a batch, C classes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from sklearn.datasets import load_breast_cancer
from sklearn.metrics import matthews_corrcoef
from sklearn.model_selection import train_test_split
from torch import nn

from hpo import Context, Metrics

NAMES = ("malignant", "benign")


@dataclass(frozen=True, slots=True, kw_only=True)
class TumourParams:
    """What can be tuned in [space] or set in [fixed] of studies/tumours.toml."""

    lr: float
    width: int = 16
    dropout: float = 0.0
    weight_decay: float = 0.0
    batch: int = 16
    validation: float = 0.8


def train(params: TumourParams, ctx: Context) -> Iterator[Metrics]:
    """Trains one network and yields its metrics after each epoch."""
    found = load_breast_cancer()
    train_T, held_out_V = train_test_split(
        range(len(found.target)),
        test_size=params.validation,
        stratify=found.target,
        random_state=ctx.streams.split.number() % 2**32,
    )
    feature_NF = torch.tensor(found.data, dtype=torch.float32, device=ctx.device)
    label_N = torch.tensor(found.target, device=ctx.device)
    feature_NF = (feature_NF - feature_NF[train_T].mean(0)) / feature_NF[train_T].std(0)

    with ctx.streams.init.as_global():
        model = nn.Sequential(
            nn.Linear(feature_NF.shape[1], params.width),
            nn.ReLU(),
            nn.Dropout(params.dropout),
            nn.Linear(params.width, len(NAMES)),
        ).to(ctx.device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=params.lr, weight_decay=params.weight_decay)

    for epoch in ctx.epochs(model=model, optimizer=optimizer):
        model.train()
        order_T = torch.randperm(len(train_T), generator=ctx.streams.order.torch(epoch))
        for row_B in torch.tensor(train_T)[order_T].split(params.batch):
            loss = nn.functional.cross_entropy(model(feature_NF[row_B]), label_N[row_B])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        guess_V = _probabilities(model, feature_NF[held_out_V]).argmax(1)
        yield {"train_loss": loss.item(), "val_mcc": float(matthews_corrcoef(found.target[held_out_V], guess_V))}

    ctx.save_predictions(
        truth=found.target[held_out_V],
        probabilities=_probabilities(model, feature_NF[held_out_V]),
        labels=(0, 1),
        names=NAMES,
        cases={"row": [str(row) for row in held_out_V]},
    )


@torch.no_grad()
def _probabilities(model: nn.Module, feature_VF: torch.Tensor) -> torch.Tensor:
    """Returns the probability of each class (V, C)."""
    logit_VC: torch.Tensor = model.eval()(feature_VF)
    return logit_VC.softmax(1).cpu()
