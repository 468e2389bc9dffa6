"""Transformers by `hpo.integrations.transformers.fit`: as one call of Trainer.train, seeded, and what stops it."""

from __future__ import annotations

import re
import sys

import pytest
from extras import needs

from hpo import Job, Objective, Resources, Status, TrainableRef
from hpo.training import TrainingRun
from hpo.training.process import configured_torch

pytestmark = [pytest.mark.slow, needs("transformers", "transformers")]

CODE = """
import os

import torch
from transformers import BertConfig, BertForSequenceClassification, EarlyStoppingCallback, Trainer, TrainerCallback
from transformers import TrainingArguments

from hpo.integrations.transformers import fit

CASES = [{"input_ids": torch.tensor([n % 5, n % 3, n % 7]), "labels": int(n % 5 > n % 3)} for n in range(48)]


class Seeded(TrainerCallback):
    def __init__(self, streams):
        self.streams = streams

    def on_step_begin(self, args, state, control, **others):
        assert torch.initial_seed() == self.streams.dropout.number(1 + state.global_step // 6)


class Noisy(torch.utils.data.Dataset):
    def __len__(self):
        return 48

    def __getitem__(self, index):
        case = CASES[index]
        return case | {"input_ids": (case["input_ids"] + torch.randint(0, 2, (3,))) % 8}


def trainer(ctx, *, data=CASES, dropout=0.0, callbacks=(), **options):
    torch.manual_seed(5)
    sizes = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    sizes |= {"hidden_dropout_prob": dropout, "attention_probs_dropout_prob": 0.0, "max_position_embeddings": 4}
    model = BertForSequenceClassification(BertConfig(vocab_size=8, num_labels=2, **sizes))
    given = {"learning_rate": 0.01, "per_device_train_batch_size": 8, "use_cpu": True, "report_to": "none"}
    arguments = TrainingArguments(**{**given, "disable_tqdm": True, "num_train_epochs": 4, **options})
    return Trainer(model, arguments, train_dataset=data, eval_dataset=CASES[:16], callbacks=list(callbacks))


def whole(options, *, ctx):
    fit(trainer(ctx, **eval(options)), ctx=ctx)


def alone(options):
    options = {"eval_strategy": "epoch", "save_strategy": "no"} | eval(options)
    found = trainer(None, **options)
    found.train()
    return [one["eval_loss"] for one in found.state.log_history if "eval_loss" in one]


def loaded(workers, *, ctx):
    options = {"dataloader_num_workers": workers, "save_strategy": "epoch"}
    fit(trainer(ctx, data=Noisy(), dropout=0.3, callbacks=[Seeded(ctx.streams)], **options), ctx=ctx)
    assert any(name.startswith("checkpoint-") for name in os.listdir("trainer_output"))


def stopping(*, ctx):
    patient = EarlyStoppingCallback(early_stopping_patience=3, early_stopping_threshold=9.0)
    fit(trainer(ctx, callbacks=[patient], metric_for_best_model="eval_loss", eval_strategy="epoch"), ctx=ctx)


class Breaking(TrainerCallback):
    def on_step_end(self, args, state, control, **others):
        control.should_epoch_stop = state.global_step == 3


def broken(*, ctx):
    fit(trainer(ctx, callbacks=[Breaking()]), ctx=ctx)


def told(*, ctx):
    fit(trainer(ctx, max_steps=5, save_only_model=True), ctx=ctx)
"""


@pytest.fixture
def train(tmp_path):
    (tmp_path / "berts.py").write_text(CODE)
    counter = iter(range(100))

    def run(function, params=None, *, drop_at=None, budget=4, streams=None):
        job = Job(trial=0, params=params or {}, seed=41, budget=budget, stream_seeds=streams or {})
        objective = Objective(metric="val_loss", direction="minimize")
        ref = TrainableRef(path=f"berts:{function}", root=str(tmp_path), objective=objective)
        work = tmp_path / str(next(counter))
        if drop_at is not None:
            first = TrainingRun(job, ref, Resources(), work)
            for _ in range(drop_at):
                assert first.advance().error is None
            first.close()
        training = TrainingRun(job, ref, Resources(), work)
        update = training.advance(600)
        training.close()
        return update

    yield run
    sys.modules.pop("berts", None)


def metrics(update):
    assert update.error is None, update.error
    return [dict(one.metrics) for one in update.reports]


SCHEDULES = {
    "line": {},
    "cosine with accumulation": {"lr_scheduler_type": "cosine", "gradient_accumulation_steps": 4, "warmup_steps": 3},
    "plateau": {"lr_scheduler_type": "reduce_lr_on_plateau", "metric_for_best_model": "loss", "eval_strategy": "epoch"},
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_it_trains_as_one_call(train, name):
    options = repr(SCHEDULES[name] | {"train_sampling_strategy": "sequential"})
    found = metrics(train("whole", {"options": options}))
    with configured_torch(1):
        assert [one["val_loss"] for one in found] == sys.modules["berts"].alone(options)
    assert len({one["val_loss"] for one in found}) == 4


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_loaders_are_seeded(train, workers):
    whole = metrics(train("loaded", {"workers": workers}, budget=3))
    assert metrics(train("loaded", {"workers": workers}, budget=3, drop_at=2))[-3:] == whole
    short = metrics(train("loaded", {"workers": workers}, budget=1))
    for stream in ("order", "dropout", *(["augment"] if workers else [])):
        assert metrics(train("loaded", {"workers": workers}, budget=1, streams={stream: 43})) != short


def test_early_stopping_ends_it(train):
    whole = train("stopping", budget=6)
    assert (whole.status, len(whole.reports)) == (Status.COMPLETE, 4), whole.error
    resumed = train("stopping", drop_at=3, budget=6)  # after the second epoch, with one evaluation without improvement
    assert metrics(resumed) == metrics(whole)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("broken", "epoch 1 ended before its last step"),
        ("told", r"leave out: max_steps=5 \(ctx.budget sets the number of epochs\), save_only_model=True"),
    ],
)
def test_misuse_is_a_sentence(train, function, message):
    found = train(function)
    assert found.status is Status.FAILED
    assert "Traceback" not in found.error
    assert re.search(message, found.error)
