"""What is told of a promotion: the ranking, how sure it is, every metric; as plain values and as files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from hpo.certainty import AS_IT_IS, Certainty, certainty
from hpo.ranking import Ranking, Row
from hpo.records import Evaluation, Status
from hpo.report import promotion_figure, write_page
from hpo.results import latex_text, markdown_text, table_text, write_promotion
from hpo.statistics import sigma, t_interval
from hpo.study import Study


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricRow:
    """One metric of one complete candidate, at the epoch whose value of the objective counts.

    Attributes:
        trial: the candidate's number.
        metric: its name.
        values: by seed.
        mean: of the values.
        sigma: of the values, by the rule's ddof.
    """

    trial: int
    metric: str
    values: Mapping[int, float]
    mean: float
    sigma: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmation:
    """The winner under seeds that nothing was chosen on: what it reaches there is unbiased.

    Attributes:
        values: by seed; None where a replicate failed.
        mean: of the values.
        sigma: of the values, by the rule's ddof; None below as many as that takes.
        interval: Student's, 95 %, for the mean; None with a single value.
    """

    values: Mapping[int, float | None]
    mean: float | None
    sigma: float | None
    interval: tuple[float, float] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PromotionReport:
    """A ranking, and what else is known of it.

    Attributes:
        study: whose.
        ranking: of the candidates.
        certainty: how sure it is.
        metrics: of every complete candidate, in the order of the ranking; those that every replicate has.
        confirmation: of the winner; None if none was asked for.
    """

    study: Study
    ranking: Ranking
    certainty: Certainty
    metrics: tuple[MetricRow, ...]
    confirmation: Confirmation | None = None

    @classmethod
    def of(cls, study: Study, ranking: Ranking, evaluations: Iterable[Evaluation]) -> PromotionReport:
        """Returns the report of a ranking.

        Args:
            study: whose.
            ranking: of the candidates.
            evaluations: the replicates; others may be among them.
        """
        replicates = {(one.job.trial, one.job.seed): one for one in evaluations if one.status is Status.COMPLETE}
        rows = [metric for row in ranking.complete for metric in _metrics(row, ranking, replicates)]
        return cls(study=study, ranking=ranking, certainty=certainty(ranking, study.common_seeds), metrics=tuple(rows))

    def confirmed(self, values: Mapping[int, float | None]) -> PromotionReport:
        """Returns this report with what the winner reached under other seeds."""
        found = [value for value in values.values() if value is not None]
        rule = self.ranking.rule
        confirmation = Confirmation(
            values=dict(values),
            mean=float(np.mean(found)) if found else None,
            sigma=sigma(found, rule.ddof) if len(found) > (rule.ddof != 0) else None,
            interval=t_interval(found),
        )
        return replace(self, confirmation=confirmation)

    def values(self) -> dict[str, object]:
        """Returns what holds for the whole promotion, as plain values."""
        ranking, sure = self.ranking, self.certainty
        return {
            "study": self.study.name,
            "objective": self.study.objective.metric,
            "direction": ranking.direction,
            "rule": ranking.rule.name,
            "lambda": ranking.rule.lambda_,
            "ddof": ranking.rule.ddof,
            "score": ranking.rule.said(ranking.direction),
            "seeds": list(ranking.seeds),
            "search_seed": self.study.search.seed,
            "search_seeding": self.study.search.seeding,
            "searched_on": self.study.seeds_said,
            "budget": self.study.search.budget,
            "winner": ranking.winner.candidate.trial if ranking.winner else None,
            "winner_under": {name: trial for name, trial in sure.winners.items() if name != AS_IT_IS},
            "optimism": sure.optimism,
            "optimism_interval": sure.optimism_interval,
            "rank_correlation": sure.correlation,
            "seeds_seen_by_search": list(sure.seen),
            "winner_on_unseen_seeds": sure.unseen_winner,
            "confirmation": asdict(self.confirmation) if self.confirmation else None,
            "pairs": [asdict(pair) for pair in sure.pairs],
            "metrics": self.metric_rows(),
        }

    def csv(self) -> str:
        """Returns the candidates as CSV."""
        return table_text(self.candidates())

    def markdown(self) -> str:
        """Returns the ranking and the winner's metrics as Markdown tables."""
        return markdown_text(self.values(), self.candidates())

    def latex(self) -> str:
        """Returns the ranking and the winner's metrics as LaTeX tables; they need the package booktabs."""
        return latex_text(self.values(), self.candidates())

    def candidates(self) -> list[dict[str, object]]:
        """Returns a row of plain values for each candidate, in the order of the ranking."""
        return [self._candidate(row) for row in self.ranking.rows]

    def metric_rows(self) -> list[dict[str, object]]:
        """Returns a row of plain values for each metric of each complete candidate."""
        return [
            {
                "trial": one.trial,
                "metric": one.metric,
                **{f"seed_{seed}": one.values[seed] for seed in self.ranking.seeds},
                "mean": one.mean,
                "sigma": one.sigma,
            }
            for one in self.metrics
        ]

    def _candidate(self, row: Row) -> dict[str, object]:
        low, high = row.interval or (None, None)
        candidate = row.candidate
        return {
            "rank": row.rank,
            "trial": candidate.trial,
            **{f"seed_{seed}": candidate.values.get(seed) for seed in self.ranking.seeds},
            "mean": row.mean,
            "sigma": row.sigma,
            "score": row.score,
            "bound": row.bound if row.bound is not None and np.isfinite(row.bound) else None,
            "interval_low": low,
            "interval_high": high,
            "variation_percent": self.certainty.variations.get(candidate.trial),
            "chance_of_being_best": self.certainty.chances.get(candidate.trial),
            "search_value": candidate.search_value,
        }


def write_beside(folder: Path, report: PromotionReport, results: Sequence[Path]) -> None:
    """Writes the whole ranking beside the winner's folders: as JSON, CSV, Markdown, LaTeX and as a picture.

    Args:
        folder: where the files go.
        report: of the promotion.
        results: the winner's folders.
    """
    head = {**report.values(), "results": [path.name for path in results]}
    texts = {"promotion.md": report.markdown(), "promotion.tex": report.latex()}
    write_promotion(folder, head, report.candidates(), texts)
    study = report.study
    figure = promotion_figure(report.ranking, study.name, study.objective.metric, study.seeds_said)
    write_page(folder / "promotion.html", figure)


def _metrics(row: Row, ranking: Ranking, replicates: Mapping[tuple[int, int], Evaluation]) -> list[MetricRow]:
    trial = row.candidate.trial
    found = [replicates.get((trial, seed)) for seed in ranking.seeds]
    known = [one.metrics for one in found if one is not None]
    if len(known) < len(found):
        return []  # a record that was deleted since
    rows = []
    for name in known[0]:
        values = [value for metrics in known if (value := metrics.get(name)) is not None]
        if len(values) < len(known):
            continue  # undefined under a seed
        rows.append(
            MetricRow(
                trial=trial,
                metric=name,
                values=dict(zip(ranking.seeds, values, strict=True)),
                mean=float(np.mean(values)),
                sigma=sigma(values, ranking.rule.ddof),
            )
        )
    return rows
