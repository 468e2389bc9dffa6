"""What can be seen to go wrong in a training, from what was recorded of its epochs; plain numbers, no torch.

Every threshold is a rule of thumb, not fitted to any data; its source stands beside it. A kind is raised once in a
training, at the first epoch that shows it.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from hpo.core.records import Alert

EXPLODING_TIMES = 10.0
"""A gradient's norm over the median so far. Pascanu and others (ICML 2013) clip what is far above its average."""

UPDATE_LIMIT = 1.0
"""Update over weight, per layer and step. Karpathy's CS231n notes want about 1e-3; Adam's first steps at a high rate
reach .7 and training goes well all the same (`digits`). One as large as the weights leaves nothing of them."""

VANISHING_SHARE = 1e-4
"""The smallest layer's gradient over the largest's. Glorot and Bengio (AISTATS 2010) see it fall layer by layer."""

DEAD_SHARE = 0.5
"""Units of a layer that answer 0 to all they are shown. Maas, Hannun and Ng (2013) on rectifiers that never recover."""

PLATEAU_EPOCHS = 5
"""Epochs without a gain; half the patience of torch's ReduceLROnPlateau, for budgets here are short."""

PLATEAU_GAIN = 1e-4
"""Smallest relative gain that is one, as in torch's ReduceLROnPlateau."""

OSCILLATION_EPOCHS = 6
"""Epochs that are looked at: so many have four places at which a curve can turn."""

OSCILLATION_SIZE = 0.1
"""Mean step of the loss over its mean: smaller turns are noise of the validation set."""

GAP_TIMES = 1.5
"""Validation loss over train loss, while the one rises and the other falls (Prechelt, Early stopping, 1998)."""

GAP_EPOCHS = 3
"""Epochs since the validation loss was lowest."""

INPUT_MEAN = 3.0
"""Largest mean of inputs, as a distance from 0. LeCun and others, Efficient BackProp (1998), want it close to 0."""

INPUT_SD = (0.05, 5.0)
"""Bounds of the inputs' standard deviation: Efficient BackProp wants about 1, raw grey values have 50 and more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One layer in one epoch.

    Attributes:
        grad_norm: mean over the steps of the norm of the gradient of its weights; None if it is not finite.
        update_ratio: mean norm of an update over the norm of the weights, at the steps that were looked at.
    """

    grad_norm: float | None
    update_ratio: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Activation:
    """What a layer answered in one epoch, at the steps that were looked at.

    Attributes:
        mean: of all answers.
        sd: their standard deviation.
        dead: share of its units that answered 0 every time.
    """

    mean: float | None
    sd: float | None
    dead: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What was recorded of one epoch. None stands for what was not recorded or is not finite.

    Attributes:
        epoch: 1 for the first.
        steps: updates of the weights.
        nonfinite_steps: those with a gradient that was not finite; no mean or largest below counts them.
        lr: learning rate of the last step, the largest of the optimizer's groups.
        grad_norm: mean over the steps of the gradient's norm over all parameters, as the optimizer got it.
        grad_norm_median: median gradient norm of the steps.
        grad_norm_max: largest gradient norm of a step.
        grad_norm_sum: mean over the steps of the *sum* of the tensors' norms: another quantity, larger.
        clipped: share of the steps whose gradient was shortened; None without a clip.
        layers: by name; layers with weights of two dimensions or more.
        activations: by name; empty unless asked for.
        input_mean: of the first training batch's inputs.
        input_sd: their standard deviation.
        train_loss: as the trainable reported it.
        val_loss: as the trainable reported it.
        predicted: (C,) validation cases that were put into each class.
        truth: (C,) validation cases of each class.
        classes: (C,) the classes as the files name them; empty where they were not said.
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


def seen_from(fields: Mapping[str, Any]) -> Seen:
    """Returns what `dataclasses.asdict` made plain, or what JSON made of that."""
    nested = {
        "layers": {name: Layer(**layer) for name, layer in fields["layers"].items()},
        "activations": {name: Activation(**one) for name, one in fields["activations"].items()},
        "predicted": tuple(fields["predicted"]),
        "truth": tuple(fields["truth"]),
        "classes": tuple(fields.get("classes", ())),
    }
    return Seen(**{**fields, **nested})


