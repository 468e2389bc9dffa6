"""The data set of a study: phantoms, a folder of images, or a CSV file with an archive.

Shapes: N images, S pixels along each side.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
import numpy.typing as npt

from hpo import Tell, UsageError
from models.mammography.cache import Prepared, prepared
from models.mammography.classes import CLASSES, DENSITY, TWO, is_named, named
from models.mammography.dataset import DataSet, histogram, in_two, of_named, subset
from models.mammography.dicom import require_package
from models.mammography.embeddings import Source
from models.mammography.listing import DICOM, Case, Listing, listing
from models.mammography.naming import without_names
from models.mammography.phantoms import phantoms

PHANTOMS = "phantoms"
"""The value of `data` for phantoms; every other value is a path."""

SMALLEST = 16
"""Minimum pixels along a side; smaller phantoms lose their structures."""

Params = TypeVar("Params", bound="DataParams")


@dataclass(frozen=True, slots=True, kw_only=True)
class DataParams:
    """The params of the data, usually in [fixed].

    Attributes:
        data: "phantoms"; or a folder with subfolders A, B, C, D; or a CSV file with AccessionNumber and Classification,
            or with image_path and a label. Relative to the current folder.
        archive: folder with a subfolder of DICOM files per examination; "": `archive` beside the CSV file.
        views: "first" file of every examination, or "all".
        classes: "density" (A, B, C, D), "binary" (A and B against C and D), or the classes in their order, as the
            source names them: "A+B, C, D" makes one class of A and B, and images of classes that are not named are left
            out.
        include_class_5: whether class 5 is a class rather than excluded.
        crop: whether images are cropped to the breast; phantoms never are.
        subset: number of images in a stratified subset; 0: all images.
        images: number of phantoms.
        size: pixels along each side; a multiple of 2 ** depth.
        data_seed: seed of the phantoms and of the subset, independent of the training seed.
        validation: fraction of the images used for validation.
        pseudonyms: whether results name images and examinations by numbers, in the order of the source, instead of file
            names and accession numbers; `hpo data audit` still shows the names.
    """

    data: str = PHANTOMS
    archive: str = ""
    views: Literal["first", "all"] = "first"
    classes: str = DENSITY
    include_class_5: bool = False
    crop: bool = True
    subset: int = 0
    images: int = 600
    size: int = 32
    data_seed: int = 0
    validation: float = 0.25
    pseudonyms: bool = False


def data_set(params: DataParams, cache: Path) -> DataSet:
    """Returns the data set that `params` names; a second call in the same process returns the same arrays.

    Args:
        params: params that name the data.
        cache: folder of the cached images.

    Raises:
        UsageError: if a value is out of range or the source cannot be used.
    """
    check_params(params)
    if params.data == PHANTOMS:
        found = _of_phantoms(params.images, params.size, params.data_seed)
    else:
        found = _of_files(_relevant_params(params), cache)
    if params.classes == TWO:
        found = in_two(found)
    elif is_named(params.classes) and params.data == PHANTOMS:
        found = of_named(found, params.classes)
    return subset(found, params.subset, params.data_seed) if params.subset else found


def check_params(params: DataParams) -> None:
    """Checks the numbers of the params.

    Raises:
        UsageError: if one is out of range.
    """
    if params.size < SMALLEST or params.images < 1:
        raise UsageError(
            f"data: expected size >= {SMALLEST} and images >= 1, got size {params.size} and images {params.images}"
        )
    classes = named(params.classes, include_class_5=params.include_class_5)
    if params.data == PHANTOMS and is_named(params.classes) and not set(CLASSES) <= set(classes.labels):
        raise UsageError(f"classes: phantoms are of A, B, C and D; name all four, got {params.classes!r}")


def in_project(params: Params, project: Path) -> Params:
    """Makes relative paths relative to the project's folder, because a training runs in its own folder.

    Args:
        params: params of a trainable, perhaps with fields `weights` and `embeddings_dir`.
        project: the project's folder.
    """
    names = [one.name for one in fields(params) if one.name in ("data", "archive", "weights", "embeddings_dir")]
    paths = {name: getattr(params, name) for name in names}
    found = {name: str(project / path) for name, path in paths.items() if path and (name, path) != ("data", PHANTOMS)}
    return replace(params, **found)  # type: ignore[arg-type]  # text fields get texts


def audit(params: Mapping[str, object], cache: Path, tell: Tell) -> Mapping[str, object]:
    """Reads everything that a study's trainings would read, and returns the manifest.

    Args:
        params: fixed params of the study by name, perhaps with others.
        cache: folder of the cached images.
        tell: called with the progress.

    Raises:
        UsageError: if nothing can be used.
    """
    chosen = replace(data_params(params), pseudonyms=False)  # file names are needed to find a problem
    if chosen.data != PHANTOMS:
        read_files(chosen, cache, tell)
    return data_set(chosen, cache).manifest


def data_params(params: Mapping[str, object]) -> DataParams:
    """Returns the data params among a study's params."""
    known = {one.name for one in fields(DataParams)}
    return DataParams(**{name: value for name, value in params.items() if name in known})  # type: ignore[arg-type]


