"""One replicate as a directory with its files."""

from __future__ import annotations

import os
import re
import shutil
import zipfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from hpo.core.errors import HpoError
from hpo.core.records import Evaluation
from hpo.results.history import history_csv, history_json, history_lines, log_text
from hpo.results.metrics import predictions_csv, selected_metrics
from hpo.results.plain import json_text
from hpo.results.quiet import quiet
from hpo.results.summary import optuna_trial, summary
from hpo.results.winner import TrialInfo, Winner
from hpo.training.outputs.artifacts import artifacts_folder, unusable_artifacts
from hpo.training.panels import Panels
from hpo.training.predictions import FILE, Predictions
from hpo.training.units import by_unit
from hpo.training.weights import MODEL_FILE

LOG = "run.log"


@dataclass(frozen=True, slots=True, kw_only=True)
class Replicate:
    """One of the winner's evaluations with the files of its training.

    Attributes:
        winner: winner of the promotion.
        member: index among the winner's evaluations.
        files: the training's folder.
        predictions: predictions of the selected epoch, if the trainable saved any.
    """

    winner: Winner
    member: int
    files: Path
    predictions: Predictions | None

    @classmethod
    def load(cls, winner: Winner, member: int) -> Replicate:
        """Reads the training's files and compares them with the record.

        Raises:
            HpoError: if something is missing, damaged, or from another training.
        """
        evaluation = winner.evaluations[member]
        who = f"trial {winner.number} seed {evaluation.job.seed}"
        if evaluation.files is None or not Path(evaluation.files).is_dir():
            where = evaluation.files or "a folder, but none was recorded"
            raise HpoError(f"the files of {who} are missing: expected them in {where}; restore them or train it again")
        files = Path(evaluation.files)
        for name, digest in ((MODEL_FILE, "weights"), (FILE, "predictions")):
            if digest in evaluation.digests and not (files / name).is_file():
                raise HpoError(f"{who} produced {digest}, but {files / name} is missing; restore it or train it again")
        return cls(winner=winner, member=member, files=files, predictions=saved_predictions(evaluation, files, who))

    @property
    def evaluation(self) -> Evaluation:
        """The record of this replicate."""
        return self.winner.evaluations[self.member]

    def write(self, folder: Path, name: str) -> None:
        """Writes every file of the directory, but no checkpoint: the user's next training would resume from it.

        Args:
            folder: an empty folder to write to.
            name: final name of the directory.
        """
        evaluation = self.evaluation
        metrics = selected_metrics(evaluation, self.predictions)
        content = summary(self.winner, self.member, name)
        write_training(folder, self.winner, evaluation, self.files, content, metrics, self.predictions)
        self.draw(folder)
        copy_artifacts(artifacts_folder(self.files), folder)

    def draw(self, folder: Path) -> None:
        """Draws the figures of the directory in all formats.

        Args:
            folder: the folder to write to, without figures.
        """
        evaluation, formats = self.evaluation, self.winner.formats
        metrics = selected_metrics(evaluation, self.predictions)
        (folder / "metrics").mkdir(exist_ok=True)
        with quiet():
            # Imported here because only a promotion needs matplotlib.
            from hpo.results.curves import roc_png
            from hpo.results.pictures import history_png, metrics_png, title, unit_metrics_png

            history_png(folder / "train_history.png", self.winner, evaluation)
            metrics_png(folder / "metrics" / "val_metrics.png", self.winner, evaluation, metrics, self.predictions)
            head = title(self.winner, evaluation, 48)
            if self.predictions is not None:
                if (units := by_unit(self.predictions)) is not None and len(units.predictions.truth):
                    unit_metrics_png(folder / "metrics" / "unit_metrics.png", self.winner, evaluation, units)
                where = f"{head}\nvalidation at the selected epoch"
                roc_png(folder / "metrics" / "roc.png", self.predictions, where, formats)
            if (panels := Panels.load(self.files)) is not None:
                draw_panels(folder, panels, head, formats)
        for path in (folder / "metrics").glob("val_metrics.*"):
            if path.suffix != ".json":
                shutil.copyfile(path, path.with_stem("best_metrics"))


