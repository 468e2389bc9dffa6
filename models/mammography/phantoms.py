"""Synthetic mammograms of known breast density: every image is a pure function of its seed and number.

They replace patients' images where those are not available: in tests, in demonstrations, on a laptop. A network has to
find the breast, ignore the pectoral muscle and estimate the share of dense tissue in the rest, despite overlapping gray
values, texture, noise and an unreliable reader.

Shapes: N images, S pixels along each side.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

AIR, FAT, DENSE, MUSCLE = range(4)
"""The values of a mask."""

DENSITY_EDGES = np.array([0.25, 0.50, 0.75])
"""Fractions of dense tissue between the classes: the quartiles of BI-RADS, 4th edition (ACR, 2003)."""

READER_SIGMA = 0.03
"""Standard deviation of a reader's estimate of the fraction; about 8 % of the labels differ from the true class."""

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
MaskArray = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class _Anatomy:
    """The parts of one breast, in coordinates from 0 to 1 with the chest wall at x = 0.

    Attributes:
        breast: (S, S) the whole breast, including the muscle.
        muscle: (S, S) the pectoral muscle.
        thickness: (S, S) 0 outside and at the skin line, 1 at the chest wall.
        centrality: (S, S) 0 behind the nipple, decreasing outwards; dense tissue is more likely in the center.
    """

    breast: npt.NDArray[np.bool_]
    muscle: npt.NDArray[np.bool_]
    thickness: FloatArray
    centrality: FloatArray


def phantoms(count: int, *, size: int, seed: int, start: int = 0) -> tuple[FloatArray, IntArray, MaskArray]:
    """Returns `count` phantoms, numbers `start` and up.

    Image i depends only on (seed, i): a longer series starts with the shorter one, bit for bit.

    Args:
        count: number of images.
        size: pixels along each side.
        seed: seed of the data, independent of training seeds.
        start: number of the first image.

    Returns:
        Images (N, 1, S, S) from 0 to about 1.3; labels (N,) 0 .. 3 as a reader sees them; masks (N, S, S) of `AIR`,
        `FAT`, `DENSE`, `MUSCLE`.
    """
    image_N1SS = np.empty((count, 1, size, size), np.float32)
    label_N = np.empty(count, np.int64)
    mask_NSS = np.empty((count, size, size), np.uint8)
    for row in range(count):  # one at a time: batch arithmetic could round differently for another batch size
        image_N1SS[row, 0], label_N[row], mask_NSS[row] = _phantom(seed, start + row, size)
    return image_N1SS, label_N, mask_NSS


def _phantom(seed: int, number: int, size: int) -> tuple[FloatArray, int, MaskArray]:
    """Returns one image (S, S), its label and its mask (S, S). The order of the draws is part of the data."""
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(number,))))
    y_SS, x_SS = ((np.mgrid[0:size, 0:size] + 0.5) / size).astype(np.float32)
    anatomy = _anatomy(rng, y_SS, x_SS)
    dense_SS, softness_SS, fraction = _dense_tissue(rng, anatomy)
    image_SS = _grey_values(rng, anatomy, softness_SS)
    image_SS = _exposed(rng, image_SS, _marker(rng, y_SS, x_SS) & ~anatomy.breast)
    mask_SS = np.select([anatomy.muscle, dense_SS, anatomy.breast], [MUSCLE, DENSE, FAT], AIR).astype(np.uint8)
    reading = fraction + READER_SIGMA * rng.standard_normal()
    if rng.random() < 0.5:  # the other breast
        image_SS, mask_SS = image_SS[:, ::-1], mask_SS[:, ::-1]
    return image_SS, int(np.searchsorted(DENSITY_EDGES, reading, side="right")), mask_SS


def _anatomy(rng: np.random.Generator, y_SS: FloatArray, x_SS: FloatArray) -> _Anatomy:
    """Draws a super-ellipse on the chest wall and, in half of the images, a triangle of muscle."""
    length, height, middle = rng.uniform(0.55, 0.90), rng.uniform(0.34, 0.47), rng.uniform(0.46, 0.56)
    radius_SS = (x_SS / length) ** rng.uniform(1.7, 2.5) + ((y_SS - middle) / height) ** 2
    breast_SS = radius_SS < 1
    muscle_SS = breast_SS & (x_SS / rng.uniform(0.18, 0.40) + y_SS / rng.uniform(0.45, 0.80) < 1)
    if rng.random() < 0.5:
        muscle_SS = np.zeros_like(muscle_SS)
    centre_SS = ((x_SS - 0.45 * length) / length) ** 2 + 0.6 * ((y_SS - middle) / height) ** 2
    thickness_SS = np.clip(1 - radius_SS, 0, 1) ** 0.35
    return _Anatomy(breast_SS, muscle_SS, thickness_SS.astype(np.float32), -centre_SS.astype(np.float32))


