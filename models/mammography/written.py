"""Writes the split of a training's images, and the manifest of its data, beside the results."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path

from models.mammography.dataset import DataSet


def write_split(folder: Path, data: DataSet, train: Sequence[int], held_out: Sequence[int], how: str) -> None:
    """Writes `data_manifest.json`, `splits/train.csv`, `splits/val.csv` and `splits/split_manifest.json`.

    Args:
        folder: folder for the files.
        data: the split data set.
        train: indices of the training images.
        held_out: indices of the validation images.
        how: kind of split: `random`, `patient` or `fold`.
    """
    (folder / "data_manifest.json").write_text(
        json.dumps(data.manifest, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    splits = folder / "splits"
    splits.mkdir(exist_ok=True)
    sides = {"train": train, "val": held_out}
    names = [*data.cases, "label", "group"]
    for side, numbers in sides.items():
        with (splits / f"{side}.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(names)
            for number in numbers:
                values = [column[number] for column in data.cases.values()]
                writer.writerow([*values, data.readers[data.label_N[number]], _group(data, number)])
    manifest = {
        "split_mode": how,
        "group_column": None if data.groups is None else "group",
        "files": {side: f"{side}.csv" for side in sides},
        **{f"{side}_rows": len(numbers) for side, numbers in sides.items()},
        **{f"{side}_groups": len({_group(data, number) for number in numbers}) for side, numbers in sides.items()},
    }
    (splits / "split_manifest.json").write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


def _group(data: DataSet, number: int) -> str:
    return data.cases["accession"][number] if data.groups is None else data.groups[number]
