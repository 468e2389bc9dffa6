"""The training recipe of a study: its params, and the objects built from them.

Params that existing mammography trainers have keep their names.

Shapes: T training images, B images of a batch, C classes.
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
    """The params of a training.

    It extends `DataParams` only because slotted dataclasses do not support multiple inheritance.

    Attributes:
        lr: peak learning rate; only of the head if there is a `backbone_lr`.
        backbone_lr: peak learning rate of the backbone; None: as `lr`.
        optimizer: "adamw" or "sgd".
        momentum: momentum of the optimizer "sgd".
        weight_decay: weight decay, see `models.common.loop.optimizer_for`.
        batch: maximum batch size.
        clip: maximum norm of the gradient; 0: no clipping.
        scheduler: "cosine" (to 0 over the budget), "step", "plateau" (of the study's objective) or "none".
        warmup_epochs: epochs of the linear warm-up; None: a tenth of the budget.
        scheduler_step_size: epochs between two reductions of "step".
        scheduler_gamma: factor of each reduction of "step".
        lr_reduce_patience: epochs without improvement before "plateau" reduces the rate.
        lr_reduce_factor: factor of each reduction of "plateau".
        lr_reduce_cooldown: epochs that "plateau" waits after a reduction.
        lr_reduce_min_lr: lowest learning rate of "plateau".
        class_weights: "auto": rare classes have more weight in the loss; "none".
        class_weights_alpha: strength of these weights; 1: balanced classes, 0: no effect.
        sampler_weighted: whether rare classes are sampled more often.
        sampler_alpha: strength of the weighted sampling, as above.
        early_stop_patience: epochs without improvement that end the training; 0: never.
        early_stop_min_delta: minimum change that counts as an improvement.
        train_backbone: whether the backbone is trained, not only the head.
        unfreeze_last_block: whether the last stage of a frozen backbone is trained.
        frozen_epochs: epochs after which a frozen backbone is trained; 0: never.
        augment: whether images are flipped, rotated and brightened.
        augment_flip: probability of a horizontal flip.
        augment_vertical: whether half of the images are flipped vertically.
        augment_rotation_deg: maximum rotation to either side in degrees.
        augment_brightness: maximum relative change of gray values.
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
    """Returns the optimizer of all parameters, including frozen ones, which may be unfrozen later."""
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
    """Returns the schedule of a training with `epochs` epochs of `batches` updates."""
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
    """Returns the strength of the augmentation."""
    return Amounts(
        flip=params.augment_flip,
        vertical=params.augment_vertical,
        rotation=params.augment_rotation_deg,
        brightness=params.augment_brightness,
    )


def loss_weights_of(
    params: RecipeParams, label_T: npt.NDArray[np.int64], names: tuple[str, ...], device: str
) -> Tensor | None:
    """Returns a loss weight per class (C,), None if all are equal.

    Raises:
        UsageError: if a class has no image.
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
    """Returns a function that yields an epoch's batches of positions, shuffled or sampled by class.

    Raises:
        UsageError: if a class to sample has no image.
    """
    if not params.sampler_weighted:
        return lambda generator: shuffled_batches(len(label_T), params.batch, generator)
    weight_T = torch.tensor(class_weights(label_T, names, params.sampler_alpha)[label_T])
    return lambda generator: drawn_batches(weight_T, params.batch, generator)


def freeze(params: RecipeParams, model: Grader, epoch: int) -> None:
    """Freezes the stages that are not trained in this epoch; called in every epoch, for resumed trainings."""
    whole = params.train_backbone or 0 < params.frozen_epochs < epoch
    model.freeze(0 if whole else len(model.stages) - params.unfreeze_last_block)


def stalled(params: RecipeParams, values: Sequence[float], objective: Objective) -> bool:
    """Whether a training should stop early: the last values did not improve on the best one before by enough.

    It depends only on reported values, so a resumed training stops at the same epoch.

    Args:
        params: params with the patience.
        values: value of the objective after each epoch.
        objective: objective with the direction.
    """
    if params.early_stop_patience < 1 or not values:
        return False
    best, waited = values[0], 0
    for value in values[1:]:
        gain = value - best if objective.direction == "maximize" else best - value
        best, waited = (value, 0) if gain > params.early_stop_min_delta else (best, waited + 1)
    return waited >= params.early_stop_patience
