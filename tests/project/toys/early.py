"""A line that is fitted until it gets no better."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from hpo import Context, Metrics


@dataclass(frozen=True, slots=True)
class EarlyParams:
    """When to stop.

    Attributes:
        lr: of the fit.
        until: the epoch after which the loss no longer falls, but rises.
        patience: epochs that it may rise for.
        outside: whether it stops where no epoch is under way, by mistake.
    """

    lr: float = 0.1
    until: int = 2
    patience: int = 2
    outside: bool = False


def train(params: EarlyParams, ctx: Context) -> Iterator[Metrics]:
    """Yields `loss`, which is lowest in epoch `until`, and stops `patience` epochs later."""
    if params.outside:
        ctx.stop("there is nothing to stop")
    with ctx.streams.init.as_global():
        model = torch.nn.Linear(1, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=params.lr, momentum=0.5)
    for epoch in ctx.epochs(model=model, optimizer=optimizer):
        x_N1 = torch.randn(8, 1, generator=ctx.streams.order.torch(epoch))
        optimizer.zero_grad()
        (model(x_N1) - 2 * x_N1).square().mean().backward()
        optimizer.step()
        yield {"loss": 1.0 + abs(epoch - params.until) + float(ctx.streams.augment.numpy(epoch).random()) / 9}
        losses = [ctx.objective.value(report) for report in ctx.reports]
        if len(losses) - 1 - losses.index(min(losses)) >= params.patience:
            ctx.stop(f"no better for {params.patience} epochs")
    ctx.save_predictions(truth=[0, 1], probabilities=torch.eye(2), labels=(0, 1), names=("no", "yes"))