def judged(seen: Sequence[Seen], raised: Collection[str] = ()) -> tuple[Alert, ...]:
    """Returns the alerts of the last epoch seen, in the order of `KINDS`.

    Args:
        seen: at least one epoch, in order.
        raised: kinds that were raised before; they are not looked for.
    """
    found = []
    for kind, look in KINDS.items():
        if kind not in raised and (message := look(seen)) is not None:
            found.append(Alert(kind=kind, epoch=seen[-1].epoch, message=message))
    return tuple(found)


def non_finite(seen: Sequence[Seen]) -> str | None:
    """A gradient that is no finite number: with it the weights are lost. IEEE 754 is the source, 0 steps the limit."""
    last = seen[-1]
    if not last.nonfinite_steps:
        return None
    return f"the gradient was not finite at {last.nonfinite_steps} of {last.steps} steps"


def exploding(seen: Sequence[Seen]) -> str | None:
    """A step far above those so far (`EXPLODING_TIMES`), or updates as large as the weights (`UPDATE_LIMIT`)."""
    last = seen[-1]
    medians = [one.grad_norm_median for one in seen if one.grad_norm_median is not None]
    if medians and last.grad_norm_max is not None:
        usual = statistics.median(medians)
        if last.grad_norm_max > EXPLODING_TIMES * usual > 0:
            return (
                f"a gradient's norm was {last.grad_norm_max:.3g}, over {EXPLODING_TIMES:g} times the median so far, "
                f"{usual:.3g}"
            )
    ratios = {name: one.update_ratio for name, one in last.layers.items() if one.update_ratio is not None}
    if ratios and (most := max(ratios.values())) > UPDATE_LIMIT:
        name = max(ratios, key=lambda layer: ratios[layer])
        return f"a step changed {name} by {most:.2g} of its weights' norm on average, over {UPDATE_LIMIT:g}"
    return None


def vanishing(seen: Sequence[Seen]) -> str | None:
    """A layer whose gradient is a tiny share of another's (`VANISHING_SHARE`), so that it does not learn.

    Frozen layers are none of those that were seen.
    """
    norms = {name: one.grad_norm for name, one in seen[-1].layers.items() if one.grad_norm is not None}
    if not norms:
        return None
    most, least = max(norms.values()), min(norms.values())
    if most > 0 and least >= VANISHING_SHARE * most:
        return None
    if most == 0:
        return "no layer's weights had a gradient"
    name = min(norms, key=lambda layer: norms[layer])
    return f"the gradient of {name} was {least / most:.1e} of the largest layer's, under {VANISHING_SHARE:g}"


def dead_units(seen: Sequence[Seen]) -> str | None:
    """A layer of which more than `DEAD_SHARE` of the units are 0 for all inputs. Needs activations."""
    shares = {name: one.dead for name, one in seen[-1].activations.items()}
    if not shares or (most := max(shares.values())) <= DEAD_SHARE:
        return None
    name = max(shares, key=lambda layer: shares[layer])
    return f"{most:.0%} of the units of {name} answered 0 to everything, over {DEAD_SHARE:.0%}"


def one_class_predictions(seen: Sequence[Seen]) -> str | None:
    """All validation cases put into one class, though there are more, for two epochs; one alone may be warming up."""
    last = seen[-1]
    if len(seen) < 2 or any(sum(count > 0 for count in one.predicted) != 1 for one in seen[-2:]):
        return None
    if sum(count > 0 for count in last.truth) == 1:
        return None
    return f"all {sum(last.predicted)} validation cases were put into {_class(last, last.predicted)}"


