from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hpo import Stream
from models.mammography.augment import Augmentation

IMAGES = torch.rand(40, 2, 17, 16, generator=torch.Generator().manual_seed(0))


def draw(seed=42, epoch=1):
    return Augmentation.draw(len(IMAGES), Stream("augment", seed).torch(epoch), "cpu")


def augmented(augmentation, numbers):
    index = torch.tensor(numbers)
    return augmentation.brightened(augmentation.moved(IMAGES[index], index), index)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, len(IMAGES) - 1), min_size=1, max_size=40, unique=True), st.data())
def test_augmentation_ignores_the_batch(numbers, data):
    augmentation = draw()
    together = augmented(augmentation, numbers)
    place = data.draw(st.integers(0, len(numbers) - 1))
    assert torch.equal(together[place], augmented(augmentation, [numbers[place]])[0])


def test_epochs_and_seeds_differ():
    first = augmented(draw(), [3])
    assert torch.equal(first, augmented(draw(), [3]))
    assert not torch.equal(first, augmented(draw(epoch=2), [3]))
    assert not torch.equal(first, augmented(draw(seed=43), [3]))


def test_half_of_the_images_are_flipped():
    assert 10 < (draw().mirror_N < 0).sum() < 30


def still(mirror=1.0, angle=0.0, upside=1.0):
    return Augmentation(*(torch.tensor([float(number)]) for number in (mirror, upside, *turned(angle), 1.0)))


def turned(angle):
    return torch.tensor(angle).cos(), torch.tensor(angle).sin()


def test_zero_rotation_is_the_identity():
    assert torch.allclose(still().moved(IMAGES[:1], torch.tensor([0])), IMAGES[:1], atol=1e-5)


def test_flips_swap_left_and_right():
    mirrored = still(mirror=-1).moved(IMAGES[:1], torch.tensor([0]))
    assert torch.allclose(mirrored, IMAGES[:1].flip(3), atol=1e-5)


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_right_angles_rotate_exactly(turns):
    square = IMAGES[:1, :, :16]
    moved = still(angle=turns * torch.pi / 2).moved(square, torch.tensor([0]))
    assert torch.allclose(moved, square.rot90(turns, dims=(2, 3)), atol=1e-5)


def test_brightness_is_a_factor():
    brightened = draw().brightened(torch.ones(3, 1, 2, 2), torch.tensor([5, 6, 7]))
    assert torch.equal(brightened.amin((1, 2, 3)), draw().brightness_N[5:8])
    assert torch.equal(brightened.amax((1, 2, 3)), draw().brightness_N[5:8])
    assert (brightened - 1).abs().max() <= 0.15