@lru_cache(maxsize=4)
def _of_phantoms(images: int, size: int, data_seed: int) -> DataSet:
    image_N1SS, label_N, mask_NSS = phantoms(images, size=size, seed=data_seed)
    numbers = range(images)
    digest = hashlib.sha256(" ".join(CLASSES).encode())
    for array in (image_N1SS, label_N, mask_NSS):
        array.flags.writeable = False
        digest.update(f"{array.dtype} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    accession = tuple(f"{number:06d}" for number in numbers)
    return DataSet(
        image_N1SS=image_N1SS,
        label_N=label_N,
        mask_NSS=mask_NSS,
        names=CLASSES,
        readers=(1, 2, 3, 4),
        cases={"path": tuple(f"phantoms/{data_seed}/{number}" for number in accession), "accession": accession},
        groups=None,
        sources=_phantom_sources(images, data_seed),
        image_digest=digest.hexdigest(),
        digest=digest.hexdigest(),
        manifest={"source": PHANTOMS, "data_seed": data_seed, "size": size, **_counted(label_N, CLASSES, ())},
    )


def _phantom_sources(images: int, data_seed: int) -> tuple[Source, ...]:
    names = [f"{number:06d}" for number in range(images)]
    paths = [f"phantoms/{data_seed}/{name}" for name in names]
    return tuple(Source(path, path, name) for path, name in zip(paths, names, strict=True))


def source_of(case: Case) -> Source:
    """Returns what identifies a case in its source."""
    return Source(case.name, case.path.absolute().as_posix(), case.accession)


def sources_of(params: DataParams) -> tuple[Source, ...]:
    """Returns what identifies each listed image, without decoding.

    Raises:
        UsageError: if it lists nothing usable.
    """
    if params.data == PHANTOMS:
        return _phantom_sources(params.images, params.data_seed)
    return tuple(map(source_of, listed_by(params).cases))


def listed_by(params: DataParams) -> Listing:
    """Returns the listing of a source, without decoding.

    Raises:
        UsageError: if it lists nothing usable.
    """
    archive = Path(params.archive).absolute() if params.archive else None
    classes = named(params.classes, include_class_5=params.include_class_5)
    return listing(Path(params.data), archive, views=params.views, classes=classes)


def read_files(params: DataParams, cache: Path, tell: Tell | None = None) -> tuple[Listing, Prepared]:
    """Returns the listing of a source and its readable images; decodes those that are not in the cache.

    Args:
        params: params that name the data.
        cache: folder of the cached images.
        tell: called with the progress.

    Raises:
        UsageError: if nothing can be used.
    """
    source, listed = Path(params.data), listed_by(params)
    if any(case.path.suffix.lower() == DICOM for case in listed.cases):
        require_package()
    try:
        found = prepared(listed.cases, size=params.size, crop=params.crop, cache=cache / "images", tell=tell)
    except OSError as error:
        raise UsageError(f"cannot keep decoded images in {cache}: {error.strerror or error}") from error
    if not found.kept:
        reason = next(iter(found.unreadable.values()))
        raise UsageError(f"data {source}: none of {len(listed.cases)} files can be read; the first one {reason}")
    return listed, found


def _relevant_params(params: DataParams) -> DataParams:
    """Returns only the params that affect images read from files, with the absolute path."""
    return DataParams(
        data=str(Path(params.data).absolute()),
        archive=params.archive,
        views=params.views,
        classes=params.classes if is_named(params.classes) else DENSITY,
        include_class_5=params.include_class_5,
        crop=params.crop,
        size=params.size,
        pseudonyms=params.pseudonyms,
    )


def _of_files(params: DataParams, cache: Path) -> DataSet:
    listed, found = read_files(params, cache)
    sources, unreadable = tuple(source_of(listed.cases[place]) for place in found.kept), tuple(found.unreadable)
    if params.pseudonyms:
        listed, found = without_names(listed, found)
    cases = [listed.cases[place] for place in found.kept]
    views = [case.view or view for case, view in zip(cases, found.views, strict=True)]
    patients = [case.patient or patient for case, patient in zip(cases, found.patients, strict=True)]
    classes = named(params.classes, include_class_5=params.include_class_5)
    label_N = np.array([case.label for case in cases], dtype=np.int64)
    label_N.flags.writeable = False
    keys = tuple(_group_key(name) for name in _owners([case.owner or case.accession for case in cases], patients))
    columns = {
        "path": tuple(case.name for case in cases),
        "accession": tuple(case.accession for case in cases),
        "raw_label": tuple(case.raw for case in cases),
        **({"view": tuple(views)} if any(views) else {}),
    }
    digest = hashlib.sha256(found.digest.encode())
    digest.update("\n".join(map(str, (*label_N, *keys))).encode())
    if is_named(params.classes):  # the digests of density stay what they were
        digest.update("\n".join(classes.names).encode())
    return DataSet(
        image_N1SS=found.image_N1SS,
        label_N=label_N,
        mask_NSS=None,
        names=classes.names,
        readers=classes.readers,
        cases=columns,
        groups=_numbered(keys) if len(set(keys)) < len(keys) else None,
        group_keys=keys if len(set(keys)) < len(keys) else None,
        digest=digest.hexdigest(),
        manifest=manifest(params, listed, found, label_N, classes.names, digest.hexdigest()),
        sources=sources,
        image_digest=found.digest,
        unreadable=unreadable,
        units={"examination": columns["accession"], **({"patient": _numbered(keys)} if any(patients) else {})},
    )


def manifest(
    params: DataParams,
    listed: Listing,
    found: Prepared,
    label_N: npt.NDArray[np.int64],
    names: tuple[str, ...],
    digest: str,
) -> dict[str, object]:
    """Returns the content of `data_manifest.json`: counts, exclusions with reasons, input hashes, one digest."""
    left_out = [*((one.what, one.reason) for one in listed.dropped), *found.unreadable.items()]
    read, total = len(found.kept), len(listed.cases)
    return {
        "source": listed.kind,
        "total_csv_entries": listed.rows,
        "total_accessions": len({case.accession for case in listed.cases}),
        "total_dicom_files": sum(case.path.suffix.lower() == DICOM for case in listed.cases),
        "total_readable_files": read,
        "readability_ratio": read / total if total else None,
        "exams_missing_dir": [one.what for one in listed.dropped if "has no folder" in one.reason],
        "dirs_missing_csv": list(listed.unlisted),
        **_counted(label_N, names, left_out),
        **({"remarks": _listed(found.remarks.items())} if found.remarks else {}),
        "size": params.size,
        "crop": params.crop,
        "inputs": dict(found.inputs),
        "digest": digest,
    }


def _counted(
    label_N: npt.NDArray[np.int64], names: tuple[str, ...], left_out: Iterable[tuple[str, str]]
) -> dict[str, object]:
    return {**histogram(label_N, names), "left_out": _listed(left_out)}


def _listed(reasons: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"what": what, "reason": reason} for what, reason in reasons]


def _owners(accessions: Sequence[str], patients: Sequence[str]) -> list[str]:
    """Returns the owner of each image: the patient, or the examination if none of its images names the patient."""
    known = {accession: patient for accession, patient in zip(accessions, patients, strict=True) if patient}
    return [patient or known.get(accession, accession) for accession, patient in zip(accessions, patients, strict=True)]


def _group_key(name: str) -> str:
    """Returns a key that keeps the order of patients in splits stable across versions."""
    return hashlib.sha256(name.encode(errors="surrogateescape")).hexdigest()[:12]


def _numbered(keys: Sequence[str]) -> tuple[str, ...]:
    """Replaces keys by numbers in order of appearance, because results are shared."""
    numbers = {key: number for number, key in enumerate(dict.fromkeys(keys), start=1)}
    return tuple(f"g{numbers[key]:0{len(str(len(numbers)))}d}" for key in keys)
