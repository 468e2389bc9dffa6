"""The ensemble of a winner's replicates as files: the mean of their probabilities, and its metrics."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from hpo.core.files import Guard, explain_write_errors, no_guard, write_text
from hpo.results.metrics import classifier_metrics, predictions_csv, unit_metrics
from hpo.results.plain import json_text
from hpo.training.predictions import Predictions

FOLDER = "ensemble"
"""Name of the folder beside the results folders."""

PARTS = ("validation", "test")
"""The parts of the data on which an ensemble may be evaluated."""


def write_ensembles(
    folder: Path,
    head: Mapping[str, object],
    ensembles: Mapping[str, Predictions],
    kept: tuple[str, ...] = (),
    guard: Guard = no_guard,
) -> None:
    """Writes metrics and predictions of each ensemble, and removes those of another promotion.

    Args:
        folder: folder of the study's results.
        head: what identifies the replicates: block, trial, seeds.
        ensembles: predictions by part of the data.
        kept: parts whose files are there already and stay.
        guard: called right before each file is put in place; see `hpo.core.files.atomic_write`.

    Raises:
        OutputRefused: if the folder cannot be written.
    """
    below = folder / FOLDER
    with explain_write_errors(below):
        for part, predictions in ensembles.items():
            below.mkdir(parents=True, exist_ok=True)
            write_text(below / f"{part}_predictions.csv", predictions_csv(predictions), guard)
            metrics = json_text({**head, "part": part, **classifier_metrics(predictions), **unit_metrics(predictions)})
            write_text(below / f"{part}_metrics.json", metrics, guard)
        for part in PARTS:
            if part not in (*ensembles, *kept) and below.is_dir():
                for path in (below / f"{part}_metrics.json", below / f"{part}_predictions.csv"):
                    path.unlink(missing_ok=True)
        with suppress(OSError):  # it is not there, or not empty
            below.rmdir()


def read_ensemble(folder: Path, part: str, block: object) -> dict[str, Any] | None:
    """Returns the metrics of an ensemble; None if there is none, or it is of other replicates.

    Args:
        folder: folder of the study's results.
        part: part of the data, `validation` or `test`.
        block: sha256 that identifies the replicates.
    """
    try:
        found = json.loads((folder / FOLDER / f"{part}_metrics.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and found.get("block") == block else None
