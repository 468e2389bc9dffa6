"""Who looked at the test part of a study's data, and when."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from hpo.core.records import Evaluation, JobKey, Stage, Status
from hpo.store import Store, StoredStudy

OTHER_CODE = "trained again because the code changed"
"""Beginning of the remark on an evaluation that replaced one of other code."""

ORDINALS = {2: "Second", 3: "Third"}
"""Words for the number of a look."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One use of the test part.

    Attributes:
        trial: number of the trial that was evaluated.
        seeds: seeds of the replicates that were evaluated.
        at: time of the first evaluation in UTC; None: earlier than the recorded one, with other code.
    """

    trial: int
    seeds: tuple[int, ...]
    at: dt.datetime | None

    def __str__(self) -> str:
        when = "earlier, with other code" if self.at is None else f"on {self.at:%Y-%m-%d %H:%M} UTC"
        return f"{when} for trial {self.trial} (seeds {' '.join(map(str, self.seeds))})"

    def plain(self) -> dict[str, object]:
        """Returns the look as plain values."""
        return {"trial": self.trial, "seeds": list(self.seeds), "at": None if self.at is None else self.at.isoformat()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Looks:
    """The uses of the test part, as a promotion's winner sees them.

    Attributes:
        trial: number of the winner's trial.
        own: the evaluation of the winner's replicates; None: they were not evaluated.
        before: other looks before it; all others if there is no own one.
        after: other looks after it.
    """

    trial: int
    own: Look | None
    before: tuple[Look, ...]
    after: tuple[Look, ...]

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences on a winner that was chosen after a look, or could have been."""
        if not self.before:
            return ()
        earlier = "; ".join(map(str, self.before))
        if self.own is None:
            seen = any(one.trial == self.trial for one in self.before)
            now = "The winner is the same trial with other seeds" if seen else "The winner is another one now"
            return (
                f"The test part was used before, {earlier}. {now}, and was not evaluated on it; a "
                f"{self._name(len(self.before) + 1).lower()} look would no longer be independent of the choice.",
            )
        return (
            f"{self._name(len(self.before) + 1)} look at the test part: it was used before, {earlier}. This winner may "
            "have been chosen knowing that result, so its estimate on the test part may be too good.",
        )

    def plain(self) -> dict[str, object]:
        """Returns the looks as plain values."""
        return {
            "used": None if self.own is None else self.own.plain(),
            "look": None if self.own is None else len(self.before) + 1,
            "before": [one.plain() for one in self.before],
            "after": [one.plain() for one in self.after],
        }

    @staticmethod
    def _name(number: int) -> str:
        return ORDINALS.get(number, f"{number}th")


def looks_at(store: Store, stored: StoredStudy, trial: int, seeds: Sequence[int]) -> Looks:
    """Returns the uses of a study's test part.

    Args:
        store: store that has the evaluations.
        stored: the study as the store has it.
        trial: number of the winner's trial.
        seeds: seeds of the winner's replicates.
    """
    moments = {key: at for key, status, at in store.finished(stored) if key[1] is Stage.TEST}
    if not moments:
        return Looks(trial=trial, own=None, before=(), after=())
    done = [one for one in store.evaluations(stored, Stage.TEST) if one.status is Status.COMPLETE]
    own = [one for one in done if one.job.trial == trial and one.job.seed in seeds]
    if {one.job.seed for one in own} != {*seeds}:
        own = []  # not all of its replicates were evaluated
    keys = {one.job.key for one in own}
    rest = [one for one in done if one.job.key not in keys]
    groups = {number: [one for one in rest if one.job.trial == number] for number in _trials(rest)}
    others = [_look(group, moments) for group in groups.values()]
    replaced = [one for one in done if any(remark.startswith(OTHER_CODE) for remark in one.remarks)]
    old = [
        replace(_look([one for one in replaced if one.job.trial == number], moments), at=None)
        for number in _trials(replaced)
    ]
    mine = _look(own, moments) if own else None
    end = max((moments[key] for key in keys), default=None)
    before = [one for one in others if end is None or _time(one) < end]
    after = [one for one in others if one not in before]
    return Looks(
        trial=trial, own=mine, before=(*old, *sorted(before, key=_time)), after=tuple(sorted(after, key=_time))
    )


def _trials(evaluations: Iterable[Evaluation]) -> list[int]:
    return sorted({one.job.trial for one in evaluations})


def _look(evaluations: Sequence[Evaluation], moments: Mapping[JobKey, dt.datetime]) -> Look:
    return Look(
        trial=evaluations[0].job.trial,
        seeds=tuple(dict.fromkeys(one.job.seed for one in evaluations)),
        at=min(moments[one.job.key] for one in evaluations),
    )


def _time(look: Look) -> dt.datetime:
    return look.at or dt.datetime.min.replace(tzinfo=dt.UTC)
