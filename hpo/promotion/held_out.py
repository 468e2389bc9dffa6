"""Evaluates a winner's replicates on the test part of the study's data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from hpo.core.errors import HpoError
from hpo.core.formatting import counted
from hpo.core.records import TEST_PART, Evaluation, Objective, Stage, Status
from hpo.driver.session import Folds, Session
from hpo.promotion.grid import PromotionSource
from hpo.promotion.restore import restore_files
from hpo.training.weights import MODEL_FILE
from hpo.training.workdir import work_dir

OBJECTIVE = Objective(metric="acc")
"""What an evaluation on the test part records as its value."""


def evaluate_on_test(session: Session, replicates: Sequence[Evaluation]) -> tuple[Evaluation, ...] | None:
    """Evaluates the kept models of replicates on the test part; recorded evaluations are not repeated.

    Returns:
        One evaluation for each training of the replicates, in their order; None if the work was stopped.

    Args:
        session: session that drives the study.
        replicates: complete replicates of the winner.

    Raises:
        HpoError: if the trainings did not hold out the same test part, or a model cannot be evaluated.
    """
    _check_same_part(session)
    trainings = [training for one in replicates for training in one.trainings]
    jobs = {one.job.key: replace(one.job, stage=Stage.TEST) for one in trainings}
    source = PromotionSource(list(jobs.values()))
    recorded = session.compose(source, folds=Folds.CHOSEN)
    folder = work_dir(session.work_folder)
    left = [one for one in trainings if not recorded.known([jobs[one.job.key]])]
    gone = [replace(one, files=None) for one in left if not (folder.open(one.job.folder) / MODEL_FILE).is_file()]
    restore_files(gone, session)
    if session.stop.is_set():
        return None
    if left:
        session.tell(f"evaluating {counted(len(left), 'model')} on the test part")
    session.train(recorded, objective=OBJECTIVE)
    if session.stop.is_set():
        return None
    return tuple(_checked(source.by_key.get(jobs[one.job.key].key), one) for one in trainings)


def recorded_on_test(session: Session, replicates: Sequence[Evaluation]) -> tuple[Evaluation, ...]:
    """Returns the recorded evaluations of replicates on the test part; empty if not all models were evaluated.

    Args:
        session: session that drives the study.
        replicates: complete replicates of the winner.
    """
    trainings = [training for one in replicates for training in one.trainings]
    found = [session.store.get(session.stored, replace(one.job, stage=Stage.TEST)) for one in trainings]
    known = [one for one in found if one is not None and one.status is Status.COMPLETE]
    is_same = [one.digests.get("weights") for one in known] == [one.digests.get("weights") for one in trainings]
    return tuple(known) if is_same else ()


def _check_same_part(session: Session) -> None:
    evaluations = session.store.evaluations(session.stored)
    parts: dict[object, Evaluation] = {}
    for one in evaluations:
        if isinstance(part := one.fingerprint.get(TEST_PART), Mapping):
            parts.setdefault(part.get("digest"), one)
    if len(parts) > 1:
        first, other, *_ = parts.values()
        raise HpoError(
            f"the trainings did not hold out the same test part: that of trial {first.job.trial} differs from that of "
            f"trial {other.job.trial}, because their data differ. A case of one test part may have been used to choose "
            "the winner, so it was not evaluated; let no param change which cases there are, and search again under "
            "another name"
        )


def _checked(tested: Evaluation | None, training: Evaluation) -> Evaluation:
    """Returns an evaluation on the test part, if it is of the same model and the part that its training held out."""
    who = f"trial {training.job.trial} seed {training.job.seed_text}"
    if tested is None or tested.status is not Status.COMPLETE:
        reason = "nothing was recorded" if tested is None else tested.error
        raise HpoError(f"{who} could not be evaluated on the test part: {reason}")
    if tested.digests.get("weights") != training.digests.get("weights"):
        raise HpoError(f"{who}: the weights that were evaluated on the test part are not those of the replicate")
    if tested.fingerprint.get(TEST_PART) != training.fingerprint.get(TEST_PART) or _data(tested) != _data(training):
        raise HpoError(f"{who}: the data has changed since the training, so the test part is another one now")
    return tested


def _data(evaluation: Evaluation) -> object:
    facts = evaluation.fingerprint.get("facts")
    return facts.get("data") if isinstance(facts, Mapping) else None
