"""`diagnose`: why a trial's replicates differ: where their curves diverge, their alerts, their initial weights."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from hpo.analysis.curves import Curve, curve_of
from hpo.analysis.options import DiagnoseOptions
from hpo.core.code import describe_difference
from hpo.core.errors import UsageError
from hpo.core.files import explain_write_errors, write_text
from hpo.core.formatting import counted
from hpo.core.records import Alert, Evaluation, Status
from hpo.core.run_config import RunConfig
from hpo.core.shown import Page, Shown
from hpo.driver.cross_validation import join_folds
from hpo.driver.options import accepts_options
from hpo.driver.session import checked_config
from hpo.driver.status import as_stored
from hpo.driver.storage import name_of, storage, stored_study
from hpo.figures.report import curves_figure, write_page
from hpo.results import json_text
from hpo.stats import seed_use
from hpo.study import Study
from hpo.training import INITIAL_WEIGHTS
from hpo.training.outputs.artifacts import artifacts_folder

if TYPE_CHECKING:
    from hpo.figures.report import Figure

ADVICE = {
    "non-finite": "lower the learning rate, clip gradients, or look for a division by zero or a log of zero",
    "exploding": "lower the learning rate, warm it up, or clip gradients",
    "vanishing": "another initialization or normalization, fewer layers between, or a rectifier for a sigmoid",
    "dead-units": "lower the learning rate, another initialisation, or an activation with a slope below 0",
    "one-class-predictions": "weigh or draw classes evenly, lower the learning rate, or look at the labels",
    "plateau": "lower the learning rate on a plateau, stop early, or leave the budget to other trials",
    "oscillation": "lower the learning rate, or take larger batches",
    "train-validation-gap": "more augmentation, dropout or weight decay, a smaller network, or early stopping",
    "unnormalised-data": "bring inputs to a mean near 0 and a standard deviation near 1",
    "one-class-data": "stratify the split, or look at how labels are read",
}
"""What usually helps, by kind of alert."""

LOSSES = ("train_loss", "val_loss")

BEYOND = 2.0
"""The replicates' sd must exceed this many times the noise of the curves."""

MEDIAN_OF_SQUARES = 0.4549
"""Median of chi squared with one degree of freedom, the square of a standard normal number."""

FAR_SCALE = 3.0
"""Initial weights are reported if their sd differs from He's and Xavier's by more than this factor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Divergence:
    """Where the replicates' curves of one metric diverge.

    Attributes:
        metric: name of the metric.
        epoch: first epoch after which they differ by more than their noise; None: they do not diverge.
        noise: sd of a curve around its trend, from its second differences.
        spread: sd between the replicates at their last common epoch.
    """

    metric: str
    epoch: int | None
    noise: float
    spread: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicateFinding:
    """One training of the trial and its alerts."""

    seed: str
    status: str
    value: float | None
    step: int | None
    alerts: tuple[Alert, ...]


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Diagnosis(Shown):
    """Findings about why a trial's replicates differ.

    Attributes:
        study: the study that the trial belongs to.
        trial: number of the trial.
        replicates: findings for each replicate, by seed.
        partings: divergence of the losses and the objective, if there are several replicates.
        scales: initial sd of unusual weights by name, as multiples of He's and Xavier's sd; None: not known.
        advice: what usually helps against each finding, with its evidence.
        code: says that the replicates ran different code; None if that is not known.
        files: paths of the files that were written.
        warnings: say that replicates are the same under different seeds.
        metric: name of the metric that the curves show.
        curves: learning curves of the replicates that did not fail.
    """

    study: Study
    trial: int
    replicates: tuple[ReplicateFinding, ...]
    partings: tuple[Divergence, ...]
    scales: Mapping[str, tuple[float, float]] | None
    advice: tuple[str, ...]
    code: str | None = None
    files: tuple[Path, ...] = ()
    warnings: tuple[str, ...] = ()
    metric: str = ""
    curves: tuple[Curve, ...] = ()

    def _headline(self) -> str:
        return f"{self.study.name}, trial {self.trial}: {counted(len(self.replicates), 'replicate')}"

    def figure(self) -> Figure:
        """Returns the replicates' learning curves as a plotly figure, with a line where they diverge."""
        curves, label = [asdict(one) for one in self.curves], self.study.objective.label(self.metric)
        figure = curves_figure(curves, self.trial, label)
        warnings = "".join(f"<br><sub>{warning}</sub>" for warning in self.warnings)
        figure.update_layout(title=f"{self.study.name}, trial {self.trial}: its replicates{warnings}")
        if epoch := next((one.epoch for one in self.partings if one.metric == self.metric), None):
            figure.add_vline(x=epoch, line_dash="dash", annotation_text="divergence")
        return figure

    def plain(self) -> dict[str, object]:
        """Returns everything as plain values."""
        return {
            "study": self.study.name,
            "trial": self.trial,
            "replicates": [asdict(one) for one in self.replicates],
            "partings": [asdict(one) for one in self.partings],
            "scales": None
            if self.scales is None
            else {name: {"he": he, "xavier": xavier} for name, (he, xavier) in self.scales.items()},
            "advice": list(self.advice),
            "code": self.code,
            "warnings": list(self.warnings),
        }

    def page(self) -> Page:
        """Returns what is printed."""
        from hpo.analysis.shown import diagnosis_text

        return diagnosis_text(self)

    def rows(self) -> list[dict[str, object]]:
        """Returns a row of plain values for each replicate."""
        return [
            {
                "seed": one.seed,
                "status": one.status,
                "value": one.value,
                "epoch": one.step,
                "alerts": ", ".join(alert.kind for alert in one.alerts),
            }
            for one in self.replicates
        ]


