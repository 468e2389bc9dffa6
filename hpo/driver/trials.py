"""The command `hpo trials`: every trial of a stored study with its params, state, value, time and seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hpo.core.arguments import explains_arguments
from hpo.core.formatting import counted, number, param, quantity
from hpo.core.records import Evaluation, Objective, Stage
from hpo.core.run_config import RunConfig
from hpo.core.shown import Dim, Grid, Page, Shown
from hpo.driver.session import checked_config
from hpo.driver.status import as_stored, trials_of
from hpo.driver.storage import name_of, storage, stored_study
from hpo.study import Study, Trial


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class TrialTable(Shown):
    """All trials of a stored study, by number.

    Attributes:
        study: the study as it was last run.
        trials: its trials, imported ones among them.
        evaluations: the recorded trainings by trial.
    """

    study: Study
    trials: tuple[Trial, ...]
    evaluations: Mapping[int, Sequence[Evaluation]]

    def _headline(self) -> str:
        return f"{self.study.name}: {counted(len(self.trials), 'trial')}"

    def rows(self) -> list[dict[str, object]]:
        """Returns a row of plain values for each trial; a param that it does not have is None."""
        names, budget = self.params, self.study.search.budget
        return [
            {
                "trial": one.number,
                "state": one.state,
                **dict(zip(self._metrics, self._values(one), strict=True)),
                "epoch": max(one.values, default=None),
                "budget": budget,
                "seconds": self._seconds(one),
                "seeds": " ".join(map(str, self._seeds(one, Stage.SEARCH))),
                "promotion_seeds": " ".join(map(str, self._seeds(one, Stage.PROMOTION))),
                "started": one.started,
                "ended": one.ended,
                **{f"params_{name}": one.params.get(name) for name in names},
                "origin": one.origin,
                "error": one.error.splitlines()[-1] if one.error else None,
            }
            for one in self.trials
        ]

    def page(self) -> Page:
        """Returns what is printed."""
        if not self.trials:
            return Page([f"{self.study.name} has no trials yet. Search it with: hpo run --study {self.study.name}"])
        columns = ["trial", "state", *self._metrics, "epoch", "seconds", "seeds"]
        labels = [f"param {name}" if name in columns else name for name in self.params]
        made = Grid(
            *columns,
            *labels,
            left=["state", *labels],
            keys=1,
            spare=(["epoch"], ["seconds"], ["seeds"]),
            below=labels,
        )
        for one in self.trials:
            seconds = self._seconds(one)
            made.add_row(
                str(one.number),
                one.state,
                *map(number if len(self._metrics) == 1 else quantity, self._values(one)),
                f"{max(one.values, default='-')}/{self.study.search.budget}",
                "-" if seconds is None else f"{seconds:.1f}",
                " ".join(map(str, self._seeds(one))) or "-",
                *(param(one.params.get(name)) for name in self.params),
            )
        note = "seconds: of all its trainings · seeds: of the search, then of a promotion · exact params: --csv, --json"
        return Page([made, Dim(note)])

    @property
    def params(self) -> tuple[str, ...]:
        """Names of all params, in the order of the trial that has most of them; others behind them."""
        most_first = sorted(self.trials, key=lambda one: -len(one.params))  # a stored space has lost its order
        return tuple(dict.fromkeys(name for one in most_first for name in one.params))

    @property
    def _metrics(self) -> list[str]:
        objective: Objective = self.study.objective
        return [*objective.metrics] if objective.others else ["value"]

    def _values(self, trial: Trial) -> Sequence[float | None]:
        return trial.vector or (trial.value,) * len(self._metrics)

    def _trainings(self, trial: Trial) -> list[Evaluation]:
        found = self.evaluations.get(trial.number, ())
        return [one for one in found if one.job.stage in (Stage.SEARCH, Stage.PROMOTION)]

    def _seconds(self, trial: Trial) -> float | None:
        found = self._trainings(trial)
        return round(sum(one.seconds for one in found), 3) if found else None

    def _seeds(self, trial: Trial, *stages: Stage) -> list[int]:
        """Returns the seeds of a trial's trainings, those of the search first."""
        found = self._trainings(trial)
        return list(
            dict.fromkeys(
                one.job.seed
                for stage in stages or (Stage.SEARCH, Stage.PROMOTION)
                for one in found
                if one.job.stage is stage
            )
        )


@explains_arguments
def trials(study: Study | str, config: RunConfig | None = None) -> TrialTable:
    """Returns all trials of a stored study; no study file is needed.

    Args:
        study: the study itself, or its name.
        config: where it is stored; None: the defaults.

    Raises:
        UsageError: if the storage has no such study.
    """
    name = name_of(study)
    with storage(checked_config(config).storage) as (store, durable):
        stored = stored_study(store, name)
        found: dict[int, list[Evaluation]] = {}
        for one in store.evaluations(stored):
            found.setdefault(one.job.trial, []).append(one)
        return TrialTable(study=as_stored(stored), trials=tuple(trials_of(durable, name)), evaluations=found)
