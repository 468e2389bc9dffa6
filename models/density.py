"""Breast density, A to D, with a U-Net or EfficientNet-B0, on phantoms, a folder of images or a DICOM archive.

Shapes: N images of the data set, T training images, V validation images, B images of a batch, S pixels along each side,
C classes.
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
from models.mammography.archive import write_phantoms
from models.mammography.augment import Augmentation
from models.mammography.checks import images_of, require_splittable, require_units, require_usable_data
from models.mammography.data import PHANTOMS, audit, data_params, data_set, in_project, read_files
from models.mammography.dataset import DataSet, changed
from models.mammography.efficientnet import MODEL as EFFICIENTNET
from models.mammography.efficientnet import EfficientNetB0, package_version, require_package
from models.mammography.embedding import write_embeddings
from models.mammography.embeddings import read_embeddings, require_embeddings
from models.mammography.gradcam import chosen, heat_maps, require_heat_maps
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

__all__ = [  # hpo calls them by name
    "DensityParams",
    "audit",
    "check_values",
    "prepare",
    "train",
    "write_embeddings",
    "write_phantoms",
]

Arch = Literal["unet", "efficientnet-b0"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DensityParams(RecipeParams):
    """The params of the network; see `DataParams` for the data and `RecipeParams` for the training.

    Attributes:
        arch: "unet" or "efficientnet-b0", which needs the extra `monai`.
        weights: file with the initial state dict, relative to the project's folder; its head may have other classes.
            "":
            random initialization.
        norm: "batch" or "group"; for the U-Net also "none".
        dropout: probability that a unit is dropped.
        width: channels of the U-Net at full resolution.
        depth: how often the U-Net halves the resolution.
        mask_weight: weight of the U-Net's segmentation loss of dense tissue; 0: off. It needs data with masks.
        channels: input channels of EfficientNet: 1, or 3 for weights that were trained on color images.
        drop_connect: probability that an image skips the last block of EfficientNet.
        embeddings_dir: folder with a vector of each image, relative to the project's folder, see
            `models.mammography.embeddings`; the vectors are further inputs of the head. "": there are none.
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
    embeddings_dir: str = ""


def check_values(values: Mapping[str, Sequence[object]], folds: int = 0, units: str = "") -> None:
    """Checks a study's packages, files and data before any training.

    Args:
        values: values of the study by field: all values of a choice, the ends of a range.
        folds: number of folds; 0: no cross-validation.
        units: name of the units over which metrics are reported; empty: there are none.

    Raises:
        UsageError: if a package is not installed, a file is missing, or the data cannot be used.
    """
    require_heat_maps()
    if EFFICIENTNET in values.get("arch", ()):
        require_package()
    for path in values.get("weights", ()):
        if path and not Path(str(path)).is_file():
            raise UsageError(f"weights {path}: there is no such file in {Path.cwd()}")
    require_usable_data(values, folds)
    require_units(values, units)
    if any(values.get("embeddings_dir", ())):
        require_embeddings(values, images_of(values))
    sources = values.get("data") or (PHANTOMS,)
    outlined = [value for value in values.get("mask_weight", ()) if isinstance(value, int | float) and value > 0]
    if outlined and PHANTOMS not in sources:
        raise UsageError(f"mask_weight is {outlined[0]}, but {sources[0]!r} has no masks; set it to 0")
    if outlined and set(values.get("arch", ())) == {EFFICIENTNET}:
        raise UsageError(f"mask_weight is {outlined[0]}, but only the U-Net has a mask head; set it to 0")


def prepare(params: Mapping[str, object], cache: Path, tell: Tell) -> None:
    """Decodes the images of a study before its first training.

    Args:
        params: fixed params of the study by name, perhaps with others.
        cache: folder of the cached images.
        tell: called with the progress.

    Raises:
        UsageError: if the data cannot be used or split.
    """
    named = data_params(params)
    if named.data != PHANTOMS:
        read_files(named, cache, tell)
        require_splittable(data_set(named, cache), named.data)
    if params.get("embeddings_dir"):
        read_embeddings(Path(str(params["embeddings_dir"])), data_set(named, cache).sources)


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
    embeddings = None
    if params.embeddings_dir:
        embeddings = read_embeddings(Path(params.embeddings_dir), data.sources, data.cases["path"])
    if embeddings is not None:  # they are a part of the data
        whole = changed(data.digest, f"embeddings {embeddings.digest}")
        ctx.note(data=whole, embeddings=embeddings.digest, components=embeddings.vector_NE.shape[1])
        ctx.log(f"embeddings: {embeddings.vector_NE.shape[1]} components of {params.embeddings_dir}")
    ctx.log(f"data: {data.summary}")
    train_T, held_out_V = ctx.split(
        data.label_N, validation=params.validation, names=data.names, groups=data.group_keys, units=data.units
    )
    if ctx.keeps:
        how = "fold" if ctx.folds else "random" if data.groups is None else "patient"
        write_split(ctx.artifacts, data, train_T.tolist(), held_out_V.tolist(), how)
    vector_NE = None if embeddings is None else embeddings.vector_NE
    pixels = Pixels(data, ctx.device, with_dense=params.mask_weight > 0, vector_NE=vector_NE)
    label_T = torch.tensor(data.label_N[train_T], device=ctx.device)
    number_T = torch.tensor(train_T, device=ctx.device)

    model = _network(params, len(data.names), ctx, pixels.vectors(number_T))
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
        # For all images, not only the training images, so that another split does not change an image's numbers.
        augmentation = Augmentation.draw(len(data.label_N), ctx.streams.augment.torch(epoch), ctx.device, amounts)
        for position_B in batches(ctx.streams.order.torch(epoch)):
            at_B = position_B.to(ctx.device)
            channel_BKSS = pixels.batch(number_T[at_B])
            if params.augment:
                channel_BKSS = _augmented(channel_BKSS, augmentation, number_T[at_B])
            outputs = model(channel_BKSS[:, :1], pixels.vectors(number_T[at_B]))
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
            ctx.stop(f"{ctx.objective.metric} has not improved for {params.early_stop_patience} epochs")

    graded_VC = _graded(model, pixels, held_out_V)
    ctx.save_predictions(
        truth=data.label_N[held_out_V],
        probabilities=graded_VC,
        labels=data.readers,
        names=data.names,
        cases={name: [column[row] for row in held_out_V] for name, column in data.cases.items()},
    )
    if ctx.keeps:
        _save_heat_maps(ctx, model, pixels, data, held_out_V, graded_VC)


