from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from models.mammography.phantoms import DENSE, DENSITY_EDGES, FAT, phantoms


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 2**63), start=st.integers(0, 30), count=st.integers(1, 5), size=st.sampled_from([16, 33, 48])
)
def test_phantoms_are_deterministic(seed, start, count, size):
    longer = phantoms(start + count, size=size, seed=seed)
    tail = phantoms(count, size=size, seed=seed, start=start)
    for all_of_it, part in zip(longer, tail, strict=True):
        assert all_of_it[start:].tobytes() == part.tobytes()


def test_another_seed_changes_the_images():
    first, _, _ = phantoms(5, size=32, seed=0)
    second, _, _ = phantoms(5, size=32, seed=1)
    assert all((a != b).any() for a, b in zip(first, second, strict=True))


def test_images_of_a_seed_differ():
    image_N1SS, _, _ = phantoms(20, size=32, seed=0)
    assert len({image.tobytes() for image in image_N1SS}) == 20


def test_shapes_and_dtypes():
    image_N1SS, label_N, mask_NSS = phantoms(7, size=24, seed=3)
    assert (image_N1SS.shape, image_N1SS.dtype) == ((7, 1, 24, 24), np.float32)
    assert (label_N.shape, label_N.dtype) == ((7,), np.int64)
    assert (mask_NSS.shape, mask_NSS.dtype) == ((7, 24, 24), np.uint8)


def test_classes_are_balanced():
    image_N1SS, label_N, mask_NSS = phantoms(400, size=16, seed=0)
    assert np.bincount(label_N, minlength=4).min() > 70
    assert set(np.unique(mask_NSS)) == {0, 1, 2, 3}
    assert 0 <= image_N1SS.min() < image_N1SS.max() < 1.3


def test_labels_mostly_follow_the_masks():
    _, label_N, mask_NSS = phantoms(400, size=32, seed=0)
    dense_N, fat_N = ((mask_NSS == tissue).sum((1, 2)) for tissue in (DENSE, FAT))
    class_N = np.searchsorted(DENSITY_EDGES, dense_N / (dense_N + fat_N), side="right")
    assert 0.02 < (class_N != label_N).mean() < 0.15
    assert np.abs(class_N - label_N).max() == 1
