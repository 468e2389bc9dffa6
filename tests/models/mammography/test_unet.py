from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hpo import UsageError
from models.mammography.unet import UNet


@pytest.mark.slow
@settings(max_examples=20, deadline=None)
@given(
    depth=st.integers(1, 3),
    width=st.integers(1, 7),
    norm=st.sampled_from(["batch", "group", "none"]),
    height=st.integers(2, 4),
    across=st.integers(2, 4),
    outlines=st.booleans(),
)
def test_any_divisible_size_works(depth, width, norm, height, across, outlines):
    image_B1HW = torch.rand(2, 1, height * 2**depth, across * 2**depth)
    model = UNet(classes=4, width=width, depth=depth, norm=norm, dropout=0.1, outlines=outlines)
    outputs = model(image_B1HW)
    assert outputs.logit_BC.shape == (2, 4)
    assert (outputs.mask_logit_BHW is None) is not outlines
    if outlines:
        assert outputs.mask_logit_BHW.shape == image_B1HW[:, 0].shape


def test_every_parameter_learns():
    model = UNet(classes=4, width=4, depth=2, outlines=True)
    logit_BC, mask_logit_BHW = model(torch.rand(3, 1, 16, 16))
    (logit_BC.square().sum() + mask_logit_BHW.square().sum()).backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in model.parameters())


def test_images_mix_only_in_batch_norm():
    model = UNet(classes=4, width=4, depth=2, norm="group")
    image_B1HW = torch.rand(3, 1, 16, 16)
    assert torch.allclose(model(image_B1HW).logit_BC[:1], model(image_B1HW[:1]).logit_BC, atol=1e-6)


def test_indivisible_sizes_are_refused():
    with pytest.raises(UsageError, match="multiples of 8, not 16 x 20"):
        UNet(classes=4, width=2, depth=3)(torch.rand(1, 1, 16, 20))


@pytest.mark.parametrize("change", [{"width": 0}, {"depth": 0}, {"dropout": 1.0}, {"norm": "layer"}])
def test_values_out_of_range_are_refused(change):
    with pytest.raises(UsageError, match="expected"):
        UNet(**{"classes": 4, "width": 2, "depth": 1, **change})
