"""All errors of this package, as one tree.

HpoError                      anything this package raises on purpose
├── UsageError                unusable input; nothing was written (exit status 2)
│   ├── StudyNotFound         no study file of that name
│   ├── StudyInvalid          a study file with problems, all of them listed
│   │   └── ParamsInvalid     configurations that do not fit the space
│   ├── StudyChanged          the stored study of that name differs in what its trials mean
│   │   └── CodeChanged       its trainings ran other code than the current one
│   ├── StudyBusy             another driver holds the study
│   ├── StudyPaused           the study is paused, so it is not driven
│   ├── StorageUnavailable    the database cannot be opened
│   ├── NothingToPromote      no trial has completed
│   └── OutputRefused         a folder that cannot be written
├── TrainableError            a trainable broke the rules of its Context
├── CheckpointInvalid         a checkpoint that is damaged or belongs to another job
├── RetryLater                nothing was done; the call may be repeated later
│   ├── StorageAway           the database does not answer at the moment
│   └── StudyHeld             the study is paused, so no new job starts
├── StorageLost               the database has been away for too long (exit status 1)
├── StorageDamaged            the database's file is damaged (exit status 1)
├── SamplerFailed             the sampler or the pruner raised an exception (exit status 1)
├── TooManyFailures           too many trainings in a row fail (exit status 1)
└── BackendError              a backend cannot continue (exit status 1)
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches


class HpoError(Exception):
    """Base class. The message is complete on its own: what was expected, what came, what to do."""


class UsageError(HpoError):
    """Unusable input; nothing was written."""


class StudyNotFound(UsageError):
    """No study file of that name."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a study file.

    Attributes:
        key: location as a dotted path, e.g. `space.lr`.
        message: what was expected and what came.
    """

    key: str
    message: str


class StudyInvalid(UsageError):
    """A study file with problems, all of them listed."""

    def __init__(self, where: str, problems: Iterable[Problem]) -> None:
        self.where = where
        self.problems = tuple(problems)
        width = max((len(problem.key) for problem in self.problems), default=0)
        count = f"{len(self.problems)} problem{'s' if len(self.problems) != 1 else ''}"
        lines = [f"  {problem.key:<{width}}  {problem.message}" for problem in self.problems]
        super().__init__("\n".join([f"{where}: {count}", *lines]))


class ParamsInvalid(StudyInvalid):
    """Configurations that do not fit the space, all problems listed."""


class StudyChanged(UsageError):
    """The stored study of that name differs in what its trials mean."""


class CodeChanged(StudyChanged):
    """The stored study's trainings ran other code than the current one."""


class StudyBusy(UsageError):
    """Another driver holds the study."""


class StudyPaused(UsageError):
    """The study is paused, so it is not driven."""


class StorageUnavailable(UsageError):
    """The database cannot be opened. The message never contains the password."""


class NothingToPromote(UsageError):
    """No trial has completed."""


class OutputRefused(UsageError):
    """A folder that cannot be written."""


class TrainableError(HpoError):
    """A trainable broke the rules of its Context. Trainables may raise it to fail with a sentence of their own."""


class CheckpointInvalid(HpoError):
    """A checkpoint that is damaged or belongs to another job."""


class RetryLater(HpoError):
    """Nothing was done; repeat the call after `seconds`."""

    def __init__(self, message: str, seconds: float) -> None:
        super().__init__(message)
        self.seconds = seconds


class StorageAway(RetryLater):
    """The database does not answer at the moment."""


class StudyHeld(RetryLater):
    """The study is paused, so no new job starts."""


class StorageLost(HpoError):
    """The database has been away for too long."""


class StorageDamaged(HpoError):
    """The database file is damaged and must be repaired or replaced by a copy."""


class SamplerFailed(HpoError):
    """The sampler or the pruner raised an exception."""


class TooManyFailures(HpoError):
    """Too many trainings in a row fail, so the next would probably fail too."""


class BackendError(HpoError):
    """A backend cannot continue."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Returns ` Did you mean x?` for the closest known word, or an empty text."""
    near = get_close_matches(word, list(known), n=1)
    return f" Did you mean {near[0]}?" if near else ""
