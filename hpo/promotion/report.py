"""The report of a promotion: the ranking, how certain it is, all metrics; as plain values and as files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hpo.core.devices import describe_devices
from hpo.core.files import Guard, no_guard
from hpo.core.formatting import counted, number
from hpo.core.records import Evaluation, Stage, Status
from hpo.core.shown import Page, Shown
from hpo.figures.report import promotion_figure, write_page
from hpo.promotion.decide import PromotionDecision
from hpo.promotion.estimate import Estimate
from hpo.promotion.luck import other_budget, searched_on
from hpo.promotion.metric_rows import FoldSpread, MetricRow, fold_spread, metrics_of
from hpo.promotion.params import CandidateParams, candidate_params
from hpo.promotion.race import Race
from hpo.promotion.soundness import (
    one_class_predictions,
    other_code,
    other_code_text,
    overlapping_folds,
    promote_command,
    warnings_of,
)
from hpo.promotion.tables import latex_text, markdown_text
from hpo.promotion.values import candidate_values, promotion_values
from hpo.results import write_promotion
from hpo.stats.collapse import Collapse, collapses
from hpo.stats.confidence import Certainty, certainty
from hpo.stats.ranking import Ranking, Row
from hpo.stats.scoring import Rule
from hpo.stats.seed_use import SeedUse, Use, seed_uses
from hpo.stats.statistics import sigma, t_interval
from hpo.study import ExternalTrial, Study, Trial

if TYPE_CHECKING:
    from hpo.figures.report import Figure


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmation:
    """The winner under held-out seeds, which had no part in any choice: an unbiased estimate.

    Attributes:
        values: value by seed; None if the replicate failed.
        mean: mean of the values.
        sigma: standard deviation of the values with the rule's ddof; None if there are too few.
        interval: Student's 95 % interval of the mean; None with a single value.
    """

    values: Mapping[int, float | None]
    mean: float | None
    sigma: float | None
    interval: tuple[float, float] | None

    @classmethod
    def of(cls, values: Mapping[int, float | None], rule: Rule) -> Confirmation:
        """Returns the moments of the winner's values under held-out seeds.

        Args:
            values: value by seed; None if the replicate failed.
            rule: the rule of the ranking, which has the ddof of sigma.
        """
        found = [value for value in values.values() if value is not None]
        return cls(
            values=dict(values),
            mean=float(np.mean(found)) if found else None,
            sigma=sigma(found, rule.ddof) if len(found) > 1 else None,
            interval=t_interval(found),
        )


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class PromotionReport(Shown):
    """A ranking, and everything else that is known about it.

    Attributes:
        study: the study that was promoted.
        decision: the ranking, the race that it comes from, if any, and the winner. After a race the ranking and its
            certainty cover the candidates that have all seeds of the promotion.
        certainty: how certain the ranking is.
        refined: how certain the race's last rung is; None without a race.
        metrics: metrics of every complete candidate, in ranking order; those that every replicate has.
        folds: spread of the folds by trial; empty without cross-validation.
        confirmation: the winner under held-out seeds; None if that was not asked for.
        alerts: number of alerts of its replicates, by trial; empty if there were none.
        other_code: by trial, what was computed with other code than the study has now: `search value`, `replicates`,
            or both; empty if nothing is known to be.
        defaults: by trial, defaults of the params that neither the search nor the study sets; empty if none were
            recorded.
        seed_uses: by trial, whether its replicates under different seeds differ.
        collapses: by trial, replicates whose model learned nothing.
        since: number of trials that completed after the promotion and are not part of it.
        still_rising: trials whose best epoch is the last epoch of the budget in all their trainings.
        external: candidates that another tool found, by trial; empty if the study's own search found them.
        differences: sentences on candidates whose folds share validation cases, on replicates that ran on different
            devices, or not on the requested one, or that were
            longer or shorter than another tool's trainings.
        estimate: how good the winner is, on validation cases and on the test part; None: unknown.
        params: the params of the candidates.
        recorded_winner: the winner whose results were written; None: there is none, or it is being decided.
    """

    study: Study
    decision: PromotionDecision
    certainty: Certainty
    metrics: tuple[MetricRow, ...]
    folds: Mapping[int, FoldSpread] = field(default_factory=dict)
    refined: Certainty | None = None
    confirmation: Confirmation | None = None
    alerts: Mapping[int, int] = field(default_factory=dict)
    defaults: Mapping[int, Mapping[str, object]] = field(default_factory=dict)
    other_code: Mapping[int, str] = field(default_factory=dict)
    seed_uses: Mapping[int, SeedUse] = field(default_factory=dict)
    collapses: Mapping[int, Collapse] = field(default_factory=dict)
    since: int = 0
    still_rising: frozenset[int] = frozenset()
    external: Mapping[int, ExternalTrial] = field(default_factory=dict)
    differences: tuple[str, ...] = ()
    estimate: Estimate | None = None
    params: CandidateParams = field(default_factory=CandidateParams)
    recorded_winner: int | None = None

    @classmethod
    def of(
        cls,
        study: Study,
        decision: PromotionDecision,
        evaluations: Iterable[Evaluation],
        *,
        since: int = 0,
        code: str = "",
        searched: Iterable[Trial] = (),
        external: Iterable[ExternalTrial] = (),
    ) -> PromotionReport:
        """Returns the report of a ranking.

        Args:
            study: the study that was promoted.
            decision: the ranking, with the race that it comes from, if any.
            evaluations: the replicates; others may be among them.
            since: number of trials that completed after the promotion.
            code: digest of the study's current code; empty: unknown.
            searched: the study's trials, which have the code that they were trained with, and their params.
            external: candidates that another tool found; others may be among them.
        """
        evaluations, ranking, race = list(evaluations), decision.ranking, decision.race
        searched, external = list(searched), list(external)
        alerts = Counter(one.job.trial for one in evaluations if one.job.stage is Stage.PROMOTION for _ in one.alerts)
        replicates = {(one.job.trial, one.job.seed): one for one in evaluations if one.status is Status.COMPLETE}
        rows = [metric for row in ranking.complete for metric in metrics_of(row, ranking, replicates)]
        folds = {row.candidate.trial: spread for row in ranking.rows if (spread := fold_spread(row, replicates))}
        trials = {row.candidate.trial for row in ranking.rows}
        found = {one.number: one for one in external if one.number in trials}
        seen = () if found else study.common_seeds
        devices = describe_devices((one for one in evaluations if one.job.trial in trials), study.resources.gpu)
        if race is None:
            sure, refined = certainty(ranking, seen), None
        else:  # candidates left early because of low values, so only the first rung compares all of them fairly
            first = ranking.under(Rule(name="mean")).over(race.rungs[0].seeds)
            sure, refined = certainty(ranking.only_complete, seen, first), certainty(race.final, seen)
        return cls(
            study=study,
            decision=decision,
            certainty=sure,
            metrics=tuple(rows),
            folds=folds,
            refined=refined,
            alerts=dict(alerts),
            other_code=other_code(trials, evaluations, code, searched),
            defaults={
                row.candidate.trial: one.defaults
                for row in ranking.rows
                if (one := replicates.get((row.candidate.trial, ranking.seeds[0]))) is not None and one.defaults
            },
            seed_uses={trial: use for trial, use in seed_uses(evaluations, study.objective).items() if trial in trials},
            collapses={
                trial: one
                for trial, one in collapses(
                    evaluations, study.objective, study.objective_.limit, one_class_predictions(evaluations)
                ).items()
                if trial in trials
            },
            since=since,
            still_rising=_still_rising(study, replicates.values()),
            external=found,
            differences=(
                *(overlapping_folds(replicates.values(), study.validation.folds) if study.validation else ()),
                *([devices] if devices else []),
                *other_budget(study, found, replicates.values()),
            ),
            params=candidate_params(
                [row.candidate.trial for row in ranking.rows], study.space, evaluations, [*searched, *external]
            ),
        )

    @property
    def is_decided(self) -> bool:
        """Whether there is a winner and its replicates depend on the seed."""
        return self.winner is not None and self.winner.candidate.use is Use.USED

    @property
    def warnings(self) -> tuple[str, ...]:
        """Warnings as sentences; they come first wherever the report is shown."""
        found = warnings_of(
            study=self.study.name,
            ranking=self.ranking,
            winner=self.winner,
            uses=list(self.seed_uses.values()),
            collapses=self.collapses,
            since=self.since,
        )
        parts = other_code_text(self.other_code)
        of_code = [f"Computed with other code than the study has now: {parts}."] if parts else []
        looks = self.estimate.looks.warnings if self.estimate and self.estimate.looks else ()
        return (*looks, *self.differences, *found, *of_code, *self._other_winner())

    def _other_winner(self) -> Iterator[str]:
        now = self.winner.candidate.trial if self.winner else None
        if self.recorded_winner is None or now == self.recorded_winner:
            return
        name = "no candidate wins" if now is None else f"the winner is trial {now}"
        as_before = self.external or self.race
        again = "with the same options" if as_before else f"by: {promote_command(self.study, self.ranking)}"
        yield (
            f"The results folders are of trial {self.recorded_winner}, which was promoted; ranked like this, {name}. "
            f"Its results are written {again}"
        )

    @property
    def ranking(self) -> Ranking:
        """The candidates, ranked over the promotion's seeds."""
        return self.decision.ranking

    @property
    def race(self) -> Race | None:
        """The race that chose the winner; None if all candidates were trained under all seeds."""
        return self.decision.race

    @property
    def winner(self) -> Row | None:
        """The winner's row of the ranking; None if no candidate is complete."""
        return self.decision.winner

    def standing(self, row: Row) -> str:
        """Returns a candidate's rank, or why it has none: `incomplete`, `not finished`, or `left` (the race)."""
        return "left" if self.race and row.standing == "not finished" else row.standing

    def plain(self) -> dict[str, object]:
        """Returns the report as plain values, for `--json`, promotion.json and the HTTP interface.

        A candidate's value under seed 42 has the key `seed_42`; no code of hpo reads these keys.
        """
        alerts = {str(trial): count for trial, count in self.alerts.items()}
        return {**promotion_values(self), "candidates": self.rows(), "alerts": alerts}

    def markdown(self) -> str:
        """Returns the ranking and the winner's metrics as Markdown tables."""
        return markdown_text(self)

    def latex(self) -> str:
        """Returns the ranking and the winner's metrics as LaTeX tables; they need the booktabs package."""
        return latex_text(self)

    def rows(self) -> list[dict[str, object]]:
        """Returns a row of plain values for each candidate, in the order of the ranking."""
        return [candidate_values(self, row) for row in self.ranking.rows]

    def _headline(self) -> str:
        seeds = counted(len(self.ranking.seeds), "seed")
        candidates = counted(len(self.ranking.rows), "candidate")
        if (first := self.winner) is None:
            return f"{self.study.name}: {candidates} under {seeds}, no winner"
        called = "winner" if self.is_decided else "first"
        mean = number(first.mean) + (f" ± {number(first.sigma)}" if first.sigma is not None else "")
        value = f"{self.study.objective.metric} {mean} over {seeds}"
        return f"{self.study.name}: {called} trial {first.candidate.trial} of {candidates}, {value}"

    def page(self) -> Page:
        """Returns what is printed."""
        from hpo.promotion.shown import report_page  # it imports this module

        return report_page(self)

    def figure(self) -> Figure:
        """Returns the ranking as a plotly figure with the value of each candidate under every seed."""
        study, standings = self.study, [self.standing(row) for row in self.ranking.rows]
        metric, source = study.objective.label(), searched_on(study, self.external)
        return promotion_figure(self.ranking, standings, study.name, metric, source, self.warnings)


