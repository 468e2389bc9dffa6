"""Converts evaluations to columns that both databases accept, whatever they contain.

A training already validates its own values; this is for what bypasses that: a worker of another version, an import.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from hpo.core.records import Evaluation, Report
from hpo.core.texts import LONGEST, cleaned

MOST_LEVELS = 50
"""Levels of nested lists and mappings; anything deeper is stored as text."""


def evaluation_columns(evaluation: Evaluation) -> dict[str, Any]:
    """Returns the columns of an evaluation outside its key."""
    seconds = evaluation.seconds
    return {
        "params": storable_json(evaluation.job.params),
        "streams": storable_json(evaluation.job.stream_seeds),
        "status": str(evaluation.status),
        "value": evaluation.value,
        "step": evaluation.step,
        "error": storable_text(evaluation.error),
        "reports": [storable_json(_stored_report(report)) for report in evaluation.reports],
        "seconds": seconds if math.isfinite(seconds) else 0.0,
        "digests": storable_json(evaluation.digests),
        "fingerprint": storable_json(evaluation.fingerprint),
        "files": storable_text(evaluation.files),
        # One list holds both kinds: a remark is a text, an alert an object.
        "remarks": storable_json([*evaluation.remarks, *(asdict(alert) for alert in evaluation.last_alerts)]),
    }


def _stored_report(report: Report) -> list[object]:
    alerts = [[asdict(alert) for alert in report.alerts]] if report.alerts else []
    return [report.step, report.at, dict(report.metrics), *alerts]


def storable_text(text: str | None) -> str | None:
    """Returns a text without NUL, lone surrogates and control characters; Postgres cannot store the first two."""
    return None if text is None else cleaned(str(text), LONGEST)


def storable_json(value: Any, level: int = 0) -> Any:
    """Returns a value that JSON can hold: non-finite numbers become None, objects of other types become text."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return cleaned(value, LONGEST)
    if isinstance(value, int):
        return value if abs(value) < 10**1000 else "a number of over 1000 digits"
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if level < MOST_LEVELS and isinstance(value, Mapping):
        return {cleaned(str(key), LONGEST): storable_json(one, level + 1) for key, one in value.items()}
    if level < MOST_LEVELS and isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        return [storable_json(one, level + 1) for one in value]
    try:
        return cleaned(str(value), LONGEST)
    except Exception:  # an object's __str__ may raise anything
        return type(value).__name__
