"""What is written is made fit for both databases first, whatever reached this far, so that neither raises for it.

A training's own gate has done so before; this is for what did not pass it: a worker of another version, an import.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from hpo.core.records import Evaluation, Report
from hpo.core.texts import LONGEST, cleaned

MOST_LEVELS = 50
"""Levels of lists and mappings; what lies deeper is written as its text."""


def content_of(evaluation: Evaluation) -> dict[str, Any]:
    """Returns the columns of an evaluation beside its key."""
    seconds = evaluation.seconds
    return {
        "params": fit_json(evaluation.job.params),
        "streams": fit_json(evaluation.job.streams),
        "status": str(evaluation.status),
        "value": evaluation.value,
        "step": evaluation.step,
        "error": fit_text(evaluation.error),
        "reports": [fit_json(_stored_report(report)) for report in evaluation.reports],
        "seconds": seconds if math.isfinite(seconds) else 0.0,
        "digests": fit_json(evaluation.digests),
        "fingerprint": fit_json(evaluation.fingerprint),
        "files": fit_text(evaluation.files),
        # Beside what was made good, what was seen to go wrong; the one is a text, the other an object.
        "remarks": fit_json([*evaluation.remarks, *(asdict(alert) for alert in evaluation.last_alerts)]),
    }


def _stored_report(report: Report) -> list[object]:
    alerts = [[asdict(alert) for alert in report.alerts]] if report.alerts else []
    return [report.step, report.at, dict(report.metrics), *alerts]


def fit_text(text: str | None) -> str | None:
    """Returns a text without NUL, lone surrogates and control characters; Postgres stores none of the first two."""
    return None if text is None else cleaned(str(text), LONGEST)


def fit_json(value: Any, level: int = 0) -> Any:
    """Returns a value as JSON has it: numbers that are not finite become None, what JSON does not know its text."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return cleaned(value, LONGEST)
    if isinstance(value, int):
        return value if abs(value) < 10**1000 else "a number of over 1000 digits"
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if level < MOST_LEVELS and isinstance(value, Mapping):
        return {cleaned(str(key), LONGEST): fit_json(one, level + 1) for key, one in value.items()}
    if level < MOST_LEVELS and isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        return [fit_json(one, level + 1) for one in value]
    try:
        return cleaned(str(value), LONGEST)
    except Exception:  # the text of an object may raise anything
        return type(value).__name__
