"""The report of a promotion with several objectives: each candidate's values under every seed, and their fronts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING

import numpy as np

from hpo.core.formatting import counted
from hpo.core.records import Evaluation, Objective, Stage, Status
from hpo.core.shown import Page
from hpo.promotion.decide import PromotionDecision
from hpo.promotion.report import PromotionReport
from hpo.promotion.values import params_values
from hpo.stats.confidence import AS_IT_IS, Certainty, other_rules
from hpo.stats.fronts import (
    FrontsOverSeeds,
    Losses,
    fronts_of,
    fronts_over_seeds,
    losses_of,
    scores_of,
    shares_of_range,
)
from hpo.stats.ranking import Candidate, Ranking, Row
from hpo.stats.scoring import Rule
from hpo.stats.seed_use import Use, seed_uses
from hpo.stats.statistics import sigma, t_interval
from hpo.study import Study, Trial
from hpo.study.preference import PreferTable

if TYPE_CHECKING:
    from hpo.figures.report import Figure

OF_ONE_VALUE = (
    "score",
    "tied",
    "race",
    "optimism",
    "optimism_interval",
    "rank_correlation",
    "sigma_reliability",
    "winner_on_unseen_seeds",
    "confirmation",
    "pairs",
    "folds",
)
"""Keys of a promotion's plain values that compare candidates by one value, so that several objectives have none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontRow:
    """One candidate of a promotion with several objectives; sequences have an entry for each objective.

    Attributes:
        trial: number of the trial.
        vectors: values by seed; None for a failed or missing replicate.
        searched: values in the search; empty if they are not known.
        means: mean of each objective over the seeds; empty unless the candidate is complete.
        sigmas: sigma of each objective; None with a single seed, or if seeds make no difference.
        scores: score of each objective by the rule; empty unless the candidate was compared.
        front: 1 if no other candidate's scores dominate these, 2 for the next front, and so on; None: not compared.
        on_front: share of the resamples in which it is on the first front; None: not compared, or a single seed.
        chosen: share of the resamples in which it is the preferred one; None in the same cases.
        keeps_bounds: whether its scores keep the bounds of the preference.
    """

    trial: int
    vectors: Mapping[int, tuple[float, ...] | None]
    searched: tuple[float, ...] = ()
    means: tuple[float, ...] = ()
    sigmas: tuple[float | None, ...] = ()
    scores: tuple[float, ...] = ()
    front: int | None = None
    on_front: float | None = None
    chosen: float | None = None
    keeps_bounds: bool = False


