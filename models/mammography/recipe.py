"""How a network is trained, as a study says it: the fields, and what follows from them.

Fields that trainers of mammograms know already have the names that they have there.

Shapes: T images trained on, B in a batch, C classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.optim import Optimizer

from hpo import Objective, UsageError
from models.common.balance import class_weights, drawn_batches
from models.common.loop import OptimizerName, optimizer_for, shuffled_batches
from models.common.schedule import Schedule, SchedulerName
from models.mammography.augment import Amounts
from models.mammography.data import DataParams
from models.mammography.grader import Grader


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeParams(DataParams):
    """What can be tuned or fixed of a training.

    It extends `DataParams` only because slotted dataclasses can be put in a row, but not side by side.

    Attributes:
        lr: learning rate at its highest; of the head alone where there is a `backbone_lr`.
        backbone_lr: learning rate of everything but the head at its highest; None: as `lr`.
        optimizer: "adamw" or "sgd".
        momentum: momentum of the optimizer "sgd".
        weight_decay: decay of the weights, see `models.common.loop.optimizer_for`.
        batch: images in a batch, at most.
        clip: largest norm of the gradient; 0: off.
        scheduler: "cosine" (falls to 0 over the budget), "step", "plateau" (of the study's objective) or "none".
        warmup_epochs: in which the learning rate rises first; None: a tenth of the budget.
        scheduler_step_size: epochs after which "step" lowers it, again and again.
        scheduler_gamma: factor by which "step" does.
        lr_reduce_patience: epochs without a better value before "plateau" lowers it.
        lr_reduce_factor: factor by which "plateau" does.
        lr_reduce_cooldown: epochs that "plateau" waits after that.
        lr_reduce_min_lr: "plateau" goes no lower.
        class_weights: "auto": rare classes weigh more in the loss; "none".
        class_weights_alpha: how much more; 1: as if all were equally frequent, 0: not at all.
        sampler_weighted: whether rare classes are drawn more often.
        sampler_alpha: how much more often; as above.
        early_stop_patience: epochs without a better value of the objective that end the training; 0: never.
        early_stop_min_delta: a value must be better by more than this.
        train_backbone: whether more than the head learns.
        unfreeze_last_block: whether the last stage of the backbone learns all the same.
        frozen_epochs: after which all of the backbone learns all the same; 0: never.
        augment: whether images are mirrored, rotated and brightened.
        augment_flip: probability of being mirrored left to right.
        augment_vertical: whether half of the images are turned upside down.
        augment_rotation_deg: degrees, at most, to either side.
        augment_brightness: share, at most, by which grey values change.
    """

    lr: float
    backbone_lr: float | None = None
    optimizer: OptimizerName = "adamw"
    momentum: float = 0.9
    weight_decay: float = 1e-4
    batch: int = 24
    clip: float = 0.0
    scheduler: SchedulerName = "cosine"
    warmup_epochs: float | None = None
    scheduler_step_size: int = 5
    scheduler_gamma: float = 0.1
    lr_reduce_patience: int = 2
    lr_reduce_factor: float = 0.5
    lr_reduce_cooldown: int = 0
    lr_reduce_min_lr: float = 0.0
    class_weights: Literal["none", "auto"] = "none"
    class_weights_alpha: float = 1.0
    sampler_weighted: bool = False
    sampler_alpha: float = 1.0
    early_stop_patience: int = 0
    early_stop_min_delta: float = 0.0
    train_backbone: bool = True
    unfreeze_last_block: bool = False
    frozen_epochs: int = 0
    augment: bool = True
    augment_flip: float = 0.5
    augment_vertical: bool = False
    augment_rotation_deg: float = 12.0
    augment_brightness: float = 0.15


def optimizer_of(params: RecipeParams, model: Grader) -> Optimizer:
    """Returns the optimizer of all parameters, of frozen ones too: some thaw later, and until then have no gradient."""
    return optimizer_for(
        model.parameters() if params.backbone_lr is None else _in_two(model, params.backbone_lr),
        params.optimizer,
        lr=params.lr,
        momentum=params.momentum,
        weight_decay=params.weight_decay,
    )


def _in_two(model: Grader, backbone_lr: float) -> list[dict[str, object]]:
    named = list(model.named_parameters())
    head = [parameter for name, parameter in named if model.is_of_head(name)]
    backbone = [parameter for name, parameter in named if not model.is_of_head(name)]
    return [{"params": head}, {"params": backbone, "lr": backbone_lr}]


def schedule_of(
    params: RecipeParams, optimizer: Optimizer, *, epochs: int, batches: int, objective: Objective
) -> Schedule:
    """Returns the schedule of a training of so many epochs with so many updates each."""
    return Schedule(
        optimizer,
        params.scheduler,
        epochs=epochs,
        batches=batches,
        direction=objective.direction,
        warmup_epochs=params.warmup_epochs,
        step_size=params.scheduler_step_size,
        gamma=params.scheduler_gamma,
        reduce_patience=params.lr_reduce_patience,
        reduce_factor=params.lr_reduce_factor,
        reduce_cooldown=params.lr_reduce_cooldown,
        reduce_min_lr=params.lr_reduce_min_lr,
    )


def amounts_of(params: RecipeParams) -> Amounts:
    """Returns how much images are augmented."""
    return Amounts(
        flip=params.augment_flip,
        vertical=params.augment_vertical,
        rotation=params.augment_rotation_deg,
        brightness=params.augment_brightness,
    )


def loss_weights_of(
    params: RecipeParams, label_T: npt.NDArray[np.int64], names: tuple[str, ...], device: str
) -> Tensor | None:
    """Returns a weight for each class (C,), None where all weigh the same.

    Raises:
        UsageError: if there is no image of a class.
    """
    match params.class_weights:
        case "none":
            return None
        case "auto":
            weight_C = class_weights(label_T, names, params.class_weights_alpha)
            return torch.tensor(weight_C, dtype=torch.float32, device=device)
    raise UsageError(f"class_weights: expected 'none' or 'auto', got {params.class_weights!r}")


def batches_of(
    params: RecipeParams, label_T: npt.NDArray[np.int64], names: tuple[str, ...]
) -> Callable[[torch.Generator], Iterator[Tensor]]:
    """Returns what yields an epoch's batches of positions, shuffled or drawn by class.

    Raises:
        UsageError: if there is no image of a class that is to be drawn.
    """
    if not params.sampler_weighted:
        return lambda generator: shuffled_batches(len(label_T), params.batch, generator)
    weight_T = torch.tensor(class_weights(label_T, names, params.sampler_alpha)[label_T])
    return lambda generator: drawn_batches(weight_T, params.batch, generator)


def freeze(params: RecipeParams, model: Grader, epoch: int) -> None:
    """Freezes what does not learn in this epoch; called in every epoch, so that a resumed training freezes it too."""
    whole = params.train_backbone or 0 < params.frozen_epochs < epoch
    model.freeze(0 if whole else len(model.stages) - params.unfreeze_last_block)


def stalled(params: RecipeParams, values: Sequence[float], objective: Objective) -> bool:
    """Whether a training is to end early: no value of the last ones is better than what was best before by enough.

    A function of what was reported alone, so that a resumed training ends where it would have.

    Args:
        params: params that hold the patience.
        values: of the objective after each epoch.
        objective: which ones are better.
    """
    if params.early_stop_patience < 1 or not values:
        return False
    best, waited = values[0], 0
    for value in values[1:]:
        gain = value - best if objective.direction == "maximize" else best - value
        best, waited = (value, 0) if gain > params.early_stop_min_delta else (best, waited + 1)
    return waited >= params.early_stop_patience
