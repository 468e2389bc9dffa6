"""An Optuna script. New for hpo: `hpo.seeded`, because the objective seeds itself."""

import optuna
import torch
from sklearn.datasets import load_digits
from torch import nn

import hpo

X, Y = (torch.tensor(part) for part in load_digits(return_X_y=True))
X = X.float() / 16


def objective(trial):
    torch.manual_seed(hpo.seeded(trial.number))
    layers, width = [], 64
    for i in range(trial.suggest_int("n_layers", 1, 2)):
        units = trial.suggest_int(f"n_units_l{i}", 8, 32, log=True)
        layers += [nn.Linear(width, units), nn.ReLU()]
        width = units
    model = nn.Sequential(*layers, nn.Linear(width, 10))
    optimizer = torch.optim.Adam(model.parameters(), lr=trial.suggest_float("lr", 1e-3, 1e-1, log=True))
    for epoch in range(2):
        for rows in torch.randperm(600).split(100):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(X[rows]), Y[rows]).backward()
            optimizer.step()
        with torch.no_grad():
            accuracy = (model(X[600:900]).argmax(1) == Y[600:900]).float().mean().item()
        trial.report(accuracy, epoch)
        if trial.should_prune():
            raise optuna.TrialPruned
    return accuracy


if __name__ == "__main__":
    study = optuna.create_study(
        study_name="digits-mlp", storage="sqlite:///optuna.db", load_if_exists=True, direction="maximize"
    )
    study.optimize(objective, n_trials=4)
    print(study.best_params, study.best_value)