def plateau(seen: Sequence[Seen]) -> str | None:
    """No gain of the train loss (`PLATEAU_GAIN`) for `PLATEAU_EPOCHS`; else of the validation loss."""
    losses = _losses(seen, "train_loss") or _losses(seen, "val_loss")
    if len(losses) <= PLATEAU_EPOCHS:
        return None
    before, after = min(losses[:-PLATEAU_EPOCHS]), min(losses[-PLATEAU_EPOCHS:])
    if before - after > PLATEAU_GAIN * abs(before):
        return None
    return f"the loss has not fallen by {PLATEAU_GAIN:g} of itself for {PLATEAU_EPOCHS} epochs, from {before:.4g}"


def oscillation(seen: Sequence[Seen]) -> str | None:
    """A validation loss that turns at every epoch of `OSCILLATION_EPOCHS`, in steps above `OSCILLATION_SIZE` of it."""
    losses = _losses(seen, "val_loss")[-OSCILLATION_EPOCHS:]
    if len(losses) < OSCILLATION_EPOCHS:
        return None
    steps = [after - before for before, after in pairwise(losses)]
    turns = all(one * other < 0 for one, other in pairwise(steps))
    size = statistics.mean(map(abs, steps)) / max(abs(statistics.mean(losses)), 1e-12)
    if not turns or size <= OSCILLATION_SIZE:
        return None
    return f"the validation loss went up and down for {OSCILLATION_EPOCHS} epochs, by {size:.0%} of itself a time"


def train_validation_gap(seen: Sequence[Seen]) -> str | None:
    """A validation loss that rises for `GAP_EPOCHS` while the train loss falls, and is `GAP_TIMES` that."""
    trained, held_out = _losses(seen, "train_loss"), _losses(seen, "val_loss")
    if len(trained) != len(held_out) or len(held_out) <= GAP_EPOCHS:
        return None
    lowest = min(range(len(held_out)), key=lambda place: held_out[place])
    if len(held_out) - 1 - lowest < GAP_EPOCHS or trained[-1] >= trained[lowest]:
        return None
    if held_out[-1] <= GAP_TIMES * trained[-1]:
        return None
    return (
        f"the validation loss has risen since epoch {lowest + 1} to {held_out[-1]:.4g}, over {GAP_TIMES:g} times the "
        f"train loss, {trained[-1]:.4g}, which fell"
    )


def unnormalised_data(seen: Sequence[Seen]) -> str | None:
    """Inputs far from mean 0 and standard deviation 1 (`INPUT_MEAN`, `INPUT_SD`)."""
    mean, sd = seen[-1].input_mean, seen[-1].input_sd
    if mean is None or sd is None or (abs(mean) <= INPUT_MEAN and INPUT_SD[0] <= sd <= INPUT_SD[1]):
        return None
    low, high = INPUT_SD
    return (
        f"the inputs have mean {mean:.3g} and standard deviation {sd:.3g}; expected within +-{INPUT_MEAN:g} and "
        f"{low:g} .. {high:g}"
    )


def one_class_data(seen: Sequence[Seen]) -> str | None:
    """Validation cases of one class only: no metric of theirs means anything. More than one class is the limit."""
    truth = seen[-1].truth
    if sum(count > 0 for count in truth) != 1:
        return None
    return f"all {sum(truth)} validation cases are of {_class(seen[-1], truth)}"


def _class(seen: Seen, counts: Sequence[int]) -> str:
    """Returns the class of most cases by its name in the files; one without a name by its place, counted from 1."""
    place = counts.index(max(counts))
    if place < len(seen.classes):
        return f"class {seen.classes[place]}"
    return f"the class in column {place + 1} of {len(counts)}"


def _losses(seen: Sequence[Seen], name: str) -> list[float]:
    return [value for one in seen if (value := getattr(one, name)) is not None]


KINDS: Mapping[str, Callable[[Sequence[Seen]], str | None]] = {
    "non-finite": non_finite,
    "exploding": exploding,
    "vanishing": vanishing,
    "dead-units": dead_units,
    "one-class-predictions": one_class_predictions,
    "plateau": plateau,
    "oscillation": oscillation,
    "train-validation-gap": train_validation_gap,
    "unnormalised-data": unnormalised_data,
    "one-class-data": one_class_data,
}
"""What is looked for, by the name under which it is stored; each says what it saw, or None."""