@accepts_options(DiagnoseOptions)
def diagnose(study: Study | str, config: RunConfig | None, options: DiagnoseOptions) -> Diagnosis:
    """Analyzes the recorded trainings of one trial and writes a page and its numbers; trains nothing.

    Args:
        study: the study itself, or its name.
        config: where the study is stored; None: the defaults.
        options: the trial, and its replicates.

    Raises:
        UsageError: if there is no such study, or it has no such trainings.
    """
    name, config = name_of(study), checked_config(config)
    trial, seeds = options.trial, options.seeds
    with storage(config.storage) as (store, _durable):
        stored = stored_study(store, name)
        study, all_ = as_stored(stored), store.evaluations(stored, trial=trial)
    found = [one for one in all_ if not one.job.variant and (not seeds or one.job.seed in seeds)]
    if not found:
        known = ", ".join(dict.fromkeys(str(one.job.seed) for one in all_)) or "none"
        raise UsageError(f"study {name!r} has no trainings of trial {trial} under these seeds; recorded: {known}")
    replicates = tuple(
        ReplicateFinding(
            seed=one.job.seed_text,
            status=str(one.status),
            value=one.value,
            step=one.step,
            alerts=one.alerts,
        )
        for one in found
    )
    names = dict.fromkeys((*LOSSES, study.objective.metric))
    partings = tuple(parting for metric in names if (parting := divergence_of(found, metric)) is not None)
    scales = _scales(found)
    uses = seed_use.seed_uses(join_folds(found, study), study.objective)
    metric = next((one.metric for one in partings if one.metric == "val_loss"), study.objective.metric)
    made = Diagnosis(
        study=study,
        trial=trial,
        replicates=replicates,
        partings=partings,
        scales=scales,
        code=describe_difference({f"seed {one.job.seed_text} ({one.job.stage})": one.code for one in found}),
        advice=tuple(_advice(replicates, scales)),
        warnings=tuple(seed_use.seed_warnings(list(uses.values()), candidates=0)),
        metric=metric,
        curves=tuple(curve for one in found if one.reports for curve in curve_of(one, metric)),
    )
    return _written(made, config.outputs / name)


def divergence_of(found: Sequence[Evaluation], metric: str) -> Divergence | None:
    """Returns where the replicates' curves of a metric diverge; None if fewer than two have four epochs of it.

    The noise of a curve is estimated from its second differences, which a slow trend does not affect: for independent
    errors their variance is six times that of one. Source: Gasser, Sroka and Jennen-Steinmetz, Residual variance and
    residual pattern in nonlinear regression, Biometrika 1986; with the median, because early epochs curve strongly.

    Args:
        found: evaluations of one trial; those that did not complete are left out.
        metric: name of the metric.
    """
    curves = []
    for one in found:
        values = [value for report in one.reports if (value := report.metrics.get(metric)) is not None]
        if one.status is Status.COMPLETE and len(values) >= 4:
            curves.append(values)
    if len(curves) < 2:
        return None
    length = min(map(len, curves))
    bends = [
        (before - 2 * middle + after) ** 2 / 6
        for curve in curves
        for before, middle, after in zip(curve, curve[1:], curve[2:], strict=False)
    ]
    noise = math.sqrt(statistics.median(bends) / MEDIAN_OF_SQUARES)
    spreads = [statistics.stdev(curve[epoch] for curve in curves) for epoch in range(length)]
    parted = length
    while parted and spreads[parted - 1] > BEYOND * noise:
        parted -= 1
    return Divergence(metric=metric, epoch=parted + 1 if parted < length else None, noise=noise, spread=spreads[-1])


def _scales(found: Sequence[Evaluation]) -> dict[str, tuple[float, float]] | None:
    """Returns the weights whose initial sd is far from He's and Xavier's, from the first replicate that kept them."""
    for one in found:
        file = artifacts_folder(Path(one.files or "")) / INITIAL_WEIGHTS
        if not one.files or not file.is_file():
            continue
        first = json.loads(file.read_text(encoding="utf-8"))
        ratios = {name: (layer["sd"] / layer["he"], layer["sd"] / layer["xavier"]) for name, layer in first.items()}
        return {
            name: both
            for name, both in ratios.items()
            if all(not 1 / FAR_SCALE <= ratio <= FAR_SCALE for ratio in both)
        }
    return None


def _advice(replicates: Sequence[ReplicateFinding], scales: Mapping[str, tuple[float, float]] | None) -> list[str]:
    advice = []
    kinds = dict.fromkeys(alert.kind for one in replicates for alert in one.alerts)
    for kind in kinds:
        hit = [(one.seed, alert) for one in replicates for alert in one.alerts if alert.kind == kind]
        by_text: dict[str, list[str]] = {}
        for seed, alert in hit:
            by_text.setdefault(f"epoch {alert.epoch}: {alert.message}", []).append(seed)
        all_seeds = ", ".join(seed for seed, _ in hit)
        evidence = "; ".join(f"seed {', '.join(seeds)}, {text}" for text, seeds in by_text.items())
        evidence = evidence if len(by_text) > 1 else next(iter(by_text))
        advice.append(f"{kind} under seed {all_seeds} ({evidence}): {ADVICE[kind]}.")
    for name, (he, xavier) in list((scales or {}).items())[:3]:
        scale = f"{he:.2g} times He's sd and {xavier:.2g} times Xavier's"
        advice.append(f"{name} starts at {scale}: use another initialization.")
    return advice


def _written(made: Diagnosis, folder: Path) -> Diagnosis:
    files = tuple(folder / f"diagnosis-trial-{made.trial}.{kind}" for kind in ("html", "json"))
    with explain_write_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        write_page(files[0], made.figure(), "diagnosis")
        write_text(files[1], json_text(made.plain()))
    return replace(made, files=files)
