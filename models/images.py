"""A folder of mammograms, sorted into one subfolder per density class, as arrays.

Shapes: N images, S pixels along each side.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from hpo import UsageError

CLASSES = ("A", "B", "C", "D")
"""The subfolders: BI-RADS density classes in the order of their labels 0 .. 3."""

SUFFIXES = (".jpg", ".jpeg", ".png")

_WIDE_MODES = ("I", "I;16", "I;16B", "I;16L")
"""Pillow's names for grey values of 16 bits."""


def read_folder(folder: Path, size: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64], tuple[str, ...]]:
    """Reads every image of the subfolders A, B, C, D.

    Other files, hidden files and other subfolders are left alone.

    Args:
        folder: the one above the class folders.
        size: pixels along each side of the result.

    Returns:
        Images (N, 1, S, S) from 0 to 1; labels (N,) 0 .. 3; paths (N) relative to `folder`. By class, then by name.

    Raises:
        UsageError: if a class folder is missing or has no image, or a file cannot be read.
    """
    paths = [_class_images(folder, name) for name in CLASSES]
    label_N = np.repeat(np.arange(len(CLASSES)), [len(of_class) for of_class in paths])
    flat = [path for of_class in paths for path in of_class]
    image_N1SS = np.stack([read_image(path, size) for path in flat])[:, None]
    return image_N1SS, label_N, tuple(path.relative_to(folder).as_posix() for path in flat)


def _class_images(folder: Path, name: str) -> list[Path]:
    wanted = f"data folder {folder}: expected subfolders {', '.join(CLASSES)} of {', '.join(SUFFIXES)} images"
    if not folder.is_dir():
        raise UsageError(f"{wanted}, but there is no such folder; give its path relative to {Path.cwd()}")
    if not (folder / name).is_dir():
        found = ", ".join(sorted(path.name for path in folder.iterdir() if path.is_dir())) or "none"
        raise UsageError(f"{wanted}, but {name} is missing (subfolders found: {found}); add it")
    files = [path for path in sorted((folder / name).iterdir()) if path.is_file() and not path.name.startswith(".")]
    images = [path for path in files if path.suffix.lower() in SUFFIXES]
    if not images:
        found = ", ".join(sorted({path.suffix or path.name for path in files})) or "no files"
        raise UsageError(f"{wanted}, but {name} has none (found: {found}); put at least one there")
    return images


def read_image(path: Path, size: int) -> npt.NDArray[np.float32]:
    """Reads one image as grey values (S, S) from 0 to 1 of its file's range, black around it where it is not square.

    Raises:
        UsageError: if it cannot be decoded.
    """
    try:
        with Image.open(path) as file:
            upright = ImageOps.exif_transpose(file)
            grey = _grey(upright)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:  # Pillow's for damaged files
        raise UsageError(
            f"image {path} cannot be read as a jpg or png ({error}); replace it or take it out of the folder"
        ) from error
    width, height = grey.size
    scale = size / max(width, height)
    inner = grey.resize((max(1, round(width * scale)), max(1, round(height * scale))), Image.Resampling.BILINEAR)
    square = Image.new("F", (size, size))
    square.paste(inner, ((size - inner.width) // 2, (size - inner.height) // 2))
    return np.asarray(square, dtype=np.float32)


def _grey(image: Image.Image) -> Image.Image:
    """Returns the image in floating point, 0 .. 1. Pillow itself would cut 16 bits off at 255."""
    wide = image.mode in _WIDE_MODES
    values = np.asarray(image if wide else image.convert("L"), dtype=np.float32)
    return Image.fromarray(values / np.float32(65535 if wide else 255))
