"""A cross-validated replicate as a directory: one subdirectory per fold, and the files over all folds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hpo.core.records import Evaluation, Report
from hpo.results.history import history_csv, history_json, history_lines
from hpo.results.metrics import predictions_csv, selected_metrics
from hpo.results.plain import json_text
from hpo.results.quiet import quiet
from hpo.results.replicate import LOG, Replicate, draw_panels
from hpo.results.summary import optuna_trial, summary
from hpo.results.winner import Winner
from hpo.stats.statistics import sigma
from hpo.training.panels import Panels
from hpo.training.predictions import Predictions
from hpo.training.units import by_unit

SUMMARY = "cv_summary.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldedReplicate:
    """One of the winner's evaluations, and its folds.

    Attributes:
        winner: winner of the promotion.
        member: index among the winner's evaluations.
        folds: folds in the order of their numbers.
    """

    winner: Winner
    member: int
    folds: tuple[Replicate, ...]

    @classmethod
    def load(cls, winner: Winner, member: int) -> FoldedReplicate:
        """Reads the files of all folds' trainings and compares them with the records.

        Raises:
            HpoError: if something is missing, damaged, or from another training.
        """
        trainings = winner.evaluations[member].folds
        whole = replace(winner, evaluations=trainings)
        folds = tuple(Replicate.load(whole, index) for index in range(len(trainings)))
        return cls(winner=winner, member=member, folds=folds)

    @property
    def evaluation(self) -> Evaluation:
        """The mean over the folds."""
        return self.winner.evaluations[self.member]

    @property
    def predictions(self) -> Predictions | None:
        """The predictions of each fold's model for its validation cases; with repeats, cases occur several times."""
        found = [fold.predictions for fold in self.folds if fold.predictions is not None]
        if len(found) < len(self.folds):
            return None
        numbers = [
            [str(fold.evaluation.job.fold)] * len(one.truth) for fold, one in zip(self.folds, found, strict=True)
        ]
        units = [
            f"{unit} (fold {fold.evaluation.job.fold})"  # the models of other folds are other models
            for fold, one in zip(self.folds, found, strict=True)
            for unit in one.units or ()
        ]
        made = Predictions.of(
            truth=np.concatenate([one.truth for one in found]),
            probabilities=np.concatenate([one.probabilities for one in found]),
            labels=found[0].labels,
            names=found[0].names,
            cases={
                "fold": [number for of_fold in numbers for number in of_fold],
                **{name: [text for one in found for text in one.cases[name]] for name in found[0].cases},
            },
        )
        return replace(made, units=tuple(units), unit=found[0].unit) if len(units) == len(made.truth) else made

    @property
    def panels(self) -> Panels | None:
        """Heat maps of all folds' models: the first case of the first fold, the second of the second, and so on.

        Every fold has a case of each class in the same order, so the classes follow one another here too.
        """
        found = [one for fold in self.folds if (one := Panels.load(fold.files)) is not None]
        if len(found) < len(self.folds) or len({one.image.shape[1:] for one in found}) > 1:
            return None
        count = min(len(one.names) for one in found)
        places = [(found[place % len(found)], place) for place in range(count)]
        numbers = [self.folds[place % len(found)].evaluation.job.fold for place in range(count)]
        captions = [one.captions[place].split("\n", 1) for one, place in places]
        return Panels(
            image=np.array([one.image[place] for one, place in places]),
            heat=np.array([one.heat[place] for one, place in places]),
            names=tuple(one.names[place] for one, place in places),
            captions=tuple(
                "\n".join([f"{first}, fold {number}", *rest])
                for (first, *rest), number in zip(captions, numbers, strict=True)
            ),
            method=found[0].method,
        )

    def write(self, folder: Path, name: str) -> None:
        """Writes `fold_1`, ... as `Replicate` does, and above them the files that the report step reads.

        There is no single model, so no `best_model.pt`; and no selected epoch: histories are means over the folds.
        Metrics, like the confusion matrix, are of the pooled predictions; means over the folds, by which the promotion
        ranks, are in `cv_summary.json`.

        Args:
            folder: an empty folder to write to.
            name: final name of the directory.
        """
        for fold in self.folds:
            below = f"fold_{fold.evaluation.job.fold}"
            (folder / below).mkdir()
            fold.write(folder / below, f"{name}/{below}")
        predictions, history = self.predictions, mean_history(self.evaluation)
        metrics = selected_metrics(self.evaluation, predictions)
        texts = {
            SUMMARY: json_text(cv_summary(self.winner, self.evaluation)),
            "summary.json": json_text(summary(self.winner, self.member, name)),
            "optuna_trial.json": json_text(optuna_trial(self.winner, self.evaluation)),
            f"ray_hpo_{self.winner.number}.jsonl": history_lines(history),
            "train_history.csv": history_csv(history),
            "train_history.json": history_json(history),
            "metrics/val_metrics.json": json_text(metrics),
            "metrics/best_metrics.json": json_text(metrics),
            LOG: "".join(_log(folder, fold) for fold in self.folds),
        }
        if predictions is not None:
            texts["val_predictions.csv"] = predictions_csv(predictions)
            if (units := by_unit(predictions)) is not None:
                texts["unit_predictions.csv"] = predictions_csv(units.predictions)
        (folder / "metrics").mkdir()
        for path, text in texts.items():
            (folder / path).write_text(text, encoding="utf-8", newline="\n")
        self._draw_pooled(folder)

    def draw(self, folder: Path) -> None:
        """Draws the figures of the directory and of its folds in all formats.

        Args:
            folder: the folder to write to, without figures.
        """
        for fold in self.folds:
            below = folder / f"fold_{fold.evaluation.job.fold}"
            below.mkdir(exist_ok=True)
            fold.draw(below)
        self._draw_pooled(folder)

    def _draw_pooled(self, folder: Path) -> None:
        """Draws the figures over all folds."""
        predictions, history = self.predictions, mean_history(self.evaluation)
        metrics = selected_metrics(self.evaluation, predictions)
        (folder / "metrics").mkdir(exist_ok=True)
        with quiet():
            # Imported here because only a promotion needs matplotlib.
            from hpo.results.curves import roc_png
            from hpo.results.pictures import history_png, metrics_png, title, unit_metrics_png

            history_png(folder / "train_history.png", self.winner, history)
            if predictions is not None:
                head = title(self.winner, self.evaluation, 48)
                where = f"{head}\nvalidation, pooled over {len(self.folds)} folds"
                roc_png(folder / "metrics" / "roc.png", predictions, where, self.winner.formats)
                if (units := by_unit(predictions)) is not None and len(units.predictions.truth):
                    unit_metrics_png(folder / "metrics" / "unit_metrics.png", self.winner, history, units)
            if (panels := self.panels) is not None:
                head = title(self.winner, self.evaluation, 48)
                draw_panels(folder, panels, f"{head}, one fold's model each", self.winner.formats)
            for file in ("val_metrics.png", "best_metrics.png"):
                metrics_png(folder / "metrics" / file, self.winner, history, metrics, predictions)


