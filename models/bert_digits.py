"""A tiny BERT from Transformers that reads handwritten digits line by line; needs the extra `transformers`.

Each row and each column of an image, in black and white, is one of 512 words. The network is created from its
configuration, without a download.

Shapes: N images, T training images, V validation images, L rows and columns of an image, C classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments

from hpo import Context
from hpo.integrations.transformers import fit
from models.common.handwritten import DIGITS, NAMES, cases, handwritten_digits
from models.common.metrics import classification_metrics

WORDS = 512
"""One for each pattern of eight pixels in a row, and one for each in a column."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BertDigitsParams:
    """The params of the training.

    Attributes:
        lr: initial learning rate, with linear decay to 0.
        hidden: size of the hidden vectors, a multiple of `heads`.
        layers: number of encoder layers.
        heads: number of attention heads per layer.
        dropout: dropout probability of the layers and the attention.
        batch: maximum batch size.
        validation: fraction of the 1797 images used for validation.
    """

    lr: float = 1e-2
    hidden: int = 32
    layers: int = 1
    heads: int = 2
    dropout: float = 0.1
    batch: int = 32
    validation: float = 0.5


def train(params: BertDigitsParams, ctx: Context) -> None:
    """Trains the network and reports `train_loss` and the metrics of `models.common.metrics` after each epoch."""
    image_N1HW, label_N = handwritten_digits()
    train_T, held_out_V = ctx.split(label_N, validation=params.validation, names=NAMES)
    word_NL = words(image_N1HW)
    config = BertConfig(
        vocab_size=WORDS,
        hidden_size=params.hidden,
        num_hidden_layers=params.layers,
        num_attention_heads=params.heads,
        intermediate_size=2 * params.hidden,
        hidden_dropout_prob=params.dropout,
        attention_probs_dropout_prob=params.dropout,
        max_position_embeddings=word_NL.shape[1],
        num_labels=len(DIGITS),
    )
    with ctx.streams.init.as_global():
        model = BertForSequenceClassification(config)
    arguments = TrainingArguments(
        learning_rate=params.lr,
        per_device_train_batch_size=params.batch,
        per_device_eval_batch_size=512,
        use_cpu=ctx.device == "cpu",
        report_to="none",
    )
    held_out = _texts(word_NL[held_out_V], label_N[held_out_V])
    trainer = Trainer(
        model,
        arguments,
        train_dataset=_texts(word_NL[train_T], label_N[train_T]),
        eval_dataset=held_out,
        compute_metrics=lambda found: _metrics(found.label_ids, found.predictions),
    )
    fit(trainer, ctx=ctx)
    ctx.save_predictions(
        truth=label_N[held_out_V],
        probabilities=_probabilities(trainer.predict(held_out).predictions),
        labels=DIGITS,
        names=NAMES,
        cases=cases(held_out_V),
    )


def words(image_N1HW: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """Returns the words (N, L) of images (N, 1, 8, 8): those of the rows, then those of the columns."""
    dark_NHW = image_N1HW[:, 0] > image_N1HW.max() / 2
    bits = 2 ** np.arange(8)
    return np.concatenate([dark_NHW @ bits, WORDS // 2 + dark_NHW.transpose(0, 2, 1) @ bits], axis=1)


def _texts(word_NL: npt.NDArray[np.int64], label_N: npt.NDArray[np.int64]) -> list[dict[str, Any]]:
    return [{"input_ids": words, "labels": int(label)} for words, label in zip(word_NL, label_N, strict=True)]


def _metrics(label_N: npt.NDArray[np.int64], logit_NC: npt.NDArray[np.float32]) -> dict[str, float]:
    """Returns the metrics for the Trainer, which adds the prefix `eval_` and the loss."""
    found = classification_metrics(label_N, _probabilities(logit_NC))
    return {name.removeprefix("val_"): one for name, one in found.items() if one is not None and name != "val_loss"}


def _probabilities(logit_NC: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    shifted_NC = np.exp(logit_NC.astype(np.float64) - logit_NC.max(axis=1, keepdims=True))
    return np.asarray(shifted_NC / shifted_NC.sum(axis=1, keepdims=True))
