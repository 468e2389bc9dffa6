"""Whether a study's trainings were made with the code that is there now; what is said and done where they were not."""

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
    """Returns the code that the study was last trained with; unknown where an earlier hpo stored it."""
    return code_from(stored.codes[-1]) if stored.codes else Code()


def check_code(
    stored: StoredStudy | None, code: Code, store: Store, tell: Callable[[str], None], *, accept: bool
) -> Mapping[str, Any] | None:
    """Says where the code is not that of the study's trainings, before anything is trained or written.

    Args:
        stored: the study; None: it is new.
        code: as it is now.
        store: of the study.
        tell: called with each sentence for the user.
        accept: whether trainings of both may stand in one study.

    Returns:
        What is to be stored of the code; None where it is stored already, or is not known.

    Raises:
        CodeChanged: if something that counts was trained with other code, and that is not accepted.
        StudyBusy: if it is accepted, and another driver trains with the other code now.
    """
    if not code.digest:
        if stored is not None and stored.codes:
            tell("the trainable is in no file, so whether its code was changed since is not known")
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
                f"the code of {_trainings(len(counted))} is not known: an earlier hpo recorded them; from now on a "
                "change of it is noticed"
            )
        return entry
    others = sum(found.digest != code.digest for found in counted)
    changes = before.changes(code)
    if not others:
        tell(f"the code was changed since the study was last run ({changes}); nothing that counts was trained before")
        return entry
    if not accept:
        raise CodeChanged(_refused(stored.name, changes, others))
    store.check_can_drive(stored)
    tell(
        f"the code was changed since the study was last run ({changes}); accepted: {_trainings(others)} of other code "
        "stay and are marked, and replicates are trained anew"
    )
    return {**entry, "accepted": True}


def differing(evaluations: Iterable[Evaluation], code: Code) -> list[Evaluation]:
    """Returns the evaluations that are known to be of other code."""
    return [one for one in evaluations if code.differs(one.code)]


def _refused(name: str, changes: str, others: int) -> str:
    return (
        f"the code of study {name!r} was changed since it was last run: {changes}. "
        f"{_trainings(others)} that it holds {'is' if others == 1 else 'are'} of the code before, and would be "
        "compared with new ones as if nothing had happened. Nothing was trained or written. "
        f"Take the change back, give the study another name, or go on with both by {ACCEPT} "
        "(accept_code_change=True): trials of the other code are then marked, and replicates are trained anew"
    )


def _trainings(count: int) -> str:
    return f"{count} training{'' if count == 1 else 's'}"
