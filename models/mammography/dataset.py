"""A data set of a study, and how fewer or other classes and images of it are chosen.

Shapes: N images, S pixels along each side, C classes.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import train_test_split

from hpo import UsageError
from models.mammography.classes import BINARY, CLASSES, named
from models.mammography.embeddings import Source

SHOWN = 5
"""Maximum dropped rows in a log; the manifest has all of them."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DataSet:
    """Images with their classes. The arrays are read-only, because all trainings of a process share them.

    Attributes:
        image_N1SS: gray values, as floats about 0 .. 1, or as integers 0 .. 65535 mapped from disk.
        label_N: classes 0 .. C-1.
        mask_NSS: tissue by pixel (see `models.mammography.phantoms`); None if there is none.
        names: (C,) names of the classes.
        readers: (C,) the readers' numbers of the classes.
        cases: (N,) columns that identify each image: `path`, `accession` and others.
        groups: (N,) number of the patient, or of the examination if the patient is unknown, in order of appearance;
            None if every image is its own group.
        group_keys: (N,) keys of the same groups, which order them in the same way in every data set, for splits; they
            are never written, because a list of patients would reveal them.
        digest: sha256 of the content.
        manifest: what was read, what was left out and why.
        units: (N,) unit of each image by the name of the units: `examination`, and `patient` if patients are known, an
            image of an unknown one being of the patient of its examination.
        sources: (N,) what identifies each image in its source; never written to results.
        image_digest: sha256 of the content of the images alone, before a subset was taken.
        unreadable: names of listed images that cannot be read.
    """

    image_N1SS: npt.NDArray[np.float32] | npt.NDArray[np.uint16]
    label_N: npt.NDArray[np.int64]
    mask_NSS: npt.NDArray[np.uint8] | None
    names: tuple[str, ...]
    readers: tuple[int, ...]
    cases: Mapping[str, tuple[str, ...]]
    groups: tuple[str, ...] | None
    digest: str
    group_keys: tuple[str, ...] | None = field(default=None, repr=False)
    manifest: Mapping[str, object] = field(default_factory=dict)
    units: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    sources: tuple[Source, ...] = field(default=(), repr=False)
    image_digest: str = ""
    unreadable: tuple[str, ...] = field(default=(), repr=False)

    @property
    def left_out(self) -> int:
        """The number of unused rows and files; the manifest lists them with reasons."""
        listed = self.manifest.get("left_out")
        return len(listed) if isinstance(listed, list) else 0

    @property
    def summary(self) -> str:
        """A sentence on what was read and what was left out."""
        counts = Counter(self.label_N.tolist())
        found = f"{len(self.label_N)} images ({', '.join(f'{counts[i]} {name}' for i, name in enumerate(self.names))})"
        for words, key in (("left out", "left_out"), ("read with a remark", "remarks")):
            listed = self.manifest.get(key)
            if isinstance(listed, list) and listed:
                first = "; ".join(f"{one['what']} {one['reason']}" for one in listed[:SHOWN])
                found += f"; {words}: {len(listed)} ({first}{'; ...' if len(listed) > SHOWN else ''})"
        return found


def in_two(found: DataSet) -> DataSet:
    """Returns a data set of density with the two classes of `binary`.

    Raises:
        UsageError: if it has class 5.
    """
    if len(found.names) != len(CLASSES):
        raise UsageError("classes = 'binary' is A and B against C and D; remove include_class_5")
    label_N = found.label_N // 2
    label_N.flags.writeable = False
    digest = changed(found.digest, "binary")
    content = {**found.manifest, **histogram(label_N, BINARY), "digest": digest}
    return replace(found, label_N=label_N, names=BINARY, readers=(0, 1), digest=digest, manifest=content)


def of_named(found: DataSet, text: str) -> DataSet:
    """Returns phantoms with the classes that the study names.

    Args:
        found: phantoms with the four classes of density.
        text: classes as in the param `classes`, which name all four.
    """
    classes = named(text)
    label_N = np.array([classes.labels[name] for name in CLASSES], dtype=np.int64)[found.label_N]
    label_N.flags.writeable = False
    digest = changed(found.digest, f"classes {', '.join(classes.names)}")
    content = {**found.manifest, **histogram(label_N, classes.names), "digest": digest}
    return replace(
        found, label_N=label_N, names=classes.names, readers=classes.readers, digest=digest, manifest=content
    )


def subset(found: DataSet, count: int, seed: int) -> DataSet:
    """Returns a stratified subset of a data set.

    Args:
        found: the whole data set.
        count: number of images to keep.
        seed: seed that chooses them.

    Raises:
        UsageError: if it cannot contain every class.
    """
    total, classes = len(found.label_N), len(found.names)
    if not classes <= count <= total:
        raise UsageError(f"subset: expected {classes} .. {total} images, got {count}")
    if count == total:
        return found
    try:
        kept_N, _ = train_test_split(np.arange(total), train_size=count, stratify=found.label_N, random_state=seed)
    except ValueError as error:  # from scikit-learn, for a class with one image, or fewer images than classes
        raise UsageError(f"subset: {count} of {found.summary} cannot contain every class ({error})") from error
    kept_N, digest = np.sort(kept_N), changed(found.digest, f"subset {count} {seed}")
    return replace(
        found,
        image_N1SS=found.image_N1SS[kept_N],
        label_N=found.label_N[kept_N],
        mask_NSS=None if found.mask_NSS is None else found.mask_NSS[kept_N],
        cases={name: tuple(column[row] for row in kept_N) for name, column in found.cases.items()},
        groups=None if found.groups is None else tuple(found.groups[row] for row in kept_N),
        group_keys=None if found.group_keys is None else tuple(found.group_keys[row] for row in kept_N),
        units={name: tuple(column[row] for row in kept_N) for name, column in found.units.items()},
        sources=tuple(found.sources[row] for row in kept_N),
        digest=digest,
        manifest={
            **found.manifest,
            **histogram(found.label_N[kept_N], found.names),
            "subset": count,
            "digest": digest,
        },
    )


def histogram(label_N: npt.NDArray[np.int64], names: tuple[str, ...]) -> dict[str, object]:
    """Returns the part of a manifest that counts images: all of them, and by class."""
    counts = Counter(label_N.tolist())
    return {
        "images": len(label_N),
        "class_histogram": {name: counts[label] for label, name in enumerate(names)},
    }


def changed(digest: str, how: str) -> str:
    """Returns the digest of data that were changed in some way, in words."""
    return hashlib.sha256(f"{digest} {how}".encode()).hexdigest()
