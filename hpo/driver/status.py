"""The commands that only read: studies, check, status, show."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from hpo.core.arguments import explains_arguments, require_int
from hpo.core.costs import Spent
from hpo.core.errors import UsageError
from hpo.core.formatting import number
from hpo.core.records import Evaluation
from hpo.core.run_config import RunConfig
from hpo.driver.control import is_pending
from hpo.driver.session import checked_config
from hpo.driver.storage import name_of, storage, stored_study
from hpo.store import Holder, Store, StoredPromotion, StoredStudy
from hpo.store.costs import spent_by
from hpo.store.optuna_storage.studies import OptunaStudies
from hpo.study import FIRST_EXTERNAL, ExternalTrial, Study, Trial, front, incumbent, not_reproducible
from hpo.study import loading as catalog
from hpo.study.loading import Checked
from hpo.study.prior import PriorUse


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Progress:
    """Status of a stored study.

    Attributes:
        name: name of the study.
        metric: metric of its objective, or of the first of several.
        direction: direction of that metric.
        wanted: number of trials that it is to have.
        counts: number of trials by state; `imported` ones do not count as the study's own.
        incumbent: the best complete trial; None if there is none.
        promoted: number of the winning trial; None if nothing was promoted.
        results: names of the winner's results folders.
        since: number of trials that completed after the promotion.
        driver: the process that drives it, or the last one if that did not release it.
        paused: whether the study is paused.
        job: its newest Ray job; None: it was never submitted.
        pending: whether that job has not started to drive it.
        last_activity: when the newest training was recorded, ISO text in UTC.
        not_reproducible: why its trials may not follow from the seeds; empty if they do, as far as known.
        objectives: directions by metric, where there are several objectives; otherwise empty.
        front: the complete trials that no other one dominates; empty with one objective.
        spent: what all its trainings have used.
        prior: what its search makes of the old studies that it starts from; None: there are none.
    """

    name: str
    metric: str
    direction: str
    wanted: int
    counts: Mapping[str, int]
    incumbent: Trial | None
    promoted: int | None
    results: tuple[str, ...]
    since: int
    driver: Holder | None
    paused: bool
    job: str | None
    pending: bool
    last_activity: str | None
    not_reproducible: tuple[str, ...] = ()
    objectives: Mapping[str, str] = field(default_factory=dict)
    front: tuple[Trial, ...] = ()
    spent: Spent = field(default_factory=Spent)
    prior: PriorUse | None = None

    @property
    def objective(self) -> str:
        """What is optimized: `maximize val_acc, minimize parameters`."""
        ways = self.objectives or {self.metric: self.direction}
        return ", ".join(f"{direction} {metric}" for metric, direction in ways.items())

    @property
    def driven(self) -> Holder | None:
        """Who drives it now."""
        return self.driver if self.driver and self.driver.alive else None

    @property
    def state(self) -> str:
        """One word for how it stands: paused, running, promoted, unfinished or searched."""
        if self.paused or self.driven:
            return "paused" if self.paused else "running"
        if self.promoted is not None:
            return "promoted"
        done = sum(count for state, count in self.counts.items() if state in ("complete", "pruned", "failed"))
        return "unfinished" if done < self.wanted else "searched"

    def __repr__(self) -> str:
        counts = ", ".join(f"{count} {state}" for state, count in self.counts.items()) or "no trials"
        best = self.incumbent
        known = f", incumbent trial {best.number}: {self.metric} {number(best.value)}" if best else ""
        return f"<Progress {self.name}: {self.state}, {counts} of {self.wanted}{known}>"

    def plain(self) -> dict[str, object]:
        """Returns it as plain values: what `hpo status --json` prints and the HTTP interface answers."""
        driven = self.driven and {"host": self.driven.host, "pid": self.driven.pid, "since": self.driven.since}
        found: dict[str, object] = {**asdict(self), "state": self.state, "driven": driven}
        if not self.objectives:
            del found["objectives"], found["front"]
        del found["prior"]
        if self.prior is not None:
            found["prior"] = self.prior.plain()
        return {**found, "incumbent": self.incumbent and self.incumbent.plain(), "spent": self.spent.plain()}


def studies(folders: Iterable[Path] | None = None) -> list[Checked]:
    """Returns every study file that can be found; the files are read but not checked against their trainables."""
    return [catalog.read(path) for path in catalog.listed(folders)]


def check(name: str, folders: Iterable[Path] | None = None) -> Checked:
    """Returns a study file with all its problems.

    Raises:
        StudyNotFound: if there is no such file.
    """
    return catalog.check(catalog.find(name, folders))


@explains_arguments
def status(study: Study | str | None = None, config: RunConfig | None = None) -> list[Progress]:
    """Returns the status of one stored study, or of all.

    Args:
        study: the study, or its name; None: all studies in the storage.
        config: where it is stored; None: the defaults.

    Raises:
        UsageError: if the storage has no such study.
    """
    with storage(checked_config(config).storage) as (store, durable):
        names = store.names() if study is None else [name_of(study)]
        return [progress(stored_study(store, name), store, durable) for name in names]


@explains_arguments
def show(study: Study | str, number: int, config: RunConfig | None = None) -> tuple[Trial, list[Evaluation]]:
    """Returns one trial with all its evaluations.

    Args:
        study: the study itself, or its name.
        number: of the trial, as in Optuna.
        config: where the study is stored; None: the defaults.

    Raises:
        UsageError: if the storage has no such study or the study no such trial.
    """
    name = name_of(study)
    require_int("number", number)
    with storage(checked_config(config).storage) as (store, durable):
        stored = stored_study(store, name)
        found = durable.find(name)
        trial = found.trial(number) if found else None
        if trial is None:
            trials = trials_of(durable, name)
            count = f"trials 0 .. {len(trials) - 1}" if trials else "no trials"
            raise UsageError(f"study {name!r} has {count}, not {number}")
        return trial, store.evaluations(stored, trial=number)


def completed_since(promotion: StoredPromotion, stored: StoredStudy, store: Store, trials: Sequence[Trial]) -> int:
    """Returns how many trials of the search completed after a promotion was made."""
    if promotion.made_at is None or any(rank.trial >= FIRST_EXTERNAL for rank in promotion.ranks):
        return 0  # candidates from another tool: what the search found since is no part of that choice
    complete = {trial.number for trial in trials if trial.state == "complete"}
    return len(complete & store.completed_after(stored, promotion.made_at))


def trials_of(durable: OptunaStudies, name: str) -> list[Trial]:
    """Returns the trials of a stored study; none if it has not been searched."""
    found = durable.find(name)
    return found.trials() if found else []


def external_of(durable: OptunaStudies, name: str) -> list[ExternalTrial]:
    """Returns the candidates from other tools that a stored study has."""
    found = durable.find(name)
    return found.external if found else []


def as_stored(stored: StoredStudy) -> Study:
    """Returns a study as it was last run; its file may have changed since."""
    return Study.model_validate_json(json.dumps(dict(stored.content)))  # in the order of the study file


def progress(stored: StoredStudy, store: Store, durable: OptunaStudies) -> Progress:
    """Returns the status of a stored study."""
    study = as_stored(stored)
    trials = trials_of(durable, stored.name)
    states = [trial.state for trial in trials]
    promotion = store.promotion(stored)
    found = durable.find(stored.name) if study.search.prior else None
    return Progress(
        name=stored.name,
        metric=study.objective.metric,
        direction=study.objective.direction,
        wanted=max(study.search.trials, len(trials) - states.count("imported")),
        counts={state: states.count(state) for state in dict.fromkeys(states)},
        incumbent=incumbent(trials, study),
        promoted=promotion.winner if promotion else None,
        results=promotion.results if promotion else (),
        since=completed_since(promotion, stored, store, trials) if promotion else 0,
        driver=store.holder(stored),
        paused=stored.paused_at is not None,
        job=stored.job,
        pending=is_pending(store, stored),
        last_activity=store.last_activity(stored),
        not_reproducible=not_reproducible(trials, study),
        objectives=study.objective.by_metric if study.objective.others else {},
        front=tuple(front(trials, study)),
        spent=store.read(lambda one: spent_by(one, stored.id, study.resources.gpu, study.resources_.price_per_hour)),
        prior=found.prior_use if found is not None else None,
    )
