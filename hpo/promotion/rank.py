"""The command `hpo rank`: the newest promotion, ranked again by its own rule or another. `hpo.stats.ranking` ranks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hpo.core.errors import NothingToPromote
from hpo.core.records import Stage
from hpo.core.run_config import RunConfig
from hpo.driver.code_changes import newest_code
from hpo.driver.cross_validation import join_folds
from hpo.driver.options import accepts_options
from hpo.driver.session import checked_config, resolve_study
from hpo.driver.status import completed_since, external_of, trials_of
from hpo.driver.storage import storage, stored_study
from hpo.promotion.decide import RaceSettings, decide
from hpo.promotion.estimate import Estimate, stored_estimate
from hpo.promotion.fronts import front_report
from hpo.promotion.looks import looks_at
from hpo.promotion.options import RuleOptions
from hpo.promotion.race import Plan
from hpo.promotion.report import PromotionReport
from hpo.promotion.select import rule_of
from hpo.stats.ranking import Candidate
from hpo.stats.scoring import Rule
from hpo.store import Store, StoredPromotion, StoredStudy
from hpo.store.optuna_storage.studies import OptunaStudies
from hpo.study import Study


@accepts_options(RuleOptions)
def rank_stored(study: Study | str, config: RunConfig | None, options: RuleOptions) -> PromotionReport:
    """Ranks the candidates of the newest promotion again and returns its report; nothing is trained or written.

    Args:
        study: the study itself, or its name.
        config: where the study is stored; None: the defaults.
        options: a `RuleOptions`, or its fields as keywords.

    Raises:
        NothingToPromote: if the study has no promotion.
        UsageError: if the storage has no such study.
    """
    study, config = resolve_study(study, to_train=False), checked_config(config)
    score = rule_of(study, options)
    with storage(config.storage) as (store, durable):
        folder = config.outputs / study.name
        return newest_report(study, stored_study(store, study.name), store, score, durable, folder)


def newest_report(
    study: Study, stored: StoredStudy, store: Store, score: Rule, durable: OptunaStudies, folder: Path
) -> PromotionReport:
    """Returns the report of the newest promotion, ranked by the given rule.

    Args:
        study: the study that was promoted.
        stored: the same study as the store has it.
        store: store that has the promotion.
        score: rule that turns replicates into a score.
        durable: Optuna's studies in the same database, which have the trials.
        folder: folder of the study's results, where the winner's estimate is.

    Raises:
        NothingToPromote: if the study has no promotion.
    """
    promotion = store.promotion(stored)
    replicates = join_folds(store.evaluations(stored, Stage.PROMOTION), study)
    if promotion is None:
        raise NothingToPromote(
            f"study {study.name!r} has no promotion yet; make one with: hpo promote --study {study.name}"
        )
    candidates = [
        Candidate(
            trial=row.trial,
            values={int(seed): value for seed, value in row.values.items()},
            search_value=row.search_value,
        )
        for row in promotion.ranks
    ]
    trials = trials_of(durable, study.name)
    since, code = completed_since(promotion, stored, store, trials), newest_code(stored).digest
    if study.objective.others:
        front = front_report(
            study,
            candidates,
            replicates,
            score,
            seeds=promotion.seeds,
            allow_ignored=promotion.allow_ignored,
            since=since,
            code=code,
            searched=trials,
        )
        return _estimated(front, promotion, store, stored, folder)
    race = None
    if promotion.race:  # the rungs stay as they were; only the last one is ranked again
        plan = Plan(tuple(promotion.race["rungs"]), tuple(promotion.race["widths"]))
        own = Rule(name=promotion.rule, lambda_=promotion.lambda_, ddof=promotion.ddof)
        race = RaceSettings(plan=plan, seeds=promotion.race["seeds"], rule=own)
    decision = decide(
        candidates,
        replicates,
        score,
        objective=study.objective,
        seeds=promotion.seeds,
        race=race,
        allow_ignored=promotion.allow_ignored,
    )
    report = PromotionReport.of(
        study,
        decision,
        replicates,
        since=since,
        code=code,
        searched=trials,
        external=external_of(durable, study.name),
    )
    return _estimated(report, promotion, store, stored, folder)


def _estimated(
    report: PromotionReport, promotion: StoredPromotion, store: Store, stored: StoredStudy, folder: Path
) -> PromotionReport:
    """Returns a report with the recorded winner, the stored estimate of its own, and the uses of the test part."""
    report = replace(report, recorded_winner=promotion.winner)
    if report.winner is None:
        return report
    trial, seeds = report.winner.candidate.trial, report.ranking.seeds
    found = stored_estimate(folder, trial, seeds) or Estimate.of(report.study, trial, seeds)
    return replace(report, estimate=replace(found, looks=looks_at(store, stored, trial, seeds)))
