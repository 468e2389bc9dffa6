"""`replay`: trains one job several times and compares the differences with those between seeds."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hpo.analysis.draws import replayed
from hpo.analysis.options import MOST_REPLAYS, ReplayOptions
from hpo.analysis.verify import changed, first_other_epoch
from hpo.core.errors import UsageError
from hpo.core.records import Evaluation, Job, Stage, Status
from hpo.core.run_config import RunConfig
from hpo.core.shown import Page, Shown
from hpo.driver.cross_validation import fold_jobs
from hpo.driver.options import accepts_options
from hpo.driver.resources import require_runnable
from hpo.driver.session import Folds, RunContext, Session, resolve_study
from hpo.figures.report import replay_figure
from hpo.promotion.grid import PromotionSource
from hpo.stats.statistics import sigma
from hpo.study import Study

if TYPE_CHECKING:
    from hpo.figures.report import Figure


@dataclass(frozen=True, slots=True, kw_only=True)
class Replays:
    """Trainings of one job, each compared bit by bit with the first.

    Attributes:
        values: value of the metric in each training.
        same: by part compared (weights, predictions, history), how many of the others equal the first.
        identical: how many of the others equal the first in every part.
        epoch: first epoch in which any metrics differ; None if none do.
        metrics: names of the metrics that differ, without those that the study ignores.
        sd: standard deviation of the values, ddof 1.
        largest: largest difference between two values.
        circumstances: differences between the fingerprints, as (first, other) by name.
    """

    values: tuple[float, ...]
    same: Mapping[str, int]
    identical: int
    epoch: int | None
    metrics: tuple[str, ...]
    sd: float
    largest: float
    circumstances: Mapping[str, tuple[object, object]]

    @classmethod
    def of(cls, trainings: Sequence[Evaluation], values: Sequence[float], ignore: Collection[str] = ()) -> Replays:
        """Returns the comparison of trainings of one job.

        Args:
            trainings: two or more complete trainings.
            values: the objective of each training.
            ignore: names of metrics that are not compared.
        """
        first, others = trainings[0], trainings[1:]
        found = [compare_bits(first, other, ignore) for other in others]
        histories = [first_other_epoch(first, other, ignore) for other in others]
        epochs = [epoch for epoch, _ in histories if epoch is not None]
        circumstances: dict[str, tuple[object, object]] = {}
        for other in others:
            circumstances |= changed(first.fingerprint, other.fingerprint)
        return cls(
            values=tuple(values),
            same={name: sum(one[name] for one in found) for name in found[0]},
            identical=sum(all(one.values()) for one in found),
            epoch=min(epochs, default=None),
            metrics=tuple(dict.fromkeys(name for _, names in histories for name in names)),
            sd=sigma(values, 1),
            largest=max(values) - min(values),
            circumstances=circumstances,
        )

    @property
    def others(self) -> int:
        """Number of trainings compared with the first."""
        return len(self.values) - 1

    @property
    def are_identical(self) -> bool:
        """Whether all are bit-identical."""
        return self.identical == self.others

    @property
    def differing(self) -> tuple[str, ...]:
        """Names of the parts in which they differ."""
        return tuple(name for name, count in self.same.items() if count < self.others)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ReplayOutcome(Shown):
    """Result of training one job several times.

    Attributes:
        study: the study that the job belongs to.
        job: the job that was trained; its variant is empty.
        wanted: number of trainings asked for.
        replays: comparison of the complete trainings; None if there are fewer than two.
        seeds: the trial's values in the promotion by seed, for comparison.
        failures: errors of the failed trainings.
        trained: number of trainings done now; the others were recorded.
        stopped: whether it was stopped early; then nothing was compared.
    """

    study: Study
    job: Job
    wanted: int
    replays: Replays | None
    seeds: Mapping[int, float]
    failures: tuple[str, ...]
    trained: int
    stopped: bool

    @property
    def seed_sd(self) -> float | None:
        """The sd between seeds, ddof 1; None for fewer than two seeds."""
        return sigma(list(self.seeds.values()), 1) if len(self.seeds) > 1 else None

    @property
    def share(self) -> float | None:
        """Ratio of the replays' sd to the sd between seeds; None if one is unknown or the latter is 0."""
        return self.replays.sd / self.seed_sd if self.replays and self.seed_sd else None

    @property
    def says_something(self) -> bool:
        """Whether enough trainings completed to compare."""
        return self.replays is not None

    def plain(self) -> dict[str, object]:
        """Returns everything as plain values."""
        found = self.replays
        return {
            "study": self.study.name,
            "objective": self.study.objective.metric,
            "trial": self.job.trial,
            "seed": self.job.seed,
            "trainings": self.wanted,
            "trained": self.trained,
            "stopped": self.stopped,
            "failures": list(self.failures),
            "identical": found.are_identical if found else None,
            "replays": replays_values(found),
            "seed_values": {str(seed): value for seed, value in self.seeds.items()},
            "seed_sd": self.seed_sd,
            "share_of_seed_sd": self.share,
        }

    def page(self) -> Page:
        """Returns what is printed."""
        from hpo.analysis.shown import replay_text

        return Page([replay_text(self)])

    def _headline(self) -> str:
        found = self.replays
        same = f"bit-identical {found.identical + 1} of {found.others + 1}" if found else "nothing to compare"
        return f"{self.study.name}, trial {self.job.trial} seed {self.job.seed_text}: {same}"

    def figure(self) -> Figure:
        """Returns the values of the trainings, and of the trial under other seeds, as a plotly figure."""
        found, values = self.replays, self.replays.values if self.replays else ()
        same = f"{found.identical + 1} of {len(values)} trainings bit-identical" if found else "nothing to compare"
        title = f"{self.study.name}, trial {self.job.trial}, seed {self.job.seed}: {same}"
        return replay_figure(values, self.seeds, title=title, metric=self.study.objective.label())

    def rows(self) -> list[dict[str, object]]:
        """Returns a row with the value of each training of the job."""
        values = self.replays.values if self.replays else ()
        return [{"training": index, "value": value} for index, value in enumerate(values)]