def write_ranking(folder: Path, report: PromotionReport, results: Sequence[Path], guard: Guard = no_guard) -> None:
    """Writes the whole ranking next to the winner's results folders: as JSON, CSV, Markdown, LaTeX and a figure.

    Args:
        folder: folder that receives the files.
        report: report of the promotion.
        results: the winner's results folders.
        guard: called right before each file is put in place; see `hpo.core.files.atomic_write`.
    """
    head = {**report.plain(), "results": [path.name for path in results]}
    texts = {"promotion.md": report.markdown(), "promotion.tex": report.latex()}
    write_promotion(folder, head, report.rows(), texts, guard)
    write_page(folder / "promotion.html", report.figure(), guard=guard)


def _still_rising(study: Study, replicates: Iterable[Evaluation]) -> frozenset[int]:
    if study.objective.epoch == "last" or study.search.budget == 1:
        return frozenset()
    found: dict[int, bool] = {}
    for one in replicates:
        if one.job.stage is not Stage.PROMOTION:
            continue
        is_last = all(  # a training with a single report has no other epoch to compare with
            training.step == training.job.budget and len(training.reports) > 1 for training in one.trainings
        )
        found[one.job.trial] = found.get(one.job.trial, True) and is_last
    return frozenset(trial for trial, rising in found.items() if rising)
