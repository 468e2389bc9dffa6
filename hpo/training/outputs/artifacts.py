"""Artifacts: a trainable's own files that belong to its result."""

from __future__ import annotations

import os
from pathlib import Path

ARTIFACTS = "artifacts"
"""Name of the folder of artifacts in the training's folder."""

CHECKPOINT = "checkpoint.pt"
"""A file that results must not have: other programs continue a training from it if they find it there."""

EARLIER_NAME = "artefacts"
"""Its name in the folders of trainings that an earlier version kept."""


def artifacts_folder(files: Path) -> Path:
    """Returns the folder of artifacts of a finished training, which may not exist.

    Args:
        files: the training's folder.
    """
    earlier = files / EARLIER_NAME
    return earlier if earlier.is_dir() and not (files / ARTIFACTS).exists() else files / ARTIFACTS


def unusable_artifacts(folder: Path) -> list[tuple[Path, str]]:
    """Returns the artifacts that are not copied into results, and why: links, pipes, unreadable files, a checkpoint.

    Args:
        folder: folder of the artifacts, which may not exist.
    """
    if folder.is_symlink():
        return [(folder, "it is a link")]
    if os.path.lexists(folder) and not folder.is_dir():
        return [(folder, "it is not a folder")]
    found = []
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(parent, name)
            if path.is_symlink():
                found.append((path, "it is a link"))
            elif not path.is_dir() and not path.is_file():
                found.append((path, "it is a pipe, a socket or a device"))
            elif not os.access(path, os.R_OK):
                found.append((path, "it cannot be read"))
    if os.path.lexists(folder / CHECKPOINT):
        found.append((folder / CHECKPOINT, "other programs would continue a training from it; name it differently"))
    return sorted(found)
