"""`promote`: retrains the best trials under other seeds, ranks them and writes the winner's results."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from hpo.core import provenance
from hpo.core.errors import HpoError, UsageError
from hpo.core.records import Evaluation, Job, Stage
from hpo.core.run_config import RunConfig
from hpo.core.shown import Page, Shown
from hpo.core.wrappers import with_retries
from hpo.driver.costs import Costs
from hpo.driver.cross_validation import fold_jobs
from hpo.driver.frames import OF_TRAININGS, as_frame, training_rows
from hpo.driver.options import accepts_options
from hpo.driver.resources import events_folder
from hpo.driver.session import RunContext, Session, resolve_study
from hpo.promotion.curtail import CurtailedSource
from hpo.promotion.decide import RaceSettings, decide
from hpo.promotion.estimate import Estimate
from hpo.promotion.estimating import estimate_of
from hpo.promotion.external import ExternalCandidates, read_external, same_params
from hpo.promotion.fronts import FrontReport, front_report
from hpo.promotion.grid import PromotionSource, replicate
from hpo.promotion.held_out import evaluate_on_test, recorded_on_test
from hpo.promotion.looks import looks_at
from hpo.promotion.luck import Luck, luck_of
from hpo.promotion.notes import note_promotion
from hpo.promotion.options import PromotionOptions
from hpo.promotion.race import Plan, RaceSource
from hpo.promotion.report import Confirmation, PromotionReport, write_ranking
from hpo.promotion.restore import fetched, restore_files, with_files
from hpo.promotion.select import (
    check_confirm_seeds,
    check_promotion,
    choose_candidates,
    race_plan,
    race_seeds,
    with_seeds,
)
from hpo.promotion.stored import stored_promotion
from hpo.results import Winner, unwritten, write_ensembles, write_results
from hpo.search.imports import LeftOut
from hpo.stats.ranking import Candidate, Ranking, Row
from hpo.stats.scoring import Rule
from hpo.stats.seed_use import Use
from hpo.store import outage_reason
from hpo.study import ExternalTrial, Study, Trial
from hpo.study.objective import require_one_objective

if TYPE_CHECKING:
    import pandas as pd

    from hpo.figures.report import Figure


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class PromotionOutcome(Shown):
    """The result of a promotion.

    Attributes:
        report: the ranking, and how certain it is.
        folder: folder of the results folders and promotion.csv.
        trained: number of replicates that were trained now; the others were recorded before.
        asked_top: number of candidates that were asked for.
        results: the winner's results folders in seed order; empty if no candidate is complete.
        stopped: whether the promotion was stopped early; then nothing was ranked.
        events: folder that contains TensorBoard's event files, or its URL; None: none were written.
        open: trials that could not be chosen, because their search training has not finished.
        left_out: trials of another tool that would have been candidates but cannot be trained, with the reason.
        recognized: phrases on what was read from another tool's table; empty for an Optuna storage.
        costs: what the study's trainings have used, and which limit ended the promotion.
        evaluations: replicates of all candidates, also those under held-out seeds, whether trained now or before.
    """

    report: PromotionReport
    folder: Path
    trained: int
    asked_top: int
    results: tuple[Path, ...] = ()
    stopped: bool = False
    events: str | None = None
    open: tuple[int, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    recognized: tuple[str, ...] = ()
    costs: Costs | None = None
    evaluations: tuple[Evaluation, ...] = ()

    @property
    def study(self) -> Study:
        """The study that was promoted."""
        return self.report.study

    @property
    def ranking(self) -> Ranking:
        """The candidates, the winner first."""
        return self.report.ranking

    @property
    def luck(self) -> Luck | None:
        """How much of another tool's best value was luck; None for the study's own search. See `luck_of`."""
        return luck_of(self.ranking, self.report.external)

    @property
    def ignores_seeds(self) -> bool:
        """Whether a candidate's replicates are bit-identical under different seeds although that is not allowed."""
        uses = self.report.seed_uses.values()
        return not self.ranking.allow_ignored and any(one.use is Use.IGNORED for one in uses)

    def _headline(self) -> str:
        return f"{self.study.name}: stopped" if self.stopped else self.report._headline()

    def rows(self) -> list[dict[str, object]]:
        """Returns a row for each candidate: rank, trial, a value for each seed, mean, sigma, score, interval."""
        return self.report.rows()

    def trainings(self) -> pd.DataFrame:
        """Returns a row for each training of the candidates: seed, fold, state, value, seconds, params, all metrics."""
        return as_frame(training_rows(self.evaluations), OF_TRAININGS)

    def figure(self) -> Figure:
        """Returns the ranking as a plotly figure with the value of each candidate under every seed."""
        return self.report.figure()

    def page(self) -> Page:
        """Returns the page that is printed."""
        from hpo.promotion.shown import promotion_page

        return promotion_page(self)


