"""The options of a promotion and of a ranking."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hpo.core.arguments import require_int, require_type
from hpo.core.errors import UsageError
from hpo.core.options import check_options, count, flag, numbers_of
from hpo.core.records import LARGEST_SEED, MAX_TRIALS
from hpo.core.run_config import FIRST
from hpo.driver.options import LimitedOptions
from hpo.search.options import SourceOptions
from hpo.stats.names import Ddof, RuleName, ddof_of

DDOF = flag(parse=ddof_of, metavar="<0|1|unbiased>")
"""How a ddof is written on the command line."""


GENERATED = "random:"
"""What precedes the number of generated seeds."""

MAX_SEEDS = 1000
"""Maximum number of seeds of a promotion."""


def seeds_of(text: str) -> str | tuple[int, ...]:
    """Returns the seeds of a promotion: `42,43,44`, or `random:3`, which generates three.

    Args:
        text: the seeds as they are written on the command line.

    Raises:
        ValueError: if it is neither.
    """
    if not text.startswith(GENERATED[:-1]):
        return numbers_of(text)
    count_of(text)
    return text


def count_of(text: str) -> int:
    """Returns how many seeds `random:5` generates.

    Args:
        text: the number after `random:`.

    Raises:
        ValueError: if there is no such number.
    """
    number = text.removeprefix(GENERATED)
    if not text.startswith(GENERATED) or not number.isdecimal() or not 1 <= int(number[:9]) <= MAX_SEEDS:
        raise ValueError(f"expected {GENERATED}5, with 1 to {MAX_SEEDS} seeds, got {text[:100]!r}")
    return int(number)


def _check_seeds(seeds: Sequence[int] | str | None) -> None:
    """Raises a UsageError if these cannot be the seeds of a promotion."""
    if seeds is None:
        return
    if isinstance(seeds, str):
        try:
            count_of(seeds)
        except ValueError as error:
            raise UsageError(f"seeds: {error}") from error
        return
    require_type("seeds", seeds, (list, tuple), "a list of whole numbers, or 'random:5'")
    if not seeds:
        raise UsageError("seeds is empty; give at least one, or leave it out for those of the study")
    for index, seed in enumerate(seeds):
        require_int("a number in seeds", seed, 0, LARGEST_SEED)
        if seed in seeds[:index]:
            raise UsageError(f"seed {seed} is given twice; replicates must differ")


@dataclass(frozen=True, kw_only=True)
class RuleOptions:
    """The rule that ranks candidates; fields that are not given come from the study.

    Attributes:
        rule: rule that ranks candidates; lcb is the lower end of the 95 % interval. Default: the study's.
        lambda_: weight of sigma in the score; default: the study's.
        ddof: ddof of sigma: 0 divides by n, 1 by n - 1. Default: the study's.
    """

    rule: RuleName | None = field(default=None, metadata=flag())
    lambda_: float | None = field(default=None, metadata=flag(name="--lambda", low=0, called="lambda"))
    ddof: Ddof | None = field(default=None, metadata=DDOF)

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True, kw_only=True)
class PromotionOptions(LimitedOptions, RuleOptions, SourceOptions):
    """Options of a promotion; fields that are not given come from the study.

    Attributes:
        top: number of candidates to retrain; default: the study's.
        curtail: leave out replicates that cannot change the winner; the winner stays the same.
        race: train many candidates under one seed, then fewer and fewer under 2, 4, 8, 12 seeds.
        rungs: seeds per survivor after each rung of the race; default: 1,2,4 or 1,2,4,8,12, by number of trainings.
        widths: candidates in each rung of the race; default: by number of trainings.
        share: part of the trainings of search and race together that the race gets; default: the study's, or by number.
        trainings: total of search and promotion, for which the race is planned; None: it follows from the search.
        seeds: seeds of the replicates instead of the study's; random:5 generates five from the search's seed, always
            the same.
        test: also evaluate the winner on the study's test part, once; every further look is marked.
        confirm_seeds: also train the winner under these held-out seeds, for an unbiased estimate.
        first: number of the first results folder; existing ones are skipped.
        source: retrain another tool's best: an Optuna storage's URL, a journal, CSV file or Ray Tune experiment;
            default: the best of the study's own search.
        allow_ignored_seed: rank candidates whose replicates are bit-identical under different seeds with sigma 0, and
            exit with status 0; it is recorded with the promotion.
    """

    top: int | None = field(default=None, metadata=count())
    curtail: bool = field(default=False, metadata=flag())
    race: bool = field(default=False, metadata=flag())
    rungs: Sequence[int] | None = field(default=None, metadata=flag(parse=numbers_of, metavar="<n,n,...>"))
    widths: Sequence[int] | None = field(default=None, metadata=flag(parse=numbers_of, metavar="<n,n,...>"))
    share: float | None = field(default=None, metadata=flag(metavar="<0..1>"))
    trainings: int | None = None
    source: str | None = field(default=None, metadata=flag(name="--from", envvar="HPO_PROMOTE_FROM", is_secret=True))
    seeds: Sequence[int] | str | None = field(
        default=None, metadata=flag(parse=seeds_of, metavar="<seed,...|random:n>")
    )
    test: bool = field(default=False, metadata=flag())
    confirm_seeds: Sequence[int] = field(default=(), metadata=flag(parse=numbers_of, metavar="<seed,seed,...>"))
    first: int = field(default=FIRST, metadata=count(0))
    allow_ignored_seed: bool = field(default=False, metadata=flag())

    def __post_init__(self) -> None:
        super().__post_init__()
        SourceOptions.__post_init__(self)
        _check_seeds(self.seeds)
        if self.trainings is not None:
            require_int("trainings", self.trainings, 1, MAX_TRIALS)
        if self.share is not None and not 0 < self.share < 1:
            raise UsageError(f"share must be above 0 and below 1, a part of all trainings, not {self.share:g}")


@dataclass(frozen=True, kw_only=True)
class AssetsOptions:
    """Options of the files that are written about a promotion's winner.

    Attributes:
        out: folder that receives the files.
        results: folder of results (repeatable); default: those of the newest promotion.
        prefix: prefix of the file names; default: the study's last word, `density` for `unet-density`.
        ddof: ddof of sigma: 0 divides by n, 1 by n - 1. Default: the promotion's.
        force: overwrite files of another promotion.
    """

    out: Path = field(metadata=flag())
    results: Sequence[Path] = field(default=(), metadata=flag(kind=list[Path]))
    prefix: str | None = field(default=None, metadata=flag())
    ddof: Ddof | None = field(default=None, metadata=DDOF)
    force: bool = field(default=False, metadata=flag())

    def __post_init__(self) -> None:
        check_options(self)
