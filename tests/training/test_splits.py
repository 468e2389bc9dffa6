from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpo import Stream, Streams, UsageError
from hpo.training.splits import split

NAMES = ("A", "B", "C", "D")
LABELS = np.repeat(np.arange(4), [40, 20, 60, 80])


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**63), validation=st.floats(0.1, 0.9))
def test_splits_are_stratified(seed, validation):
    train, held_out = split(LABELS, validation, Stream("split", seed), names=NAMES)
    assert sorted([*train, *held_out]) == list(range(200))
    for label, count in enumerate(np.bincount(LABELS)):
        assert abs((LABELS[held_out] == label).sum() - validation * count) <= 1


@pytest.mark.parametrize("name", ["init", "order", "augment", "dropout"])
def test_only_the_split_stream_matters(name):
    train, _ = split(LABELS, 0.25, Streams(42).split, names=NAMES)
    same, _ = split(LABELS, 0.25, Streams(42, {name: 43}).split, names=NAMES)
    other, _ = split(LABELS, 0.25, Streams(42, {"split": 43}).split, names=NAMES)
    assert train.tolist() == same.tolist() != other.tolist()


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**63), folds=st.integers(2, 20))
def test_folds_are_a_stratified_partition(seed, folds):
    parts = [split(LABELS, 0.25, Stream("split", seed), names=NAMES, fold=fold, folds=folds) for fold in range(folds)]
    assert sorted(index for _, held_out in parts for index in held_out) == list(range(200))
    for train, held_out in parts:
        assert sorted([*train, *held_out]) == list(range(200))
        assert np.abs(np.bincount(LABELS[held_out]) - np.bincount(LABELS) / folds).max() <= 1


def test_another_seed_changes_the_folds():
    first, second = (split(LABELS, 0.25, Stream("split", seed), names=NAMES, folds=5) for seed in (42, 43))
    assert first[1].tolist() != second[1].tolist()


def test_too_many_folds_are_refused():
    labels = np.repeat(np.arange(4), [9, 9, 4, 9])
    with pytest.raises(UsageError, match=r"in each of 5 folds, but there are 9 A, 9 B, 4 C, 9 D"):
        split(labels, 0.25, Stream("split", 42), names=NAMES, fold=0, folds=5)


def test_upper_seed_bits_matter():
    first, _ = split(LABELS, 0.25, Stream("split", 42), names=NAMES)
    second, _ = split(LABELS, 0.25, Stream("split", 42 + 2**32), names=NAMES)
    assert first.tolist() != second.tolist()


@pytest.mark.parametrize("counts", [[9, 9, 9, 1], [9, 9, 9, 0], [30, 30, 30, 2], [2, 2, 2, 2]])
def test_too_small_classes_are_refused(counts):
    labels = np.repeat(np.arange(4), counts)
    with pytest.raises(UsageError, match=f"{counts[3]} D leaves one out"):
        split(labels, 0.1, Stream("split", 42), names=NAMES)


@pytest.mark.parametrize("validation", [0.0, 1.0, -0.5, float("nan")])
def test_invalid_fractions_are_refused(validation):
    with pytest.raises(UsageError, match="between 0 and 1"):
        split(LABELS, validation, Stream("split", 42), names=NAMES)


GROUPS = [f"P{number // 3}" for number in range(200)]


@pytest.mark.slow
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**63), folds=st.integers(0, 5).filter(lambda folds: folds != 1))
def test_no_patient_is_on_both_sides(seed, folds):
    shuffled = np.random.default_rng(0).permutation(LABELS)
    for fold in range(max(1, folds)):
        train, held_out = split(
            shuffled, 0.25, Stream("split", seed), names=NAMES, fold=fold, folds=folds, groups=GROUPS
        )
        assert sorted([*train, *held_out]) == list(range(200))
        assert not {GROUPS[index] for index in train} & {GROUPS[index] for index in held_out}
        assert set(shuffled[held_out]) == set(shuffled[train]) == {0, 1, 2, 3}


def test_patient_folds_are_a_partition():
    parts = [
        split(LABELS, 0.25, Stream("split", 1), names=NAMES, fold=fold, folds=4, groups=GROUPS)[1] for fold in range(4)
    ]
    assert sorted(index for held_out in parts for index in held_out) == list(range(200))


@pytest.mark.parametrize("groups", [["one"] * 200, ["one", "other"] * 100])
def test_unsplittable_patients_are_refused(groups):
    with pytest.raises(UsageError, match=r"cannot be split like that with each group \(patient\) on one side"):
        split(LABELS, 0.25, Stream("split", 42), names=NAMES, groups=groups)


def test_few_patients_are_split_if_possible():
    labels = np.array([0, 0, 0, 1, 1, 2, 2, 3, 3, 3, 3, 3])
    groups = [f"P{number}" for number in range(12)]
    for seed in range(50):
        train, held_out = split(labels, 0.34, Stream("split", seed), names=NAMES, groups=[*groups[:-1], "P10"])
        assert set(labels[train]) == set(labels[held_out]) == {0, 1, 2, 3}