@accepts_options(PromotionOptions)
def promote(study: Study | str, config: RunConfig | None, options: PromotionOptions) -> PromotionOutcome:
    """Retrains the best trials under other seeds, ranks them by mean - lambda * sigma, writes the winner's results.

    Recorded replicates are not trained again: a second call trains nothing, and an interrupted promotion continues.

    With `source` the candidates are the best trials of another tool, trained by this study's trainable. They are not
    trials of its search, and its sampler does not see them; their numbers start at `hpo.study.FIRST_EXTERNAL`.

    Args:
        study: the study itself, or its name.
        config: where the study is stored and run; None: the defaults.
        options: a `PromotionOptions`, or its fields as keywords.

    Raises:
        NothingToPromote: if no trial has completed.
        CodeChanged: if recorded trainings were run with other code and that is not accepted.
        UsageError: if an option cannot be used; nothing was written.

    Examples:
        >>> study = hpo.Study(
        ...     name="bowl", trainable="fit:train", objective=hpo.maximize("val_acc"),
        ...     space={"x": hpo.Float(0.0, 1.0)}, search={"trials": 4, "budget": 1},
        ... )
        >>> config = hpo.RunConfig(storage="sqlite:///bowl.db", backend="local")
        >>> searched = hpo.run(study, config, progress=False)
        >>> promoted = hpo.promote(study, config, top=2, progress=False)
        >>> promoted
        <PromotionOutcome bowl: winner trial ... of 2 candidates, val_acc 0... ± 0... over 3 seeds>
    """
    study = resolve_study(study)
    return promote_found(study, config, options, _external(study, options))


