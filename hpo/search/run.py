"""`run`: the search."""

from __future__ import annotations

import math
import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from hpo.core.costs import Spent
from hpo.core.errors import BackendError, TooManyFailures, UsageError
from hpo.core.files import read_json
from hpo.core.protocols import EndsProcess, JobSource, Stop
from hpo.core.records import Evaluation, Stage, Value
from hpo.core.run_config import RunConfig
from hpo.core.shown import Page
from hpo.core.wrappers import with_retries
from hpo.driver.costs import moment
from hpo.driver.cross_validation import join_folds
from hpo.driver.options import accepts_options
from hpo.driver.resources import events_folder, require_runnable
from hpo.driver.session import Folds, RunContext, Session, resolve_study
from hpo.search.keeping import KeepingSource, KeptTrials, TrialKeeper
from hpo.search.limits import Limits
from hpo.search.options import SearchOptions
from hpo.search.plugins import doubts
from hpo.search.prior import prior_of
from hpo.search.replicated import ReplicatedSource
from hpo.search.source import SearchSource
from hpo.search.split import Split
from hpo.search.trial_frames import TrialFrames, headline, located, stored_evaluations
from hpo.stats.scoring import Rule
from hpo.stats.seed_use import Use, seed_uses, seed_warnings
from hpo.store import Lease, reopen
from hpo.store.optuna_storage.retrying import failed_together, kind_of, last_line
from hpo.store.optuna_storage.tables import OPTUNA
from hpo.study import Study, Trial, checked_configurations, front, incumbent, not_reproducible, require_package
from hpo.study.objective import require_one_objective
from hpo.study.prior import PriorUse

if TYPE_CHECKING:
    from hpo.figures.report import Figure


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class SearchOutcome(TrialFrames):
    """Result of a search.

    Attributes:
        study: the study that was searched.
        trials: all trials, including those of earlier drivers and imported ones.
        incumbent: the best complete trial on the search's seeds; None if none has completed, or there are several
            objectives, see `front`.
        seconds: wall time of this driver in seconds.
        stopped: whether the search was stopped early.
        ended: why no more trials are proposed, as a sentence; None: there are more to come.
        timed_out: whether the time limit was reached.
        limit: which limit of costs, or the deadline, ended the search, as a sentence; None: none did.
        spent: what all trainings of the study have used, those of earlier commands included.
        repeats: number of trials identical to an earlier one, which cost no training.
        split: the split of a total between this search and a race; None: there was none.
        contrast: contrast of the first values, see `hpo.search.split.contrast_of`; None: unknown.
        share: the race's share of the total by that contrast; None: there is no split, or it is not decided.
        code: digest of the code that was trained; empty if it is not known.
        events: folder of TensorBoard's event files, or its URL; None: none were written.
        warnings: warnings about replicates that ignore their seeds, and a search that may not be reproducible.
        kept: the trials whose files are kept; None: only the promotion keeps files.
        prior: what the search makes of the old studies that it starts from; None: there are none.
        config: where the trainings are stored, which tables read; None: unknown.
    """

    study: Study
    trials: tuple[Trial, ...]
    incumbent: Trial | None
    seconds: float
    stopped: bool
    ended: str | None = None
    timed_out: bool = False
    limit: str | None = None
    spent: Spent = field(default_factory=Spent)
    repeats: int = 0
    split: Split | None = None
    contrast: float | None = None
    share: float | None = None
    events: str | None = None
    code: str = ""
    warnings: tuple[str, ...] = ()
    kept: KeptTrials | None = None
    prior: PriorUse | None = None
    config: RunConfig | None = None

    @property
    def of_other_code(self) -> list[int]:
        """Numbers of the trials that are known to come from other code than the current one."""
        return [one.number for one in self.trials if self.code and one.code and one.code != self.code]

    def _study(self) -> Study:
        return self.study

    def _trials(self) -> Sequence[Trial]:
        return self.trials

    def _evaluations(self) -> Sequence[Evaluation]:
        return stored_evaluations(self.study.name, self.config, searched=True) if self.config else ()

    def _config(self) -> RunConfig | None:
        return self.config

    def _of_other_code(self) -> list[int]:
        return self.of_other_code

    def figure(self) -> Figure:
        """Returns the trials' learning curves as a plotly figure."""
        figure = self.plot_curves()
        best = "" if self.incumbent is None else f"; incumbent: trial {self.incumbent.number}"
        figure.update_layout(title=f"{self.study.name}: {len(self.trials)} trials{best}")
        return figure

    def _headline(self) -> str:
        return headline(self.study, self.trials)

    @property
    def front(self) -> list[Trial]:
        """The complete trials that no other one dominates; empty with one objective."""
        return front(self.trials, self.study)

    @property
    def open(self) -> tuple[int, ...]:
        """The trials that are not finished; the next search continues them."""
        return tuple(trial.number for trial in self.trials if trial.state == "running")

    @property
    def own(self) -> int:
        """Number of trials that were not imported."""
        return len(self.trials) - self.count("imported")

    def count(self, state: str) -> int:
        """Returns the number of trials in a state."""
        return sum(trial.state == state for trial in self.trials)

    def page(self) -> Page:
        """Returns what is printed."""
        from hpo.search.shown import search_text

        return Page([search_text(self, promotes=False)])