def preference_order(
    scores_NK: Sequence[Sequence[float]] | Losses, objective: Objective, preference: PreferTable
) -> list[int]:
    """Returns the indices of candidates, the preferred one first.

    First come those that keep the bounds, then those of the first front, then those with the smallest distance. With
    weights w the distance is sum_k w_k x_k / sum_k w_k; without, it is that of the knee: sqrt(sum_k x_k^2), the
    distance from the ideal point, over the objectives that no bound names, or all if bounds name all. x_k is 0 at the
    best value of objective k on the front and 1 at its worst; the front is that of the candidates that keep the
    bounds. Equal distances: the better first objective, then the earlier index.

    Args:
        scores_NK: (N, K) scores in each objective.
        objective: the objectives of the study.
        preference: weights and bounds; without either, the knee.
    """
    if not len(scores_NK):
        return []
    metrics = objective.metrics
    losses_NK = losses_of(scores_NK, objective.directions)
    kept_N = [all(one.keeps(scores[metrics.index(one.metric)]) for one in preference.bounds) for scores in scores_NK]
    fronts = fronts_of(losses_NK)
    group = [(not kept, front) for kept, front in zip(kept_N, fronts, strict=True)]
    on_front_MK = losses_NK[[index for index, one in enumerate(group) if one == min(group)]]
    shares_NK = shares_of_range(losses_NK, on_front_MK)
    if preference.weights:
        weights_K = np.array([preference.weights[name] for name in metrics])
        distances_N = shares_NK @ (weights_K / weights_K.sum())
    else:
        bounded = {one.metric for one in preference.bounds}
        free = [place for place, name in enumerate(metrics) if name not in bounded] or list(range(len(metrics)))
        distances_N = np.sqrt(np.sum(shares_NK[:, free] ** 2, axis=1))
    return sorted(
        range(len(group)), key=lambda one: (group[one], float(distances_N[one]), float(losses_NK[one, 0]), one)
    )


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class FrontReport(PromotionReport):
    """A promotion with several objectives. The values in `ranking` are those of the first objective.

    Attributes:
        rows_of_front: the candidates, in the order of the ranking.
        over_seeds: the fronts over seeds of the compared candidates; None if there is none.
        preference: how the winner is chosen.
    """

    rows_of_front: tuple[FrontRow, ...] = ()
    over_seeds: FrontsOverSeeds | None = None
    preference: PreferTable = field(default_factory=PreferTable)

    @property
    def winner(self) -> Row | None:
        """The preferred candidate's row of the ranking; None if none is complete and keeps the bounds."""
        kept = self.rows_of_front[0].keeps_bounds if self.rows_of_front else False
        return self.ranking.winner if kept else None

    @property
    def best(self) -> FrontRow | None:
        """The winner with all its objectives."""
        return self.rows_of_front[0] if self.winner is not None else None

    @property
    def front(self) -> tuple[FrontRow, ...]:
        """The candidates that no other one dominates, in the order of the ranking."""
        return tuple(one for one in self.rows_of_front if one.front == 1)

    @property
    def score_text(self) -> str:
        """The score of each objective: `mean - sigma of val_acc, mean + sigma of parameters`."""
        by = self.study.objective.by_metric.items()
        return ", ".join(f"{self.ranking.rule.formula(direction)} of {metric}" for metric, direction in by)

    def _headline(self) -> str:
        candidates = counted(len(self.rows_of_front), "candidate")
        best = f"winner trial {self.best.trial}" if self.best else "no winner"
        return f"{self.study.name}: front of {len(self.front)} of {candidates}, {best}"

    def plain(self) -> dict[str, object]:
        """Returns the report as plain values, for `--json`, promotion.json and the HTTP interface."""
        objective, spread = self.study.objective, self.over_seeds
        found = {key: value for key, value in PromotionReport.plain(self).items() if key not in OF_ONE_VALUE}
        return {
            **found,
            "objective": ", ".join(objective.metrics),
            "direction": ", ".join(objective.directions),
            "objectives": objective.by_metric,
            "score": self.score_text,
            "preference": str(self.preference),
            "front": [one.trial for one in self.front],
            "hypervolume": spread and spread.hypervolume,
            "hypervolume_interval": spread and spread.interval,
            "ideal_point": spread and dict(zip(objective.metrics, spread.ideal, strict=True)),
            "reference_point": spread and dict(zip(objective.metrics, spread.reference, strict=True)),
            "resamples": spread and spread.resamples,
            "resampling_seed": spread and spread.resampling_seed,
        }

    def standing(self, row: Row) -> str:
        """Returns a candidate's rank, or why it has none: `incomplete` or `not finished`."""
        is_open = row.rank is None and any(seed not in row.candidate.values for seed in self.ranking.seeds)
        return "not finished" if is_open else row.standing

    def rows(self) -> list[dict[str, object]]:
        """Returns a row of plain values for each candidate, with all objectives under every seed."""
        return [self._row(row, one) for row, one in zip(self.ranking.rows, self.rows_of_front, strict=True)]

    def _row(self, row: Row, one: FrontRow) -> dict[str, object]:
        values: dict[str, object] = {
            "rank": row.rank,
            "trial": one.trial,
            "standing": self.standing(row),
            "seeds": str(row.candidate.use),
            "front": one.front,
            "on_front": one.on_front,
            "chosen": one.chosen,
            "keeps_bounds": one.keeps_bounds,
        }
        for place, metric in enumerate(self.study.objective.metrics):
            for seed in self.ranking.seeds:
                vector = one.vectors.get(seed)
                values[f"{metric}_seed_{seed}"] = None if vector is None else vector[place]
            for name, found in (("mean", one.means), ("sigma", one.sigmas), ("score", one.scores)):
                values[f"{metric}_{name}"] = found[place] if found else None
            values[f"{metric}_search"] = one.searched[place] if one.searched else None
        values |= {"other_code": self.other_code.get(one.trial, "")} if self.other_code else {}
        return values | params_values(self, one.trial)

    def markdown(self) -> str:
        """Returns the candidates as a Markdown table."""
        from hpo.promotion.front_shown import front_markdown  # it imports this module

        return front_markdown(self)

    def latex(self) -> str:
        """Returns the candidates as a LaTeX table, which needs the booktabs package."""
        from hpo.promotion.front_shown import front_latex

        return front_latex(self)

    def page(self) -> Page:
        """Returns what is printed."""
        from hpo.promotion.shown import report_page

        return report_page(self)

    def figure(self) -> Figure:
        """Returns the front as a plotly figure, with every candidate's values under every seed."""
        from hpo.figures.fronts import front_figure

        objective, seeds = self.study.objective, self.ranking.seeds
        labels = dict(objective.labels)
        return front_figure(self.rows(), objective.by_metric, self._title, seeds, self.warnings, labels)

    @property
    def _title(self) -> str:
        best = "no winner" if self.best is None else f"winner: trial {self.best.trial}, {self.preference}"
        return f"{self.study.name}: front of {self.score_text} over {len(self.ranking.seeds)} seeds; {best}"

    def of_winner(self) -> dict[str, dict[str, object]]:
        """Returns direction, mean, sigma, score and search value of the winner by objective; empty without one."""
        best = self.best
        found: dict[str, dict[str, object]] = {}
        for place, (metric, direction) in enumerate(self.study.objective.by_metric.items() if best else ()):
            assert best is not None  # checked above
            found[metric] = {
                "direction": direction,
                "mean": best.means[place],
                "sigma": best.sigmas[place],
                "score": best.scores[place] if best.scores else None,
                "search_value": best.searched[place] if best.searched else None,
            }
        return found


