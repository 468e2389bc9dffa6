"""`load`: a stored study, read without its file and without the lease, also while a command drives it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hpo.core.arguments import explains_arguments, require_type
from hpo.core.formatting import number, param
from hpo.core.records import Evaluation
from hpo.core.run_config import RunConfig
from hpo.core.shown import Grid, Page
from hpo.driver.status import Progress, as_stored, progress, trials_of
from hpo.driver.storage import storage as opened
from hpo.driver.storage import stored_study
from hpo.promotion.options import RuleOptions
from hpo.promotion.rank import newest_report
from hpo.promotion.report import PromotionReport
from hpo.promotion.select import rule_of
from hpo.search.trial_frames import TrialFrames, headline, located, stored_evaluations
from hpo.study import Study, Trial, front, sort_best_first

if TYPE_CHECKING:
    from hpo.figures.report import Figure

MOST_SHOWN = 5
"""Largest number of trials that the page of a study lists."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class StudyReader(TrialFrames):
    """A stored study. Every call reads the storage again, so a running search can be watched; nothing is written.

    Attributes:
        name: name of the study.
        config: where it is stored.
    """

    name: str
    config: RunConfig

    @property
    def study(self) -> Study:
        """The study as it was last run."""
        with opened(self.config.storage) as (store, _durable):
            return as_stored(stored_study(store, self.name))

    def progress(self) -> Progress:
        """Returns how the study stands: trials by state, incumbent, who drives it."""
        with opened(self.config.storage) as (store, durable):
            return progress(stored_study(store, self.name), store, durable)

    def trials(self) -> tuple[Trial, ...]:
        """Returns all trials, also those that are running."""
        with opened(self.config.storage) as (store, durable):
            stored_study(store, self.name)
            return tuple(trials_of(durable, self.name))

    def promotion(self) -> PromotionReport:
        """Returns the newest promotion with its ranking.

        Raises:
            NothingToPromote: if the study has no promotion.
        """
        with opened(self.config.storage) as (store, durable):
            stored = stored_study(store, self.name)
            study = as_stored(stored)
            folder = self.config.outputs / study.name
            return newest_report(study, stored, store, rule_of(study, RuleOptions()), durable, folder)

    def _study(self) -> Study:
        return self.study

    def _trials(self) -> Sequence[Trial]:
        return self.trials()

    def _evaluations(self) -> list[Evaluation]:
        return stored_evaluations(self.name, self.config, searched=False)

    def _config(self) -> RunConfig:
        return self.config

    def _headline(self) -> str:
        return headline(self.study, self.trials())

    def figure(self) -> Figure:
        """Returns the history of the search as a plotly figure."""
        return self.plot_history()

    def page(self) -> Page:
        """Returns how the study stands, and its best trials."""
        study, trials = self.study, self.trials()
        best = front(trials, study) if study.objective.others else sort_best_first(trials, study)
        metrics, names = study.objective.metrics, list(study.space)
        made = Grid("trial", *metrics, *names)
        for one in best[:MOST_SHOWN]:
            values = one.vector or (one.value,)
            made.add_row(str(one.number), *map(number, values), *(param(one.params.get(name)) for name in names))
        which = "On the front" if study.objective.others else "The best"
        listed: list[str | Grid] = [f"{which}, on {study.search.seeds_text}:", made] if best else []
        now = self.progress()
        driven = f", driven by process {now.driven.pid} on {now.driven.host}" if now.driven else ""
        return Page([f"{headline(study, trials)}. State: {now.state}{driven}.", *listed])


@explains_arguments
def load(study: Study | str, storage: RunConfig | str | None = None) -> StudyReader:
    """Returns a stored study by its name; no study file is needed, and a command may be driving it.

    Args:
        study: name of the study, or the study itself.
        storage: URL of the database, or a `RunConfig`; None: the default.

    Raises:
        StorageUnavailable: if there is no such database.
        UsageError: if it has no such study.

    Examples:
        >>> import hpo
        >>> study = hpo.Study(
        ...     name="bowl",
        ...     trainable="fit:train",
        ...     objective=hpo.maximize("val_acc"),
        ...     space={"x": hpo.Float(0.0, 1.0)},
        ...     search={"trials": 4, "budget": 1},
        ... )
        >>> config = hpo.RunConfig(storage="sqlite:///bowl.db", backend="local")
        >>> searched = hpo.run(study, config, progress=False)
        >>> stored = hpo.load("bowl", "sqlite:///bowl.db")
        >>> stored
        <StudyReader bowl: 4 trials (4 complete), incumbent trial ...: val_acc 0...>
    """
    require_type("study", study, (Study, str), "a Study or the name of one")
    require_type("storage", storage, (RunConfig, str, type(None)), "the URL of a database, or an hpo.RunConfig")
    config = RunConfig(storage=storage) if isinstance(storage, str) else storage or RunConfig()
    reader = StudyReader(name=study if isinstance(study, str) else study.name, config=located(config))
    reader.progress()  # raises if there is no such study
    return reader