@dataclass(frozen=True, slots=True)
class Deadline:
    """A `Stop` that is set by another `Stop` or at a time limit.

    Attributes:
        stop: another `Stop`, which counts too.
        at: time of the limit, as `time.monotonic` counts.
    """

    stop: Stop
    at: float

    def is_set(self) -> bool:
        """Whether the search is to stop."""
        return self.stop.is_set() or time.monotonic() >= self.at

    def end_process(self, why: str) -> None:
        """Ends the process if the other `Stop` allows that; see `EndsProcess`."""
        if isinstance(self.stop, EndsProcess):
            self.stop.end_process(why)


@accepts_options(SearchOptions)
def run(study: Study | str, config: RunConfig | None, options: SearchOptions) -> SearchOutcome:
    """Searches until the study has its trials; trials that an earlier driver left open are finished first.

    Trials that one mistake of the whole study made fail, one after the other with the same error, are trained again.

    Args:
        study: the study itself, or its name.
        config: where it is stored and run; None: the defaults.
        options: one value, or its fields as keywords.

    Raises:
        CodeChanged: if trainings in the study are of other code, and that is not accepted.
        UsageError: if an argument is invalid; nothing was written.
        TooManyFailures: if one training after the other failed.
        StorageLost: if the database went away and did not come back.

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
        >>> searched
        <SearchOutcome bowl: 4 trials (4 complete), incumbent trial ...: val_acc 0...>
        >>> searched.incumbent.params.keys()
        dict_keys(['x'])
    """
    study = options.kept(resolve_study(study))
    context = RunContext.of(study, config, options)
    if options.ends_at is not None and options.ends_at <= datetime.now(UTC):
        raise UsageError(f"the deadline is in the past: {moment(options.ends_at)}")
    began = time.monotonic()
    if options.until is not None or options.patience is not None:
        require_one_objective(study, "a search that ends by a value (until, patience)")
    if options.epochs is not None:
        require_countable_epochs(study)
    require_runnable(study, context.config)
    require_package(study.search.sampler)
    doubts(study)  # a plug-in that fails ends the command before anything is written
    queue = checked_configurations(study, study.search.enqueue, "search.enqueue") + checked_configurations(
        study, list(options.enqueue), "enqueue"
    )
    prior = prior_of(study, context.config)
    opened = Session.open(study, context, create=True, trains=True, accept_code_change=options.accept_code_change)
    with opened as session, session.drive("run") as lease:
        _refuse_half_imported(study, session.durable.unfinished_import)
        _train_failed_again(session, lease, every=options.retry_failed)
        if prior is not None:
            session.durable.keep_prior(prior)  # before the first proposal, and once
            session.tell(str(prior))
        session.durable.enqueue(queue)  # before the first proposal, so that numbers survive a crash
        deadline = Deadline(session.costs, math.inf if options.seconds is None else began + options.seconds)
        limits = Limits(
            study.objective,
            study.search.until if options.until is None else options.until,
            study.search.patience if options.patience is None else options.patience,
        )
        code = session.trainable.code.digest
        each, costs = len(study.search_seeds(0)) * study.trainings, session.costs
        source = SearchSource(
            study,
            session.durable,
            options.trials,
            limits,
            options.configurations,
            options.epochs,
            code,
            lambda: costs.has_room(each),
        )
        folds = Folds.TOGETHER if study.search.pruner == "none" else Folds.IN_ORDER
        recorded = session.compose(_replicated(source, study), folds=folds, same=source.same)
        session.begin(each * source.total, each * source.over)
        keeper = TrialKeeper(session, source.trials) if study.results.keeps_trials else None
        try:
            if source.has_work:
                session.train(
                    recorded if keeper is None else KeepingSource(recorded, keeper),
                    has_work=not costs.limited,  # a study that has used up its limit starts no backend
                    most_at_once=study.lag,
                    max_failures=study.search.max_failures,
                    stop=deadline,
                )
        except (TooManyFailures, BackendError):
            if keeper is not None:
                keeper.write()
            raise
        if keeper is not None:
            with_retries(keeper.write, context.stop)
        table = tuple(source.trials())
        warnings = (
            _ignored_seeds(session)
            + source.warnings
            + tuple(f"Not reproducible: {reason}." for reason in not_reproducible(table, study))
        )
        use = session.durable.prior_use if prior is not None else None
    return SearchOutcome(
        study=study,
        trials=table,
        incumbent=incumbent(table, study),
        seconds=time.monotonic() - began,
        stopped=context.stop.is_set(),
        ended=source.ended,
        timed_out=source.has_work and costs.limit is None and deadline.is_set() and not context.stop.is_set(),
        limit=costs.limit if source.has_work and not context.stop.is_set() else None,
        spent=costs.spent,
        repeats=source.repeats,
        split=options.configurations if isinstance(options.configurations, Split) else None,
        contrast=source.contrast,
        share=source.share,
        events=events_folder(session.stored, context.config),
        code=code,
        warnings=warnings,
        kept=keeper.outcome() if keeper else None,
        prior=use,
        config=located(context.config),
    )


