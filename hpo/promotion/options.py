"""The options of a promotion and of a ranking."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from hpo.core.arguments import require_int, require_type
from hpo.core.options import count, flag, numbers_of, refuse_unfit_options
from hpo.core.records import MAX_TRIALS
from hpo.core.run_config import FIRST
from hpo.driver.options import RecordOptions
from hpo.stats.names import Ddof, RuleName, ddof_of


@dataclass(frozen=True, kw_only=True)
class RuleOptions:
    """The rule that ranks candidates; fields that are not given come from the study.

    Attributes:
        rule: rule that ranks candidates; lcb is the lower end of the 95 % interval. Default: the study's.
        lambda_: weight of sigma in the score; default: the study's.
        ddof: ddof of sigma: 0 divides by n, 1 by n - 1. Default: the study's; for assets, the promotion's.
    """

    rule: RuleName | None = field(default=None, metadata=flag())
    lambda_: float | None = field(default=None, metadata=flag(name="--lambda", low=0, called="lambda"))
    ddof: Ddof | None = field(default=None, metadata=flag(parse=ddof_of, metavar="<0|1|unbiased>"))

    def __post_init__(self) -> None:
        refuse_unfit_options(self)


@dataclass(frozen=True, kw_only=True)
class PromotionOptions(RecordOptions, RuleOptions):
    """Options of a promotion; fields that are not given come from the study.

    Attributes:
        top: number of candidates to retrain; default: the study's.
        curtail: leave out replicates that cannot change the winner; the winner stays the same.
        race: train many candidates under one seed, then fewer and fewer under 2, 4, 8, 12 seeds.
        rungs: seeds per survivor after each rung of the race; default: 1,2,4 or 1,2,4,8,12, by number of trainings.
        widths: candidates in each rung of the race; default: by number of trainings.
        trainings: total of search and promotion, for which the race is planned; None: it follows from the search.
        confirm_seeds: also train the winner under these held-out seeds, for an unbiased estimate.
        first: number of the first results folder; existing ones are skipped.
        source: trials of another tool to retrain: URL of an Optuna storage, or path of a journal, of a CSV file, or of
            the folder of a Ray Tune experiment; None: the best of the study's own search.
        source_study: name of the study in an Optuna storage; None: its only study.
        source_value: column of a table with the value; None: the column named like the metric, or `value`.
        source_params: by param, the column of a table that has it; None: columns are named like the params.
        allow_ignored_seed: rank candidates whose replicates are bit-identical under different seeds with sigma 0, and
            exit with status 0; it is recorded with the promotion.
    """

    top: int | None = field(default=None, metadata=count())
    curtail: bool = field(default=False, metadata=flag())
    race: bool = field(default=False, metadata=flag())
    rungs: Sequence[int] | None = field(default=None, metadata=flag(parse=numbers_of, metavar="<n,n,...>"))
    widths: Sequence[int] | None = field(default=None, metadata=flag(parse=numbers_of, metavar="<n,n,...>"))
    trainings: int | None = None
    source: str | None = None
    source_study: str | None = None
    source_value: str | None = None
    source_params: Mapping[str, str] | None = None
    confirm_seeds: Sequence[int] = field(default=(), metadata=flag(parse=numbers_of, metavar="<seed,seed,...>"))
    first: int = field(default=FIRST, metadata=count(0))
    allow_ignored_seed: bool = field(default=False, metadata=flag())

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.trainings is not None:
            require_int("trainings", self.trainings, 1, MAX_TRIALS)
        for name in ("source", "source_study", "source_value"):
            require_type(name, getattr(self, name), (str, type(None)), "a text")
        require_type("source_params", self.source_params, (Mapping, type(None)), "columns by name of param")
