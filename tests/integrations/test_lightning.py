"""Lightning by `hpo.integrations.lightning.fit`: as one Trainer trains, with seeded loaders, and what stops it."""

from __future__ import annotations

import re
import sys

import pytest
from extras import needs

from hpo import Job, Objective, Resources, Status, TrainableRef
from hpo.training import TrainingRun
from hpo.training.process import configured_torch

pytestmark = [
    pytest.mark.slow,
    needs("lightning", "lightning"),
    pytest.mark.filterwarnings("ignore:.*treespec, LeafSpec", "ignore:.*does not have many workers"),
]

CODE = """
import hashlib, os, random

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from torch import nn
from torch.utils.data import DataLoader, Dataset, TensorDataset, random_split

from hpo.integrations.lightning import fit

X = torch.arange(48 * 4).reshape(48, 4).float() % 7 / 7
Y = X[:, :1] - X[:, 1:2]


class Net(L.LightningModule):
    def __init__(self, dropout=0.0):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(dropout), nn.Linear(8, 1))
        self.rates = []

    def training_step(self, batch, index):
        x, y = batch
        loss = nn.functional.mse_loss(self.net(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        self.rates.append(self.optimizers().param_groups[0]["lr"])
        return loss

    def validation_step(self, batch, index):
        x, y = batch
        self.log("val_loss", nn.functional.mse_loss(self.net(x), y))

    def on_train_epoch_end(self):
        self.log("rate", sum(self.rates))
        self.rates.clear()

    def configure_optimizers(self):
        optimizer = torch.optim.AdamW(self.parameters(), lr=0.01)
        steps = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, int(self.trainer.estimated_stepping_batches))
        return [optimizer], [{"scheduler": steps, "interval": "step"}]


class ByEpoch(Net):
    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=0.1, momentum=0.9)
        return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5)]


class OnPlateau(Net):
    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=0.1, momentum=0.9)
        plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=0, threshold=0.5)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": plateau, "monitor": "val_loss"}}


def whole(kind, *, ctx):
    torch.manual_seed(5)
    net = globals()[kind]()
    loaders = DataLoader(TensorDataset(X, Y), 8), DataLoader(TensorDataset(X, Y), 48)
    fit(net, *loaders, ctx=ctx)


def alone(kind, epochs):
    torch.manual_seed(5)
    net = globals()[kind]()
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = L.Trainer(max_epochs=epochs, accelerator="cpu", enable_model_summary=False, **quiet)
    trainer.fit(net, DataLoader(TensorDataset(X, Y), 8), DataLoader(TensorDataset(X, Y), 48))
    return {name: value.item() for name, value in trainer.callback_metrics.items()}


class Noisy(Dataset):
    def __len__(self):
        return 24

    def __getitem__(self, index):
        drawn = random.random() + np.random.random() + torch.rand(()).item()
        return torch.tensor([index, drawn]).double()


class Seen(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(1, 1)
        self.order, self.noise = hashlib.sha256(), hashlib.sha256()

    def on_train_epoch_start(self):
        self.order, self.noise = hashlib.sha256(), hashlib.sha256()

    def training_step(self, batch, index):
        self.order.update(batch[:, 0].numpy().tobytes())
        self.noise.update(batch[:, 1].numpy().tobytes())
        return self.net(batch[:, 1:].float()).mean()

    def on_train_epoch_end(self):
        for name in ("order", "noise"):
            self.log(name, float(int.from_bytes(getattr(self, name).digest()[:3])))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def loaded(workers, keeps=False, *, ctx):
    more = {"persistent_workers": keeps, "multiprocessing_context": "fork"} if workers else {}
    fit(Seen(), DataLoader(Noisy(), 4, shuffle=True, num_workers=workers, **more), ctx=ctx)


class Splitting(L.LightningDataModule):
    def setup(self, stage):
        self.learn, self.judge = random_split(TensorDataset(torch.arange(48.0), Y), [36, 12])

    def train_dataloader(self):
        return DataLoader(self.learn, 36)

    def val_dataloader(self):
        return DataLoader(self.judge, 12)


class Held(Net):
    def training_step(self, batch, index):
        return self.net(X).mean()

    def validation_step(self, batch, index):
        self.log("val_loss", batch[0].sum())


def divided(*, ctx):
    fit(Held(), ctx=ctx, datamodule=Splitting())


def stopping(*, ctx):
    stop = EarlyStopping("val_loss", patience=1, min_delta=100.0)
    keep = ModelCheckpoint(".", monitor="val_loss", filename="mine")
    loaders = DataLoader(TensorDataset(X, Y), 8), DataLoader(TensorDataset(X, Y), 48)
    fit(Net(0.2), *loaders, ctx=ctx, callbacks=[stop, keep])
    assert os.path.isfile("mine.ckpt")


class Late(Net):
    def setup(self, stage):
        self.more = nn.Linear(1, 1)


def late(*, ctx):
    fit(Late(), DataLoader(TensorDataset(X, Y), 8), DataLoader(TensorDataset(X, Y), 48), ctx=ctx)


def told(*, ctx):
    fit(Net(), ctx=ctx, max_epochs=3, devices=2)


def given(*, ctx):
    loaders = DataLoader(TensorDataset(X, Y), 8), DataLoader(TensorDataset(X, Y), 48)
    fit(Net(), *loaders, ctx=ctx, accelerator="cpu", devices=1, num_nodes=1)


def elsewhere(*, ctx):
    fit(Net(), ctx=ctx, accelerator="gpu")


def nothing(*, ctx):
    loaders = DataLoader(TensorDataset(X, Y), 8), DataLoader(TensorDataset(X, Y), 48)
    fit(ByEpoch(), *loaders, ctx=ctx, limit_train_batches=0)
"""