def _ignored_seeds(session: Session) -> tuple[str, ...]:
    """Returns warnings about trials whose results are the same under several seeds."""
    study = session.study
    if study.search.seeding != "replicated":
        return ()
    uses = seed_uses(
        join_folds(session.store.evaluations(session.stored, Stage.SEARCH), study), study.objective, Stage.SEARCH
    )
    return tuple(seed_warnings([one for one in uses.values() if one.use is not Use.USED], len(uses)))


def require_countable_epochs(study: Study) -> None:
    """Raises UsageError if a trial of the search is more than one training: the epochs of those are not counted."""
    each = len(study.search_seeds(0)) * study.trainings
    if each > 1:
        raise UsageError(
            f"the epochs of a search can be limited only if a trial is one training; in study {study.name!r} it is "
            f"{each} (folds or seeds). Limit the trainings instead: hpo run --study {study.name} --trainings N"
        )


def _train_failed_again(session: Session, lease: Lease, *, every: bool) -> None:
    """Reopens failed trials: all of them, or those that failed for a reason common to the whole study."""
    study, trials = session.study, session.durable.trials()
    failed = [one.number for one in trials if one.state == "failed"]
    numbers = failed if every else failed_together(trials, study.search.max_failures)
    if not numbers:
        if every:
            session.tell("no trial has failed, so none is trained again")
        return
    session.store.transact(lambda one: reopen(one, OPTUNA, session.stored.id, study.name, numbers), lease)
    count = f"{len(numbers)} failed trial{'s' if len(numbers) != 1 else ''}"
    errors = {kind_of(trials[number].error) for number in numbers}
    why = "" if every or len(errors) != 1 else f", which had all failed with: {last_line(trials[numbers[-1]].error)}"
    session.tell(f"training {count} again{why}")


def _replicated(source: JobSource, study: Study) -> JobSource:
    """Returns the search with each job split into one per seed, if the study asks for that."""
    if study.search.seeding != "replicated":
        return source
    return ReplicatedSource(source, study.search_seeds(0), Rule(lambda_=study.search.lambda_), study.objective)


def _refuse_half_imported(study: Study, source: Mapping[str, str] | None) -> None:
    if source is not None:
        origin = ["--from", source["from"], "--from-study", source["study"]]
        raise UsageError(
            f"an import into study {study.name!r} was interrupted, so the search would start with only a part of the "
            f"trials; finish it first: {shlex.join(['hpo', 'import', '--study', study.name, *origin])}"
        )


def read_configurations(study: Study, path: Path) -> list[dict[str, Value]]:
    """Returns the configurations in a JSON file: an object of params, or a list of objects.

    Raises:
        UsageError: if the file cannot be read.
        ParamsInvalid: if they do not fit the study's space; the message lists every problem.
    """
    return checked_configurations(study, read_json(path), str(path))
