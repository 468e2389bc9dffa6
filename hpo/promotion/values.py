"""A promotion's report as plain values, for `--json`, promotion.json and the HTTP interface."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from hpo.promotion.luck import luck_of, searched_on
from hpo.promotion.tables import best_score
from hpo.stats.confidence import AS_IT_IS
from hpo.stats.ranking import Row
from hpo.stats.reliability import sigma_reliability
from hpo.stats.seed_use import Use

if TYPE_CHECKING:
    from hpo.promotion.report import PromotionReport


def promotion_values(report: PromotionReport) -> dict[str, object]:
    """Returns the values that describe the whole promotion."""
    ranking, sure = report.ranking, report.certainty
    luck = luck_of(ranking, report.external)
    origins = {str(trial): asdict(one.origin) for trial, one in report.external.items()}
    return {
        "study": report.study.name,
        "objective": report.study.objective.metric,
        "direction": ranking.direction,
        "rule": ranking.rule.name,
        "lambda": ranking.rule.lambda_,
        "ddof": ranking.rule.ddof,
        "score": ranking.rule.formula(ranking.direction),
        "seeds": list(ranking.seeds),
        "search_seed": None if report.external else report.study.search.seed,
        "search_seeding": None if report.external else report.study.search.seeding,
        "searched_on": searched_on(report.study, report.external),
        **({"origins": origins, "luck": asdict(luck) if luck else None} if origins else {}),
        "budget": report.study.search.budget,
        "validation": report.study.validation.model_dump(include={"folds", "repeats"})
        if report.study.validation
        else None,
        "folds_said": str(report.study.validation) if report.study.validation else None,
        "warnings": list(report.warnings),
        "winner": report.winner.candidate.trial if report.winner else None,
        "winner_params": report.params.of(report.winner.candidate.trial if report.winner else None),
        "params_that_differ": list(report.params.differing),
        "defaults": {str(trial): dict(defaults) for trial, defaults in report.defaults.items()},
        "winner_is_decided": report.is_decided,
        "seeds_ignored": [trial for trial, one in report.seed_uses.items() if one.use is Use.IGNORED],
        "seeds_unclear": [trial for trial, one in report.seed_uses.items() if one.use is Use.UNCLEAR],
        "ignored_seed_allowed": report.ranking.allow_ignored,
        "collapsed": {
            str(trial): {str(seed): reason for seed, reason in one.reasons.items()}
            for trial, one in report.collapses.items()
        },
        "trials_since": report.since,
        "best_epoch_is_last": sorted(report.still_rising & {row.candidate.trial for row in report.ranking.rows}),
        "tied": list(report.ranking.ties),
        "winner_under": {name: trial for name, trial in sure.winners.items() if name != AS_IT_IS and report.is_decided},
        "race": _race(report),
        "optimism": sure.optimism,
        "optimism_interval": sure.optimism_interval,
        "rank_correlation": sure.correlation,
        "sigma_reliability": sigma_reliability(len(ranking.seeds)) if sure.shrunken else None,
        "seeds_seen_by_search": list(sure.seen),
        "winner_on_unseen_seeds": sure.unseen_winner,
        "confirmation": asdict(report.confirmation) if report.confirmation else None,
        "pairs": [asdict(pair) for pair in sure.pairs],
        "metrics": _metric_rows(report),
        **({"estimate": report.estimate.plain()} if report.estimate else {}),
        "folds": {
            str(trial): {f"seed_{seed}": list(values) for seed, values in spread.values.items()}
            for trial, spread in report.folds.items()
        },
    }


def _metric_rows(report: PromotionReport) -> list[dict[str, object]]:
    """Returns a row of plain values for each metric of each complete candidate."""
    return [
        {
            "trial": one.trial,
            "metric": one.metric,
            **{f"seed_{seed}": one.values[seed] for seed in report.ranking.seeds},
            "mean": one.mean,
            "sigma": one.sigma,
        }
        for one in report.metrics
    ]


def _fold_sigma(report: PromotionReport, trial: int) -> float | None:
    return report.folds[trial].sigma if trial in report.folds else None


def _race(report: PromotionReport) -> dict[str, object] | None:
    if report.race is None or report.refined is None:
        return None
    winner = report.race.final.winner
    return {
        **report.race.values(),
        "over": [asdict(rung) for rung in report.race.rungs],
        "final": [{"trial": row.candidate.trial, "rank": row.rank, **_moments(row)} for row in report.race.final.rows],
        "winner": winner.candidate.trial if winner else None,
        "winner_under": {name: trial for name, trial in report.refined.winners.items() if name != AS_IT_IS},
        "chances_of_being_best": {str(trial): chance for trial, chance in report.refined.chances.items()},
    }


def candidate_values(report: PromotionReport, row: Row) -> dict[str, object]:
    """Returns the values of one candidate, a row of the ranking."""
    candidate = row.candidate
    seeds = report.race.seeds if report.race else report.ranking.seeds
    return {
        "rank": row.rank,
        "trial": candidate.trial,
        "standing": report.standing(row),
        "seeds": str(candidate.use),
        **{f"seed_{seed}": candidate.values.get(seed) for seed in seeds},
        **_moments(row),
        **({"fold_sigma": _fold_sigma(report, candidate.trial)} if report.study.validation else {}),
        "bound": best_score(report, row),
        "variation_percent": report.certainty.variations.get(candidate.trial),
        "shrunken_sigma": report.certainty.shrunken.get(candidate.trial),
        "chance_of_being_best": report.certainty.chances.get(candidate.trial),
        "search_value": candidate.search_value,
        **({"origin": report.external[candidate.trial].origin.label} if candidate.trial in report.external else {}),
        **({"other_code": report.other_code.get(candidate.trial, "")} if report.other_code else {}),
        **params_values(report, candidate.trial),
    }


def params_values(report: PromotionReport, trial: int) -> dict[str, object]:
    """Returns the params of a candidate by column, e.g. `params_lr`; None: a param whose condition does not hold."""
    own = report.params.of(trial)
    return {f"params_{name}": own.get(name) for name in report.params.names}


def _moments(row: Row) -> dict[str, float | None]:
    low, high = row.interval or (None, None)
    return {
        "mean": row.mean,
        "sigma": row.sigma,
        "score": row.score,
        "interval_low": low,
        "interval_high": high,
    }