def promote_found(
    study: Study, config: RunConfig | None, options: PromotionOptions, external: ExternalCandidates | None
) -> PromotionOutcome:
    """Promotes the best trials of the study, or of another tool; see `promote`.

    Args:
        study: the study whose trainable is trained.
        config: where the study is stored and run; None: the defaults.
        options: options of the promotion.
        external: candidates from another tool; None: the study's own trials are promoted.
    """
    study = with_seeds(study, options)
    context = RunContext.of(study, config, options)
    config = context.config
    score = check_promotion(study, config, options)
    confirm_seeds, first = options.confirm_seeds, options.first
    folder = config.outputs / study.name
    is_new = external is not None  # candidates from another tool need no search before
    opened = Session.open(study, context, create=is_new, trains=is_new, accept_code_change=options.accept_code_change)
    with opened as session:
        stop = session.costs
        trials = session.durable.trials()
        count = len(external.trials) if external else sum(trial.state != "imported" for trial in trials)
        plan = race_plan(study, count, options)
        check_confirm_seeds(study, confirm_seeds, plan)
        top = plan.widths[0] if plan else options.top or study.promotion.top
        candidates = [] if external else choose_candidates(trials, study, top)
        with session.drive("promote") as lease:
            found = _registered(session, external.trials[:top]) if external else []
            candidates += [one.trial for one in found]
            source = _source(candidates, study, score, plan, curtail=options.curtail)
            recorded = session.compose(source, same=_same_params(session, trials))
            known = recorded.known(training for job in source.jobs for training in fold_jobs(job, study))
            total = source.total * study.trainings
            tested = len(study.promotion.seeds) if options.test else 0
            session.begin(total + (len(confirm_seeds) + tested) * study.trainings, min(total, known))
            session.train(recorded)
            outcome = PromotionOutcome(
                report=_report(
                    candidates,
                    source,
                    study,
                    score,
                    plan,
                    allow=options.allow_ignored_seed,
                    code=session.trainable.code.digest,
                    external=found,
                ),
                folder=folder,
                trained=recorded.trained,
                asked_top=top,
                stopped=stop.is_set(),
                events=events_folder(session.stored, config),
                open=() if external else tuple(trial.number for trial in trials if trial.state == "running"),
                left_out=external.left_out_of_top(top, study) if external else (),
                recognized=external.recognized if external else (),
                costs=session.costs,
                evaluations=tuple(source.evaluations.values()),
            )
            first_row = outcome.report.winner
            if outcome.stopped or first_row is None:
                return outcome
            if confirm_seeds:
                again = _jobs(_trial(first_row, candidates), confirm_seeds, study)
                confirming = PromotionSource(again)
                session.tell(f"confirming trial {again[0].trial} on {len(again)} more seeds")
                more = session.compose(confirming)
                session.train(more)
                confirmed = (*outcome.evaluations, *confirming.evaluations.values())
                outcome = replace(outcome, trained=outcome.trained + more.trained, evaluations=confirmed)
                if stop.is_set():
                    return replace(outcome, stopped=True)
                values = {job.seed: confirming.evaluations[job.trial, job.seed].value for job in again}
                confirmation = Confirmation.of(values, outcome.ranking.rule)
                outcome = replace(outcome, report=replace(outcome.report, confirmation=confirmation))
            trial = first_row.candidate.trial
            replicates = [source.evaluations[trial, seed] for seed in study.promotion.seeds]
            on_test: tuple[Evaluation, ...] = ()
            if options.test and outcome.report.is_decided:
                found_on_test = evaluate_on_test(session, replicates)
                if found_on_test is None:
                    return replace(outcome, stopped=True)
                on_test = found_on_test
            looks = looks_at(session.store, session.stored, trial, study.promotion.seeds)
            if looks.own is not None and not on_test:
                on_test = recorded_on_test(session, replicates)
            estimate = replace(Estimate.of(study, trial, study.promotion.seeds), looks=looks)
            outcome = replace(outcome, report=replace(outcome.report, estimate=estimate))
            winner = _winner(first_row, outcome.report, candidates, source.evaluations, session)
            lacking = [training for one in unwritten(folder, winner, first=first) for training in one.trainings]
            needed = {one.job.key: fetched(one) for one in lacking}
            restored = restore_files(list(needed.values()), session)
            if stop.is_set():
                return replace(outcome, stopped=True)
            whole = needed | restored
            winner = replace(winner, evaluations=tuple(with_files(whole, one) for one in winner.evaluations))
            written = write_results(folder, winner, first=first, guard=session.guard)
            rule = outcome.ranking.rule
            estimate = replace(estimate, block=winner.block)
            current = [with_files(whole, one) for one in replicates]
            estimate, ensembles = estimate_of(estimate, current, on_test, rule.ddof, folder)
            report = replace(outcome.report, estimate=estimate)
            outcome = replace(outcome, report=report, results=written, trained=outcome.trained + len(restored))
            promotion = stored_promotion(outcome.report, written, top)
            with_retries(lambda: session.store.put_promotion(session.stored, promotion, lease), stop)
            write_ranking(folder, outcome.report, written, session.guard)
            write_ensembles(folder, estimate.identity, ensembles, estimate.with_ensemble, session.guard)
            _note(session, outcome.report, promotion.results)
            for observer in session.observers:
                observer.promoted(outcome.report.plain())
    return outcome


def _external(study: Study, options: PromotionOptions) -> ExternalCandidates | None:
    source = options.source
    if source is None and (options.source_study or options.source_value or options.source_params):
        raise UsageError(
            "source_study, source_value and source_params say what to read from a source; give a source (--from)"
        )
    if source is None:
        return None
    require_one_objective(study, "hpo promote --from")
    return read_external(study, source, options)


def _registered(session: Session, found: Sequence[ExternalTrial]) -> list[ExternalTrial]:
    """Stores candidates from another tool in the study and returns them with their numbers."""
    return with_retries(lambda: session.durable.add_external(found), session.stop)


