"""Tree models on handwritten digits: a random forest, and boosting by scikit-learn, LightGBM or XGBoost, without
epochs.

Each takes an integer seed, a stream's `random_state`, and uses the training's threads.

Shapes: T training images, V validation images, C classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Literal

from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from threadpoolctl import threadpool_limits

from hpo import Context, Metrics, UsageError, install_line
from models.common.handwritten import DIGITS, NAMES, cases, handwritten_digits
from models.common.metrics import classification_metrics

Kind = Literal["forest", "boosting", "lightgbm", "xgboost"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TreesParams:
    """The params of the model.

    Attributes:
        kind: "forest" or "boosting" of scikit-learn; "lightgbm" or "xgboost" from the extra `boosting`.
        trees: number of trees; for boosting, per class.
        lr: learning rate of boosting; not used by a forest.
        depth: maximum depth of each tree.
        columns: share of the pixels that a tree or a split considers, sampled each time.
        validation: fraction of the 1797 images used for validation.
    """

    kind: Kind = "forest"
    trees: int = 50
    lr: float = 0.1
    depth: int = 6
    columns: float = 0.5
    validation: float = 0.75


def check_values(values: Mapping[str, Sequence[object]]) -> None:
    """Checks that the packages of a study's kinds are installed.

    Args:
        values: values of the study by field.

    Raises:
        UsageError: if a package is not installed.
    """
    for kind in values.get("kind", ()):
        if kind in ("lightgbm", "xgboost") and find_spec(str(kind)) is None:
            raise UsageError(f"kind {kind!r} needs a package that is not installed: {install_line('boosting')}")


def train(params: TreesParams, ctx: Context) -> Iterator[Metrics]:
    """Fits the model and yields the metrics of `models.common.metrics` once, for a budget of 1."""
    image_N1HW, label_N = handwritten_digits()
    train_T, held_out_V = ctx.split(label_N, validation=params.validation, names=NAMES)
    pixel_NP = image_N1HW.reshape(len(label_N), -1)
    model = _model(params, ctx.streams.init.random_state(), ctx.threads)
    with threadpool_limits(ctx.threads):  # scikit-learn's boosting uses OpenMP's thread count
        model.fit(pixel_NP[train_T], label_N[train_T])
        if params.kind == "forest":
            model.set_params(n_jobs=1)  # threads would sum the trees' predictions in random order
        graded_VC = model.predict_proba(pixel_NP[held_out_V])
    yield classification_metrics(label_N[held_out_V], graded_VC)
    ctx.save_predictions(
        truth=label_N[held_out_V], probabilities=graded_VC, labels=DIGITS, names=NAMES, cases=cases(held_out_V)
    )


def _model(params: TreesParams, seed: int, threads: int) -> Any:
    match params.kind:
        case "forest":
            return RandomForestClassifier(
                params.trees,
                max_depth=params.depth,
                max_features=params.columns,
                random_state=seed,
                n_jobs=threads,
            )
        case "boosting":
            return HistGradientBoostingClassifier(
                learning_rate=params.lr,
                max_iter=params.trees,
                max_depth=params.depth,
                max_features=params.columns,
                early_stopping=False,
                random_state=seed,
            )
        case "lightgbm":
            from lightgbm import LGBMClassifier

            return LGBMClassifier(
                n_estimators=params.trees,
                learning_rate=params.lr,
                max_depth=params.depth,
                colsample_bytree=params.columns,
                random_state=seed,
                n_jobs=threads,
                deterministic=True,  # requires one of the two force options
                force_row_wise=True,
                verbose=-1,
            )
        case "xgboost":
            from xgboost import XGBClassifier

            return XGBClassifier(
                n_estimators=params.trees,
                learning_rate=params.lr,
                max_depth=params.depth,
                colsample_bytree=params.columns,
                tree_method="hist",
                random_state=seed,
                n_jobs=threads,
            )
    raise UsageError(f"kind: expected 'forest', 'boosting', 'lightgbm' or 'xgboost', got {params.kind!r}")
