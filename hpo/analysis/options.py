"""Options of verify, decompose, diagnose and replay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from hpo.core.options import check_options, count, flag, names_of, numbers_of
from hpo.core.records import LARGEST_SEED, LAST_TRIAL
from hpo.driver.options import CommandOptions, RecordOptions

REPLAYS = 3
"""Default number of trainings of a job."""

MOST_REPLAYS = 1000
"""Upper limit, which catches mistyped numbers."""

DRAWS = 10
"""Default number of base draws, which estimate an sd to within about 25 %."""

_TRIAL = flag(low=0, high=LAST_TRIAL)
_SEED = flag(low=0, high=LARGEST_SEED, called="a seed")


@dataclass(frozen=True, kw_only=True)
class VerifyOptions(CommandOptions):
    """Which trainings are verified, and how.

    Attributes:
        trial: number of the trial to train again; default: the newest promotion's winner.
        seed: only the training under this seed; default: all of the trial's.
        promotion: only trainings of the promotion.
        resumed: interrupt each training halfway and resume it from its checkpoint.
    """

    trial: int | None = field(default=None, metadata=_TRIAL)
    seed: int | None = field(default=None, metadata=_SEED)
    promotion: bool = field(default=False, metadata=flag())
    resumed: bool = field(default=False, metadata=flag())


@dataclass(frozen=True, kw_only=True)
class DecomposeOptions(RecordOptions):
    """What to decompose, and with how many trainings.

    Attributes:
        trial: number of the trial.
        n: number of random draws; each is trained again for each source.
        replays: number of times that one job is trained again unchanged.
        sources: some of split, init, order, augment, dropout; default: all that the study does not fix.
        metric: metric to decompose, at the selected epoch; default: the objective.
    """

    trial: int = field(metadata=_TRIAL)
    n: int = field(default=DRAWS, metadata=count())
    replays: int = field(default=REPLAYS, metadata=flag(low=0, high=MOST_REPLAYS))
    sources: Sequence[str] | None = field(default=None, metadata=flag(parse=names_of, metavar="<name,name,...>"))
    metric: str | None = field(default=None, metadata=flag())


@dataclass(frozen=True, kw_only=True)
class DiagnoseOptions:
    """Which trainings are diagnosed.

    Attributes:
        trial: number of the trial.
        seeds: seeds of the replicates to analyze; default: all.
    """

    trial: int = field(metadata=_TRIAL)
    seeds: Sequence[int] = field(default=(), metadata=flag(parse=numbers_of, metavar="<seed,seed,...>"))

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True, kw_only=True)
class ReplayOptions(RecordOptions):
    """Which job to train again, and how often.

    Attributes:
        trial: number of the trial.
        seed: seed of the training; default: the first of the promotion's.
        replays: number of trainings of the same job.
    """

    trial: int = field(metadata=_TRIAL)
    seed: int | None = field(default=None, metadata=_SEED)
    replays: int = field(default=REPLAYS, metadata=count())
