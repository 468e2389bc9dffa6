"""A small network with everything random in it: split, init, order, noise on the inputs, dropout."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from hpo import Context, Metrics


@dataclass(frozen=True, slots=True)
class NetParams:
    """The network's params."""

    lr: float = 0.05
    width: int = 8


def train(params: NetParams, ctx: Context) -> Iterator[Metrics]:
    """Yields `val_acc`; notes a digest of what each stream gave."""
    images_NCHW = torch.rand(96, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    truth_N = (images_NCHW.mean((1, 2, 3)) > 0.5).long()
    shuffled = torch.randperm(96, generator=ctx.streams.split.torch())
    train_N, val_N = shuffled[:64], shuffled[64:]
    with ctx.streams.init.as_global():
        model = torch.nn.Sequential(
            torch.nn.Conv2d(1, params.width, 3, padding=1),
            torch.nn.BatchNorm2d(params.width),
            torch.nn.ReLU(),
            torch.nn.Flatten(),
            torch.nn.Dropout(0.3),
            torch.nn.Linear(params.width * 64, 2),
        )
    first = next(model.parameters()).detach().numpy().tobytes()
    orders, noises = hashlib.sha256(), hashlib.sha256()
    optimizer = torch.optim.AdamW(model.parameters(), lr=params.lr)
    for epoch in ctx.epochs(model=model, optimizer=optimizer):
        order = torch.randperm(64, generator=ctx.streams.order.torch(epoch))
        noise_NCHW = 0.05 * torch.randn(96, 1, 8, 8, generator=ctx.streams.augment.torch(epoch))
        orders.update(order.numpy().tobytes())
        noises.update(noise_NCHW.numpy().tobytes())
        model.train()
        for batch in order.split(16):
            rows = train_N[batch]
            loss = torch.nn.functional.cross_entropy(model(images_NCHW[rows] + noise_NCHW[rows]), truth_N[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            right = (model(images_NCHW[val_N]).argmax(1) == truth_N[val_N]).float().mean().item()
        yield {"val_acc": right, "loss": loss.item()}
    with torch.no_grad():
        probabilities_NC = model(images_NCHW[val_N]).softmax(1).numpy()
    ctx.save_predictions(truth=truth_N[val_N], probabilities=probabilities_NC, labels=(0, 1), names=("low", "high"))
    ctx.note(
        split=hashlib.sha256(shuffled.numpy().tobytes()).hexdigest(),
        init=hashlib.sha256(first).hexdigest(),
        order=orders.hexdigest(),
        augment=noises.hexdigest(),
    )
