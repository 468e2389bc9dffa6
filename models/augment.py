"""Random flips, rotations and brightness for whole batches, with numbers that belong to the image and the epoch.

A batch draws nothing. All numbers of an epoch are drawn before it, one set per image, and looked up by the image's
number; so what happens to an image does not depend on what it is batched with, and order and augmentation stay two
separate sources of randomness.

Shapes: N images of the data set, B images of a batch, K channels, H by W pixels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

LARGEST_ANGLE = math.radians(12)
BRIGHTNESS = 0.15
"""A brightness factor lies between 1 - BRIGHTNESS and 1 + BRIGHTNESS."""


@dataclass(frozen=True, slots=True, eq=False)
class Augmentation:
    """What happens to each image in one epoch.

    Attributes:
        mirror_N: 1 or, mirrored left to right, -1.
        cosine_N: of the angle of rotation.
        sine_N: of the same.
        brightness_N: factor of the grey values.
    """

    mirror_N: Tensor
    cosine_N: Tensor
    sine_N: Tensor
    brightness_N: Tensor

    @classmethod
    def draw(cls, count: int, generator: torch.Generator, device: str) -> Augmentation:
        """Draws the numbers of `count` images on the CPU, so that they are the same for every device."""
        number_4N = torch.rand(4, count, generator=generator)
        angle_N = (2 * number_4N[1] - 1) * LARGEST_ANGLE
        return cls(
            mirror_N=torch.where(number_4N[0] < 0.5, -1.0, 1.0).to(device),
            cosine_N=angle_N.cos().to(device),
            sine_N=angle_N.sin().to(device),
            brightness_N=(1 + (2 * number_4N[2] - 1) * BRIGHTNESS).to(device),
        )

    def moved(self, image_BKHW: Tensor, index_B: Tensor) -> Tensor:
        """Mirrors and rotates every channel about the centre; what comes in from outside is 0.

        Args:
            image_BKHW: (B, K, H, W).
            index_B: (B,) each image's number in the data set.
        """
        _, _, height, width = image_BKHW.shape
        y_H11 = _pixel_centres(height, image_BKHW).view(1, -1, 1)
        x_1W = _pixel_centres(width, image_BKHW).view(1, 1, -1)
        mirror_B11, cosine_B11, sine_B11 = (
            number_N[index_B].view(-1, 1, 1) for number_N in (self.mirror_N, self.cosine_N, self.sine_N)
        )
        # Written out rather than by affine_grid, whose matrix product may round differently with the batch's length.
        grid_BHW2 = torch.stack(
            [mirror_B11 * (cosine_B11 * x_1W - sine_B11 * y_H11), sine_B11 * x_1W + cosine_B11 * y_H11], dim=-1
        )
        return functional.grid_sample(image_BKHW, grid_BHW2, mode="bilinear", align_corners=False)

    def brightened(self, image_BKHW: Tensor, index_B: Tensor) -> Tensor:
        """Multiplies the grey values of each image (B, K, H, W) by its factor."""
        return image_BKHW * self.brightness_N[index_B].view(-1, 1, 1, 1)


def _pixel_centres(count: int, like: Tensor) -> Tensor:
    """Returns the centres of `count` pixels in grid_sample's coordinates, -1 .. 1 from edge to edge."""
    return (2 * torch.arange(count, dtype=like.dtype, device=like.device) + 1) / count - 1
