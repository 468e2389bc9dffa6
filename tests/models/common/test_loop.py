from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from hpo import TrainableError, UsageError
from models.common.loop import (
    Running,
    batch_count,
    optimizer_for,
    probabilities,
    shuffled_batches,
    update,
)
from models.common.schedule import warm_up_then_cosine


@given(count=st.integers(2, 200), batch=st.integers(1, 64), seed=st.integers(0, 2**31))
def test_epochs_cover_each_image_once(count, batch, seed):
    batches = list(shuffled_batches(count, batch, torch.Generator().manual_seed(seed)))
    lengths = [len(positions) for positions in batches]
    assert sorted(torch.cat(batches).tolist()) == list(range(count))
    assert max(lengths) <= batch
    assert max(lengths) - min(lengths) <= 1
    assert len(batches) == batch_count(count, batch)


def learning_rates(steps):
    layer = nn.Linear(1, 1)
    optimizer = optimizer_for(layer.parameters(), "sgd", lr=2.0, momentum=0.0, weight_decay=0.0)
    scheduler = warm_up_then_cosine(optimizer, steps)
    for _ in range(steps):
        yield optimizer.param_groups[0]["lr"]
        update(layer(torch.ones(1, 1)).sum() * 0, layer, optimizer, scheduler)
    yield optimizer.param_groups[0]["lr"]


def test_warm_up_then_cosine_to_zero():
    rates = list(learning_rates(20))
    assert rates[:3] == pytest.approx([1.0, 2.0, 2.0])
    assert rates[2:] == sorted(rates[2:], reverse=True)
    assert rates[11] == pytest.approx(1.0)
    assert rates[20] == pytest.approx(0.0, abs=1e-12)


def test_clip_bounds_the_gradient_norm():
    layer = nn.Linear(3, 2)
    optimizer = optimizer_for(layer.parameters(), "sgd", lr=1.0, momentum=0.0, weight_decay=0.0)
    before = [parameter.detach().clone() for parameter in layer.parameters()]
    update(1000 * layer(torch.ones(1, 3)).sum(), layer, optimizer, warm_up_then_cosine(optimizer, 1), clip=0.5)
    moved = torch.cat([(a - b).flatten() for a, b in zip(before, layer.parameters(), strict=True)])
    assert moved.norm().item() == pytest.approx(0.5, rel=1e-4)


def test_batches_are_weighted_by_size():
    running = Running("cpu")
    running.add(torch.tensor(1.0), torch.eye(4)[[0, 1, 2]], torch.tensor([0, 1, 3]))
    running.add(torch.tensor(5.0), torch.eye(4)[[0]], torch.tensor([0]))
    assert running.metrics() == {"train_loss": 2.0, "train_acc": 0.75}


def test_non_finite_losses_end_the_training():
    running = Running("cpu")
    running.add(torch.tensor(float("nan")), torch.eye(4)[[0]], torch.tensor([0]))
    with pytest.raises(TrainableError, match="diverged"):
        running.metrics()


def test_non_finite_logits_end_the_training():
    with pytest.raises(TrainableError, match="diverged"):
        probabilities(nn.Identity(), [torch.full((2, 4), torch.inf)], nn.Identity())


def test_probabilities_turn_dropout_off():
    model = nn.Dropout(0.5)
    found = probabilities(model, [torch.ones(3, 4)], model)
    assert found == pytest.approx(0.25)
    assert model.training


def test_empty_batches_are_refused():
    with pytest.raises(UsageError, match="expected at least 1, got 0"):
        batch_count(10, 0)


def test_unknown_optimizers_are_refused():
    with pytest.raises(UsageError, match="expected 'adamw' or 'sgd', got 'adam'"):
        optimizer_for(nn.Linear(1, 1).parameters(), "adam", lr=1.0, momentum=0.0, weight_decay=0.0)
