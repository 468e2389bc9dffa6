"""Two objectives: a forest that is accurate and small. A function with several objectives returns a tuple."""

from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import train_test_split

import hpo


def train(trees: int, max_depth: int, *, ctx: hpo.Context) -> tuple[float, float]:
    x, y = load_digits(return_X_y=True)
    x, x_val, y, y_val = train_test_split(x, y, random_state=ctx.streams.split.random_state())
    forest = RandomForestClassifier(trees, max_depth=max_depth, random_state=ctx.streams.init.random_state(), n_jobs=1)
    forest.fit(x, y)
    return forest.score(x_val, y_val), sum(tree.tree_.node_count for tree in forest.estimators_)