def write_training(
    folder: Path,
    info: TrialInfo,
    evaluation: Evaluation,
    files: Path,
    content: Mapping[str, object],
    metrics: Mapping[str, object],
    predictions: Predictions | None,
) -> None:
    """Writes the files of one training, but not its pictures and artifacts; what the training did not give is left out.

    Args:
        folder: an empty folder to write to.
        info: the trial of the training.
        evaluation: record of the training.
        files: the training's folder, which may not exist.
        content: content of `summary.json`.
        metrics: metrics of the selected epoch; empty if there are none.
        predictions: predictions of the selected epoch; None if there are none.
    """
    texts = {
        "summary.json": json_text(content),
        "optuna_trial.json": json_text(optuna_trial(info, evaluation)),
        f"ray_hpo_{evaluation.job.trial}.jsonl": history_lines(evaluation),
    }
    if evaluation.reports:
        texts["train_history.csv"] = history_csv(evaluation)
        texts["train_history.json"] = history_json(evaluation)
    if metrics:  # Both files are of the selected epoch: the report reads one, the model belongs to the other.
        texts["metrics/val_metrics.json"] = texts["metrics/best_metrics.json"] = json_text(metrics)
    if predictions is not None:
        texts["val_predictions.csv"] = predictions_csv(predictions)
        if (units := by_unit(predictions)) is not None:
            texts["unit_predictions.csv"] = predictions_csv(units.predictions)
    if not _is_own_file(files / LOG):
        texts[LOG] = log_text(evaluation)
    for path, text in texts.items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8", newline="\n")
    for path in (MODEL_FILE, LOG):
        if _is_own_file(files / path):
            shutil.copyfile(files / path, folder / path)


def draw_panels(folder: Path, panels: Panels, head: str, formats: Sequence[str]) -> None:
    """Draws heat maps, all in one figure and each in its own; nothing if there are none.

    Args:
        folder: folder of the results.
        panels: the heat maps.
        head: title of the figure, above the method of the heat maps.
        formats: formats beside PNG.
    """
    from hpo.results.curves import panel_png, panels_png  # only a promotion needs matplotlib

    if not panels.names:
        return
    (folder / "gradcam").mkdir()
    panels_png(folder / "gradcam" / "gradcam.png", panels, f"{head}\n{panels.method}", formats)
    digits = len(str(len(panels.names) - 1))  # so that names are in order for those who sort them
    for place, name in enumerate(panels.names):
        panel_png(folder / "gradcam" / f"gradcam_{place:0{digits}}_{_plain(name)}.png", panels, place, formats)


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]", "-", name)[:64]


def _is_own_file(path: Path) -> bool:
    """Whether `path` is a regular file, and not a link or a pipe."""
    return path.is_file() and not path.is_symlink()


def copy_artifacts(files: Path, folder: Path) -> None:
    """Copies the trainable's own artifacts: readable files that do not exist here yet.

    The training's remarks name the omitted files.
    """
    left_out = {path for path, _ in unusable_artifacts(files)}
    if files.is_symlink():
        return
    for path in sorted(files.rglob("*")):
        place = folder / path.relative_to(files)
        if path in left_out or not path.is_file() or os.path.lexists(place):
            continue
        with suppress(FileExistsError, NotADirectoryError):  # an artifact folder with the name of one of our files
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, place)


def saved_predictions(evaluation: Evaluation, files: Path, who: str) -> Predictions | None:
    """Returns the predictions that a training saved, None if there are none.

    Args:
        evaluation: record of the training.
        files: the training's folder, which may not exist.
        who: name of the training, for messages.

    Raises:
        HpoError: if they cannot be read, or are not those of the record.
    """
    try:
        found = Predictions.load(files)
    except (HpoError, OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise HpoError(f"the predictions of {who} cannot be read: {files / FILE}: {error}") from error
    recorded = evaluation.digests.get("predictions")
    if found is not None and recorded is not None and found.digest != recorded:
        raise HpoError(
            f"{files / FILE} is not what {who} produced: expected sha256 {recorded[:12]}, found {found.digest[:12]}; "
            "train it again"
        )
    return found
