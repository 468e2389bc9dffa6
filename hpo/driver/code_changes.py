"""Checks whether a study's trainings used the current code, and what happens if they did not."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from hpo.core.code import Code, code_from
from hpo.core.errors import CodeChanged
from hpo.core.records import Evaluation, Status
from hpo.store import Store, StoredStudy

ACCEPT = "--accept-code-change"


def newest_code(stored: StoredStudy) -> Code:
    """Returns the code that the study was last trained with; unknown if an earlier version of hpo stored the study."""
    return code_from(stored.codes[-1]) if stored.codes else Code()


def check_code(
    stored: StoredStudy | None, code: Code, store: Store, tell: Callable[[str], None], *, accept: bool
) -> Mapping[str, Any] | None:
    """Reports a change of the code since the study's trainings, before anything is trained or written.

    Args:
        stored: the study as stored; None: it is new.
        code: the current code.
        store: the records of the study.
        tell: called with each message for the user.
        accept: whether one study may hold trainings of both codes.

    Returns:
        What to store about the code; None if it is stored already or unknown.

    Raises:
        CodeChanged: if trainings that did not fail used other code, and that is not accepted.
        StudyBusy: if it is accepted while another driver trains with the other code.
    """
    if not code.digest:
        if stored is not None and stored.codes:
            tell("the trainable is not in a file, so hpo cannot tell whether its code has changed")
        return None
    entry = {**code.plain(), "at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"), "accepted": False}
    if stored is None:
        return entry
    before = newest_code(stored)
    if before.digest == code.digest:
        return None
    counted = [found for found, status in store.codes(stored) if status is not Status.FAILED]
    if not before.digest:
        if counted:
            tell(
                f"the code of {_trainings(len(counted))} is not known, because an earlier version of hpo recorded "
                "them; from now on changes are noticed"
            )
        return entry
    others = sum(found.digest != code.digest for found in counted)
    changes = before.changes(code)
    if not others:
        tell(f"the code has changed since the study was last run ({changes}); no valid training used the old code")
        return entry
    if not accept:
        raise CodeChanged(_changed_message(stored.name, changes, others))
    store.check_can_drive(stored)
    tell(
        f"the code has changed since the study was last run ({changes}); accepted: {_trainings(others)} of other code "
        f"{'is' if others == 1 else 'are'} kept and marked, and replicates are trained again"
    )
    return {**entry, "accepted": True}


def with_other_code(evaluations: Iterable[Evaluation], code: Code) -> list[Evaluation]:
    """Returns the evaluations that are known to come from other code."""
    return [one for one in evaluations if code.differs(one.code)]


def _changed_message(name: str, changes: str, others: int) -> str:
    return (
        f"the code of study {name!r} has changed since it was last run: {changes}. "
        f"{_trainings(others)} in it used the old code and would be compared with new ones as if nothing had "
        "happened. Nothing was trained or written. "
        f"Undo the change, give the study another name, or continue with both by {ACCEPT} "
        "(accept_code_change=True): trials of the old code are then marked, and replicates are trained again"
    )


def _trainings(count: int) -> str:
    return f"{count} training{'' if count == 1 else 's'}"
