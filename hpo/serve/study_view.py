"""What is shown of one study: its search, its newest promotion, its costs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field

from hpo.analysis.curves import Curve
from hpo.core.records import Evaluation, Stage
from hpo.driver.status import Progress
from hpo.promotion.report import PromotionReport
from hpo.promotion.sentences import certainty_text
from hpo.serve.outputs import ResultsFolder
from hpo.stats.confidence import AS_IT_IS
from hpo.stats.statistics import c4, sigma_error
from hpo.store import RunningTraining
from hpo.study import FIRST_EXTERNAL, Study, Trial


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertGroup:
    """The alerts of one kind that the replicates of one trial raised.

    Attributes:
        trial: number of the trial.
        kind: kind of the alerts.
        messages: message of each replicate's alert, by seed.
    """

    trial: int
    kind: str
    messages: Mapping[str, str]

    @property
    def seeds(self) -> tuple[str, ...]:
        """Seeds of the replicates that raised an alert."""
        return tuple(self.messages)

    @property
    def sentences(self) -> tuple[str, ...]:
        """The different messages, each with the seeds of its replicates."""
        by_message: dict[str, list[str]] = {}
        for seed, message in self.messages.items():
            by_message.setdefault(message, []).append(seed)
        return tuple(f"under seed {', '.join(seeds)}: {message}" for message, seeds in by_message.items())


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyView:
    """Everything shown of one study.

    Attributes:
        study: the study as last run.
        progress: progress of the study.
        report: report of the newest promotion, or of a running one; None if there is neither.
        is_final: whether the promotion is complete; otherwise replicates may be missing.
        curves: learning curves of the replicates.
        alerts: alerts of the replicates, by trial and kind.
        results: results folders of the newest promotion.
        decomposition: newest decomposition as `hpo seeds decompose` wrote it; None if there is none.
        trials: trials of the search, and candidates from another tool.
        importance: importance of the params for the value, the largest first; empty: not known.
        stages: number of runs of trainings and their seconds, by stage.
        seconds: mean seconds of the replicates, by candidate.
        replicates: the trainings that run now and are not of the search, e.g. the replicates of a promotion.
    """

    study: Study
    progress: Progress
    report: PromotionReport | None
    is_final: bool
    curves: tuple[Curve, ...]
    alerts: tuple[AlertGroup, ...]
    results: tuple[ResultsFolder, ...]
    decomposition: Mapping[str, object] | None
    trials: tuple[Trial, ...] = ()
    importance: Mapping[str, float] = field(default_factory=dict)
    stages: Mapping[Stage, tuple[int, float]] = field(default_factory=dict)
    seconds: Mapping[int, float] = field(default_factory=dict)
    replicates: tuple[RunningTraining, ...] = ()

    @property
    def winner(self) -> int | None:
        """The winning trial of a complete promotion; None if there is none, or it is not decided."""
        report = self.report
        if report is None or report.winner is None or not (self.is_final and report.is_decided):
            return None
        return report.winner.candidate.trial

    @property
    def searched(self) -> tuple[Trial, ...]:
        """The trials of the search; those from another tool if there are no others."""
        return tuple(one for one in self.trials if one.number < FIRST_EXTERNAL) or self.trials

    def trial(self, number: int) -> Trial | None:
        """Returns one of the trials; None if there is no trial of that number."""
        return next((one for one in self.trials if one.number == number), None)

    def values(self) -> dict[str, object]:
        """Returns the view as plain values."""
        report = self.report
        return {
            "study": self.study.name,
            "progress": self.progress.plain(),
            "is_final": self.is_final,
            "promotion": report.plain() if report else None,
            "sentences": self.sentences,
            "warnings": list(report.warnings) if report else [],
            "sigma_error": sigma_error(len(report.ranking.seeds)) if report else None,
            "unbiasing": c4(len(report.ranking.seeds)) if report and len(report.ranking.seeds) > 1 else None,
            "winner_under": {
                name: trial for name, trial in (report.certainty.winners if report else {}).items() if name != AS_IT_IS
            },
            "curves": [asdict(one) for one in self.curves],
            "alerts": [{**asdict(one), "seeds": list(one.seeds), "said": list(one.sentences)} for one in self.alerts],
            "results": [asdict(one) for one in self.results],
            "decomposition": self.decomposition,
        }

    @property
    def sentences(self) -> list[str]:
        """The winner and its certainty, or the command to find it."""
        if self.report is None:
            return [f"No promotion yet; run: hpo promote --study {self.study.name}"]
        if not self.is_final:
            done, count = (
                sum(len(row.candidate.values) for row in self.report.ranking.rows),
                len(self.report.ranking.rows),
            )
            return [f"A promotion is running: {done} replicates of {count} candidates so far. Nothing is decided yet."]
        return certainty_text(self.report).split("\n")


def alert_groups(replicates: Iterable[Evaluation]) -> tuple[AlertGroup, ...]:
    """Returns the alerts of replicates by trial and kind, one per seed even if several folds raised it."""
    groups: dict[tuple[int, str], dict[str, str]] = {}
    for one in replicates:
        for alert in one.alerts:
            groups.setdefault((one.job.trial, alert.kind), {}).setdefault(one.job.seed_text, alert.message)
    items = sorted(groups.items())
    return tuple(AlertGroup(trial=trial, kind=kind, messages=messages) for (trial, kind), messages in items)
