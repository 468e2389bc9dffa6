"""One convolution and one dense layer in Keras, on handwritten digits; needs the extra `keras`.

It is the usual example of `tf.keras.layers.Conv2D` with different results in every run, because its random
initialization is not seeded. With `seeded = false` that is so; otherwise hpo seeds it.

Shapes: N images, T training images, V validation images, C classes, each image 28 by 28 pixels.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hpo import Context, KerasState, Metrics
from models.common.handwritten import DIGITS, NAMES, cases, handwritten_digits
from models.common.metrics import classification_metrics

# Read when TensorFlow is imported. Without oneDNN's order of summation, fewer machines differ in the last digits.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
from keras import layers


@dataclass(frozen=True, slots=True, kw_only=True)
class Conv2DParams:
    """The params of the training.

    Attributes:
        lr: learning rate of Adam.
        filters: filters of the convolution.
        dropout: dropout probability of the dense layer's inputs; 0: no dropout layer.
        batch: maximum batch size.
        validation: fraction of the 1797 images used for validation.
        seeded: whether hpo's seeding of the generators is kept; otherwise the operating system seeds them, as in a
            program without seeds.
    """

    lr: float = 1e-3
    filters: int = 32
    dropout: float = 0.0
    batch: int = 32
    validation: float = 0.75
    seeded: bool = True


def train(params: Conv2DParams, ctx: Context) -> Iterator[Metrics]:
    """Trains the network and yields `train_loss`, `train_acc` and those of `models.common.metrics` after each epoch."""
    keras.utils.clear_session()  # clears the state of earlier trainings in this process
    image_N1HW, label_N = handwritten_digits()
    train_T, held_out_V = ctx.split(label_N, validation=params.validation, names=NAMES)
    image_NHW1 = enlarged(image_N1HW)

    with ctx.streams.init.as_global():
        if not params.seeded:
            keras.utils.set_random_seed(random.SystemRandom().randrange(2**32))
        model = _network(params)

    for epoch in ctx.epochs(model=KerasState(model), optimizer=KerasState(model.optimizer)):
        shuffled_T = train_T[ctx.streams.order.numpy(epoch).permutation(len(train_T))]
        model.reset_metrics()
        so_far: dict[str, float] = {}
        for begin in range(0, len(shuffled_T), params.batch):  # Model.fit would use threads of tf.data
            rows_B = shuffled_T[begin : begin + params.batch]
            so_far = model.train_on_batch(image_NHW1[rows_B], label_N[rows_B], return_dict=True)
        graded_VC = probabilities(model, image_NHW1[held_out_V])
        trained = {"train_loss": so_far["loss"], "train_acc": so_far["accuracy"]}
        yield {**trained, **classification_metrics(label_N[held_out_V], graded_VC)}

    ctx.save_predictions(
        truth=label_N[held_out_V],
        probabilities=probabilities(model, image_NHW1[held_out_V]),
        labels=DIGITS,
        names=NAMES,
        cases=cases(held_out_V),
    )


def enlarged(image_N1HW: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Returns images (N, 1, 8, 8) as (N, 28, 28, 1): each pixel three times as large, with a margin of two pixels."""
    large_NHW = image_N1HW[:, 0].repeat(3, axis=1).repeat(3, axis=2)
    return np.pad(large_NHW, ((0, 0), (2, 2), (2, 2)))[..., None]


def probabilities(model: keras.Model, image_NHW1: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Returns the probability of each class (N, C)."""
    logit_NC = np.concatenate([model.predict_on_batch(part) for part in np.array_split(image_NHW1, 4)])
    shifted_NC = np.exp(logit_NC.astype(np.float64) - logit_NC.max(axis=1, keepdims=True))
    return np.asarray(shifted_NC / shifted_NC.sum(axis=1, keepdims=True))


def _network(params: Conv2DParams) -> keras.Model:
    left_out = [layers.Dropout(params.dropout)] if params.dropout else []
    model = keras.Sequential(
        [
            layers.Input((28, 28, 1)),
            layers.Conv2D(params.filters, (3, 3), activation="relu"),
            layers.Flatten(),
            *left_out,
            layers.Dense(len(DIGITS)),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=keras.optimizers.Adam(params.lr), loss=loss, metrics=["accuracy"])
    model.optimizer.build(model.trainable_variables)
    return model
