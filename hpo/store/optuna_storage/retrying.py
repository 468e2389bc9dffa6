"""Failed trials: which of them are to be trained again."""

from __future__ import annotations

import re
from collections.abc import Sequence

from hpo.study import Trial


def failed_together(trials: Sequence[Trial], most: int) -> list[int]:
    """Returns the numbers of the newest trials if a mistake of the whole study made them all fail; else none.

    That is so where they ended one after the other with the same error, and are as many as end a search, or all that
    the study has. They say nothing of their params.

    Args:
        trials: of the study, imported ones among them.
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
    """Returns an error's last line without the numbers in it, which may be a trial's own params."""
    return re.sub(r"-?[0-9]+(\.[0-9]+)?(e-?[0-9]+)?", "0", last_line(error))


def last_line(error: str | None) -> str:
    """Returns what an error says at its end, without its traceback."""
    lines = (error or "").strip().splitlines()
    return lines[-1] if lines else ""
