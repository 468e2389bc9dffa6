"""A PyTorch script with argparse. New for hpo: `train`, the arguments of `main`, the loop, and `ctx.report`."""

import argparse

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def train(params: dict, ctx):
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in params.items()]
    main([*flags, f"--seed={ctx.seed}"], ctx)


def main(argv=None, ctx=None):
    parser = argparse.ArgumentParser()
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)

    torch.manual_seed(args.seed)
    x, y = load_digits(return_X_y=True)
    x, y = torch.tensor(x).float() / 16, torch.tensor(y)
    loader = DataLoader(TensorDataset(x[:600], y[:600]), batch_size=args.batch_size, shuffle=True)
    model = nn.Sequential(nn.Linear(64, 16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 10))
    optimizer = torch.optim.Adam(model.parameters(), lr=args.lr)

    for epoch in ctx.epochs(model=model, optimizer=optimizer) if ctx else range(args.epochs):
        model.train()
        for rows, labels in loader:
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(rows), labels).backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            accuracy = (model(x[600:900]).argmax(1) == y[600:900]).float().mean().item()
        print(f"epoch {epoch} val_acc {accuracy:.4f}")
        if ctx:
            ctx.report({"val_acc": accuracy})


if __name__ == "__main__":
    main()
