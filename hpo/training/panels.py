"""Heat maps of a model for chosen cases, in memory and on disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hpo.core.errors import TrainableError
from hpo.core.files import atomic_write, is_file
from hpo.training.predictions import as_array, as_texts

FILE = "panels.npz"

METHOD = "heat maps"
"""What heat maps are whose method was not named."""

HEAT_TOLERANCE = 1e-4
"""How far heat may lie outside 0 .. 1 because of rounding; it is clipped."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Panels:
    """Images, each with a heat map.

    Attributes:
        image: (N, H, W) gray values, 0 .. 1.
        heat: (N, H, W) weight of each pixel, 0 .. 1.
        names: (N,) names of the cases, for the image files.
        captions: (N,) caption above each panel.
        method: what the heat maps are, for the title of their figure.
    """

    image: npt.NDArray[np.float32]
    heat: npt.NDArray[np.float32]
    names: tuple[str, ...]
    captions: tuple[str, ...]
    method: str = METHOD

    @classmethod
    def of(
        cls,
        *,
        image: npt.ArrayLike,
        heat: npt.ArrayLike,
        names: Sequence[str],
        captions: Sequence[str],
        method: str = METHOD,
    ) -> Panels:
        """Checks the shapes and returns panels with copies of the arrays.

        Args:
            image: (N, H, W) gray values, 0 .. 1.
            heat: (N, H, W) weight of each pixel, 0 .. 1.
            names: (N,) names of the cases, for the image files.
            captions: (N,) caption above each panel.
            method: what the heat maps are, for the title of their figure.

        Raises:
            TrainableError: if the shapes do not fit together, a value is not finite, or heat is not within 0 .. 1.
        """
        image_NHW = as_array(image, "the images of panels").astype(np.float32)
        heat_NHW = as_array(heat, "the heat maps of panels").astype(np.float32)
        if (
            image_NHW.ndim != 3
            or not all(image_NHW.shape[1:])
            or image_NHW.shape != heat_NHW.shape
            or not len(names) == len(captions) == len(image_NHW)
        ):
            raise TrainableError(
                f"panels: expected images and heat maps (N, H, W) of the same shape with N names and captions; got "
                f"{image_NHW.shape}, {heat_NHW.shape}, {len(names)} and {len(captions)}"
            )
        if not np.isfinite(image_NHW).all() or not (np.abs(heat_NHW - 0.5) <= 0.5 + HEAT_TOLERANCE).all():
            raise TrainableError("panels: gray values must be finite numbers, and heat within 0 .. 1")
        return cls(
            image=image_NHW,
            heat=heat_NHW.clip(0, 1),
            names=as_texts(names),
            captions=as_texts(captions),
            method=as_texts([method])[0],
        )

    def save(self, folder: Path) -> None:
        """Writes `panels.npz` atomically."""
        with atomic_write(folder / FILE) as temporary, temporary.open("wb") as file:
            np.savez_compressed(
                file,
                image=self.image,
                heat=self.heat,
                names=np.array(self.names, dtype=str),
                captions=np.array(self.captions, dtype=str),
                method=np.array(self.method, dtype=str),
            )

    @classmethod
    def load(cls, folder: Path) -> Panels | None:
        """Loads the panels that `save` wrote to a folder; None if there are none."""
        if not is_file(folder / FILE):
            return None
        with (folder / FILE).open("rb") as handle, np.load(handle, allow_pickle=False) as file:
            return cls.of(
                image=file["image"],
                heat=file["heat"],
                names=file["names"].tolist(),
                captions=file["captions"].tolist(),
                method=str(file["method"]) if "method" in file else METHOD,  # earlier versions wrote none
            )
