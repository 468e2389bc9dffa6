"""What a trainable may not do with the loop over its epochs, and with its fold: each is refused in a sentence."""

from __future__ import annotations

from hpo.errors import TrainableError


def refuse_second_loop(looped: bool) -> None:
    """Raises where the epochs were looped over before: the second loop's weights would go with the first one's value.

    Args:
        looped: whether a loop has begun already.

    Raises:
        TrainableError: if one has.
    """
    if looped:
        raise TrainableError(
            "ctx.epochs() was looped over a second time. It counts all epochs of a training, 1 to the study's budget, "
            "and its checkpoints and the choice of the best epoch belong to one loop. Write phases as one loop with an "
            "if in it, e.g. `for epoch in ctx.epochs(model=model, optimizer=optimizer):` and in it "
            "`model.backbone.requires_grad_(epoch > params.head_epochs)`, with one optimizer that has all parameters "
            "from the beginning (those without a gradient are left as they are)"
        )


def refuse_unreported(epoch: int, reports: int) -> None:
    """Raises where an epoch did not end with exactly one report.

    Args:
        epoch: the one that ended, from 1.
        reports: how many there are in all.

    Raises:
        TrainableError: if it did not.
    """
    if reports != epoch:
        raise TrainableError(
            f"after epoch {epoch} of ctx.epochs() {reports} metrics had been yielded; "
            "yield them exactly once in each epoch"
        )


def refuse_broken_loop(in_loop: bool, reports: int, budget: int) -> None:
    """Raises where the loop was left before its end: the model has the last epoch's weights, the value is the best's.

    Args:
        in_loop: whether the loop has not ended.
        reports: how many epochs have been reported.
        budget: how many epochs there were to be.

    Raises:
        TrainableError: if it was left.
    """
    if in_loop:
        raise TrainableError(
            f"the loop over ctx.epochs() was left after {reports} of {budget} epochs; finish it, "
            "end it by ctx.stop(reason), or let the study's budget be smaller"
        )


def refuse_unused_folds(folds: int, was_read: bool) -> None:
    """Raises where a trainable never asked which fold it is judged on: all folds would be the same.

    Args:
        folds: into how many the data is divided; 0: not at all.
        was_read: whether the trainable has read `ctx.fold`.

    Raises:
        TrainableError: if it has not.
    """
    if folds and not was_read:
        raise TrainableError(
            f"the study is validated over {folds} folds, but the trainable never read ctx.fold: train on all "
            "but that one of the ctx.folds that ctx.streams.split divides the data into, or take [validation] out"
        )
