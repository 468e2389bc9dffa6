"""Importance of params for a number per trial, by Optuna's evaluator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from hpo.search.view import FrozenView
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

    view = FrozenView("importance", [StudyDirection[direction.upper()]])
    view.trials = [
        FrozenTrial(
            number=one.number,
            trial_id=one.number,
            state=TrialState.COMPLETE,
            value=numbers[one.number],
            params=one.params,
            distributions=one.distributions,
            datetime_start=None,
            datetime_complete=None,
            user_attrs={},
            system_attrs={},
            intermediate_values={},
        )
        for one in durable.frozen()
        if one.number in numbers
    ]
    sampler = optuna.samplers.RandomSampler(seed=0)  # a study has one, and nothing is sampled
    study = optuna.load_study(study_name="importance", storage=view, sampler=sampler)
    return dict(get_param_importances(study, evaluator=PedAnovaImportanceEvaluator(target_quantile=SHARE)))
