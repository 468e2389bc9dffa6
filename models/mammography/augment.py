"""Random flips, rotations and brightness for whole batches, with random numbers per image and epoch.

All numbers of an epoch are drawn before it, one set per image, and looked up by the image's index. So the augmentation
of an image does not depend on its batch, and order and augmentation remain separate sources of randomness.

Shapes: N images of the data set, B images of a batch, K channels, H by W pixels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from hpo import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Amounts:
    """The strength of the augmentation.

    Attributes:
        flip: probability of a horizontal flip.
        vertical: whether half of the images are flipped vertically.
        rotation: maximum rotation to either side in degrees.
        brightness: brightness factors are between 1 - brightness and 1 + brightness.

    Raises:
        UsageError: if one is out of range.
    """

    flip: float = 0.5
    vertical: bool = False
    rotation: float = 12.0
    brightness: float = 0.15

    def __post_init__(self) -> None:
        if not (0 <= self.flip <= 1 and 0 <= self.rotation <= 180 and 0 <= self.brightness <= 1):
            raise UsageError(
                "augmentation: expected flip and brightness from 0 to 1 and rotation from 0 to 180 degrees, got "
                f"{self.flip:g}, {self.brightness:g} and {self.rotation:g}"
            )


@dataclass(frozen=True, slots=True, eq=False)
class Augmentation:
    """The augmentation of each image in one epoch.

    Attributes:
        mirror_N: -1 for a horizontal flip, otherwise 1.
        upside_N: -1 for a vertical flip, otherwise 1.
        cosine_N: cosine of the rotation angle.
        sine_N: sine of the rotation angle.
        brightness_N: factor of the gray values.
    """

    mirror_N: Tensor
    upside_N: Tensor
    cosine_N: Tensor
    sine_N: Tensor
    brightness_N: Tensor

    @classmethod
    def draw(cls, count: int, generator: torch.Generator, device: str, amounts: Amounts | None = None) -> Augmentation:
        """Draws the numbers of `count` images on the CPU, so that they are the same on every device.

        They do not depend on the amounts: with more rotation, an image turns further in the same direction.
        """
        amounts = amounts or Amounts()
        number_4N = torch.rand(4, count, generator=generator)
        angle_N = (2 * number_4N[1] - 1) * math.radians(amounts.rotation)
        return cls(
            mirror_N=torch.where(number_4N[0] < amounts.flip, -1.0, 1.0).to(device),
            upside_N=torch.where(number_4N[3] < (0.5 if amounts.vertical else 0.0), -1.0, 1.0).to(device),
            cosine_N=angle_N.cos().to(device),
            sine_N=angle_N.sin().to(device),
            brightness_N=(1 + (2 * number_4N[2] - 1) * amounts.brightness).to(device),
        )

    def moved(self, image_BKHW: Tensor, index_B: Tensor) -> Tensor:
        """Flips and rotates every channel around the center; pixels from outside are 0.

        Args:
            image_BKHW: (B, K, H, W) images.
            index_B: (B,) index of each image in the data set.
        """
        _, _, height, width = image_BKHW.shape
        y_H11 = _pixel_centres(height, image_BKHW).view(1, -1, 1)
        x_1W = _pixel_centres(width, image_BKHW).view(1, 1, -1)
        mirror_B11, upside_B11, cosine_B11, sine_B11 = (
            number_N[index_B].view(-1, 1, 1) for number_N in (self.mirror_N, self.upside_N, self.cosine_N, self.sine_N)
        )
        # Computed without affine_grid, whose matrix product may round differently for another batch size.
        grid_BHW2 = torch.stack(
            [
                mirror_B11 * (cosine_B11 * x_1W - sine_B11 * y_H11),
                upside_B11 * (sine_B11 * x_1W + cosine_B11 * y_H11),
            ],
            dim=-1,
        )
        return functional.grid_sample(image_BKHW, grid_BHW2, mode="bilinear", align_corners=False)

    def brightened(self, image_BKHW: Tensor, index_B: Tensor) -> Tensor:
        """Multiplies the gray values of each image (B, K, H, W) by its factor."""
        return image_BKHW * self.brightness_N[index_B].view(-1, 1, 1, 1)


def _pixel_centres(count: int, like: Tensor) -> Tensor:
    """Returns the centers of `count` pixels in grid_sample's coordinates, -1 .. 1 from edge to edge."""
    return (2 * torch.arange(count, dtype=like.dtype, device=like.device) + 1) / count - 1