def _network(params: DensityParams, classes: int, ctx: Context, vector_TE: Tensor | None) -> Grader:
    """Returns the network on its device: initialized from the init stream, then from a file if there is one."""
    with ctx.streams.init.as_global():
        model = _drawn(params, classes, 0 if vector_TE is None else vector_TE.shape[1])
    if params.weights:
        ctx.note(weights=load_weights(model, Path(params.weights)))
        ctx.log(f"weights: {params.weights}")
    if params.arch == EFFICIENTNET:
        ctx.note(monai=package_version())
    model = model.to(ctx.device)
    if model.vectors is not None and vector_TE is not None:
        model.vectors.fit(vector_TE)
    return model


def _drawn(params: DensityParams, classes: int, vectors: int) -> Grader:
    match params.arch:
        case "unet":
            return UNet(
                classes=classes,
                width=params.width,
                depth=params.depth,
                norm=params.norm,
                dropout=params.dropout,
                outlines=params.mask_weight > 0,
                vectors=vectors,
            )
        case "efficientnet-b0":
            if params.mask_weight > 0:
                raise UsageError(
                    f"mask_weight is {params.mask_weight}, but only the U-Net has a mask head; set it to 0"
                )
            return EfficientNetB0(
                classes=classes,
                channels=params.channels,
                dropout=params.dropout,
                drop_connect=params.drop_connect,
                norm=params.norm,
                vectors=vectors,
            )
    raise UsageError(f"arch: expected 'unet' or {EFFICIENTNET!r}, got {params.arch!r}")


def _augmented(channel_BKSS: Tensor, augmentation: Augmentation, number_B: Tensor) -> Tensor:
    """Transforms all channels (B, K, S, S) in the same way, and brightens the first, the image."""
    moved_BKSS = augmentation.moved(channel_BKSS, number_B)
    return torch.cat([augmentation.brightened(moved_BKSS[:, :1], number_B), moved_BKSS[:, 1:]], dim=1)


def _graded(model: Grader, pixels: Pixels, held_out_V: np.ndarray) -> np.ndarray:
    """Returns the probability of each class (V, C)."""

    def logits(number_B: Tensor) -> Tensor:
        logit_BC: Tensor = model(pixels.batch(number_B)[:, :1], pixels.vectors(number_B)).logit_BC
        return logit_BC

    return probabilities(model, pixels.numbers(held_out_V), logits)


def _save_heat_maps(
    ctx: Context, model: Grader, pixels: Pixels, data: DataSet, held_out_V: np.ndarray, graded_VC: np.ndarray
) -> None:
    """Saves heat maps of the most confident cases, right and wrong, for their predicted classes."""
    chosen_M = chosen(data.label_N[held_out_V], graded_VC)
    number_M, predicted_M = held_out_V[chosen_M], graded_VC[chosen_M].argmax(axis=1)
    at_M = torch.tensor(number_M, device=ctx.device)
    image_M1SS, vector_ME = pixels.batch(at_M)[:, :1], pixels.vectors(at_M)
    heat_MSS = heat_maps(
        model,
        model.looked_at,
        image_M1SS,
        predicted_M.tolist(),
        lambda image_M1SS: model(image_M1SS, vector_ME).logit_BC,
    )
    captions = [
        f"{data.cases['accession'][number]}\ntrue {data.names[data.label_N[number]]}, predicted "
        f"{data.names[predicted]} ({graded_VC[place, predicted]:.0%})"
        for place, number, predicted in zip(chosen_M, number_M, predicted_M, strict=True)
    ]
    names = [data.cases["accession"][number] for number in number_M]
    ctx.save_panels(
        image=image_M1SS[:, 0].clamp(0, 1).cpu(),
        heat=heat_MSS,
        names=names,
        captions=captions,
        method="Grad-CAM of the predicted class",
    )
