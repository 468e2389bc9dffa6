"""Handwritten digits, 8 by 8 pixels, with a small network: real data, and a training takes a fraction of a second.

Shapes: N images, T training images, V validation images, B images of a batch, C classes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from hpo import Context, Metrics
from models.common.handwritten import DIGITS, NAMES, cases, handwritten_digits
from models.common.loop import (
    EVALUATION_BATCH,
    OptimizerName,
    Running,
    batch_count,
    optimizer_for,
    probabilities,
    shuffled_batches,
    update,
)
from models.common.metrics import classification_metrics
from models.common.schedule import warm_up_then_cosine
from models.mammography.unet import Norm, normalization


@dataclass(frozen=True, slots=True, kw_only=True)
class DigitsParams:
    """The params of the training.

    Attributes:
        lr: peak learning rate, with warm-up and cosine decay.
        optimizer: "adamw" or "sgd".
        momentum: momentum of the optimizer "sgd".
        weight_decay: weight decay, see `models.common.loop.optimizer_for`.
        width: channels of the first layer, doubled in the second.
        norm: "batch", "group" or "none".
        dropout: dropout probability before the last layer.
        batch: maximum batch size.
        validation: fraction of the 1797 images used for validation. It is large, because the effect of the seed is
            visible with few training images.
    """

    lr: float
    optimizer: OptimizerName = "adamw"
    momentum: float = 0.9
    weight_decay: float = 1e-4
    width: int = 16
    norm: Norm = "batch"
    dropout: float = 0.0
    batch: int = 32
    validation: float = 0.75


class DigitsNet(nn.Module):
    """Two convolutions and a mean over the pixels.

    Args:
        width: channels of the first layer, doubled in the second.
        norm: normalization after each convolution.
        dropout: dropout probability before the last layer.
    """

    def __init__(self, *, width: int, norm: Norm, dropout: float) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, width, 3, padding=1),
            normalization(norm, width),
            nn.ReLU(),
            nn.Conv2d(width, 2 * width, 3, padding=1, stride=2),
            normalization(norm, 2 * width),
            nn.ReLU(),
        )
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(2 * width, len(DIGITS)))

    def forward(self, image_B1HW: Tensor) -> Tensor:
        """Returns the logits (B, C) of a batch (B, 1, H, W)."""
        logit_BC: Tensor = self.head(self.features(image_B1HW).mean((2, 3)))
        return logit_BC


def train(params: DigitsParams, ctx: Context) -> Iterator[Metrics]:
    """Trains a `DigitsNet` and yields `train_loss`, `train_acc` and those of `models.common.metrics` after each epoch.

    Raises:
        UsageError: if a value of `params` cannot be used.
        TrainableError: if the training diverges.
    """
    image_N1HW, label_N = handwritten_digits()
    train_T, held_out_V = ctx.split(label_N, validation=params.validation, names=NAMES)
    image_T1HW = torch.tensor(image_N1HW[train_T], device=ctx.device)
    label_T = torch.tensor(label_N[train_T], device=ctx.device)
    held_out_B1HW = torch.split(torch.tensor(image_N1HW[held_out_V], device=ctx.device), EVALUATION_BATCH)

    with ctx.streams.init.as_global():
        model = DigitsNet(width=params.width, norm=params.norm, dropout=params.dropout)
    model.to(ctx.device)
    optimizer = optimizer_for(
        model.parameters(),
        params.optimizer,
        lr=params.lr,
        momentum=params.momentum,
        weight_decay=params.weight_decay,
    )
    scheduler = warm_up_then_cosine(optimizer, ctx.budget * batch_count(len(train_T), params.batch))

    ctx.watch(model, optimizer, activations=True)
    for epoch in ctx.epochs(model=model, optimizer=optimizer, scheduler=scheduler):
        running = Running(ctx.device)
        for position_B in shuffled_batches(len(train_T), params.batch, ctx.streams.order.torch(epoch)):
            at_B = position_B.to(ctx.device)
            logit_BC = model(image_T1HW[at_B])
            loss = functional.cross_entropy(logit_BC, label_T[at_B])
            update(loss, model, optimizer, scheduler)
            running.add(loss, logit_BC, label_T[at_B])
        trained = running.metrics()
        graded_VC = probabilities(model, held_out_B1HW, model)
        ctx.saw_predictions(truth=label_N[held_out_V], probabilities=graded_VC, labels=DIGITS, names=NAMES)
        yield {**trained, **classification_metrics(label_N[held_out_V], graded_VC)}

    ctx.save_predictions(
        truth=label_N[held_out_V],
        probabilities=probabilities(model, held_out_B1HW, model),
        labels=DIGITS,
        names=NAMES,
        cases=cases(held_out_V),
    )


def train_sized(params: DigitsParams, ctx: Context) -> Iterator[Metrics]:
    """Trains as `train` does; every epoch also has `parameters`, the number of the network's parameters.

    Raises:
        UsageError: if a value of `params` cannot be used.
        TrainableError: if the training diverges.
    """
    with torch.device("meta"):  # nothing is drawn there
        model = DigitsNet(width=params.width, norm=params.norm, dropout=params.dropout)
    count = sum(parameter.numel() for parameter in model.parameters())
    for metrics in train(params, ctx):
        yield {**metrics, "parameters": count}
