"""Makes sure that the files of replicates are on this machine: fetched, or trained again with the same bits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from hpo.core.errors import HpoError
from hpo.core.records import Evaluation
from hpo.core.wrappers import ObservedSource
from hpo.driver.session import Session
from hpo.promotion.grid import PromotionSource
from hpo.training import local_copy
from hpo.training.predictions import FILE
from hpo.training.weights import MODEL_FILE


def restore_files(evaluations: Sequence[Evaluation], session: Session) -> dict[tuple[object, ...], Evaluation]:
    """Trains replicates again whose files are missing; the result must be bit-identical to the record.

    Raises:
        HpoError: if a replicate now gives other weights or predictions than recorded.
    """
    gone = [evaluation for evaluation in evaluations if not _is_whole(evaluation)]
    if not gone:
        return {}
    source = PromotionSource([evaluation.job for evaluation in gone])
    session.train(ObservedSource(source, session.observers))
    if session.costs.is_set():
        return {}
    for recorded in gone:
        again = source.by_key.get(recorded.job.key)
        if again is None or any(again.digests.get(name) != one for name, one in recorded.digests.items()):
            raise HpoError(
                f"the files of trial {recorded.job.trial} seed {recorded.job.seed_text} are gone, and training again "
                f"gave {_restore_result(again)}; recorded with {recorded.fingerprint.get('threads')} thread(s) and "
                f"{recorded.fingerprint.get('packages')}"
            )
    # Only the path in the record changes: --workdir may be another one now.
    fresh = {one.job.key: source.by_key[one.job.key].files for one in gone}
    return {one.job.key: fetched(replace(one, files=fresh[one.job.key])) for one in gone}


def with_files(trainings: Mapping[tuple[object, ...], Evaluation], one: Evaluation) -> Evaluation:
    """Returns an evaluation, with folds if it has any, with the current paths of its files.

    Args:
        trainings: evaluations with current paths, by job key.
        one: the evaluation, or one of several folds.
    """
    if one.folds:
        return replace(one, folds=tuple(trainings.get(fold.job.key, fold) for fold in one.folds))
    return trainings.get(one.job.key, one)


def fetched(evaluation: Evaluation) -> Evaluation:
    """Returns an evaluation with its files copied to this machine's disk if they exist."""
    return replace(evaluation, files=str(local_copy(evaluation.files))) if evaluation.files else evaluation


def _is_whole(evaluation: Evaluation) -> bool:
    """Whether all files of a replicate still exist; a restore that was stopped leaves only some."""
    named = {"weights": MODEL_FILE, "predictions": FILE}
    folder = Path(evaluation.files or "")
    files = [named[name] for name in evaluation.digests if name in named]
    return bool(evaluation.files) and folder.is_dir() and all((folder / file).is_file() for file in files)


def _restore_result(again: Evaluation | None) -> str:
    return "nothing" if again is None else again.error or "other weights or predictions"
