"""What a promotion can be asked for."""

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
    """What ranks candidates; what is left out is as the study says.

    Attributes:
        rule: what ranks candidates; lcb is the lower end of the 95 % interval. Default: the study's.
        lambda_: weight of sigma in the score; default: the study's.
        ddof: of sigma: 0 divides by n, 1 by n - 1; default: the study's, of assets the promotion's.
    """

    rule: RuleName | None = field(default=None, metadata=flag())
    lambda_: float | None = field(default=None, metadata=flag(name="--lambda", low=0, called="lambda"))
    ddof: Ddof | None = field(default=None, metadata=flag(parse=ddof_of, metavar="<0|1|unbiased>"))

    def __post_init__(self) -> None:
        refuse_unfit_options(self)


@dataclass(frozen=True, kw_only=True)
class PromotionOptions(RecordOptions, RuleOptions):
    """How a promotion is made; what is left out is as the study says.

    Attributes:
        top: candidates to retrain; default: the study's.
        curtail: leave out replicates that cannot change the winner; it is the same one.
        race: many candidates under one seed, then ever fewer under 2, 4, 8, 12 of them.
        rungs: seeds that the race's survivors have after each rung; default: 1,2,4 or 1,2,4,8,12, by the trainings.
        widths: candidates of each rung of the race; default: by the trainings.
        trainings: of search and promotion together, that the race is planned for; None: as many as fit the search.
        confirm_seeds: train the winner under these too, for an unbiased estimate; it was not chosen on them.
        first: number of the first results folder; taken ones are passed over.
        source: what another tool found, whose best trials are retrained: URL of an Optuna storage, or path of a
            journal, of a CSV file, or of the folder of a Ray Tune experiment; None: the best of the study's own search.
        source_study: name of the study in an Optuna storage; None: the only one there.
        source_value: column of a table that has the value; None: it is named like the metric, or `value`.
        source_params: by param, the column of a table that has it; None: columns are named like the params.
        allow_ignored_seed: rank candidates whose replicates are bit-identical under different seeds as they are, as if
            their sigma were 0, and end with 0; it is recorded with the promotion.
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
        require_type("source_params", self.source_params, (Mapping, type(None)), "columns by the names of params")
