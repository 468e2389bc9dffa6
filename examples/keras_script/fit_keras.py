"""A Keras script. New for hpo: the params and `ctx` of `train`, and `fit` in the place of `model.fit`."""

import keras
from sklearn.datasets import load_digits

import hpo
from hpo.integrations.keras import fit


def train(lr: float = 1e-3, units: int = 16, *, ctx: hpo.Context):
    x, y = load_digits(return_X_y=True)
    x = x / 16
    hidden = [keras.layers.Dense(units, "relu"), keras.layers.Dropout(0.2)]
    model = keras.Sequential([keras.layers.Input((64,)), *hidden, keras.layers.Dense(10)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(lr), loss, metrics=["accuracy"])
    fit(model, x[:600], y[:600], ctx=ctx, validation_data=(x[600:900], y[600:900]), batch_size=64)
