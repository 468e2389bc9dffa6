"""A scikit-learn script with argparse. Nothing in it is new for hpo, which reads the line that it prints."""

import argparse

from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split

parser = argparse.ArgumentParser()
parser.add_argument("--max-depth", type=int, default=4)
parser.add_argument("--max-features", type=float, default=0.5)
parser.add_argument("--seed", type=int, default=0)
args = parser.parse_args()

x, y = load_breast_cancer(return_X_y=True)
x_learn, x_judge, y_learn, y_judge = train_test_split(x, y, random_state=args.seed)
model = RandomForestClassifier(
    20, max_depth=args.max_depth, max_features=args.max_features, random_state=args.seed, n_jobs=1
)
model.fit(x_learn, y_learn)
print(f"AUC: {roc_auc_score(y_judge, model.predict_proba(x_judge)[:, 1]):.6f}")
