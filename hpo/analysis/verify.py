"""`verify`: repeats recorded trainings and compares the results bit by bit."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from hpo.analysis.curves import curve_of
from hpo.analysis.options import VerifyOptions
from hpo.core.errors import NothingToPromote, UsageError
from hpo.core.formatting import counted
from hpo.core.protocols import Observer, Stop
from hpo.core.records import Evaluation, Job, Stage, Status
from hpo.core.run_config import RunConfig
from hpo.core.shown import Page, Shown
from hpo.core.wrappers import ObservedSource
from hpo.driver.code_changes import with_other_code
from hpo.driver.leftovers import temporary_folder
from hpo.driver.options import accepts_options
from hpo.driver.resources import require_runnable
from hpo.driver.session import RunContext, Session, resolve_study
from hpo.figures.report import curves_figure
from hpo.promotion.grid import PromotionSource
from hpo.stats.seed_use import CLOCKS
from hpo.store import Store, StoredStudy
from hpo.study import Study
from hpo.training import Difference, first_difference, local_copy

if TYPE_CHECKING:
    from hpo.figures.report import Figure


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """A recorded training compared with its repetition.

    Attributes:
        recorded: the recorded evaluation.
        again: the evaluation of the repetition; its status says whether it completed.
        same: by part compared (weights, predictions, history), whether it is bit-identical.
        epoch: first epoch whose metrics differ; None if none does.
        metrics: names of the metrics that differ in any epoch, without those that the study ignores.
        tensor: largest difference of the weights; None if they are equal or were not kept.
        circumstances: differences between the fingerprints, as (recorded, now) by name.
    """

    recorded: Evaluation
    again: Evaluation
    same: Mapping[str, bool]
    epoch: int | None
    metrics: tuple[str, ...]
    tensor: Difference | None
    circumstances: Mapping[str, tuple[object, object]]

    @property
    def is_identical(self) -> bool:
        """Whether everything is bit-identical."""
        return self.again.status is Status.COMPLETE and all(self.same.values())

    @property
    def differ_by_clock(self) -> tuple[str, ...]:
        """Names of the differing metrics if nothing else differs and all are named like times; else none."""
        others = [name for name, same in self.same.items() if not same and name != "history"]
        return self.metrics if not others and self.metrics and all(map(CLOCKS.search, self.metrics)) else ()


class Verification(Shown, list[Verified]):
    """What was compared, in the order of the records.

    Args:
        compared: the comparisons, in that order.
        metric: name of the objective's metric.
    """

    def __init__(self, compared: Iterable[Verified], metric: str) -> None:
        super().__init__(compared)
        self.metric = metric

    def _headline(self) -> str:
        return f"{sum(one.is_identical for one in self)} of {counted(len(self), 'training')} identical"

    def figure(self) -> Figure:
        """Returns the learning curves of the recorded trainings and of their repetitions as a plotly figure."""
        curves = []
        for one in self:
            for evaluation, what in ((one.recorded, "recorded"), (one.again, "again")):
                found = [asdict(curve) for curve in curve_of(evaluation, self.metric)]
                curves += [{**curve, "seed": f"{curve['seed']} ({what})"} for curve in found]
        figure = curves_figure(curves, None, self.metric)
        identical = sum(one.is_identical for one in self)
        figure.update_layout(title=f"{identical} of {len(self)} trainings are bit-identical")
        return figure

    def page(self) -> Page:
        """Returns what is printed."""
        from hpo.analysis.shown import verified_text

        return Page([verified_text(self)])

    def rows(self) -> list[dict[str, object]]:
        """Returns a row for each training: its trial, its seed and what is identical."""
        return [
            {
                "stage": str(one.recorded.job.stage),
                "trial": one.recorded.job.trial,
                "seed": one.recorded.job.seed,
                "status": str(one.again.status),
                **one.same,
                "identical": one.is_identical,
            }
            for one in self
        ]


class _Halfway(Observer):
    """A `Stop` that is set by the first report past half of a job's budget, or by another `Stop`.

    Args:
        stop: the other stop, which ends the whole command.
    """

    def __init__(self, stop: Stop) -> None:
        self._stop = stop
        self._set = False

    def reported(self, job: Job, step: int, value: float) -> None:
        self._set = self._set or 2 * step >= job.budget

    def is_set(self) -> bool:
        return self._set or self._stop.is_set()


@accepts_options(VerifyOptions)
def verify(study: Study | str, config: RunConfig | None, options: VerifyOptions) -> Verification:
    """Repeats recorded trainings in a temporary folder and compares them bit by bit; records nothing.

    Args:
        study: the study itself, or its name.
        config: where it is stored and run; None: the defaults.
        options: one value, or its fields as keywords.

    Returns:
        The comparisons, in the order of the records; without trainings that a stop left out.

    Raises:
        StudyChanged: if the stored study of that name differs in what its trials mean.
        NothingToPromote: if there is no promotion and no trial was named.
        UsageError: if no such training is recorded, or an argument is invalid.
    """
    study = resolve_study(study)
    context = RunContext.of(study, config, options)
    require_runnable(study, context.config)
    with Session.open(study, context, writes=False) as session:
        recorded = _recorded(session.store, session.stored, options)
        code = session.trainable.code
        session.begin(len(recorded))
        if others := with_other_code(recorded, code):
            session.tell(f"the code has changed since ({others[0].code.changes(code)}), which may explain differences")
        source = PromotionSource([one.job for one in recorded])
        with temporary_folder(f"{session.work_folder}/verify-{uuid.uuid4().hex[:8]}") as work:
            for job in source.jobs if options.resumed else ():  # one at a time: a stop ends all running jobs
                if not context.stop.is_set():
                    session.tell(f"interrupting trial {job.trial} seed {job.seed_text} halfway")
                    halfway = _Halfway(context.stop)
                    first = ObservedSource(PromotionSource([job]), [halfway])
                    session.train(first, most_at_once=1, stop=halfway, work=work)
            session.train(ObservedSource(source, options.observers), work=work)
            return Verification(_compared(recorded, source.by_key, study.objective.ignore), study.objective.metric)


def _recorded(store: Store, stored: StoredStudy, options: VerifyOptions) -> list[Evaluation]:
    trial, seed, promotion = options.trial, options.seed, options.promotion
    if trial is None:
        newest = store.promotion(stored)
        winner = newest.winner if newest else None
        if winner is None:
            raise NothingToPromote(
                f"study {stored.name!r} has no promotion with a winner to verify; name a trial with --trial"
            )
        trial, promotion = winner, True
    stages = (Stage.PROMOTION,) if promotion else (Stage.SEARCH, Stage.PROMOTION)
    found = [
        one
        for one in store.evaluations(stored, trial=trial)
        if one.job.stage in stages and one.status is Status.COMPLETE and seed in (None, one.job.seed)
    ]
    if not found:
        under = "" if seed is None else f" under seed {seed}"
        raise UsageError(
            f"no complete training of trial {trial}{under} is recorded; list the recorded ones with: "
            f"hpo show --study {stored.name} {trial}"
        )
    return found


def _compared(
    recorded: Iterable[Evaluation], again: Mapping[tuple[object, ...], Evaluation], ignore: Collection[str]
) -> Iterable[Verified]:
    for one in recorded:
        new = again.get(one.job.key)
        if new is None:
            continue
        same = {name: new.digests.get(name) == digest for name, digest in one.digests.items()}
        epoch, metrics = first_other_epoch(one, new, ignore)
        kept = one.files is not None and new.files is not None and not same.get("weights", True)
        yield Verified(
            recorded=one,
            again=new,
            same={**same, "history": epoch is None},
            epoch=epoch,
            metrics=metrics,
            tensor=first_difference(local_copy(one.files), local_copy(new.files)) if kept else None,  # type: ignore[arg-type]
            circumstances=changed(one.fingerprint, new.fingerprint),
        )


def first_other_epoch(
    one: Evaluation, other: Evaluation, ignore: Collection[str] = ()
) -> tuple[int | None, tuple[str, ...]]:
    """Returns the first epoch whose metrics differ (None if none does) and the names of all differing metrics.

    Args:
        one: a training of a job.
        other: another training of the same job.
        ignore: names of metrics that are not compared.
    """
    epoch: int | None = None
    names: dict[str, None] = {}
    for first, second in zip(one.reports, other.reports, strict=False):
        differing = [
            name
            for name in dict.fromkeys([*first.metrics, *second.metrics])
            if name not in ignore
            and (first.metrics.get(name), name in first.metrics) != (second.metrics.get(name), name in second.metrics)
        ]
        names |= dict.fromkeys(differing)
        if differing and epoch is None:
            epoch = first.step
    if epoch is None and len(one.reports) != len(other.reports):
        epoch = min(len(one.reports), len(other.reports)) + 1
    return epoch, tuple(names)


def changed(recorded: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, tuple[object, object]]:
    """Returns the differences between two fingerprints, as (recorded, now) by name."""
    found: dict[str, tuple[object, object]] = {}
    for name in dict.fromkeys([*recorded, *now]):
        one, other = recorded.get(name), now.get(name)
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            found |= {f"{name}.{key}": pair for key, pair in changed(one, other).items()}
        elif one != other:
            found[name] = (one, other)
    return found
