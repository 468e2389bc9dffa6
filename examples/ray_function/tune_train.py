"""A Ray Tune script. New for hpo: `hpo.seeded`, for replicates that also differ in their initial weights."""

import os
import tempfile

import torch
from ray import tune
from ray.tune import Checkpoint
from sklearn.datasets import load_digits
from torch import nn

import hpo


def train_fn(config):
    torch.manual_seed(hpo.seeded(config.get("seed", 0)))
    x, y = (torch.tensor(part) for part in load_digits(return_X_y=True))
    x = x.float() / 16
    model = nn.Sequential(nn.Linear(64, config["width"]), nn.ReLU(), nn.Linear(config["width"], 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=config["lr"], momentum=config["momentum"])
    start = 0
    checkpoint = tune.get_checkpoint()
    if checkpoint:
        with checkpoint.as_directory() as folder:
            saved = torch.load(os.path.join(folder, "state.pt"))
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        start = saved["epoch"] + 1
    for epoch in range(start, 3):
        for rows in torch.randperm(600).split(100):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x[rows]), y[rows]).backward()
            optimizer.step()
        with torch.no_grad():
            loss = nn.functional.cross_entropy(model(x[600:900]), y[600:900]).item()
        with tempfile.TemporaryDirectory() as folder:
            state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": epoch}
            torch.save(state, os.path.join(folder, "state.pt"))
            tune.report({"loss": loss}, checkpoint=Checkpoint.from_directory(folder))


space = {
    "width": tune.choice([2**i for i in range(3, 6)]),
    "lr": tune.loguniform(1e-3, 1e-1),
    "momentum": tune.uniform(0.1, 0.9),
}

if __name__ == "__main__":
    tune_config = tune.TuneConfig(metric="loss", mode="min", num_samples=16)
    tune.Tuner(train_fn, param_space=space, tune_config=tune_config).fit()