def cv_summary(winner: Winner, evaluation: Evaluation) -> dict[str, object]:
    """Returns the content of `cv_summary.json`: mean and sigma over the folds of every metric that all of them have.

    Each fold's metrics are of its own selected epoch. Sigma has the winner's ddof; it measures how much folds differ,
    not the error of their mean, because they share most of their training data.
    """
    names = dict.fromkeys(name for one in evaluation.folds for name in one.metrics)
    values = {name: [one.metrics.get(name) for one in evaluation.folds] for name in names}
    whole = {name: [one for one in found if one is not None] for name, found in values.items()}
    return {
        "study": winner.study,
        "trial": winner.number,
        "seed": evaluation.job.seed,
        "objective": winner.objective.metric,
        "value": evaluation.value,
        "ddof": winner.ddof,
        "trainings": len(evaluation.folds),
        "metrics": {
            name: {"mean": float(np.mean(found)), "sigma": sigma(found, winner.ddof), "values": found}
            for name, found in whole.items()
            if len(found) == len(evaluation.folds)
        },
        "undefined": [name for name, found in whole.items() if len(found) < len(evaluation.folds)],
        "folds": [
            {
                "fold": one.job.fold,
                "best_epoch": one.step,
                "value": one.value,
                "metrics": dict(one.metrics),
                "streams": dict(one.job.stream_seeds),
                "seconds": one.seconds,
                "digests": dict(one.digests),
            }
            for one in evaluation.folds
        ],
    }


def mean_history(evaluation: Evaluation) -> Evaluation:
    """Returns the evaluation with reports averaged over the folds, in each epoch over those that reached it."""
    steps = max(len(one.reports) for one in evaluation.folds)
    reports = []
    for place in range(steps):
        here = [one.reports[place] for one in evaluation.folds if place < len(one.reports)]
        metrics: dict[str, float | None] = {}
        for name in dict.fromkeys(name for report in here for name in report.metrics):
            known = [value for report in here if (value := report.metrics.get(name)) is not None]
            metrics[name] = float(np.mean(known)) if len(known) == len(here) else None
        reports.append(Report(step=here[0].step, metrics=metrics, at=max(report.at for report in here)))
    return replace(evaluation, step=None, reports=tuple(reports))


def _log(folder: Path, fold: Replicate) -> str:
    return (folder / f"fold_{fold.evaluation.job.fold}" / LOG).read_text(encoding="utf-8")
