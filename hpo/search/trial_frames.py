"""The trials of a search as tables and figures: of a search that just ended, and of a stored study."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from hpo.core.errors import UsageError
from hpo.core.formatting import counted, number
from hpo.core.records import Evaluation, Stage
from hpo.core.run_config import RunConfig
from hpo.core.shown import Shown
from hpo.driver.frames import OF_EPOCHS, OF_TRAININGS, OF_TRIALS, as_frame, epoch_rows, training_rows, trial_rows
from hpo.driver.storage import storage, stored_study
from hpo.store import absolute_url
from hpo.study import Study, Trial, front, incumbent

if TYPE_CHECKING:
    import pandas as pd

    from hpo.figures.report import Figure

FEWEST = 8
"""Smallest number of complete trials that tell how important params are."""


class TrialFrames(Shown):
    """Trials as tables and figures. The trainings are read from the storage when they are asked for."""

    __slots__ = ()

    def _study(self) -> Study:
        """Returns the study that was searched."""
        raise NotImplementedError

    def _trials(self) -> Sequence[Trial]:
        """Returns the trials in the order of their numbers."""
        raise NotImplementedError

    def _evaluations(self) -> Sequence[Evaluation]:
        """Returns the trainings behind the trials; empty if it is not known where they are stored."""
        raise NotImplementedError

    def _config(self) -> RunConfig | None:
        """Returns where the study is stored; None if that is not known."""
        raise NotImplementedError

    def _of_other_code(self) -> Iterable[int]:
        """Returns the numbers of the trials that are known to come from other code."""
        return ()

    def rows(self) -> list[dict[str, object]]:
        """Returns a row for each trial: number, state, value, constraints, params, times, and every metric.

        A metric is that of the epoch whose value counts; of several trainings, under several seeds or on folds, it is
        the mean. `seconds` adds them up. Start and end are local time.
        """
        return trial_rows(self._trials(), self._study(), self._evaluations(), self._of_other_code())

    def frame(self) -> pd.DataFrame:
        """Returns the trials as a pandas DataFrame, see `rows`."""
        return as_frame(self.rows(), OF_TRIALS)

    def trainings(self) -> pd.DataFrame:
        """Returns a row for each training that has ended: seed, fold, state, value, seconds, params, every metric."""
        return as_frame(training_rows(self._evaluations()), OF_TRAININGS)

    def epochs(self) -> pd.DataFrame:
        """Returns a row for each epoch of each training that has ended, with every metric and the time in UTC."""
        return as_frame(epoch_rows(self._evaluations()), OF_EPOCHS)

    def plot_history(self, metric: str | None = None) -> Figure:
        """Returns the value of each trial by its number, and the best value so far, as a plotly figure.

        Args:
            metric: one of several objectives; None: the first.

        Raises:
            UsageError: if it is no objective of the study.
        """
        from hpo.figures.search import history_figure

        return history_figure(self._trials(), self._study(), self._objective(metric))

    def plot_slices(self, metric: str | None = None) -> Figure:
        """Returns the values of the complete trials over each param as a plotly figure.

        Args:
            metric: one of several objectives; None: the first.

        Raises:
            UsageError: if it is no objective of the study.
        """
        from hpo.figures.search import slices_figure

        return slices_figure(self._trials(), self._study(), self._objective(metric))

    def plot_curves(self) -> Figure:
        """Returns the trials' learning curves as a plotly figure, of running trials too."""
        from hpo.figures.report import curves_figure

        study = self._study()
        curves = [
            {
                "trial": one.number,
                "seed": ", ".join(map(str, study.search_seeds(one.number))),
                "epochs": list(one.values),
                "values": list(one.values.values()),
            }
            for one in self._trials()
            if one.values
        ]
        return curves_figure(curves, None, study.objective.label())

    def plot_importance(self) -> Figure:
        """Returns how much each param separates the best quarter of the trials from the others, as a plotly figure.

        Raises:
            UsageError: if too few trials are complete, or all have the same value.
        """
        from hpo.figures.search import importance_figure
        from hpo.search.importance import importances

        study, config = self._study(), self._config()
        if study.objective.others:
            raise UsageError(f"importance is for one objective; study {study.name!r} has {study.objective}")
        values = {one.number: one.value for one in self._trials() if one.state == "complete" and one.value is not None}
        if len(values) < FEWEST or len(set(values.values())) < 2:
            raise UsageError(
                f"study {study.name!r} has {len(values)} complete trials; it takes {FEWEST}, with different values, "
                "to tell which params matter"
            )
        if config is None:
            raise UsageError("it is not known where the study is stored; read it with hpo.load")
        with storage(config.storage) as (_store, durable):
            found = durable.find(study.name)
            shares = importances(found, values, study.objective.direction) if found else {}
        return importance_figure(shares, study, len(values))

    def _objective(self, metric: str | None) -> str:
        known = self._study().objective.metrics
        if metric is not None and metric not in known:
            raise UsageError(f"{metric!r} is no objective of study {self._study().name!r}; expected {', '.join(known)}")
        return metric or known[0]


def located(config: RunConfig) -> RunConfig:
    """Returns where a study is stored, with absolute paths: the current folder may change before it is read."""
    return replace(config, storage=absolute_url(config.storage), outputs=config.outputs.absolute())


def stored_evaluations(name: str, config: RunConfig, *, searched: bool) -> list[Evaluation]:
    """Returns the trainings of a stored study.

    Args:
        name: name of the study.
        config: where it is stored.
        searched: whether only the trainings of its search are returned.

    Raises:
        UsageError: if the storage has no such study.
    """
    with storage(config.storage) as (store, _durable):
        return store.evaluations(stored_study(store, name), Stage.SEARCH if searched else None)


def headline(study: Study, trials: Sequence[Trial]) -> str:
    """Returns how a search stands in a few words: its trials by state, and the best one.

    Args:
        study: the study that is searched.
        trials: all of its trials.
    """
    states = Counter(one.state for one in trials)
    counts = ", ".join(f"{count} {state}" for state, count in states.items())
    best = incumbent(trials, study)
    if study.objective.others:
        known = f", front of {len(front(trials, study))}"
    else:
        known = f", incumbent trial {best.number}: {study.objective.metric} {number(best.value)}" if best else ""
    return f"{study.name}: {counted(len(trials), 'trial')}" + (f" ({counts})" if counts else "") + known
