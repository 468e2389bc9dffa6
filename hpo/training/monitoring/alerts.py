"""Alerts about a training, found in the records of its epochs; plain numbers, no torch.

Every threshold is a rule of thumb, not fitted to any data; its source is given with it. Each kind of alert is raised
once per training, at the first epoch that shows it.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from hpo.core.records import Alert

EXPLODING_TIMES = 10.0
"""Gradient norm over the median so far. Pascanu and others (ICML 2013) clip norms far above their average."""

UPDATE_LIMIT = 1.0
"""Update norm over weight norm, per layer and step. Karpathy's CS231n notes recommend about 1e-3; Adam's first steps at
a high rate reach 0.7 and the training still goes well (`digits`). An update as large as the weights replaces them."""

VANISHING_SHARE = 1e-4
"""The smallest layer's gradient over the largest's. Glorot and Bengio (AISTATS 2010) see it fall layer by layer."""

DEAD_SHARE = 0.5
"""Share of a layer's units that output 0 for every input. Maas, Hannun and Ng (2013) describe ReLUs that never
recover."""

PLATEAU_EPOCHS = 5
"""Epochs without improvement; half the patience of torch's ReduceLROnPlateau, because budgets here are short."""

PLATEAU_GAIN = 1e-4
"""Smallest relative improvement that counts, as in torch's ReduceLROnPlateau."""

OSCILLATION_EPOCHS = 6
"""Number of last epochs examined: six values have four possible turning points."""

OSCILLATION_SIZE = 0.1
"""Mean change per epoch over the mean loss: smaller oscillations are noise of the validation set."""

GAP_TIMES = 1.5
"""Validation loss over train loss, while the first rises and the second falls (Prechelt, Early stopping, 1998)."""

GAP_EPOCHS = 3
"""Epochs since the lowest validation loss."""

INPUT_MEAN = 3.0
"""Largest absolute mean of the inputs. LeCun and others, Efficient BackProp (1998), recommend a mean close to 0."""