def front_report(
    study: Study,
    candidates: Sequence[Candidate],
    evaluations: Iterable[Evaluation],
    rule: Rule,
    *,
    seeds: Sequence[int],
    allow_ignored: bool = False,
    since: int = 0,
    code: str = "",
    searched: Iterable[Trial] = (),
) -> FrontReport:
    """Returns the report of a promotion with several objectives.

    Args:
        study: the study that is promoted.
        candidates: the candidates; their values are looked up in the evaluations.
        evaluations: the replicates; others may be among them.
        rule: turns the values of several seeds into a score, in each objective by itself.
        seeds: the promotion's seeds.
        allow_ignored: whether candidates that ignore their seeds are compared with the others.
        since: number of trials that completed after the promotion.
        code: digest of the study's current code; empty: unknown.
        searched: the study's trials, which have the values of the search.
    """
    evaluations, searched = list(evaluations), list(searched)
    objective, preference = study.objective, study.promotion.preference
    uses = seed_uses(evaluations, objective)
    vectors = {
        (one.job.trial, one.job.seed): objective.vector(one)
        for one in evaluations
        if one.job.stage is Stage.PROMOTION and one.status is Status.COMPLETE and not one.job.variant
    }
    in_search = {trial.number: trial.vector for trial in searched}
    rows, known = [], []
    for one in candidates:
        one = replace(one, use=uses[one.trial].use) if one.trial in uses else one
        own = {seed: vectors.get((one.trial, seed)) for seed in seeds}
        known.append(one)
        row = FrontRow(trial=one.trial, vectors=own, searched=in_search.get(one.trial, ()))
        rows.append(_with_moments(row, one, rule))
    complete = [place for place, row in enumerate(rows) if row.means]
    sound = [place for place in complete if known[place].use is not Use.IGNORED or allow_ignored] or complete
    spread, winners = None, {}
    if sound:
        values_NSK = np.array([[rows[place].vectors[seed] for seed in seeds] for place in sound], float)
        spread = fronts_over_seeds(values_NSK, rule, objective.directions, _choice(objective, preference))
        bounds = [(objective.metrics.index(one.metric), one) for one in preference.bounds]
        for index, place in enumerate(sound):
            scores = spread.scores_NK[index]
            rows[place] = replace(
                rows[place],
                scores=scores,
                front=spread.fronts[index],
                on_front=spread.on_front[index] if len(seeds) > 1 else None,
                chosen=spread.chosen[index] if len(seeds) > 1 else None,
                keeps_bounds=all(bound.keeps(scores[at]) for at, bound in bounds),
            )
        preferred = preference_order(spread.scores_NK, objective, preference)
        for name, other in {AS_IT_IS: rule, **other_rules(rule, len(seeds))}.items():
            losses_NK = losses_of(scores_of(values_NSK, other, objective.directions), objective.directions)
            first = _choice(objective, preference)(losses_NK)
            winners[name] = None if first is None else rows[sound[first]].trial
        order = [sound[index] for index in preferred] + [place for place in complete if place not in sound]
    else:
        order = []
    order += [place for place in range(len(rows)) if place not in complete]
    ranking = Ranking(
        rule=rule,
        direction=objective.direction,
        seeds=tuple(seeds),
        rows=tuple(_ranked(known[place], rows[place], number) for number, place in enumerate(order, start=1)),
        allow_ignored=allow_ignored,
    )
    decision = PromotionDecision(ranking=ranking)
    made = PromotionReport.of(study, decision, evaluations, since=since, code=code, searched=searched)
    seen = tuple(seed for seed in seeds if seed in study.common_seeds)
    nothing = Certainty(
        optimism=None,
        optimism_interval=None,
        correlation=None,
        winners=winners,
        chances={},
        pairs=(),
        variations={},
        shrunken={},
        seen=seen,
        unseen_winner=None,
    )
    return FrontReport(
        **{one.name: getattr(made, one.name) for one in fields(made) if one.name != "certainty"},
        certainty=nothing,
        rows_of_front=tuple(rows[place] for place in order),
        over_seeds=spread,
        preference=preference,
    )


