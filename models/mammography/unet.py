"""A small U-Net that grades an image and optionally segments the dense tissue.

After Ronneberger, Fischer and Brox (MICCAI 2015), with padded convolutions, a normalization after each, and a
classification head. Every operation has a deterministic backward pass on a GPU: strided convolutions instead of
pooling, transposed convolutions instead of interpolation, and a plain mean instead of adaptive pooling in the head.

Shapes: B images, K channels, H by W pixels, C classes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from hpo import UsageError
from models.mammography.grader import Grader, Outputs, Standardize

Norm = Literal["batch", "group", "none"]


class UNet(Grader):
    """A U-Net with a classification head.

    Args:
        classes: number of classes.
        width: channels at full resolution, doubled at each level.
        depth: how often the resolution is halved.
        norm: normalization after each convolution; "group" and "none" do not mix the images of a batch.
        dropout: dropout probability of whole channels at the bottom and of the head's inputs.
        outlines: whether there is a mask head.
        vectors: components of the embeddings that are further inputs of the classification head; 0: there are none.

    Raises:
        UsageError: if a value is out of range.
    """

    def __init__(
        self,
        *,
        classes: int,
        width: int,
        depth: int,
        norm: Norm = "batch",
        dropout: float = 0.0,
        outlines: bool = False,
        vectors: int = 0,
    ) -> None:
        super().__init__()
        if width < 1 or depth < 1 or not 0 <= dropout < 1:
            raise UsageError(
                f"U-Net: expected width >= 1, depth >= 1 and 0 <= dropout < 1, got width {width}, depth {depth}, "
                f"dropout {dropout}"
            )
        widths = [width * 2**level for level in range(depth + 1)]
        self.depth = depth
        self.descent = nn.ModuleList(
            _block(inner, inputs, norm) for inner, inputs in zip(widths[:-1], [1, *widths[1:-1]], strict=True)
        )
        self.halvings = nn.ModuleList(nn.Conv2d(inner, 2 * inner, 2, stride=2) for inner in widths[:-1])
        self.bottom = nn.Sequential(_block(widths[-1], widths[-1], norm), nn.Dropout2d(dropout))
        self.doublings = nn.ModuleList(nn.ConvTranspose2d(2 * inner, inner, 2, stride=2) for inner in widths[-2::-1])
        self.ascent = nn.ModuleList(_block(inner, 2 * inner, norm) for inner in widths[-2::-1])
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(widths[0] + widths[-1] + vectors, classes))
        self.outline = nn.Conv2d(widths[0], 1, 1) if outlines else None
        self.vectors = Standardize(vectors) if vectors else None

    def forward(self, image_B1HW: Tensor, vector_BE: Tensor | None = None) -> Outputs:
        """Grades a batch of images (B, 1, H, W) with their embeddings (B, E).

        Raises:
            UsageError: if height or width is not a multiple of 2 ** depth.
        """
        factor = 2**self.depth
        if image_B1HW.shape[2] % factor or image_B1HW.shape[3] % factor:
            height, width = image_B1HW.shape[2:]
            raise UsageError(
                f"a U-Net of depth {self.depth} needs sizes that are multiples of {factor}, not {height} x {width}; "
                "change size or depth"
            )
        feature_BKHW = image_B1HW
        skips = []
        for block, halve in zip(self.descent, self.halvings, strict=True):
            skips.append(block(feature_BKHW))
            feature_BKHW = halve(skips[-1])
        bottom_BKHW = feature_BKHW = self.bottom(feature_BKHW)
        for double, block in zip(self.doublings, self.ascent, strict=True):
            feature_BKHW = block(torch.cat([skips.pop(), double(feature_BKHW)], dim=1))
        # The share of dense tissue is a mean over pixels; the bottom adds the size of the breast.
        pooled_BK = torch.cat([feature_BKHW.mean((2, 3)), bottom_BKHW.mean((2, 3))], dim=1)
        pooled_BK = self.with_vectors(pooled_BK, vector_BE)
        return Outputs(self.head(pooled_BK), None if self.outline is None else self.outline(feature_BKHW)[:, 0])

    @property
    def stages(self) -> Sequence[Sequence[nn.Module]]:
        """One stage per level of the encoder, the bottom, and one per level of the decoder."""
        down = zip(self.descent, self.halvings, strict=True)
        up = zip(self.doublings, self.ascent, strict=True)
        return [*map(list, down), [self.bottom], *map(list, up)]

    @property
    def heads(self) -> Sequence[str]:
        return ["head", "outline", "vectors"]

    @property
    def looked_at(self) -> nn.Module:
        return self.ascent[-1]


def _block(channels: int, inputs: int, norm: Norm) -> nn.Sequential:
    layers: list[nn.Module] = []
    for fan_in in (inputs, channels):
        # A normalization would cancel the bias.
        convolution = nn.Conv2d(fan_in, channels, 3, padding=1, bias=norm == "none")
        layers += [convolution, normalization(norm, channels), nn.ReLU()]
    return nn.Sequential(*layers)


def normalization(norm: Norm, channels: int) -> nn.Module:
    """Returns a normalization layer for `channels` channels.

    Raises:
        UsageError: if the name is unknown.
    """
    match norm:
        case "batch":
            return nn.BatchNorm2d(channels)
        case "group":
            return nn.GroupNorm(math.gcd(channels, 4), channels)
        case "none":
            return nn.Identity()
    raise UsageError(f"norm: expected 'batch', 'group' or 'none', got {norm!r}")