INPUT_SD = (0.05, 5.0)
"""Bounds of the inputs' standard deviation: Efficient BackProp recommends about 1; raw gray values have 50 or more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """The record of one layer in one epoch.

    Attributes:
        grad_norm: gradient norm of the layer's weights, mean over the steps; None if it is not finite.
        update_ratio: update norm over weight norm, mean over the sampled steps.
    """

    grad_norm: float | None
    update_ratio: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Activation:
    """The outputs of one layer in one epoch, at the sampled steps.

    Attributes:
        mean: mean of all outputs.
        sd: standard deviation of all outputs.
        dead: share of the layer's units that always output 0.
    """

    mean: float | None
    sd: float | None
    dead: float


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochRecord:
    """The record of one epoch. None: the value was not recorded or is not finite.

    Attributes:
        epoch: number of the epoch, from 1.
        steps: number of optimizer steps.
        nonfinite_steps: steps whose gradient was not finite; the means and maxima below leave them out.
        lr: learning rate of the last step, the largest of the optimizer's groups.
        grad_norm: gradient norm over all parameters as the optimizer gets it, mean over the steps.
        grad_norm_median: median gradient norm of the steps.
        grad_norm_max: largest gradient norm of a step.
        grad_norm_sum: *sum* of the tensors' gradient norms, mean over the steps; larger than `grad_norm`.
        clipped: share of the steps whose gradient was clipped; None without clipping.
        layers: records of the layers whose weights have two or more dimensions, by name.
        activations: outputs of the ReLU layers, by name; empty unless they were requested.
        input_mean: mean of the first training batch's inputs.
        input_sd: standard deviation of the first training batch's inputs.
        train_loss: training loss that the trainable reported.
        val_loss: validation loss that the trainable reported.
        predicted: (C,) number of validation cases predicted as each class.
        truth: (C,) number of validation cases of each class.
        classes: (C,) names of the classes as in the result files; empty if they were not given.
    """

    epoch: int
    steps: int = 0
    nonfinite_steps: int = 0
    lr: float | None = None
    grad_norm: float | None = None
    grad_norm_median: float | None = None
    grad_norm_max: float | None = None
    grad_norm_sum: float | None = None
    clipped: float | None = None
    layers: Mapping[str, Layer] = field(default_factory=dict)
    activations: Mapping[str, Activation] = field(default_factory=dict)
    input_mean: float | None = None
    input_sd: float | None = None
    train_loss: float | None = None
    val_loss: float | None = None
    predicted: tuple[int, ...] = ()
    truth: tuple[int, ...] = ()
    classes: tuple[str, ...] = ()


def record_from(fields: Mapping[str, Any]) -> EpochRecord:
    """Returns the record of an epoch from the dict that `dataclasses.asdict` made of it, read from JSON or not."""
    nested = {
        "layers": {name: Layer(**layer) for name, layer in fields["layers"].items()},
        "activations": {name: Activation(**one) for name, one in fields["activations"].items()},
        "predicted": tuple(fields["predicted"]),
        "truth": tuple(fields["truth"]),
        "classes": tuple(fields.get("classes", ())),
    }
    return EpochRecord(**{**fields, **nested})


def find_alerts(records: Sequence[EpochRecord], raised: Collection[str] = ()) -> tuple[Alert, ...]:
    """Returns the alerts of the last recorded epoch, in the order of `CHECKS`.

    Args:
        records: records of at least one epoch, in order.
        raised: kinds that were raised before; they are not checked again.
    """
    found = []
    for kind, check in CHECKS.items():
        if kind not in raised and (message := check(records)) is not None:
            found.append(Alert(kind=kind, epoch=records[-1].epoch, message=message))
    return tuple(found)


def non_finite(records: Sequence[EpochRecord]) -> str | None:
    """A gradient that is not finite, which ruins the weights. The source is IEEE 754, the limit 0 steps."""
    last = records[-1]
    if not last.nonfinite_steps:
        return None
    return f"the gradient was not finite at {last.nonfinite_steps} of {last.steps} steps"


def exploding(records: Sequence[EpochRecord]) -> str | None:
    """A gradient norm far above the earlier ones (`EXPLODING_TIMES`), or updates as large as the weights
    (`UPDATE_LIMIT`).
    """
    last = records[-1]
    medians = [record.grad_norm_median for record in records if record.grad_norm_median is not None]
    if medians and last.grad_norm_max is not None:
        usual = statistics.median(medians)
        if last.grad_norm_max > EXPLODING_TIMES * usual > 0:
            return (
                f"a gradient's norm was {last.grad_norm_max:.3g}, over {EXPLODING_TIMES:g} times the median so far, "
                f"{usual:.3g}"
            )
    ratios = {name: layer.update_ratio for name, layer in last.layers.items() if layer.update_ratio is not None}
    if ratios and (most := max(ratios.values())) > UPDATE_LIMIT:
        name = max(ratios, key=lambda layer: ratios[layer])
        return f"a step changed {name} by {most:.2g} of its weights' norm on average, over {UPDATE_LIMIT:g}"
    return None


def vanishing(records: Sequence[EpochRecord]) -> str | None:
    """A layer whose gradient is a tiny share of another's (`VANISHING_SHARE`), so that it does not learn.

    Frozen layers have no record.
    """
    norms = {name: layer.grad_norm for name, layer in records[-1].layers.items() if layer.grad_norm is not None}
    if not norms:
        return None
    most, least = max(norms.values()), min(norms.values())
    if most > 0 and least >= VANISHING_SHARE * most:
        return None
    if most == 0:
        return "no layer's weights had a gradient"
    name = min(norms, key=lambda layer: norms[layer])
    return f"the gradient of {name} was {least / most:.1e} of the largest layer's, under {VANISHING_SHARE:g}"


def dead_units(records: Sequence[EpochRecord]) -> str | None:
    """A layer in which more than `DEAD_SHARE` of the units output 0 for every input. Needs recorded activations."""
    shares = {name: layer.dead for name, layer in records[-1].activations.items()}
    if not shares or (most := max(shares.values())) <= DEAD_SHARE:
        return None
    name = max(shares, key=lambda layer: shares[layer])
    return f"{most:.0%} of the units of {name} output 0 for every input, over {DEAD_SHARE:.0%}"


def one_class_predictions(records: Sequence[EpochRecord]) -> str | None:
    """All validation cases predicted as one of several classes, in two epochs; a single epoch may be warm-up."""
    last = records[-1]
    if len(records) < 2 or any(sum(count > 0 for count in record.predicted) != 1 for record in records[-2:]):
        return None
    if sum(count > 0 for count in last.truth) == 1:
        return None
    return f"all {sum(last.predicted)} validation cases were predicted as {_class(last, last.predicted)}"


def plateau(records: Sequence[EpochRecord]) -> str | None:
    """A train loss, or else a validation loss, without improvement (`PLATEAU_GAIN`) for `PLATEAU_EPOCHS`."""
    losses = _losses(records, "train_loss") or _losses(records, "val_loss")
    if len(losses) <= PLATEAU_EPOCHS:
        return None
    before, after = min(losses[:-PLATEAU_EPOCHS]), min(losses[-PLATEAU_EPOCHS:])
    if before - after > PLATEAU_GAIN * abs(before):
        return None
    return f"the loss has not fallen by {100 * PLATEAU_GAIN:g} % for {PLATEAU_EPOCHS} epochs, from {before:.4g}"


def oscillation(records: Sequence[EpochRecord]) -> str | None:
    """A validation loss that changes direction at every epoch of `OSCILLATION_EPOCHS`, by more than `OSCILLATION_SIZE`
    of its mean.
    """
    losses = _losses(records, "val_loss")[-OSCILLATION_EPOCHS:]
    if len(losses) < OSCILLATION_EPOCHS:
        return None
    steps = [after - before for before, after in pairwise(losses)]
    turns = all(one * other < 0 for one, other in pairwise(steps))
    size = statistics.mean(map(abs, steps)) / max(abs(statistics.mean(losses)), 1e-12)
    if not turns or size <= OSCILLATION_SIZE:
        return None
    return f"the validation loss went up and down for {OSCILLATION_EPOCHS} epochs, by {size:.0%} of its mean each time"


def train_validation_gap(records: Sequence[EpochRecord]) -> str | None:
    """A validation loss that rises for `GAP_EPOCHS` while the train loss falls, and exceeds `GAP_TIMES` times it."""
    trained, held_out = _losses(records, "train_loss"), _losses(records, "val_loss")
    if len(trained) != len(held_out) or len(held_out) <= GAP_EPOCHS:
        return None
    lowest = min(range(len(held_out)), key=lambda index: held_out[index])
    if len(held_out) - 1 - lowest < GAP_EPOCHS or trained[-1] >= trained[lowest]:
        return None
    if held_out[-1] <= GAP_TIMES * trained[-1]:
        return None
    return (
        f"the validation loss has risen since epoch {lowest + 1} to {held_out[-1]:.4g}, over {GAP_TIMES:g} times the "
        f"train loss, {trained[-1]:.4g}, which fell"
    )


def unnormalized_data(records: Sequence[EpochRecord]) -> str | None:
    """Inputs far from mean 0 and standard deviation 1 (`INPUT_MEAN`, `INPUT_SD`)."""
    mean, sd = records[-1].input_mean, records[-1].input_sd
    if mean is None or sd is None or (abs(mean) <= INPUT_MEAN and INPUT_SD[0] <= sd <= INPUT_SD[1]):
        return None
    low, high = INPUT_SD
    return (
        f"the inputs have mean {mean:.3g} and standard deviation {sd:.3g}; expected within +-{INPUT_MEAN:g} and "
        f"{low:g} .. {high:g}"
    )


def one_class_data(records: Sequence[EpochRecord]) -> str | None:
    """Validation cases of a single class, on which no metric means anything. The limit is more than one class."""
    truth = records[-1].truth
    if sum(count > 0 for count in truth) != 1:
        return None
    return f"all {sum(truth)} validation cases are of {_class(records[-1], truth)}"


def _class(record: EpochRecord, counts: Sequence[int]) -> str:
    """Returns the class with most cases: by its name in the result files, or by its column, counted from 1."""
    index = counts.index(max(counts))
    if index < len(record.classes):
        return f"class {record.classes[index]}"
    return f"the class in column {index + 1} of {len(counts)}"


def _losses(records: Sequence[EpochRecord], name: str) -> list[float]:
    return [value for record in records if (value := getattr(record, name)) is not None]


CHECKS: Mapping[str, Callable[[Sequence[EpochRecord]], str | None]] = {
    "non-finite": non_finite,
    "exploding": exploding,
    "vanishing": vanishing,
    "dead-units": dead_units,
    "one-class-predictions": one_class_predictions,
    "plateau": plateau,
    "oscillation": oscillation,
    "train-validation-gap": train_validation_gap,
    "unnormalised-data": unnormalized_data,
    "one-class-data": one_class_data,
}
"""The checks by the stored name of their kind of alert; each returns its message, or None."""
