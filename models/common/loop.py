"""The parts of a training loop that the trainables share.

Shapes: N images, B images of a batch, C classes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer

from hpo import TrainableError, UsageError

OptimizerName = Literal["adamw", "sgd"]

EVALUATION_BATCH = 256
"""Batch size of the evaluation; another size could round differently."""


class Steps(Protocol):
    """Anything with a step per update, such as a learning rate schedule."""

    def step(self) -> None:
        """Advances by one update."""


def optimizer_for(
    parameters: Iterable[Tensor] | Iterable[dict[str, Any]],
    name: OptimizerName,
    *,
    lr: float,
    momentum: float,
    weight_decay: float,
) -> Optimizer:
    """Returns an optimizer.

    Args:
        parameters: parameters, or groups of them, each optionally with its own `lr`.
        name: name of the optimizer; "sgd" uses Nesterov momentum.
        lr: peak learning rate.
        momentum: momentum of "sgd"; not used by "adamw".
        weight_decay: "adamw" decouples it from the gradient, "sgd" does not.

    Raises:
        UsageError: if the name is unknown.
    """
    match name:
        case "adamw":
            return AdamW(parameters, lr=lr, weight_decay=weight_decay)
        case "sgd":
            return SGD(parameters, lr=lr, momentum=momentum, weight_decay=weight_decay, nesterov=momentum > 0)
    raise UsageError(f"optimizer: expected 'adamw' or 'sgd', got {name!r}")


def batch_count(count: int, batch: int) -> int:
    """Returns how many batches `shuffled_batches` makes of `count` images.

    Raises:
        UsageError: if `batch` is below 1.
    """
    if batch < 1:
        raise UsageError(f"batch: expected at least 1, got {batch}")
    return math.ceil(count / batch)


def shuffled_batches(count: int, batch: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Yields the positions 0 .. count-1 in random order, in batches of nearly equal size, at most `batch`.

    Nearly equal, because a last batch of one image would have no variance for normalization.
    """
    yield from torch.randperm(count, generator=generator).tensor_split(batch_count(count, batch))


def update(loss: Tensor, model: nn.Module, optimizer: Optimizer, scheduler: Steps, clip: float = 0.0) -> None:
    """Performs one gradient step.

    Args:
        loss: the loss, a scalar.
        model: the model that is trained.
        optimizer: optimizer of the model's parameters.
        scheduler: schedule, advanced by one update.
        clip: maximum norm of the gradient over all parameters; 0: no clipping.
    """
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]  # torch leaves this one method without annotations
    if clip > 0:
        nn.utils.clip_grad_norm_(model.parameters(), clip)
    optimizer.step()
    scheduler.step()


class Running:
    """Mean loss and accuracy over the batches of one epoch, accumulated on the device to avoid synchronization."""

    def __init__(self, device: str) -> None:
        self._sums = torch.zeros(2, dtype=torch.float64, device=device)
        self._count = 0

    def add(self, loss: Tensor, logit_BC: Tensor, truth_B: Tensor) -> None:
        """Adds a batch: its mean loss, (B, C) logits and (B,) true classes."""
        correct = (logit_BC.detach().argmax(dim=1) == truth_B).sum()
        self._sums += torch.stack([loss.detach().double() * len(truth_B), correct.double()])
        self._count += len(truth_B)

    def metrics(self) -> dict[str, float | None]:
        """Returns `train_loss` and `train_acc` as during training: with augmentation and changing weights.

        Raises:
            TrainableError: if the loss is not finite.
        """
        loss, correct = (self._sums / self._count).tolist()
        if not math.isfinite(loss):
            raise TrainableError(f"the training diverged: its loss is {loss}; a smaller lr or a clip above 0 may help")
        return {"train_loss": loss, "train_acc": correct}


def probabilities(
    model: nn.Module, batches: Iterable[Tensor], logits: Callable[[Tensor], Tensor]
) -> npt.NDArray[np.float64]:
    """Returns the probability of each class (N, C), in evaluation mode.

    Args:
        model: the model; switched to evaluation mode and back to training mode.
        batches: batches of images, (B, 1, H, W) each.
        logits: returns the model's (B, C) logits of a batch.

    Raises:
        TrainableError: if a logit is not finite.
    """
    model.eval()
    with torch.no_grad():
        logit_NC = torch.cat([logits(batch_B1HW) for batch_B1HW in batches])
    model.train()
    if not bool(logit_NC.isfinite().all()):
        raise TrainableError("the training diverged: the model's logits are not finite; a smaller lr may help")
    return np.asarray(logit_NC.double().softmax(dim=1).cpu().numpy(), dtype=np.float64)