def _same_params(session: Session, trials: Sequence[Trial]) -> Callable[[int], int | None]:
    """Returns a function that maps a trial to another one with the same params and with replicates."""
    keys = session.store.keys(session.stored)
    trained = {trial for trial, stage, *_ in keys if stage is Stage.PROMOTION}
    return same_params([*trials, *(one.trial for one in session.durable.external)], trained)


def _note(session: Session, report: PromotionReport, results: Sequence[str]) -> None:
    """Writes a note for Optuna's dashboard; if that fails it is only reported, because the promotion is recorded."""
    try:
        note_promotion(session.studies, report, results)
    except HpoError:
        raise  # e.g. another driver holds the study now
    except Exception as error:  # Optuna wraps database errors in many classes
        reason = outage_reason(error) or f"{type(error).__name__}: {error}".splitlines()[0]
        session.tell(f"the note for Optuna's dashboard was not written ({reason}); promote again to write it")


def _source(
    candidates: Sequence[Trial], study: Study, score: Rule, plan: Plan | None, *, curtail: bool
) -> PromotionSource:
    seeds = study.promotion.seeds if plan is None else race_seeds(study, plan)
    jobs = {trial.number: _jobs(trial, seeds, study) for trial in candidates}
    if plan is not None:
        return RaceSource(jobs, plan, score, study.objective.direction)
    if curtail:
        return CurtailedSource(jobs, score, study.objective.direction, study.objective_.limit)
    return PromotionSource.grid(jobs)


def _jobs(trial: Trial, seeds: Sequence[int], study: Study) -> list[Job]:
    return [replicate(trial.number, trial.params, seed, study.search.budget, study.streams) for seed in seeds]


def _report(
    trials: Sequence[Trial],
    source: PromotionSource,
    study: Study,
    rule: Rule,
    plan: Plan | None,
    *,
    allow: bool,
    code: str,
    external: Sequence[ExternalTrial],
) -> PromotionReport:
    seeds = race_seeds(study, plan) if plan else study.promotion.seeds
    known = source.evaluations
    candidates = [
        Candidate(
            trial=trial.number,
            search_value=trial.value,
            values={seed: known[trial.number, seed].value for seed in seeds if (trial.number, seed) in known},
        )
        for trial in trials
    ]
    if study.objective.others:
        return front_report(
            study,
            candidates,
            known.values(),
            rule,
            seeds=seeds,
            allow_ignored=allow,
            code=code,
            searched=trials,
        )
    decision = decide(
        candidates,
        known.values(),
        rule,
        objective=study.objective,
        seeds=study.promotion.seeds,
        limit=study.objective_.limit,
        race=RaceSettings(plan=plan.limited_to(len(candidates)), seeds=seeds) if plan else None,
        allow_ignored=allow,
    )
    return PromotionReport.of(study, decision, known.values(), code=code, searched=trials, external=external)


def _trial(row: Row, candidates: Sequence[Trial]) -> Trial:
    return next(trial for trial in candidates if trial.number == row.candidate.trial)


def _winner(
    row: Row,
    report: PromotionReport,
    candidates: Sequence[Trial],
    evaluations: Mapping[tuple[int, int], Evaluation],
    session: Session,
) -> Winner:
    trial, study, rule = _trial(row, candidates), report.study, report.ranking.rule
    assert row.mean is not None  # a winner is complete
    return Winner(
        study=study.name,
        uid=session.stored.uid,
        objective=study.objective,
        fixed=study.fixed,
        rank=1,
        mean=row.mean,
        sigma=row.sigma,
        score=row.score,
        rule=rule.name,
        lambda_=rule.lambda_,
        ddof=rule.ddof,
        search_value=trial.value,
        search_seed=None if trial.number in report.external else study.search_seeds(trial.number)[0],
        trial={
            "number": trial.number,
            "state": trial.state,
            "datetime_start": trial.started,
            "datetime_complete": trial.ended,
        },
        evaluations=tuple(evaluations[trial.number, seed] for seed in study.promotion.seeds),
        project=provenance.project(study.root),
        is_decided=report.is_decided,
        seeds=str(row.candidate.use),
        warnings=report.warnings,
        objectives=report.of_winner() if isinstance(report, FrontReport) else {},
        formats=study.results.formats,
        origin=next((asdict(one.origin) for one in [report.external.get(trial.number)] if one), None),
    )
