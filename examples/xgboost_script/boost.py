"""Boosting with XGBoost. It reports after every ten rounds: there bad trials are pruned, and trainings resume."""

import xgboost
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split

import hpo
from hpo.integrations.xgboost import train as boost


def train(eta: float, max_depth: int, subsample: float, *, ctx: hpo.Context):
    x, y = load_breast_cancer(return_X_y=True)
    split = ctx.streams.split.random_state()
    x, x_val, y, y_val = train_test_split(x, y, test_size=0.3, stratify=y, random_state=split)
    params = {"objective": "binary:logistic", "eval_metric": "auc", "eta": eta, "max_depth": max_depth}
    boost(
        {**params, "subsample": subsample},
        xgboost.DMatrix(x, y),
        ctx,
        valid=xgboost.DMatrix(x_val, y_val),
        rounds=10,
    )
