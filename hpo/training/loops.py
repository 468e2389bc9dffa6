"""What a trainable may not do with the loop over its epochs, and with its fold: each is refused in a sentence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from hpo.core.errors import TrainableError
from hpo.core.texts import type_name

UNTRAINED = (
    "its weights are those that it began with, to the last bit: no epoch changed the model that ctx.epochs() was given "
    "(was it replaced by another object, or does the optimizer have other parameters?)"
)
"""Said of a training whose values belong to another model than the one that is kept, or to none that learns."""


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
            f"after epoch {epoch} of ctx.epochs() {reports} metrics had been reported; "
            "yield or report them exactly once in each epoch"
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
    if in_loop and reports >= budget:
        raise TrainableError(
            f"ctx.epochs() was called and not looped over to its end, though metrics were reported {reports} times: "
            "what it was given has neither a checkpoint nor the weights of the selected epoch. Report in a loop "
            "`for epoch in ctx.epochs(model=model):` that is not left"
        )
    if in_loop:
        raise TrainableError(
            f"the loop over ctx.epochs() was left after {reports} of {budget} epochs; finish it, "
            "end it by ctx.stop(reason), or let the study's budget be smaller"
        )


def refuse_unknown_names(step: int, budget: int, *, loop_is_over: bool) -> None:
    """Raises where metrics are reported that no epoch belongs to.

    Args:
        step: which report it is, from 1.
        budget: how many epochs there may be.
        loop_is_over: whether the loop over the epochs has ended: the model has the selected epoch's weights by then,
            and a later value could be taken for theirs.

    Raises:
        TrainableError: if it is so.
    """
    if step > budget:
        raise TrainableError(f"metrics were reported {step} times, but the budget is {budget}")
    if loop_is_over:
        raise TrainableError(
            "metrics were reported after the loop over ctx.epochs(), and belong to no epoch; report them once in each "
            "epoch, and note what is measured afterwards by ctx.note(test_accuracy=...)"
        )


def refuse_other_states(saved: Iterable[str], given: Iterable[str], folder: Path) -> None:
    """Raises where a checkpoint holds other things than the trainable wants restored.

    Args:
        saved: names of what it holds.
        given: names of what `ctx.epochs` was given.
        folder: of the training.

    Raises:
        TrainableError: if it does.
    """
    if set(saved) != set(given):
        raise TrainableError(
            f"the checkpoint holds {', '.join(sorted(saved))}, ctx.epochs() was given {', '.join(sorted(given))}; "
            f"delete {folder} to train anew"
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


def refuse_checkpoint(checkpoint: object, *, looped: bool, loaded: bool) -> None:
    """Raises where a function reports with a checkpoint that would be of no use.

    Args:
        checkpoint: what it would save.
        looped: whether it loops over `ctx.epochs`.
        loaded: whether it has asked for the last checkpoint.

    Raises:
        TrainableError: if it is so.
    """
    if looped:
        raise TrainableError("ctx.epochs() writes the checkpoints; leave out `checkpoint=` of ctx.report()")
    if not loaded:
        raise TrainableError(
            "a checkpoint was reported, but ctx.load() was not called: nobody would go on from it. Call it before the "
            "first report; it returns what was given as `checkpoint=` last, or None"
        )
    if not isinstance(checkpoint, Mapping) or not all(isinstance(name, str) for name in checkpoint):
        came = "one with other keys than texts" if isinstance(checkpoint, Mapping) else type_name(checkpoint)
        raise TrainableError(f"checkpoint must be a mapping of names to states, not {came}")
