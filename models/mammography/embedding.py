"""Computes embeddings of a study's images once, with the frozen backbone of an EfficientNet-B0, and keeps them cached.

Shapes: N images, B images of a batch, E components of a vector.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from hpo import Tell, UsageError
from models.mammography.data import data_params, data_set
from models.mammography.dataset import DataSet
from models.mammography.efficientnet import MODEL, EfficientNetB0, package_version
from models.mammography.embeddings import ABOUT, FEATURES, METADATA
from models.mammography.pixels import Pixels
from models.mammography.unet import Norm
from models.mammography.weights import load_weights

VERSION = 1
"""Version of the computation; a change invalidates every cache."""

BATCH = 64
"""Images that are embedded at a time."""


def write_embeddings(params: Mapping[str, object], cache: Path, out: Path, weights: Path, tell: Tell) -> Path:
    """Writes a folder of embeddings of a study's images: the pooled features of the network's last convolution.

    They are computed once: the cache has them by the content of the images, the weights and the network's settings.

    Args:
        params: fixed params of the study by name, perhaps with others.
        cache: folder of the cached images and embeddings.
        out: folder to write to; empty, missing, or with the same embeddings.
        weights: file with the state dict of an EfficientNet-B0.
        tell: called with the progress.

    Raises:
        UsageError: if the data or the weights cannot be used, or the folder has other files.
    """
    chosen = {name: value for name, value in params.items() if name not in ("subset", "classes", "pseudonyms")}
    data = data_set(data_params(chosen), cache)
    channels, norm = int(str(params.get("channels", 1))), _norm(params.get("norm", "batch"))
    model = EfficientNetB0(classes=2, channels=channels, norm=norm)
    digest = load_weights(model, weights)
    settings = {
        "version": VERSION,
        "arch": MODEL,
        "channels": channels,
        "norm": norm,
        "images": data.image_digest,
        "weights": digest,
    }
    key = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:32]
    kept = cache / "embeddings" / f"{key}.npy"
    try:
        if not kept.is_file():
            _save(kept, _computed(model, data, tell))
        vector_NE = np.load(kept)
        about = {**settings, "monai": package_version(), "unreadable": list(data.unreadable)}
        return _written(out, vector_NE, data, about)
    except OSError as error:
        raise UsageError(f"embeddings cannot be written: {error}") from error


def _norm(value: object) -> Norm:
    if value in ("batch", "group"):
        return "batch" if value == "batch" else "group"
    raise UsageError(f"norm: expected 'batch' or 'group', got {value!r}")


def _computed(model: EfficientNetB0, data: DataSet, tell: Tell) -> npt.NDArray[np.float32]:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    pixels, total = Pixels(data, device), len(data.label_N)
    model.to(device).eval()
    found = []
    with torch.no_grad():
        for number_B in torch.split(torch.arange(total, device=device), BATCH):
            found.append(model.pooled(pixels.batch(number_B)).float().cpu().numpy())
            done = min(total, len(found) * BATCH)
            tell(f"embedding images: {done} of {total}", done, total)
    vector_NE = np.concatenate(found)
    if not np.isfinite(vector_NE).all():
        raise UsageError("the embeddings are not finite: do the weights fit the images (channels, norm)?")
    return np.asarray(vector_NE, dtype=np.float32)


def _save(file: Path, vector_NE: npt.NDArray[np.float32]) -> None:
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)  # like the images, they are patients' data
    spare = file.with_suffix(f".{os.getpid()}")
    with spare.open("wb") as handle:
        np.save(handle, vector_NE)
    os.replace(spare, file)


def _written(out: Path, vector_NE: npt.NDArray[np.float32], data: DataSet, about: Mapping[str, object]) -> Path:
    out = out.absolute()
    digest = hashlib.sha256(vector_NE.tobytes()).hexdigest()
    content = {**about, "components": vector_NE.shape[1], "digest": digest}
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        with suppress(OSError, ValueError):
            if json.loads((out / ABOUT).read_text(encoding="utf-8")) == content and (out / FEATURES).is_file():
                return out
        raise UsageError(f"{out} has other files; choose another folder")
    spare = out.with_name(f".{out.name}.{os.getpid()}")
    out.parent.mkdir(parents=True, exist_ok=True)
    spare.mkdir()
    try:
        np.save(spare / FEATURES, vector_NE)
        with (spare / METADATA).open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(("path", "accession"))
            writer.writerows((one.name, one.accession) for one in data.sources)
        (spare / ABOUT).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        if out.exists():
            out.rmdir()
        os.rename(spare, out)
    finally:
        shutil.rmtree(spare, ignore_errors=True)
    return out
