"""What verify, decompose and replay can be asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from hpo.core.options import count, flag, names_of
from hpo.core.records import LARGEST_SEED, LAST_TRIAL
from hpo.driver.options import CommandOptions, RecordOptions

REPLAYS = 3
"""How often a job is trained if nothing is said."""

MOST_REPLAYS = 1000
"""More would be a mistyped number."""

DRAWS = 10
"""Base draws if nothing is said: an sd is known to about a quarter of itself."""

_TRIAL = flag(low=0, high=LAST_TRIAL)
_SEED = flag(low=0, high=LARGEST_SEED, called="a seed")


@dataclass(frozen=True, kw_only=True)
class VerifyOptions(CommandOptions):
    """Which trainings are verified, and how.

    Attributes:
        trial: number of the trial to train again; default: the newest promotion's winner.
        seed: only the training under this seed; default: all of the trial's.
        promotion: only trainings of the promotion.
        resumed: interrupt each halfway and let it go on from its checkpoint.
    """

    trial: int | None = field(default=None, metadata=_TRIAL)
    seed: int | None = field(default=None, metadata=_SEED)
    promotion: bool = field(default=False, metadata=flag())
    resumed: bool = field(default=False, metadata=flag())


@dataclass(frozen=True, kw_only=True)
class DecomposeOptions(RecordOptions):
    """What is decomposed, and how well.

    Attributes:
        trial: number of the trial.
        n: draws with everything at random, each again for each source.
        replays: how often one job is trained again as it is.
        sources: of split, init, order, augment, dropout; default: all that the study does not fix.
        metric: what is decomposed, at the epoch whose objective counts; default: the objective.
    """

    trial: int = field(metadata=_TRIAL)
    n: int = field(default=DRAWS, metadata=count())
    replays: int = field(default=REPLAYS, metadata=flag(low=0, high=MOST_REPLAYS))
    sources: Sequence[str] | None = field(default=None, metadata=flag(parse=names_of, metavar="<name,name,...>"))
    metric: str | None = field(default=None, metadata=flag())


@dataclass(frozen=True, kw_only=True)
class ReplayOptions(RecordOptions):
    """Which job is trained again, and how often.

    Attributes:
        trial: number of the trial.
        seed: under which seed; default: the first of the promotion's.
        r: how many trainings of the same job.
    """

    trial: int = field(metadata=_TRIAL)
    seed: int | None = field(default=None, metadata=_SEED)
    r: int = field(default=REPLAYS, metadata=count())
