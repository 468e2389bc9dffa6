"""Our median pruner against Optuna's."""

from __future__ import annotations

import optuna
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.pruners import MedianPruner
from optuna.trial import TrialState, create_trial

from hpo.search.median import ColumnMedianPruner

VALUES = st.one_of(st.floats(-2, 2), st.sampled_from([0.0, 0.1, 0.1 + 2**-53, 1.0]))
CURVES = st.dictionaries(st.integers(1, 4), VALUES, max_size=4)
STATES = st.sampled_from([TrialState.COMPLETE, TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL])


def made(state, values):
    over = {TrialState.COMPLETE: 0.0}
    return create_trial(state=state, value=over.get(state), intermediate_values=dict(sorted(values.items())))


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(STATES, CURVES), max_size=14),
    CURVES,
    st.sampled_from(["minimize", "maximize"]),
    st.integers(0, 14),
)
def test_matches_optuna_for_every_prefix(history, values, direction, prefix):
    known = min(prefix, len(history))
    trial = made(TrialState.RUNNING, values)
    study = optuna.create_study(direction=direction)
    ours = ColumnMedianPruner()
    for config, (state, curve) in enumerate(history):
        ours.add(made(state, curve))
        if config < known:
            study.add_trial(made(state, curve))
    assert ours.should_prune(trial, known, study.direction) == MedianPruner().prune(study, trial)


def test_median_prunes_the_worse_half():
    ours = ColumnMedianPruner()
    for value in range(10):
        ours.add(made(TrialState.COMPLETE, {1: float(value)}))
    direction = optuna.study.StudyDirection.MAXIMIZE
    assert [ours.should_prune(made(TrialState.RUNNING, {1: value}), 10, direction) for value in (4.4, 4.5)] == [
        True,
        False,
    ]
