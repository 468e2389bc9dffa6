"""Decides which failed trials are trained again."""

from __future__ import annotations

import re
from collections.abc import Sequence

from hpo.study import Trial


def failed_together(trials: Sequence[Trial], most: int) -> list[int]:
    """Returns the numbers of the newest trials if a problem of the whole study made them all fail; otherwise none.

    That is assumed if they failed one after the other with the same error, and there are enough of them to end a
    search, or the study has no others. Such failures are not caused by the params.

    Args:
        trials: all trials of the study, imported ones included.
        most: failures in a row that end a search.
    """
    over = [one for one in trials if one.ended is not None and one.state != "imported"]
    over.sort(key=lambda trial: (trial.ended or "", trial.number))
    together: list[Trial] = []
    for trial in reversed(over):
        if trial.state != "failed" or (together and kind_of(trial.error) != kind_of(together[0].error)):
            break
        together.append(trial)
    if len(together) < min(most, len(over)):
        return []
    return sorted(trial.number for trial in together)


def kind_of(error: str | None) -> str:
    """Returns an error's last line without numbers, which may be the trial's own params."""
    return re.sub(r"-?[0-9]+(\.[0-9]+)?(e-?[0-9]+)?", "0", last_line(error))


def last_line(error: str | None) -> str:
    """Returns the last line of an error, without its traceback."""
    lines = (error or "").strip().splitlines()
    return lines[-1] if lines else ""