@accepts_options(ReplayOptions)
def replay(study: Study | str, config: RunConfig | None, options: ReplayOptions) -> ReplayOutcome:
    """Trains one job several times and compares the trainings bit by bit. Recorded trainings are reused.

    Args:
        study: the study itself, or its name.
        config: where it is stored and run; None: the defaults.
        options: one value, or its fields as keywords.

    Raises:
        NothingToPromote: if the study has not been searched.
        CodeChanged: if earlier trainings used other code, and that is not accepted.
        UsageError: if an argument is invalid; nothing was written.
    """
    study = resolve_study(study)
    context = RunContext.of(study, config, options)
    trial, replays = options.trial, options.replays
    config, stop = context.config, context.stop
    if not 2 <= replays <= MOST_REPLAYS:
        raise UsageError(
            f"replays must be 2 to {MOST_REPLAYS} trainings of the same job, not {replays}: fewer cannot differ"
        )
    seed = study.promotion.seeds[0] if options.seed is None else options.seed
    require_runnable(study, config)
    with Session.open(study, context, accept_code_change=options.accept_code_change) as session:
        params = session.trial(trial).params
        whole = Job(
            trial=trial,
            params=params,
            seed=seed,
            budget=study.search.budget,
            stage=Stage.REPLAY,
            stream_seeds=study.streams,
        )
        job = fold_jobs(whole, study)[0]  # the first fold, if there are folds
        with session.drive("replay"):
            source = PromotionSource(replayed(job, replays))
            recorded = session.compose(source, folds=Folds.CHOSEN)
            session.begin(replays, recorded.known(source.jobs))
            session.train(recorded)
        promoted = session.store.evaluations(session.stored, Stage.PROMOTION, trial)
        promoted = [
            one for one in promoted if not session.trainable.code.differs(one.code)
        ]  # compare seeds only, not code
    known = [source.by_key[one.key] for one in source.jobs if one.key in source.by_key]
    complete = [one for one in known if one.status is Status.COMPLETE]
    values = [one.value for one in complete if one.value is not None]
    return ReplayOutcome(
        study=study,
        job=job,
        wanted=replays,
        replays=Replays.of(complete, values, study.objective.ignore)
        if len(complete) > 1 and not stop.is_set()
        else None,
        seeds=_values(promoted, job),
        failures=tuple(one.error or "" for one in known if one.status is Status.FAILED),
        trained=recorded.trained,
        stopped=stop.is_set(),
    )


def _values(promoted: Sequence[Evaluation], job: Job) -> dict[int, float]:
    """Returns the values of the same training under the promotion's seeds."""
    return {
        one.job.seed: one.value
        for one in promoted
        if one.value is not None
        and one.status is Status.COMPLETE
        and (one.job.budget, one.job.fold) == (job.budget, job.fold)
    }


def compare_bits(one: Evaluation, other: Evaluation, ignore: Collection[str] = ()) -> dict[str, bool]:
    """Returns for each part (weights and predictions, if recorded; history) whether two trainings are bit-identical.

    Args:
        one: a training of the job.
        other: another training of the job.
        ignore: names of metrics that are not compared.
    """
    names = dict.fromkeys([*one.digests, *other.digests])
    same = {name: one.digests.get(name) == other.digests.get(name) for name in names}
    return {**same, "history": first_other_epoch(one, other, ignore)[0] is None}


def replays_values(found: Replays | None) -> dict[str, object] | None:
    """Returns a comparison as plain values."""
    if found is None:
        return None
    return {
        "compared": found.others,
        "identical": found.identical,
        "same": dict(found.same),
        "first_epoch_that_differs": found.epoch,
        "metrics_that_differ": list(found.metrics),
        "sd": found.sd,
        "largest_difference": found.largest,
        "values": list(found.values),
        "circumstances": {name: list(pair) for name, pair in found.circumstances.items()},
    }
