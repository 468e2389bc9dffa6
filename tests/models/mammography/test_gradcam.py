from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from hpo import UsageError
from models.density import check_values
from models.mammography import gradcam
from models.mammography.gradcam import chosen, heat_maps


def test_most_confident_cases_are_chosen():
    truth_V = np.array([0, 0, 0, 1, 1, 2])
    probability_VC = np.array(
        [[0.9, 0.1, 0.0], [0.6, 0.4, 0.0], [0.2, 0.8, 0.0], [0.1, 0.8, 0.1], [0.7, 0.2, 0.1], [0.1, 0.2, 0.7]]
    )
    assert chosen(truth_V, probability_VC) == [0, 3, 5, 2, 4]


def test_first_cases_show_all_classes():
    truth_V = np.array([0, 0, 1, 1, 2, 2])
    probability_VC = np.eye(3)[[0, 1, 1, 0, 0, 1]]  # no case of class 2 is correct
    assert truth_V[chosen(truth_V, probability_VC)[:3]].tolist() == [0, 1, 2]


class Bright(nn.Module):
    """Says class 1 where there is light: its features are the image itself."""

    def __init__(self):
        super().__init__()
        self.features = nn.Conv2d(1, 1, 1, bias=False)
        self.drop = nn.Dropout(0.9)
        self.head = nn.Linear(1, 2, bias=False)
        with torch.no_grad():
            self.features.weight.fill_(1.0)
            self.head.weight.copy_(torch.tensor([[-1.0], [1.0]]))

    def forward(self, image_B1HW):
        return self.head(self.drop(self.features(image_B1HW).mean((2, 3))))


def test_heat_maps_show_the_evidence():
    model = Bright()
    image_M1HW = torch.zeros(2, 1, 8, 8)
    image_M1HW[0, 0, 2:4, 2:4] = 1.0
    image_M1HW[1, 0, 6, 6] = 0.5
    before, state = torch.get_rng_state(), {name: one.clone() for name, one in model.state_dict().items()}
    heat_MHW = heat_maps(model, model.features, image_M1HW, [1, 1], model)
    assert heat_MHW == pytest.approx((image_M1HW[:, 0] / image_M1HW.amax((2, 3))[:, :, None]).numpy())
    assert heat_maps(model, model.features, image_M1HW, [0, 0], model).max() == 0  # nothing speaks for darkness
    assert model.training
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(one, state[name]) for name, one in model.state_dict().items())
    assert all(one.grad is None for one in model.parameters())


def test_missing_captum_names_the_extra(monkeypatch):
    monkeypatch.setattr(gradcam, "find_spec", lambda _: None)
    with pytest.raises(UsageError, match=r"need captum: pip install .*\[mammography\]"):
        check_values({})
