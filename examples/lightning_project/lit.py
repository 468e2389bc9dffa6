"""A Lightning project. New for hpo: the argument `ctx`, `hpo.seeded`, and `fit` in the place of a Trainer."""

import lightning as L
import torch
from lightning.pytorch.callbacks import EarlyStopping
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, random_split

import hpo
from hpo.integrations.lightning import fit


class Digits(L.LightningDataModule):
    def setup(self, stage=None):
        x, y = load_digits(return_X_y=True)
        cases = TensorDataset(torch.tensor(x[:600]).float() / 16, torch.tensor(y[:600]))
        self.learn, self.judge = random_split(cases, [400, 200])

    def train_dataloader(self):
        return DataLoader(self.learn, 64, shuffle=True)

    def val_dataloader(self):
        return DataLoader(self.judge, 200)


class Net(L.LightningModule):
    def __init__(self, lr, hidden):
        super().__init__()
        self.lr = lr
        self.layers = nn.Sequential(nn.Linear(64, hidden), nn.ReLU(), nn.Dropout(0.1), nn.Linear(hidden, 10))

    def training_step(self, batch, index):
        return nn.functional.cross_entropy(self.layers(batch[0]), batch[1])

    def validation_step(self, batch, index):
        out = self.layers(batch[0])
        self.log("val_loss", nn.functional.cross_entropy(out, batch[1]))
        self.log("val_acc", (out.argmax(1) == batch[1]).float().mean())

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=self.lr)


def train(lr=1e-3, hidden=32, seed=0, *, ctx):
    L.seed_everything(hpo.seeded(seed), workers=True)
    fit(
        Net(lr, hidden),
        datamodule=Digits(),
        ctx=ctx,
        accelerator="cpu",
        callbacks=[EarlyStopping("val_loss", patience=3)],
        logger=False,
        enable_progress_bar=False,
    )
