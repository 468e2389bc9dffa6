"""Checks before any training that a study's data can be used and split as requested.

Nothing is decoded: listings are read, and as many DICOM headers as needed to find enough patients.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hpo import UsageError
from models.mammography.classes import BINARY, DENSITY, TWO, named
from models.mammography.data import PHANTOMS, DataParams, check_params, listed_by, sources_of
from models.mammography.dataset import DataSet
from models.mammography.dicom import read_patient
from models.mammography.embeddings import Source
from models.mammography.listing import DICOM, Case

SHAPING = ("archive", "views", "classes", "include_class_5", "subset", "validation", "size", "images")
"""Fields that determine, with `data`, whether a data set can be used."""

UNITS = ("patient", "examination")
"""The names of the units that a listing may know."""

MAX_COMBINATIONS = 32
"""Maximum combinations of these fields that are checked per data set; trainings check the others."""


def require_usable_data(values: Mapping[str, Sequence[object]], folds: int = 0) -> None:
    """Checks that some training of the study could use each of its data sets.

    Args:
        values: values of the study by field, as in the hook `check_values`.
        folds: number of folds; 0: no cross-validation.

    Raises:
        UsageError: if a path does not exist, a class has no image, or there are too few patients.
    """
    known = [name for name in SHAPING if values.get(name)]
    combinations = list(itertools.islice(itertools.product(*(values[name] for name in known)), MAX_COMBINATIONS))
    for source in values.get("data") or (PHANTOMS,):
        refused = []
        for combination in combinations:
            try:
                _refuse(_params(str(source), dict(zip(known, combination, strict=True))), folds)
            except UsageError as error:
                refused.append(error)
        if len(refused) == len(combinations):
            raise refused[0]


def require_units(values: Mapping[str, Sequence[object]], units: str) -> None:
    """Checks that the data can have several images of a unit.

    Args:
        values: values of the study by field, as in the hook `check_values`.
        units: name of the units over which metrics are reported; empty: there are none.

    Raises:
        UsageError: if no data set of the study can.
    """
    if units not in UNITS:
        return
    sources = [str(source) for source in values.get("data") or (PHANTOMS,)]
    if set(sources) == {PHANTOMS}:
        raise UsageError(
            f"[validation] units is {units!r}, but each phantom is an examination of its own; remove units, or write "
            "phantoms with two views each by hpo data phantoms --dicom"
        )
    if any(Path(source).is_dir() for source in sources):
        raise UsageError(
            f"[validation] units is {units!r}, but a folder of images names neither patients nor examinations; list "
            "the images in a CSV file with the columns image_path, label, accession and patient_id"
        )
    if (
        units == "examination"
        and set(values.get("views") or ("first",)) == {"first"}
        and all(
            listed_by(DataParams(data=source, archive=str((values.get("archive") or ("",))[0]))).kind == "archive"
            for source in sources
        )
    ):
        raise UsageError(
            "[validation] units is 'examination', but views = \"first\" reads one image of each examination; set views "
            '= "all"'
        )


def images_of(values: Mapping[str, Sequence[object]]) -> dict[str, tuple[Source, ...]]:
    """Returns what identifies the listed images of each data set of a study, under the first of its other values.

    Args:
        values: values of the study by field, as in the hook `check_values`.

    Raises:
        UsageError: if a data set lists nothing usable.
    """
    names = ("archive", "views", "classes", "include_class_5", "images", "data_seed")
    first = {name: found[0] for name in names if (found := values.get(name))}
    return {str(source): sources_of(_params(str(source), first)) for source in values.get("data") or (PHANTOMS,)}


def require_splittable(data: DataSet, source: str) -> None:
    """Checks that the readable images can be split with every class on both sides.

    Raises:
        UsageError: if they cannot.
    """
    owners: dict[int, set[str]] = defaultdict(set)
    keys = data.group_keys or tuple(map(str, range(len(data.label_N))))
    for label, key in zip(data.label_N.tolist(), keys, strict=True):
        owners[label].add(key)
    for label, name in enumerate(data.names):
        if len(owners[label]) < 2:
            images = int((data.label_N == label).sum())
            raise UsageError(
                f"data {source}: every class must be in training and in validation, but class {name} has "
                f"{_many(images, 'image')} of {_many(len(owners[label]), 'patient')} that can be read ({data.summary})"
            )


def _params(source: str, said: Mapping[str, Any]) -> DataParams:
    return DataParams(data=source, **said)


def _refuse(params: DataParams, folds: int) -> None:
    check_params(params)
    if not folds and not 0 < params.validation < 1:
        raise UsageError(f"validation: expected a fraction between 0 and 1, got {params.validation}")
    names = _names(params)
    needed, parts = folds or 2, folds or max(2, round(1 / params.validation))
    if params.data == PHANTOMS:
        if params.images < needed * len(names):
            raise UsageError(f"images: expected at least {needed} of each of {len(names)} classes, got {params.images}")
        return
    cases = listed_by(params).cases
    by_class: dict[str, list[Case]] = {name: [] for name in names}
    for case in cases:
        by_class[_name(case.label, params)].append(case)
    found = ", ".join(f"{len(of_class)} {name}" for name, of_class in by_class.items())
    patients: set[str] = set()
    for name, of_class in by_class.items():
        own = _owners(of_class, max(needed, parts))
        patients |= own
        if len(own) < needed:
            where = f"each of {folds} folds" if folds else "training and in validation"
            raise UsageError(
                f"data {params.data}: every class must be in {where}, but class {name} has "
                f"{_many(len(of_class), 'image')} of {_many(len(own), 'patient')} (found: {found}); add images"
                + (", use fewer folds" if folds else "")
                + (", or use classes = 'binary'" if params.classes == DENSITY else "")
            )
    if len(patients) < parts:
        raise UsageError(
            f"data {params.data}: {_many(len(patients), 'patient')} cannot be divided into {parts} parts; add "
            f"images or use {'fewer folds' if folds else 'a larger validation'}"
        )


def _names(params: DataParams) -> tuple[str, ...]:
    if params.classes == TWO:
        return BINARY
    return named(params.classes, include_class_5=params.include_class_5).names


def _name(label: int, params: DataParams) -> str:
    return _names(params)[label // 2 if params.classes == TWO else label]


def _owners(cases: Iterable[Case], enough: int) -> set[str]:
    """Returns up to `enough` patients of the cases, or examinations if the patient is unknown."""
    found: set[str] = set()
    for case in cases:
        if len(found) >= enough:
            break
        inside = read_patient(case.path) if not case.patient and case.path.suffix.lower() == DICOM else ""
        found.add(case.patient or inside or case.accession)
    return found


def _many(count: int, what: str) -> str:
    return f"{count or 'no'} {what}{'' if count == 1 else 's'}"
