"""A search without a database and without a backend: the caller trains, for benchmarks and notebooks."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field

import optuna
from optuna.storages import InMemoryStorage

from hpo.core.arguments import explains_arguments, require_int, require_number, require_type
from hpo.core.errors import UsageError
from hpo.core.protocols import WAIT, Decision
from hpo.core.records import Evaluation, Job, Report, Status
from hpo.driver.session import resolve_study
from hpo.search.source import SearchSource
from hpo.store.optuna_storage.studies import DurableStudy
from hpo.study import SECONDS, Study, Trial, checked_configurations, incumbent


@dataclass(slots=True)
class _Open:
    """A trial that was asked for and not told.

    Attributes:
        job: what the source handed out.
        reports: values that were reported of it.
        is_pruned: whether the pruner has ended it.
    """

    job: Job
    reports: list[Report] = field(default_factory=list)
    is_pruned: bool = False


@explains_arguments
class Search:
    """Proposes the trials of a study, and is told their values.

    With the same values it proposes the same trials as `hpo run` with one slot. Everything is in memory.

    Args:
        study: the study itself, or its name; its trainable is not called.

    Raises:
        StudyInvalid: if the study has problems.
        UsageError: if its sampler or pruner cannot be used, or it has a test part.

    Examples:
        >>> import hpo
        >>> study = hpo.Study(
        ...     name="bowl",
        ...     trainable="fit:train",
        ...     objective=hpo.maximize("val_acc"),
        ...     space={"x": hpo.Float(0.0, 1.0)},
        ...     search={"trials": 4, "budget": 1},
        ... )
        >>> search = hpo.Search(study)
        >>> while (trial := search.ask()) is not None:
        ...     search.tell(trial, 1 - (trial.params["x"] - 0.3) ** 2)
        >>> len(search.trials), search.incumbent.state
        (4, 'complete')
    """

    def __init__(self, study: Study | str) -> None:
        self._study = resolve_study(study, to_train=False)
        if self._study.ref.holdout is not None:
            raise UsageError(
                "hpo.Search does not train, so it cannot hold out the test part of [validation] test; use hpo.run, or "
                "remove it"
            )
        if self._study.search.prior:
            raise UsageError(
                "hpo.Search has no storage to read the old studies of [search] prior from; use hpo.run, or remove it"
            )
        if self._study.search.cost == SECONDS:
            raise UsageError(
                f"hpo.Search does not train, so it knows no {SECONDS}; let [search] cost name a metric that tell() "
                "gets, or use hpo.run"
            )
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        storage, name = InMemoryStorage(), self._study.name
        optuna.create_study(study_name=name, storage=storage, directions=self._study.objective.directions)
        durable = DurableStudy(storage, name, nullcontext)
        durable.enqueue(checked_configurations(self._study, self._study.search.enqueue, "search.enqueue"))
        self._source = SearchSource(self._study, durable)
        self._open: dict[int, _Open] = {}

    def ask(self) -> Trial | None:
        """Returns the next trial; None: the search is over, see `ended`.

        Its seed is in `study.search_seeds(trial.number)`. A configuration that was tried before may be proposed again;
        `hpo run` answers it from its records.

        Raises:
            UsageError: if the next trial needs the value of one that was not told.
        """
        job = self._source.ask()
        if job is WAIT:
            raise UsageError(
                f"the next trial needs values that were not told: tell those of trial {self._listed()} first; with "
                f"lag {self._study.lag}, trial n needs those of trials up to n - {self._study.lag}"
            )
        if not isinstance(job, Job):
            return None
        self._open[job.trial] = _Open(job)
        return self.trials[job.trial]

    def report(self, trial: Trial, step: int, value: float) -> bool:
        """Adds an intermediate value; returns whether to train on: if not, the pruner ended the trial; then tell it.

        Args:
            trial: the trial that is being trained.
            step: the step that the value is of, from 1.
            value: the objective's value at that step.

        Raises:
            UsageError: if the trial is not open, or the step or the value is invalid.
        """
        found = self._found(trial)
        require_int("step", step, found.reports[-1].step + 1 if found.reports else 1, self._study.steps)
        require_number("value", value)
        self._add(found, step, value, {})
        return not found.is_pruned

    def tell(self, trial: Trial, value: float | None = None, *, metrics: Mapping[str, float] | None = None) -> None:
        """Ends a trial. The value is also its only report where none was made, as of a function that returns it.

        Args:
            trial: the trial that was trained.
            value: the objective's value; None: the training failed, or the pruner ended it.
            metrics: the metrics that the study's constraints and cost name, and its other objectives; None: it has
                none.

        Raises:
            UsageError: if the trial is not open, the value is no finite number, or a metric is missing.
        """
        found, given = self._found(trial), dict(metrics or {})
        if value is not None:
            require_number("value", value)
            if missing := [name for name in self._study.objective.constraints if name not in given]:
                raise UsageError(f"metrics lacks {', '.join(missing)}, which [search] constraints names; give it")
            if (cost := self._study.objective.cost) and cost not in given:
                raise UsageError(f"metrics lacks {cost}, which [search] cost names; give it")
            if missing := [name for name, _ in self._study.objective.others if name not in given]:
                raise UsageError(f"metrics lacks {', '.join(missing)}, another objective of the study; give it")
            for name, _ in self._study.objective.others:
                require_number(name, given[name])
            if not found.reports:
                self._add(found, self._study.steps, value, given)
        if found.is_pruned:
            status, value = Status.PRUNED, found.reports[-1].metrics[self._study.objective.metric]
        else:
            status = Status.FAILED if value is None else Status.COMPLETE
        last = found.reports[-1] if found.reports else None
        if last is not None:
            found.reports[-1] = Report(step=last.step, metrics={**last.metrics, **given}, at=last.at)
        self._source.tell(
            Evaluation(
                job=found.job,
                status=status,
                value=value,
                step=last.step if last and value is not None else None,
                reports=tuple(found.reports),
                error="told without a value" if status is Status.FAILED else None,
            )
        )
        del self._open[trial.number]

    @property
    def trials(self) -> list[Trial]:
        """All trials so far, by number."""
        return self._source.trials()

    @property
    def incumbent(self) -> Trial | None:
        """The best complete trial so far; None if there is none."""
        return incumbent(self.trials, self._study)

    @property
    def ended(self) -> str | None:
        """Why no more trials are proposed, as a sentence; None: there are more to come."""
        return self._source.ended

    def _found(self, trial: Trial) -> _Open:
        require_type("trial", trial, Trial, "a trial that ask() returned")
        if trial.number not in self._open:
            raise UsageError(f"trial {trial.number} is not open: it was told, or not asked for; open: {self._listed()}")
        return self._open[trial.number]

    def _add(self, found: _Open, step: int, value: float, metrics: Mapping[str, float]) -> None:
        found.reports.append(
            Report(step=step, metrics={**metrics, self._study.objective.metric: value}, at=time.time())
        )
        found.is_pruned = self._source.report(found.job, step, value) is Decision.STOP

    def _listed(self) -> str:
        return ", ".join(map(str, sorted(self._open))) or "none"