@pytest.fixture
def train(tmp_path):
    (tmp_path / "nets.py").write_text(CODE)
    counter = iter(range(100))

    def run(function, params=None, *, metric="val_loss", drop_at=None, budget=4, streams=None):
        job = Job(trial=0, params=params or {}, seed=41, budget=budget, stream_seeds=streams or {})
        ref = TrainableRef(
            path=f"nets:{function}", root=str(tmp_path), objective=Objective(metric=metric, direction="minimize")
        )
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
    sys.modules.pop("nets", None)


def metrics(update):
    assert update.error is None, update.error
    return [dict(one.metrics) for one in update.reports]


@pytest.mark.parametrize("kind", ["Net", "ByEpoch", "OnPlateau"])
def test_it_trains_as_one_trainer(train, kind):
    found = metrics(train("whole", {"kind": kind}))
    with configured_torch(1):
        assert sys.modules["nets"].alone(kind, 4) == found[-1]
    assert len({one["rate"] for one in found}) > 1


@pytest.mark.parametrize("keeps", [False, True])
def test_workers_are_seeded(train, keeps):
    params = {"workers": 2, "keeps": keeps}
    whole = metrics(train("loaded", params, metric="noise", budget=3))
    assert metrics(train("loaded", params, metric="noise", budget=3, drop_at=2))[-3:] == whole
    assert len({one["noise"] for one in whole}) == len({one["order"] for one in whole}) == 3


def test_order_is_that_of_any_workers(train):
    here, there = (train("loaded", {"workers": workers}, metric="order", budget=2) for workers in (0, 2))
    assert [one["order"] for one in metrics(here)] == [one["order"] for one in metrics(there)]


@pytest.mark.parametrize(("stream", "changed"), [("order", "order"), ("augment", "noise")])
def test_each_loader_stream_matters(train, stream, changed):
    plain, varied = (
        metrics(train("loaded", {"workers": 1}, metric="order", budget=1, streams=streams))[0]
        for streams in ({}, {stream: 43})
    )
    assert plain[changed] != varied[changed]
    assert stream == "order" or plain["order"] == varied["order"]


def test_setup_divides_alike_in_each_epoch(train):
    assert len({one["val_loss"] for one in metrics(train("divided"))}) == 1
    other = metrics(train("divided", streams={"split": 43}, budget=1))
    assert other[0]["val_loss"] != metrics(train("divided", budget=1))[0]["val_loss"]


def test_what_hpo_sets_may_be_given(train):
    assert len(metrics(train("given", budget=1))) == 1


def test_early_stopping_ends_it(train):
    whole = train("stopping")
    assert (whole.status, len(whole.reports)) == (Status.COMPLETE, 2), whole.error
    assert metrics(train("stopping", drop_at=2))[-1:] == metrics(whole)[-1:]


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("nothing", "epoch 1 was not trained; expected a training_step"),
        ("late", "created layers or buffers"),
        ("elsewhere", r"leave out: accelerator \(set by ctx.device\)"),
        ("told", r"leave out: max_epochs \(set by ctx.budget\), devices \(set by ctx.device\)"),
    ],
)
def test_misuse_is_a_sentence(train, function, message):
    found = train(function)
    assert found.status is Status.FAILED
    assert "Traceback" not in found.error
    assert re.search(message, found.error)
