"""Breast density, A to D, with a small U-Net: on phantoms, on a folder of images, or on an archive of DICOM files.

Shapes: N images of the data set, T of them trained on, V judged on, B in a batch, S pixels along each side, C classes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from hpo import Context, Metrics, UsageError
from models.archive import write_phantoms
from models.augment import Augmentation
from models.data import DataParams, DataSet, audit, data_set, prepare
from models.gradcam import chosen, heat_maps
from models.loop import (
    OptimizerName,
    Running,
    batch_count,
    optimizer_for,
    probabilities,
    shuffled_batches,
    update,
    warm_up_then_cosine,
)
from models.metrics import classification_metrics
from models.pixels import Pixels
from models.splits import split
from models.unet import Norm, UNet
from models.written import write_split

__all__ = ["DensityParams", "audit", "prepare", "train", "write_phantoms"]  # hpo calls them by their names


@dataclass(frozen=True, slots=True, kw_only=True)
class DensityParams(DataParams):
    """What can be tuned or fixed; what there is to see is in `DataParams`.

    Attributes:
        lr: learning rate at its highest; it warms up and then falls along a cosine.
        optimizer: "adamw" or "sgd".
        momentum: of "sgd".
        weight_decay: see `models.loop.optimizer_for`.
        width: channels at full resolution.
        depth: how often the resolution is halved.
        norm: "batch", "group" or "none".
        dropout: probability.
        batch: images in a batch, at most.
        clip: largest norm of the gradient; 0: off.
        mask_weight: of the loss of outlining the dense tissue; 0: off. It needs data with masks.
        augment: whether images are mirrored, rotated and brightened.
    """

    lr: float
    optimizer: OptimizerName = "adamw"
    momentum: float = 0.9
    weight_decay: float = 1e-4
    width: int = 6
    depth: int = 2
    norm: Norm = "batch"
    dropout: float = 0.0
    batch: int = 24
    clip: float = 0.0
    mask_weight: float = 0.0
    augment: bool = True


def train(params: DensityParams, ctx: Context) -> Iterator[Metrics]:
    """Trains a U-Net and yields `train_loss`, `train_acc` and those of `models.metrics` after each epoch.

    Raises:
        UsageError: if the data or a value of `params` cannot be used.
        TrainableError: if the training diverges.
    """
    data = data_set(params, ctx.cache)
    if params.mask_weight > 0 and data.mask_NSS is None:
        raise UsageError(f"mask_weight is {params.mask_weight}, but {params.data!r} has no masks; set it to 0")
    ctx.note(data=data.digest, images=len(data.label_N))
    ctx.log(f"data: {data.summary}")
    train_T, held_out_V = split(
        data.label_N,
        params.validation,
        ctx.streams.split,
        names=data.names,
        fold=ctx.fold,
        folds=ctx.folds,
        groups=data.groups,
    )
    if ctx.keeps:
        how = "fold" if ctx.folds else "random" if data.groups is None else "patient"
        write_split(ctx.artefacts, data, train_T.tolist(), held_out_V.tolist(), how)
    pixels = Pixels(data, ctx.device, with_dense=params.mask_weight > 0)
    label_T = torch.tensor(data.label_N[train_T], device=ctx.device)
    number_T = torch.tensor(train_T, device=ctx.device)

    with ctx.streams.init.as_global():
        model = UNet(
            classes=len(data.names),
            width=params.width,
            depth=params.depth,
            norm=params.norm,
            dropout=params.dropout,
            outlines=params.mask_weight > 0,
        )
    model.to(ctx.device)
    optimizer = optimizer_for(
        model, params.optimizer, lr=params.lr, momentum=params.momentum, weight_decay=params.weight_decay
    )
    scheduler = warm_up_then_cosine(optimizer, ctx.budget * batch_count(len(train_T), params.batch))

    ctx.watch(model, optimizer, clip=params.clip, activations=True)
    for epoch in ctx.epochs(model=model, optimizer=optimizer, scheduler=scheduler):
        running = Running(ctx.device)
        # Of all images, not of the training half alone: another split leaves an image's numbers as they are.
        augmentation = Augmentation.draw(len(data.label_N), ctx.streams.augment.torch(epoch), ctx.device)
        for position_B in shuffled_batches(len(train_T), params.batch, ctx.streams.order.torch(epoch)):
            at_B = position_B.to(ctx.device)
            channel_BKSS = pixels.batch(number_T[at_B])
            if params.augment:
                channel_BKSS = _augmented(channel_BKSS, augmentation, number_T[at_B])
            outputs = model(channel_BKSS[:, :1])
            loss = functional.cross_entropy(outputs.logit_BC, label_T[at_B])
            if outputs.mask_logit_BHW is not None:
                loss = loss + params.mask_weight * functional.binary_cross_entropy_with_logits(
                    outputs.mask_logit_BHW, channel_BKSS[:, 1]
                )
            update(loss, model, optimizer, scheduler, params.clip)
            running.add(loss, outputs.logit_BC, label_T[at_B])
        trained = running.metrics()
        graded_VC = _graded(model, pixels, held_out_V)
        ctx.saw_predictions(truth=data.label_N[held_out_V], probabilities=graded_VC)
        yield {**trained, **classification_metrics(data.label_N[held_out_V], graded_VC)}

    graded_VC = _graded(model, pixels, held_out_V)
    ctx.save_predictions(
        truth=data.label_N[held_out_V],
        probabilities=graded_VC,
        labels=data.readers,
        names=data.names,
        cases={name: [column[row] for row in held_out_V] for name, column in data.cases.items()},
    )
    if ctx.keeps:
        _look(ctx, model, pixels, data, held_out_V, graded_VC)


def _augmented(channel_BKSS: Tensor, augmentation: Augmentation, number_B: Tensor) -> Tensor:
    """Moves all channels (B, K, S, S) alike and brightens the first, the image."""
    moved_BKSS = augmentation.moved(channel_BKSS, number_B)
    return torch.cat([augmentation.brightened(moved_BKSS[:, :1], number_B), moved_BKSS[:, 1:]], dim=1)


def _graded(model: UNet, pixels: Pixels, held_out_V: np.ndarray) -> np.ndarray:
    """Returns the probability of each class (V, C)."""
    return probabilities(model, pixels.batches(held_out_V), lambda image_BKSS: model(image_BKSS[:, :1]).logit_BC)


def _look(
    ctx: Context, model: UNet, pixels: Pixels, data: DataSet, held_out_V: np.ndarray, graded_VC: np.ndarray
) -> None:
    """Saves where the model looks in the cases that it is surest of, right and wrong, for what it says of them."""
    chosen_M = chosen(data.label_N[held_out_V], graded_VC)
    number_M, said_M = held_out_V[chosen_M], graded_VC[chosen_M].argmax(axis=1)
    image_M1SS = pixels.batch(torch.tensor(number_M, device=ctx.device))[:, :1]
    heat_MSS = heat_maps(
        model, model.ascent[-1], image_M1SS, said_M.tolist(), lambda image_B1SS: model(image_B1SS).logit_BC
    )
    captions = [
        f"{data.cases['accession'][number]}\ntrue {data.names[data.label_N[number]]}, said {data.names[said]} "
        f"({graded_VC[place, said]:.0%})"
        for place, number, said in zip(chosen_M, number_M, said_M, strict=True)
    ]
    names = [data.cases["accession"][number] for number in number_M]
    ctx.save_panels(image=image_M1SS[:, 0].clamp(0, 1).cpu(), heat=heat_MSS, names=names, captions=captions)
