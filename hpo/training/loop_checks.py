"""Checks of how a trainable uses the loop over its epochs and its fold; each raises an error that says what to do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from hpo.core.errors import TrainableError
from hpo.core.texts import type_name

if TYPE_CHECKING:
    from hpo.core.protocols import Units
    from hpo.training.predictions import Predictions
    from hpo.training.splits import Division

WEIGHTS_UNCHANGED = (
    "its weights are bit for bit the initial ones: no epoch changed the model that ctx.epochs() was given "
    "(was it replaced by another object, or does the optimizer have other parameters?)"
)
"""Remark on a training whose values belong to another model than the saved one, or to a model that does not learn."""


def check_first_loop(looped: bool) -> None:
    """Checks that this is the first loop: the weights of a second one would be saved with the first one's value.

    Args:
        looped: whether a loop has already begun.

    Raises:
        TrainableError: if a loop has already begun.
    """
    if looped:
        raise TrainableError(
            "ctx.epochs() was looped over a second time. It counts all epochs of a training, 1 to the study's budget, "
            "and its checkpoints and the choice of the best epoch belong to one loop. Write phases as one loop with a "
            "condition in it, e.g. `for epoch in ctx.epochs(model=model, optimizer=optimizer):` with "
            "`model.backbone.requires_grad_(epoch > params.head_epochs)` inside, and one optimizer that has all "
            "parameters from the start (it skips those without a gradient)"
        )


def check_one_report(epoch: int, reports: int) -> None:
    """Checks that an epoch ended with exactly one report.

    Args:
        epoch: number of the epoch that ended, from 1.
        reports: number of reports so far.

    Raises:
        TrainableError: if the two numbers differ.
    """
    if reports != epoch:
        raise TrainableError(
            f"after epoch {epoch} of ctx.epochs() {reports} metrics had been reported; "
            "yield or report them exactly once in each epoch"
        )


def check_loop_finished(in_loop: bool, reports: int, budget: int) -> None:
    """Checks that the loop ran to its end: before it, the model has the last epoch's weights and not the best ones.

    Args:
        in_loop: whether the loop has begun and not ended.
        reports: number of epochs reported so far.
        budget: number of epochs allowed.

    Raises:
        TrainableError: if the loop was left early.
    """
    if in_loop and reports >= budget:
        raise TrainableError(
            f"ctx.epochs() was called but not looped over to its end, although metrics were reported {reports} times: "
            "its arguments were not saved in a checkpoint and do not have the state of the selected epoch. Report in a "
            "loop `for epoch in ctx.epochs(model=model):` and let it finish"
        )
    if in_loop:
        raise TrainableError(
            f"the loop over ctx.epochs() was left after {reports} of {budget} epochs; finish it, "
            "end it with ctx.stop(reason), or lower the study's budget"
        )


def check_report_allowed(step: int, budget: int, *, loop_is_over: bool) -> None:
    """Checks that reported metrics belong to an epoch.

    Args:
        step: number of the report, from 1.
        budget: number of epochs allowed.
        loop_is_over: whether the loop over the epochs has ended: the model then has the selected epoch's weights, and
            a later value could be mistaken for theirs.

    Raises:
        TrainableError: if they belong to no epoch.
    """
    if step > budget:
        raise TrainableError(
            f"metrics were reported {step} times, but the budget is {budget}; report them once in each epoch, and set "
            "[search] budget to the number of reports (of an Optuna objective, one more: the value that it returns)"
        )
    if loop_is_over:
        raise TrainableError(
            "metrics were reported after the loop over ctx.epochs(), and belong to no epoch; report them once in each "
            "epoch, and record later measurements with ctx.note(test_accuracy=...)"
        )


def check_same_states(saved: Iterable[str], given: Iterable[str], folder: Path) -> None:
    """Checks that a checkpoint holds the states that the trainable wants restored.

    Args:
        saved: names of the states in the checkpoint.
        given: names of the arguments of `ctx.epochs`.
        folder: folder of the training.

    Raises:
        TrainableError: if the names differ.
    """
    if set(saved) != set(given):
        raise TrainableError(
            f"the checkpoint holds {', '.join(sorted(saved))}, ctx.epochs() was given {', '.join(sorted(given))}; "
            f"delete {folder} to start over"
        )


def check_fold_read(folds: int, was_read: bool) -> None:
    """Checks that a trainable of a cross-validation reads `ctx.fold`: otherwise all folds would be equal.

    Args:
        folds: number of folds that the data is divided into; 0: no cross-validation.
        was_read: whether the trainable has read `ctx.fold`.

    Raises:
        TrainableError: if it has not read it.
    """
    if folds and not was_read:
        raise TrainableError(
            f"the study is validated over {folds} folds, but the trainable never read ctx.fold: divide the data into "
            "ctx.folds folds with ctx.streams.split and train on all but fold ctx.fold, or remove [validation]"
        )


def with_unit_metrics(metrics: object, of_units: Mapping[str, float | None], step: int) -> object:
    """Returns the metrics of a report together with those over units.

    Args:
        metrics: the object that the trainable reported.
        of_units: metrics over units by name; empty: there are none.
        step: step of the metrics, from 1.

    Raises:
        TrainableError: if both have a metric of the same name.
    """
    if not of_units or not isinstance(metrics, Mapping):
        return metrics
    if twice := [name for name in of_units if name in metrics]:
        raise TrainableError(
            f"at step {step} the trainable reported {', '.join(twice)}, which [validation] units reports too; report "
            "it under another name"
        )
    return {**metrics, **of_units}


def check_units(units: Units | None, produced: Iterable[str]) -> None:
    """Checks that a finished training of a study with units saved the predictions to aggregate.

    Args:
        units: what several cases belong to; None: there are no units.
        produced: names of the digests of what the training produced.

    Raises:
        TrainableError: if it saved none.
    """
    if units is not None and "predictions" not in produced:
        raise TrainableError(
            f"the study reports metrics per {units.name}, but the training saved no predictions to aggregate: call "
            "ctx.save_predictions() after the loop over ctx.epochs(), and for metrics of each epoch "
            "ctx.saw_predictions() before reporting them; or remove `units` from [validation]"
        )


def check_holds_out(was_split: bool, produced: Iterable[str]) -> None:
    """Checks that a finished training of a study with a test part held it out, and that its model can be evaluated.

    Args:
        was_split: whether the trainable has called `ctx.split`.
        produced: names of the digests of what the training produced.

    Raises:
        TrainableError: if it has trained on cases of the test part, or has no weights or no predictions.
    """
    if not was_split:
        raise TrainableError(
            "the study holds out a test part, but the trainable never called ctx.split(), so it may have trained on "
            "test cases: divide the data with `train, held_out = ctx.split(classes, validation=0.2)`, or remove `test` "
            "from [validation]"
        )
    if lacking := [name for name in ("weights", "predictions") if name not in produced]:
        raise TrainableError(
            f"the study holds out a test part, but the training kept no {' and no '.join(lacking)}, so it could not be "
            "evaluated there: loop over ctx.epochs(model=model), whose weights are kept, and after the loop call "
            "ctx.save_predictions() for the held-out cases of ctx.split(); or remove `test` from [validation]"
        )


def check_tested(predictions: Predictions | None, division: Division | None) -> None:
    """Checks that predictions are those of the test part, in the order of `ctx.split`.

    Args:
        predictions: predictions that the trainable saved; None: there are none.
        division: how `ctx.split` divided the cases; None: it was not called.

    Raises:
        TrainableError: if they are of other cases, or missing.
    """
    if division is None or predictions is None:
        lacking = "ctx.split() was not called" if division is None else "ctx.save_predictions() was not called"
        raise TrainableError(f"the model was not evaluated on the test part: {lacking}")
    if not division.are_of_held_out(predictions.truth):
        raise TrainableError(
            f"the predictions are not of the {len(division.held_out)} test cases in the order of ctx.split(): predict "
            "the cases that ctx.split() returns as held out, in that order, and pass their classes as `truth`"
        )


def check_checkpoint(checkpoint: object, *, looped: bool, loaded: bool) -> None:
    """Checks that the checkpoint of a function's report can be used.

    Args:
        checkpoint: the states to save.
        looped: whether the function loops over `ctx.epochs`.
        loaded: whether the function has called `ctx.load`.

    Raises:
        TrainableError: if the checkpoint would never be loaded, or is not a mapping of names to states.
    """
    if looped:
        raise TrainableError("ctx.epochs() writes the checkpoints; leave out `checkpoint=` of ctx.report()")
    if not loaded:
        raise TrainableError(
            "a checkpoint was reported, but ctx.load() was not called, so the training would not resume from it. Call "
            "ctx.load() before the first report; it returns the last `checkpoint=`, or None"
        )
    if not isinstance(checkpoint, Mapping) or not all(isinstance(name, str) for name in checkpoint):
        found = "one with keys that are not strings" if isinstance(checkpoint, Mapping) else type_name(checkpoint)
        raise TrainableError(f"checkpoint must be a mapping of names to states, not {found}")
