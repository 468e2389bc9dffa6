"""Importance of params for a number per trial, by Optuna's evaluator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import optuna
from optuna.trial import create_trial

from hpo.store.optuna_storage.studies import DurableStudy

SHARE = 0.25
"""The best quarter is compared with all; Optuna's tenth of a few dozen trials would be three of them."""


def importances(
    durable: DurableStudy, numbers: Mapping[int, float], direction: Literal["minimize", "maximize"]
) -> dict[str, float]:
    """Returns the importance of each param for separating the trials with the best numbers from the others.

    Source: Watanabe et al., PED-ANOVA: Efficiently quantifying hyperparameter importance in arbitrary subspaces, IJCAI
    2023, as Optuna has it. Params that not every trial has are left out.

    Args:
        durable: the study that has the trials.
        numbers: the quantity to explain, by trial number.
        direction: "minimize" if small numbers are best, else "maximize".
    """
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances  # loads scikit-learn

    study = optuna.create_study(direction=direction, sampler=optuna.samplers.RandomSampler(seed=0))
    for trial in durable.frozen():
        if trial.number in numbers:
            study.add_trial(
                create_trial(params=trial.params, distributions=trial.distributions, value=numbers[trial.number])
            )
    return dict(get_param_importances(study, evaluator=PedAnovaImportanceEvaluator(target_quantile=SHARE)))
