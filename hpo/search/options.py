"""Options of a search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hpo.core.arguments import require_int, require_type
from hpo.core.errors import UsageError
from hpo.core.options import WINNER, check_options, columns_of, count, flag, keep_of, seconds_of
from hpo.core.records import MAX_EPOCHS, MAX_TRIALS
from hpo.driver.options import CommandOptions, LimitedOptions
from hpo.search.split import Split

if TYPE_CHECKING:
    from hpo.study import Configuration, Study


@dataclass(frozen=True, kw_only=True)
class SearchOptions(LimitedOptions):
    """How long to search a study, and what to try first.

    Attributes:
        trials: total number of trials; default: as many as the study says.
        configurations: how many different ones to have tried in the end, instead of a number of trials: one that is
            proposed again costs no training. Or a split, which decides it by the first values.
        epochs: most epochs of the whole search, those of pruned trials included, instead of a number of trials; a trial
            that could exceed them is not begun.
        seconds: wall time of the search, e.g. 90s, 30m, 1h30m, 1d; what runs then goes on next time.
        until: end the search when this value is reached; default: as the study says.
        patience: end the search after this many trials in a row without improvement; default: as the study says.
        enqueue: configurations to try before the sampler's own, after those that the study names; what is enqueued
            already is not enqueued again.
        keep: which trials keep the files of their trainings, in a folder each: winner, all, or best:5; default: as the
            study says.
        retry_failed: train failed trials again, with the same numbers and params; the failures before stay as remarks.
    """

    trials: int | None = field(default=None, metadata=count())
    configurations: int | Split | None = None
    epochs: int | None = None
    seconds: float | None = field(
        default=None, metadata=flag(name="--time", parse=seconds_of, metavar="<time>", called="the time of a search")
    )
    until: float | None = field(default=None, metadata=flag(called="the value to search until"))
    patience: int | None = field(default=None, metadata=count())
    enqueue: Sequence[Configuration] = ()
    keep: str | None = field(default=None, metadata=flag(parse=keep_of, metavar="<winner|all|best:N>"))
    retry_failed: bool = field(default=False, metadata=flag())

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.configurations is not None and not isinstance(self.configurations, Split):
            require_int("configurations", self.configurations, 1, MAX_TRIALS)
        if self.epochs is not None:
            require_int("epochs", self.epochs, 1, MAX_EPOCHS)
        if self.seconds is not None and self.seconds <= 0:
            raise UsageError(f"the time of a search must be more than 0 seconds, not {self.seconds:g}")
        require_type("enqueue", self.enqueue, (list, tuple), "a list of tables of params")
        try:
            keep_of(self.keep or WINNER)
        except ValueError as error:
            raise UsageError(f"keep: {error}") from None

    def kept(self, study: Study) -> Study:
        """Returns the study with these options' choice of the trials that keep their files."""
        if self.keep is None:
            return study
        if self.keep.startswith("best:") and study.objective.others:
            raise UsageError(f"{self.keep} ranks trials by one value, and study {study.name!r} has several; keep all")
        return study.model_copy(update={"results": study.results.model_copy(update={"keep": self.keep})})


@dataclass(frozen=True, kw_only=True)
class SourceOptions:
    """Which trials of another tool are read, and how.

    Attributes:
        source_study: name of the study in an Optuna storage; default: the only one.
        source_value: column of a table that has the value; default: named like the metric, or `value`.
        source_params: columns of params that are named otherwise; `param=` for a column that is none.
    """

    source_study: str | None = field(default=None, metadata=flag(name="--from-study"))
    source_value: str | None = field(default=None, metadata=flag(name="--value"))
    source_params: Mapping[str, str] | None = field(
        default=None, metadata=flag(name="--params", parse=columns_of, metavar="<param=column,...>")
    )

    def __post_init__(self) -> None:
        check_options(self)
        require_type("source_params", self.source_params, (Mapping, type(None)), "columns by the names of params")


@dataclass(frozen=True, kw_only=True)
class ImportOptions(CommandOptions, SourceOptions):
    """What is imported.

    Attributes:
        source: URL of an Optuna storage without a password, or path of a journal, a CSV file or a Ray Tune experiment.
    """

    source: str = field(metadata=flag(name="--from", envvar="HPO_FROM", is_secret=True))

    def __post_init__(self) -> None:
        super().__post_init__()
        SourceOptions.__post_init__(self)
