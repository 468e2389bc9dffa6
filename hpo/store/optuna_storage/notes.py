"""Writes what Optuna and its dashboard show of a study: attributes, notes and plots.

The dashboard is an optional package, so its format is repeated here; a test reads it with the dashboard's own
functions.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning

CHUNK = 2045
"""Characters per attribute; the dashboard splits longer texts."""


def write_note(study: optuna.Study, text: str, trial_id: int | None = None) -> None:
    """Writes the note of a study or of one of its trials, and replaces the previous one.

    Args:
        study: Optuna's study object.
        text: the note as Markdown.
        trial_id: Optuna's id of the trial; None: the study's note.
    """
    prefix = "dashboard:" if trial_id is None else f"dashboard:{trial_id}:"
    version = f"{prefix}note_ver"
    known = study._storage.get_study_system_attrs(study._study_id)
    study._storage.set_study_system_attr(study._study_id, version, int(known.get(version, 0)) + 1)
    _write_pieces(study, f"{prefix}note_str:", text)


def write_picture(study: optuna.Study, name: str, figure: str) -> None:
    """Writes a plot of a study.

    Args:
        study: Optuna's study object.
        name: letters, digits and hyphens; a plot of the same name is replaced.
        figure: a plotly figure as JSON.
    """
    _write_pieces(study, f"dashboard:plot_data:{name}:", figure)


def name_metrics(study: optuna.Study, metrics: Sequence[str]) -> None:
    """Names the objectives, which Optuna shows as `Objective 0` and so on otherwise."""
    if study.metric_names != list(metrics):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            study.set_metric_names(list(metrics))


def _write_pieces(study: optuna.Study, prefix: str, text: str) -> None:
    pieces = [text[start : start + CHUNK] for start in range(0, len(text), CHUNK)]
    known: dict[str, Any] = study._storage.get_study_system_attrs(study._study_id)
    count = sum(key.startswith(prefix) for key in known)
    for place in range(max(len(pieces), count)):
        piece = pieces[place] if place < len(pieces) else ""  # an attribute cannot be deleted
        if known.get(f"{prefix}{place}") != piece:
            study._storage.set_study_system_attr(study._study_id, f"{prefix}{place}", piece)
