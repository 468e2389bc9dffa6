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
"""Images that are judged at a time; another number could round differently."""


class Steps(Protocol):
    """What counts updates: a schedule of the learning rate."""

    def step(self) -> None:
        """Counts one."""


def optimizer_for(
    parameters: Iterable[Tensor] | Iterable[dict[str, Any]],
    name: OptimizerName,
    *,
    lr: float,
    momentum: float,
    weight_decay: float,
) -> Optimizer:
    """Returns the optimizer of these parameters.

    Args:
        parameters: or groups of them, each of which may have an `lr` of its own.
        name: which; "sgd" is with Nesterov's momentum.
        lr: learning rate at its highest.
        momentum: of "sgd"; "adamw" has none.
        weight_decay: "adamw" decouples it from the gradient, "sgd" does not.

    Raises:
        UsageError: if there is none of that name.
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
    """Yields the positions 0 .. count-1 in random order, in batches of nearly equal length, `batch` at most.

    Equal, because a last batch of one image has no variance to normalise by.
    """
    yield from torch.randperm(count, generator=generator).tensor_split(batch_count(count, batch))


def update(loss: Tensor, model: nn.Module, optimizer: Optimizer, scheduler: Steps, clip: float = 0.0) -> None:
    """Makes one step down the gradient of `loss`.

    Args:
        loss: a single number.
        model: whose parameters `optimizer` has.
        optimizer: makes the step.
        scheduler: advanced by one.
        clip: largest norm of the gradient over all parameters; 0: as it comes.
    """
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]  # torch leaves this one method without annotations
    if clip > 0:
        nn.utils.clip_grad_norm_(model.parameters(), clip)
    optimizer.step()
    scheduler.step()


class Running:
    """Mean loss and accuracy over the batches of one epoch, summed on the device, so that no batch waits for it."""

    def __init__(self, device: str) -> None:
        self._sums = torch.zeros(2, dtype=torch.float64, device=device)
        self._count = 0

    def add(self, loss: Tensor, logit_BC: Tensor, truth_B: Tensor) -> None:
        """Counts a batch: its mean loss, (B, C) logits and (B,) true classes."""
        correct = (logit_BC.detach().argmax(dim=1) == truth_B).sum()
        self._sums += torch.stack([loss.detach().double() * len(truth_B), correct.double()])
        self._count += len(truth_B)

    def metrics(self) -> dict[str, float | None]:
        """Returns `train_loss` and `train_acc`, as seen: augmented, and with the weights of the moment.

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
    """Returns the probability of each class (N, C), with dropout off and normalisation statistics as learnt.

    Args:
        model: is put into evaluation mode, and into training mode again.
        batches: the images, (B, 1, H, W) each.
        logits: what of the model's answer to a batch is its (B, C) logits.

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
