"""How a network is trained, as a study says it: weights, draws, schedules, stops, freezing."""

from __future__ import annotations

import collections
import math
import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from hpo import Objective, UsageError
from models.common.balance import class_weights, drawn_batches
from models.common.schedule import Schedule
from models.mammography.recipe import RecipeParams, freeze, stalled
from models.mammography.unet import UNet

DENSITY = "models.density:train"
TINY = {"lr": 0.01, "images": 80, "size": 16, "width": 2, "depth": 1}
KAPPA = Objective(metric="val_kappa", direction="maximize")
LOSS = Objective(metric="val_loss", direction="minimize")


@given(
    counts=st.lists(st.integers(1, 50), min_size=2, max_size=5),
    alpha=st.floats(0, 2),
)
def test_rare_classes_weigh_more(counts, alpha):
    label_T = np.repeat(np.arange(len(counts)), counts)
    found = class_weights(label_T, tuple("ABCDE"[: len(counts)]), alpha)
    assert found == pytest.approx([(sum(counts) / (len(counts) * count)) ** alpha for count in counts])


def test_weights_need_every_class():
    with pytest.raises(UsageError, match="there is no training image of class B, D"):
        class_weights(np.array([0, 2, 2]), ("A", "B", "C", "D"), 1.0)
    with pytest.raises(UsageError, match="alpha of 0 or more, got -1"):
        class_weights(np.array([0, 1]), ("A", "B"), -1)


def test_weighted_sampling_balances_classes():
    label_T = np.repeat([0, 1], [990, 10])
    weight_T = torch.tensor(class_weights(label_T, ("A", "B"), 1.0)[label_T])
    batches = list(drawn_batches(weight_T, 24, torch.Generator().manual_seed(1)))
    assert {len(batch) for batch in batches} <= {23, 24}
    drawn = collections.Counter(label_T[torch.cat(batches)].tolist())
    assert sum(drawn.values()) == 1000
    assert abs(drawn[1] - 500) < 5 * math.sqrt(1000 * 0.25)


def rates(name, epochs=6, batches=4, values=(), **more):
    """Returns the learning rate of every update, epoch by epoch."""
    optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=2.0)
    schedule = Schedule(optimizer, name, epochs=epochs, batches=batches, direction="maximize", **more)
    found = []
    for epoch in range(epochs):
        found.append([])
        for _ in range(batches):
            found[-1].append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            schedule.step()
        schedule.judge(values[epoch] if values else 0.0)
    return found


def test_no_schedule_keeps_the_rate():
    assert rates("none", warmup_epochs=1) == [[0.5, 1.0, 1.5, 2.0], *[[2.0] * 4] * 5]


def test_step_schedules_lower_the_rate():
    found = rates("step", warmup_epochs=0, step_size=2, gamma=0.5)
    assert [epoch[0] for epoch in found] == [2.0, 2.0, 1.0, 1.0, 0.5, 0.5]
    assert all(len(set(epoch)) == 1 for epoch in found)


def test_plateaus_lower_the_rate():
    found = rates("plateau", values=(0.1, 0.2, 0.2, 0.2, 0.2, 0.2), warmup_epochs=0, reduce_patience=1)
    assert [epoch[0] for epoch in found] == [2.0, 2.0, 2.0, 2.0, 1.0, 1.0]
    kept = rates("plateau", values=(0.1, 0.2, 0.3, 0.4, 0.5, 0.6), warmup_epochs=0, reduce_patience=1)
    assert {rate for epoch in kept for rate in epoch} == {2.0}


@pytest.mark.parametrize("name", ["cosine", "step", "plateau", "none"])
def test_warm_up_has_the_given_length(name):
    found = [rate for epoch in rates(name, warmup_epochs=2) for rate in epoch]
    assert found[:8] == pytest.approx([2.0 * (step + 1) / 8 for step in range(8)])
    assert max(found) == 2.0


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"warmup_epochs": 6}, "warmup_epochs: expected 0 or more, and fewer than the budget of 6, got 6"),
        ({"step_size": 0}, "scheduler_step_size: expected at least 1 epoch, got 0"),
        ({"gamma": 0}, "scheduler_gamma"),
        ({"reduce_factor": 1.0}, "lr_reduce_factor"),
        ({"reduce_patience": -1}, "lr_reduce_patience and lr_reduce_cooldown"),
        ({"reduce_min_lr": -1.0}, "lr_reduce_min_lr"),
    ],
)
def test_invalid_schedules_name_the_field(more, message):
    with pytest.raises(UsageError, match=message):
        rates("plateau", **more)