def _dense_tissue(rng: np.random.Generator, anatomy: _Anatomy) -> tuple[npt.NDArray[np.bool_], FloatArray, float]:
    """Draws dense tissue that covers a random fraction of the breast without the muscle.

    Returns:
        Dense pixels (S, S); the same with blurred borders (S, S), 0 .. 1; the actual fraction.
    """
    bounds = np.concatenate([[0.03], DENSITY_EDGES, [0.97]])
    true_class = rng.integers(len(bounds) - 1)  # classes first, so that they are balanced
    wanted = rng.uniform(bounds[true_class], bounds[true_class + 1])
    field_SS = _power_law(rng, anatomy.breast.shape[0], exponent=3.2) + rng.uniform(1, 4) * anatomy.centrality
    tissue_SS = anatomy.breast & ~anatomy.muscle
    pixels = int(tissue_SS.sum())
    dense_pixels = int(np.clip(round(wanted * pixels), 1, pixels - 1))
    threshold = np.sort(field_SS[tissue_SS])[-dense_pixels]  # a quantile: the fraction is exact to one pixel
    dense_SS = tissue_SS & (field_SS >= threshold)
    soft_SS = 1 / (1 + np.exp(-np.clip((field_SS - threshold) / rng.uniform(0.06, 0.30), -30, 30)))
    return dense_SS, soft_SS.astype(np.float32), float(dense_SS.sum() / pixels)


def _grey_values(rng: np.random.Generator, anatomy: _Anatomy, softness_SS: FloatArray) -> FloatArray:
    """Returns the noiseless image (S, S): tissue with texture under falling thickness, muscle, dark air."""
    size = softness_SS.shape[0]
    fat = rng.uniform(0.20, 0.45)
    contrast = rng.uniform(0.20, 0.45)  # a network with few channels learns too little from less
    texture_SS = 0.06 * rng.uniform(0.3, 1.0) * _power_law(rng, size, exponent=2.6)
    tissue_SS = (fat + contrast * softness_SS + texture_SS) * (0.35 + 0.65 * anatomy.thickness)
    muscle_SS = fat + contrast * rng.uniform(0.5, 1.3) + 0.3 * texture_SS
    image_SS = np.select([anatomy.muscle, anatomy.breast], [muscle_SS, tissue_SS], 0.03)
    return np.asarray(image_SS, dtype=np.float32)


def _marker(rng: np.random.Generator, y_SS: FloatArray, x_SS: FloatArray) -> npt.NDArray[np.bool_]:
    """Returns the mask of a lead marker (S, S), far from the chest wall; 30 % of the images have one."""
    x, y = rng.uniform(0.78, 0.92), rng.uniform(0.05, 0.12)
    there = rng.random() < 0.3
    return np.asarray((np.abs(x_SS - x) < 0.06) & (np.abs(y_SS - y) < 0.03) & there)


def _exposed(rng: np.random.Generator, image_SS: FloatArray, marker_SS: npt.NDArray[np.bool_]) -> FloatArray:
    """Adds noise and the marker, and changes the gamma, like another detector."""
    noisy_SS = image_SS + rng.uniform(0.02, 0.08) * rng.standard_normal(image_SS.shape, dtype=np.float32)
    marked_SS = np.where(marker_SS, 0.95, noisy_SS)
    return (np.clip(marked_SS, 0, 1.2) ** rng.uniform(0.80, 1.25)).astype(np.float32)


def _power_law(rng: np.random.Generator, size: int, *, exponent: float) -> FloatArray:
    """Returns a smooth random field (S, S) of mean 0 and standard deviation 1.

    Its power spectrum falls as 1 / frequency ** exponent; mammograms have an exponent of about 3 (Burgess, Jacobson
    and Judy, Med. Phys. 28, 419, 2001).
    """
    frequency_SF = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None]) * size
    amplitude_SF = np.maximum(frequency_SF, 1) ** (-exponent / 2)
    amplitude_SF[0, 0] = 0  # no mean
    field_SS = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((size, size))) * amplitude_SF, s=(size, size))
    return np.asarray(field_SS / field_SS.std(), dtype=np.float32)
