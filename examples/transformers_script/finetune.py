"""A Hugging Face script. New for hpo: the argument `ctx`, `hpo.seeded`, and `fit` in the place of trainer.train()."""

from sklearn.datasets import load_breast_cancer
from sklearn.metrics import roc_auc_score
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments, set_seed

import hpo
from hpo.integrations.transformers import fit


def score(found):
    return {"auc": roc_auc_score(found.label_ids, found.predictions[:, 1] - found.predictions[:, 0])}


def finetune(lr=1e-3, batch_size=50, *, ctx):
    set_seed(hpo.seeded(0))
    x, y = load_breast_cancer(return_X_y=True)
    words = x.argsort(0).argsort(0) * 16 // len(y)  # each number as one of 16 words
    cases = [{"input_ids": text, "labels": int(label)} for text, label in zip(words, y, strict=True)]
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    model = BertForSequenceClassification(BertConfig(vocab_size=16, max_position_embeddings=30, **sizes))
    arguments = TrainingArguments(
        learning_rate=lr,
        per_device_train_batch_size=batch_size,
        per_device_eval_batch_size=100,
        use_cpu=True,
        report_to="none",
    )
    trainer = Trainer(model, arguments, train_dataset=cases[:300], eval_dataset=cases[300:400], compute_metrics=score)
    fit(trainer, ctx=ctx)
