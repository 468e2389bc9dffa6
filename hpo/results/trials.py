"""Writes trials of a search as directories `trials/<number>`, each complete or absent, in the format of results."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from hpo.core.errors import HpoError
from hpo.core.files import Guard, no_guard, tree_size
from hpo.core.records import Evaluation, digest
from hpo.results.block import alone, publish, refused
from hpo.results.history import known_metrics
from hpo.results.metrics import selected_metrics
from hpo.results.plain import json_text
from hpo.results.replicate import copy_artifacts, saved_predictions, write_training
from hpo.results.summary import SECTION, optuna_trial, training_facts, training_summary
from hpo.results.winner import TrialInfo
from hpo.training.outputs.artifacts import artifacts_folder
from hpo.training.weights import MODEL_FILE

FOLDER = "trials"
"""Name of the folder of kept trials in the study's folder of results."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptTrial:
    """A finished trial whose files are to be written.

    Attributes:
        info: what the files say about the trial.
        number: number of the trial.
        evaluations: records of its trainings, one per seed and fold.
        rule: which trials of the study are kept, e.g. `best:5`.
        folders: folders of the trainings by the digests of their jobs; those that left no files are missing.
        left_out: what is missing, and why; writing adds to it.
    """

    info: TrialInfo
    number: int
    evaluations: tuple[Evaluation, ...]
    rule: str
    folders: dict[str, Path]
    left_out: list[str] = field(default_factory=list)

    @property
    def digest(self) -> str:
        """sha256 of the trainings and their results: a trial that was trained again has another one."""
        outcomes = [[one.job.digest, one.status, one.value, one.step, one.error] for one in self.evaluations]
        return digest([self.info.uid, *outcomes, *[dict(one.digests) for one in self.evaluations]])

    def write(self, folder: Path) -> None:
        """Writes the files of the trial's training; of several trainings, each in its own directory.

        Args:
            folder: an empty folder to write to.
        """
        name = f"{FOLDER}/{self.number}"
        if len(self.evaluations) == 1:
            self._write_training(folder, self.evaluations[0], name)
            return
        names = [f"seed_{one.job.seed}" + (f"_fold_{one.job.fold}" if one.job.fold else "") for one in self.evaluations]
        for below, one in zip(names, self.evaluations, strict=True):
            (folder / below).mkdir()
            self._write_training(folder / below, one, f"{name}/{below}")
        # The value of such a trial combines several trainings, so no file of a single one has it.
        last = self.evaluations[-1]
        combined = {"objective": self.info.search_value, "metrics": {"epoch": None, **known_metrics({})}}
        whole = {**optuna_trial(self.info, last), **combined, "seed": self.info.search_seed, "trainings": names}
        content = {"run_id": name, "seed": self.info.search_seed, SECTION: {**self._section, "trainings": names}}
        for file, text in (("optuna_trial.json", json_text(whole)), ("summary.json", json_text(content))):
            (folder / file).write_text(text, encoding="utf-8", newline="\n")

    def _write_training(self, folder: Path, evaluation: Evaluation, name: str) -> None:
        files, predictions = self.folders.get(evaluation.job.digest, folder / "nothing"), None
        try:
            predictions = saved_predictions(evaluation, files, f"trial {self.number} seed {evaluation.job.seed_text}")
        except HpoError:
            self.left_out.append("predictions, because the file is damaged or of another training")
        if "weights" in evaluation.digests and not (files / MODEL_FILE).is_file():
            self.left_out.append("weights, because the training did not save them or they were removed")
        section = {**self._section, **training_facts(self.info, evaluation)}
        section |= {"status": str(evaluation.status), "error": evaluation.error, "remarks": list(evaluation.remarks)}
        content = training_summary(self.info, evaluation, name, section)
        metrics = selected_metrics(evaluation, predictions) if evaluation.metrics else {}
        write_training(folder, self.info, evaluation, files, content, metrics, predictions)
        copy_artifacts(artifacts_folder(files), folder)

    @property
    def _section(self) -> dict[str, object]:
        return {
            "study": self.info.study,
            "uid": self.info.uid,
            "trial": self.number,
            "kept": self.digest,
            "rule": self.rule,
            "metric": self.info.objective.metric,
            "direction": self.info.objective.direction,
            "epoch": self.info.objective.epoch,
            "search_value": self.info.search_value,
            "search_seed": self.info.search_seed,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptFolder:
    """The directory of a kept trial.

    Attributes:
        path: path of the directory.
        digest: digest of the trainings that it was written from; see `KeptTrial`.
        rule: which trials were kept when it was written.
        size: bytes of all its files.
    """

    path: Path
    digest: str
    rule: str
    size: int


def kept_folders(folder: Path, uid: str) -> dict[int, KeptFolder]:
    """Returns the directories of a study's kept trials by their numbers; others in the folder are ignored.

    Args:
        folder: the folder `trials` of the study, which may not exist.
        uid: the study's uid.
    """
    found = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        section = _section_of(path)
        if section.get("uid") == uid and isinstance(section.get("kept"), str) and path.name == str(section["trial"]):
            found[int(path.name)] = KeptFolder(
                path=path, digest=str(section["kept"]), rule=str(section.get("rule")), size=tree_size(path)
            )
    return found


def _section_of(path: Path) -> dict[str, object]:
    """Returns our section of a directory's summary; empty if the directory is not ours."""
    file = path / "summary.json"
    try:
        if path.is_symlink() or not path.name.isdecimal() or not file.is_file():
            return {}
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    section = content.get(SECTION) if isinstance(content, dict) else None
    return section if isinstance(section, dict) and content.get("run_id") == f"{FOLDER}/{path.name}" else {}


def write_trial(
    folder: Path, trial: KeptTrial, most_bytes: float, old: KeptFolder | None, guard: Guard = no_guard
) -> KeptFolder | None:
    """Writes the directory of a trial; None, with nothing written, if it would be too large.

    Args:
        folder: the folder `trials` of the study, created if missing.
        trial: the trial to be written.
        most_bytes: largest size in bytes.
        old: directory of an earlier attempt of the trial, which is replaced; None: there is none.
        guard: called right before the directory is renamed into place; see `hpo.core.files.atomic_write`.

    Raises:
        OutputRefused: if the folder cannot be written.
        FileExistsError: if something else has the directory's name.
    """
    place, spare = folder / str(trial.number), folder / f".trial_{trial.number}.{os.getpid()}"
    if old is None and os.path.lexists(place):
        raise FileExistsError(place)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with alone(folder):
            try:
                spare.mkdir()
                trial.write(spare)
                if (size := tree_size(spare)) > most_bytes:
                    return None
                if old is not None:
                    guard()
                    shutil.rmtree(old.path)
                if not publish({place: spare}, guard):
                    raise FileExistsError(place)
            finally:
                shutil.rmtree(spare, ignore_errors=True)
    except FileExistsError:
        raise
    except OSError as error:
        raise refused(folder, error) from error
    return KeptFolder(path=place, digest=trial.digest, rule=trial.rule, size=size)


def remove_trials(folder: Path, found: Iterable[KeptFolder]) -> None:
    """Removes directories of kept trials, and the folder if nothing else is in it.

    Args:
        folder: the folder `trials` of the study.
        found: the directories, as `kept_folders` returned them.

    Raises:
        OutputRefused: if one cannot be removed.
    """
    try:
        for one in found:
            shutil.rmtree(one.path)
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
    except OSError as error:
        raise refused(folder, error) from error
