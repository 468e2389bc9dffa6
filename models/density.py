"""Breast density, A to D, with a U-Net or EfficientNet-B0: on phantoms, a folder of images, an archive of DICOM files.

Shapes: N images of the data set, T of them trained on, V judged on, B in a batch, S pixels along each side, C classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from hpo import Context, Metrics, Tell, UsageError
from models.common.loop import Running, batch_count, probabilities, update
from models.common.metrics import classification_metrics
from models.common.splits import split
from models.mammography.archive import write_phantoms
from models.mammography.augment import Augmentation
from models.mammography.checks import refuse_undividable, refuse_unusable_data
from models.mammography.data import PHANTOMS, DataSet, audit, data_params, data_set, in_project, read_files
from models.mammography.efficientnet import MODEL as EFFICIENTNET
from models.mammography.efficientnet import EfficientNetB0, package_version, refuse_missing_package
from models.mammography.gradcam import chosen, heat_maps
from models.mammography.grader import Grader
from models.mammography.pixels import Pixels
from models.mammography.recipe import (
    RecipeParams,
    amounts_of,
    batches_of,
    freeze,
    loss_weights_of,
    optimizer_of,
    schedule_of,
    stalled,
)
from models.mammography.unet import Norm, UNet
from models.mammography.weights import load_weights
from models.mammography.written import write_split

__all__ = [  # hpo calls them by their names
    "DensityParams",
    "audit",
    "prepare",
    "refuse_unusable",
    "train",
    "write_phantoms",
]

Arch = Literal["unet", "efficientnet-b0"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DensityParams(RecipeParams):
    """What can be tuned or fixed; what there is to see is in `DataParams`, how it is learnt in `RecipeParams`.

    Attributes:
        arch: "unet" or "efficientnet-b0", which needs the extra `monai`.
        weights: file with a state dict to begin with, relative to the project's folder; the head's may be for
            other classes. "": all weights are drawn at random.
        norm: "batch" or "group"; of the U-Net also "none".
        dropout: probability that a unit is dropped.
        width: of the U-Net: channels at full resolution.
        depth: of the U-Net: how often the resolution is halved.
        mask_weight: of the U-Net: of the loss of outlining the dense tissue; 0: off. It needs data with masks.
        channels: of EfficientNet: 1, or 3 for weights that were trained on colours.
        drop_connect: of EfficientNet: probability of the last block to be passed over by an image.
    """

    arch: Arch = "unet"
    weights: str = ""
    norm: Norm = "batch"
    dropout: float = 0.0
    width: int = 6
    depth: int = 2
    mask_weight: float = 0.0
    channels: int = 1
    drop_connect: float = 0.2


def refuse_unusable(values: Mapping[str, Sequence[object]], folds: int = 0) -> None:
    """Raises where a study names what is not here or cannot be trained on, before anything is trained.

    Args:
        values: those that a study gives a field, by the field's name; all of them where it is a choice, the ends where
            it is a range.
        folds: of the cross-validation; 0: there is none.

    Raises:
        UsageError: if a package is not installed, a file is missing, or the data cannot be used.
    """
    if EFFICIENTNET in values.get("arch", ()):
        refuse_missing_package()
    for path in values.get("weights", ()):
        if path and not Path(str(path)).is_file():
            raise UsageError(f"weights {path}: there is no such file in {Path.cwd()}")
    refuse_unusable_data(values, folds)
    sources = values.get("data") or (PHANTOMS,)
    outlined = [value for value in values.get("mask_weight", ()) if isinstance(value, int | float) and value > 0]
    if outlined and PHANTOMS not in sources:
        raise UsageError(f"mask_weight is {outlined[0]}, but {sources[0]!r} has no masks; set it to 0")
    if outlined and set(values.get("arch", ())) == {EFFICIENTNET}:
        raise UsageError(f"mask_weight is {outlined[0]}, but only the U-Net outlines; set it to 0")


def prepare(params: Mapping[str, object], cache: Path, tell: Tell) -> None:
    """Decodes what a study's trainings will read, before the first of them.

    Args:
        params: those that the study fixes, by name; others may be among them.
        cache: folder in which decoded images are kept.
        tell: called with how far the work is.

    Raises:
        UsageError: if it cannot be used, or what could be read of it cannot be divided.
    """
    named = data_params(params)
    if named.data != PHANTOMS:
        read_files(named, cache, tell)
        refuse_undividable(data_set(named, cache), named.data)


def train(params: DensityParams, ctx: Context) -> Iterator[Metrics]:
    """Trains a network and yields `train_loss`, `train_acc` and those of `models.common.metrics` after each epoch.

    Raises:
        UsageError: if the data or a value of `params` cannot be used.
        TrainableError: if the training diverges.
    """
    params = in_project(params, ctx.project)
    data = data_set(params, ctx.cache)
    if params.mask_weight > 0 and data.mask_NSS is None:
        raise UsageError(f"mask_weight is {params.mask_weight}, but {params.data!r} has no masks; set it to 0")
    ctx.note(data=data.digest, images=len(data.label_N), **({"left_out": data.left_out} if data.left_out else {}))
    ctx.log(f"data: {data.summary}")
    train_T, held_out_V = split(
        data.label_N,
        params.validation,
        ctx.streams.split,
        names=data.names,
        fold=ctx.fold,
        folds=ctx.folds,
        groups=data.group_keys,
    )
    if ctx.keeps:
        how = "fold" if ctx.folds else "random" if data.groups is None else "patient"
        write_split(ctx.artefacts, data, train_T.tolist(), held_out_V.tolist(), how)
    pixels = Pixels(data, ctx.device, with_dense=params.mask_weight > 0)
    label_T = torch.tensor(data.label_N[train_T], device=ctx.device)
    number_T = torch.tensor(train_T, device=ctx.device)

    model = _network(params, len(data.names), ctx)
    optimizer = optimizer_of(params, model)
    batches = batches_of(params, data.label_N[train_T], data.names)
    scheduler = schedule_of(
        params,
        optimizer,
        epochs=ctx.budget,
        batches=batch_count(len(train_T), params.batch),
        objective=ctx.objective,
    )
    weight_C = loss_weights_of(params, data.label_N[train_T], data.names, ctx.device)
    amounts = amounts_of(params)

    ctx.watch(model, optimizer, clip=params.clip, activations=True)
    for epoch in ctx.epochs(model=model, optimizer=optimizer, scheduler=scheduler):
        freeze(params, model, epoch)
        running = Running(ctx.device)
        # Of all images, not of the training half alone: another split leaves an image's numbers as they are.
        augmentation = Augmentation.draw(len(data.label_N), ctx.streams.augment.torch(epoch), ctx.device, amounts)
        for position_B in batches(ctx.streams.order.torch(epoch)):
            at_B = position_B.to(ctx.device)
            channel_BKSS = pixels.batch(number_T[at_B])
            if params.augment:
                channel_BKSS = _augmented(channel_BKSS, augmentation, number_T[at_B])
            outputs = model(channel_BKSS[:, :1])
            loss = functional.cross_entropy(outputs.logit_BC, label_T[at_B], weight=weight_C)
            if outputs.mask_logit_BHW is not None:
                loss = loss + params.mask_weight * functional.binary_cross_entropy_with_logits(
                    outputs.mask_logit_BHW, channel_BKSS[:, 1]
                )
            update(loss, model, optimizer, scheduler, params.clip)
            running.add(loss, outputs.logit_BC, label_T[at_B])
        graded_VC = _graded(model, pixels, held_out_V)
        ctx.saw_predictions(
            truth=data.label_N[held_out_V], probabilities=graded_VC, labels=data.readers, names=data.names
        )
        yield {**running.metrics(), **classification_metrics(data.label_N[held_out_V], graded_VC)}
        values = [ctx.objective.value(report) for report in ctx.reports]
        scheduler.judge(values[-1])
        if stalled(params, values, ctx.objective):
            ctx.stop(f"{ctx.objective.metric} has not got better for {params.early_stop_patience} epochs")

    graded_VC = _graded(model, pixels, held_out_V)
    ctx.save_predictions(
        truth=data.label_N[held_out_V],
        probabilities=graded_VC,
        labels=data.readers,
        names=data.names,
        cases={name: [column[row] for row in held_out_V] for name, column in data.cases.items()},
    )
    if ctx.keeps:
        _read_requests(ctx, model, pixels, data, held_out_V, graded_VC)


def _network(params: DensityParams, classes: int, ctx: Context) -> Grader:
    """Returns the network on its device: drawn from the init stream, and then what of it a file has."""
    with ctx.streams.init.as_global():
        model = _drawn(params, classes)
    if params.weights:
        ctx.note(weights=load_weights(model, Path(params.weights)))
        ctx.log(f"weights: {params.weights}")
    if params.arch == EFFICIENTNET:
        ctx.note(monai=package_version())
    return model.to(ctx.device)


def _drawn(params: DensityParams, classes: int) -> Grader:
    match params.arch:
        case "unet":
            return UNet(
                classes=classes,
                width=params.width,
                depth=params.depth,
                norm=params.norm,
                dropout=params.dropout,
                outlines=params.mask_weight > 0,
            )
        case "efficientnet-b0":
            if params.mask_weight > 0:
                raise UsageError(f"mask_weight is {params.mask_weight}, but only the U-Net outlines; set it to 0")
            return EfficientNetB0(
                classes=classes,
                channels=params.channels,
                dropout=params.dropout,
                drop_connect=params.drop_connect,
                norm=params.norm,
            )
    raise UsageError(f"arch: expected 'unet' or {EFFICIENTNET!r}, got {params.arch!r}")


def _augmented(channel_BKSS: Tensor, augmentation: Augmentation, number_B: Tensor) -> Tensor:
    """Moves all channels (B, K, S, S) alike and brightens the first, the image."""
    moved_BKSS = augmentation.moved(channel_BKSS, number_B)
    return torch.cat([augmentation.brightened(moved_BKSS[:, :1], number_B), moved_BKSS[:, 1:]], dim=1)


def _graded(model: Grader, pixels: Pixels, held_out_V: np.ndarray) -> np.ndarray:
    """Returns the probability of each class (V, C)."""
    return probabilities(model, pixels.batches(held_out_V), lambda image_BKSS: model(image_BKSS[:, :1]).logit_BC)


def _read_requests(
    ctx: Context, model: Grader, pixels: Pixels, data: DataSet, held_out_V: np.ndarray, graded_VC: np.ndarray
) -> None:
    """Saves where the model looks in the cases that it is surest of, right and wrong, for what it says of them."""
    chosen_M = chosen(data.label_N[held_out_V], graded_VC)
    number_M, said_M = held_out_V[chosen_M], graded_VC[chosen_M].argmax(axis=1)
    image_M1SS = pixels.batch(torch.tensor(number_M, device=ctx.device))[:, :1]
    heat_MSS = heat_maps(
        model, model.looked_at, image_M1SS, said_M.tolist(), lambda image_B1SS: model(image_B1SS).logit_BC
    )
    captions = [
        f"{data.cases['accession'][number]}\ntrue {data.names[data.label_N[number]]}, said {data.names[said]} "
        f"({graded_VC[place, said]:.0%})"
        for place, number, said in zip(chosen_M, number_M, said_M, strict=True)
    ]
    names = [data.cases["accession"][number] for number in number_M]
    ctx.save_panels(image=image_M1SS[:, 0].clamp(0, 1).cpu(), heat=heat_MSS, names=names, captions=captions)