def _with_moments(row: FrontRow, candidate: Candidate, rule: Rule) -> FrontRow:
    """Returns a row with the means and sigmas of its objectives, if it has values under every seed."""
    vectors = [vector for vector in row.vectors.values() if vector is not None]
    if len(vectors) < len(row.vectors):
        return row
    by_objective = list(zip(*vectors, strict=True))
    has_sigma = len(vectors) > 1 and candidate.use is Use.USED
    return replace(
        row,
        means=tuple(float(np.mean(one)) for one in by_objective),
        sigmas=tuple(sigma(one, rule.ddof) if has_sigma else None for one in by_objective),
    )


def _choice(objective: Objective, preference: PreferTable) -> Callable[[Losses], int | None]:
    """Returns a function that chooses the preferred of some candidates by their losses."""

    def choose(losses_NK: Losses) -> int | None:
        scores = losses_of(losses_NK, objective.directions)  # the signs change back
        first = preference_order(scores, objective, preference)[0]
        kept = all(one.keeps(scores[first][objective.metrics.index(one.metric)]) for one in preference.bounds)
        return first if kept else None

    return choose


def _ranked(candidate: Candidate, row: FrontRow, place: int) -> Row:
    """Returns a row of the ranking, with the moments of the first objective and without a score."""
    known = {seed: vector for seed, vector in row.vectors.items() if vector is not None or seed in candidate.values}
    values = {seed: None if vector is None else vector[0] for seed, vector in known.items()}
    candidate = replace(candidate, values=values)
    if not row.means:
        return Row(candidate=candidate)
    return Row(
        candidate=candidate,
        rank=place,
        mean=row.means[0],
        sigma=row.sigmas[0],
        order=float(place),
        interval=None if row.sigmas[0] is None else t_interval([one for one in values.values() if one is not None]),
    )
