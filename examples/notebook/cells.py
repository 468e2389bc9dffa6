"""Cells of a notebook. New for hpo: the argument `ctx`, `ctx.report`, and the last cell."""

# %%
import torch
from sklearn.datasets import load_digits
from torch import nn

import hpo

# %%
X, Y = (torch.tensor(part) for part in load_digits(return_X_y=True))
X = X.float() / 16
EPOCHS = 3


# %%
def train(lr=1e-2, width=16, *, ctx):
    model = nn.Sequential(nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 10))
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    for _epoch in range(EPOCHS):
        for rows in torch.randperm(600).split(100):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(X[rows]), Y[rows]).backward()
            optimizer.step()
        with torch.no_grad():
            accuracy = (model(X[600:900]).argmax(1) == Y[600:900]).float().mean().item()
        ctx.report({"val_acc": accuracy})


# %%
space = {"lr": hpo.Float(1e-3, 1e-1, log=True), "width": hpo.Int(8, 32)}
search = {"trials": 2, "budget": EPOCHS}
study = hpo.Study(name="cells", trainable=train, objective=hpo.maximize("val_acc"), space=space, search=search)
config = hpo.RunConfig(storage="sqlite:///cells.db", backend="local")
hpo.run(study, config)
promoted = hpo.promote(study, config, top=1)
verified = hpo.verify(study, config)
