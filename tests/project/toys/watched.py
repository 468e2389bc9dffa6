"""A small network that is watched: everything that an alert looks at can be made to happen by its params."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn

from hpo import Context, Metrics, TrainableError


@dataclass(frozen=True, slots=True)
class WatchedParams:
    """Params of the training.

    Attributes:
        lr: learning rate.
        optimizer: "sgd" or "adamw".
        watched: whether it is.
        watches: how often it is asked to be.
        depth: hidden layers.
        activation: "relu" or "sigmoid".
        scale: of the inputs.
        shift: of the biases of the hidden layers; far below 0 their units are dead.
        noise: share of the training labels that are drawn by lot.
        classes: that the validation cases have, 1 or 2.
        jump: factor of the loss at the last step of epoch 2.
    """

    lr: float = 0.1
    optimizer: str = "sgd"
    watched: bool = True
    watches: int = 1
    depth: int = 1
    activation: str = "relu"
    scale: float = 1.0
    shift: float = 0.0
    noise: float = 0.0
    classes: int = 2
    jump: float = 1.0


def train(params: WatchedParams, ctx: Context) -> Iterator[Metrics]:
    """Yields `train_loss`, `val_loss` and `val_acc`."""
    x_NF = params.scale * torch.randn(128, 8, generator=torch.Generator().manual_seed(0))
    truth_N = (x_NF[:, 0] > 0).long()
    lot = torch.Generator().manual_seed(1)
    said_N = torch.where(
        torch.rand(128, generator=lot) < params.noise, torch.randint(2, (128,), generator=lot), truth_N
    )
    val_x, val_truth = x_NF[64:], truth_N[64:]
    if params.classes == 1:
        val_x, val_truth = val_x[val_truth == 0], val_truth[val_truth == 0]
    with ctx.streams.init.as_global():
        hidden: list[nn.Module] = []
        for place in range(params.depth):
            linear = nn.Linear(16 if place else 8, 16)
            nn.init.constant_(linear.bias, params.shift)
            hidden += [linear, nn.ReLU() if params.activation == "relu" else nn.Sigmoid()]
        model = nn.Sequential(*hidden, nn.Linear(16, 2))
    kind = torch.optim.SGD if params.optimizer == "sgd" else torch.optim.AdamW
    optimizer = kind(model.parameters(), lr=params.lr)
    if params.watched:
        for _ in range(params.watches):
            ctx.watch(model, optimizer, activations=True)
    for epoch in ctx.epochs(model=model, optimizer=optimizer):
        losses = []
        batches = torch.randperm(64, generator=ctx.streams.order.torch(epoch)).split(16)
        for number, rows_B in enumerate(batches):
            loss = nn.functional.cross_entropy(model(x_NF[rows_B]), said_N[rows_B])
            losses.append(loss.item())
            optimizer.zero_grad()
            jumps = epoch == 2 and number == len(batches) - 1
            (loss * params.jump if jumps else loss).backward()
            optimizer.step()
        with torch.no_grad():
            logit_VC = model(val_x)
        if not logit_VC.isfinite().all():
            raise TrainableError("the training diverged")
        ctx.saw_predictions(truth=val_truth, probabilities=logit_VC.softmax(1))
        yield {
            "train_loss": sum(losses) / len(losses),
            "val_loss": nn.functional.cross_entropy(logit_VC, val_truth).item(),
            "val_acc": (logit_VC.argmax(1) == val_truth).float().mean().item(),
        }