@pytest.mark.parametrize(
    ("objective", "values", "patience", "delta", "ends"),
    [
        (KAPPA, [0.1, 0.2, 0.2, 0.2], 2, 0.0, True),
        (KAPPA, [0.1, 0.2, 0.2], 2, 0.0, False),
        (KAPPA, [0.1, 0.15, 0.19], 2, 0.1, True),
        (KAPPA, [0.4, 0.3, 0.5], 1, 0.0, False),
        (LOSS, [0.4, 0.5, 0.6], 2, 0.0, True),
        (LOSS, [0.6, 0.5, 0.4], 2, 0.0, False),
        (LOSS, [0.4, 0.5, 0.6], 0, 0.0, False),
    ],
)
def test_early_stopping(objective, values, patience, delta, ends):
    params = RecipeParams(lr=0.1, early_stop_patience=patience, early_stop_min_delta=delta)
    assert stalled(params, values, objective) is ends


def test_frozen_stages_do_not_change():
    torch.manual_seed(0)
    model = UNet(classes=4, width=2, depth=1)
    learning = {
        "head": RecipeParams(lr=0.1, train_backbone=False),
        "last": RecipeParams(lr=0.1, train_backbone=False, unfreeze_last_block=True),
        "all": RecipeParams(lr=0.1, train_backbone=False, frozen_epochs=1),
    }
    moved = {}
    for name, params in learning.items():
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
        freeze(params, model, epoch=2)
        model(torch.rand(4, 1, 8, 8)).logit_BC.square().sum().backward()
        optimizer.step()
        moved[name] = {key for key, tensor in model.state_dict().items() if not torch.equal(tensor, before[key])}
    assert moved["head"]
    assert all(model.is_of_head(key) for key in moved["head"])
    assert moved["head"] < moved["last"] < moved["all"]
    assert any("running_mean" in key for key in moved["all"] - moved["last"])


RECIPES = {
    "plateau": {"scheduler": "plateau", "lr_reduce_patience": 0, "warmup_epochs": 0},
    "step": {"scheduler": "step", "scheduler_step_size": 1, "scheduler_gamma": 0.5},
    "weighted": {"sampler_weighted": True, "class_weights": "auto", "class_weights_alpha": 0.5},
    "frozen": {"train_backbone": False, "frozen_epochs": 2, "backbone_lr": 0.003},
    "augmented": {"augment_vertical": True, "augment_rotation_deg": 40.0, "augment_brightness": 0.5},
    "impatient": {"early_stop_patience": 1, "early_stop_min_delta": 9.0},
}


@pytest.mark.slow
@pytest.mark.parametrize("recipe", RECIPES)
def test_recipes_matter_and_resume(trained, recipe):
    params = {**TINY, **RECIPES[recipe]}
    whole = trained(DENSITY, params, metric="val_kappa", budget=4)
    assert whole.error is None
    assert whole.digests["weights"] != trained(DENSITY, TINY, metric="val_kappa", budget=4).digests["weights"]
    resumed = trained(DENSITY, params, metric="val_kappa", budget=4, killed_in=2)
    assert resumed.digests == whole.digests
    assert len(whole.reports) == (2 if recipe == "impatient" else 4)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"class_weights": "some"}, "class_weights: expected 'none' or 'auto', got 'some'"),
        ({"scheduler": "linear"}, "scheduler: expected 'cosine', 'plateau', 'step' or 'none', got 'linear'"),
        ({"augment_flip": 2.0}, "augmentation: expected flip and brightness from 0 to 1"),
        ({"arch": "resnet"}, "arch: expected 'unet' or 'efficientnet-b0', got 'resnet'"),
        ({"weights": "nowhere.pt"}, r"weights .*nowhere.pt: cannot be read \(No such file or directory\)"),
    ],
)
def test_invalid_recipes_are_one_sentence(trained, params, message):
    found = trained(DENSITY, {**TINY, **params})
    assert re.search(message, found.error)
    assert "Traceback" not in found.error
