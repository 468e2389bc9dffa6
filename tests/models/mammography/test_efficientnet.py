"""EfficientNet-B0 through MONAI, by the same trainable as the U-Net, and weights from a file."""

from __future__ import annotations

import hashlib
import pickle

import pytest
import torch
from extras import needs

from hpo import UsageError
from models.mammography.efficientnet import EfficientNetB0
from models.mammography.unet import UNet
from models.mammography.weights import load_weights

pytestmark = [pytest.mark.slow, needs("monai", "monai")]

DENSITY = "models.density:train"
TINY = {"arch": "efficientnet-b0", "lr": 0.01, "images": 40, "size": 32, "batch": 8, "dropout": 0.2}


def drawn(seed=0, **more):
    torch.manual_seed(seed)
    return EfficientNetB0(classes=4, **more)


@pytest.mark.slow
@pytest.mark.parametrize("more", [{}, {"channels": 3}, {"norm": "group"}])
def test_any_image_size_works(more):
    model = drawn(**more).eval()
    for size in (32, 48):
        assert model(torch.rand(2, 1, size, size)).logit_BC.shape == (2, 4)


def test_parameter_count_is_as_published():
    model = drawn(channels=3)
    assert sum(parameter.numel() for name, parameter in model.named_parameters() if not model.is_of_head(name)) == (
        4_007_548  # Tan and Le count 5.3 million with the head for 1000 classes: 1280 * 1000 + 1000
    )
    assert len(model.stages) == 8


def test_invalid_options_are_refused():
    with pytest.raises(UsageError, match="expected 1 or 3 channels"):
        drawn(channels=2)
    with pytest.raises(UsageError, match="norm 'batch' or 'group'"):
        drawn(norm="none")


@pytest.mark.slow
def test_resumed_jobs_are_bit_identical(trained):
    params = {**TINY, "drop_connect": 0.3, "class_weights": "auto", "backbone_lr": 0.003}
    whole = trained(DENSITY, params, budget=2)
    assert whole.error is None
    assert trained(DENSITY, params, budget=2, killed_in=1).digests == whole.digests
    assert whole.facts["monai"]


@pytest.mark.slow
def test_drop_connect_stream(trained):
    params = {**TINY, "dropout": 0.0, "augment": False}
    for drop_connect, matters in ((0.5, True), (0.0, False)):
        plain, varied = (
            trained(DENSITY, {**params, "drop_connect": drop_connect}, streams=streams)
            for streams in ({}, {"dropout": 43})
        )
        assert (plain.digests["weights"] != varied.digests["weights"]) is matters


@pytest.mark.slow
def test_weights_are_loaded_and_hashed(trained, tmp_path):
    path = tmp_path / "weights.pt"
    torch.save(drawn(seed=5).state_dict(), path)
    params = {**TINY, "train_backbone": False, "weights": str(path)}
    found = trained(DENSITY, params)
    assert found.error is None
    assert found.facts["weights"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert found.digests["weights"] != trained(DENSITY, {**params, "weights": ""}).digests["weights"]


@pytest.mark.slow
def test_both_naming_schemes_are_loaded(tmp_path):
    source = drawn(seed=5)
    own = source.net.state_dict()
    flat = {
        ".".join(
            part for place, part in enumerate(name.split(".")) if not (name.startswith("_blocks.") and place == 1)
        ): tensor
        for name, tensor in own.items()
    }
    for state in (own, flat, {"state_dict": own}):
        torch.save(state, tmp_path / "weights.pt")
        model = drawn(seed=6)
        load_weights(model, tmp_path / "weights.pt")
        assert all(torch.equal(tensor, source.state_dict()[name]) for name, tensor in model.state_dict().items())


def test_other_heads_are_not_loaded(tmp_path):
    torch.manual_seed(5)
    torch.save(EfficientNetB0(classes=1000).state_dict(), tmp_path / "weights.pt")
    model, before = drawn(seed=6), drawn(seed=6)
    load_weights(model, tmp_path / "weights.pt")
    assert torch.equal(model.net._fc.weight, before.net._fc.weight)
    assert not torch.equal(model.net._conv_stem.weight, before.net._conv_stem.weight)


class Payload:
    def __reduce__(self):
        return print, ("this code was run",)


def test_invalid_weights_change_nothing(tmp_path, capfd):
    path = tmp_path / "weights.pt"
    model, before = drawn(seed=6), drawn(seed=6)
    for write, message in (
        (lambda: path.write_bytes(b"no"), "expected a state dict written by torch.save"),
        (lambda: path.write_bytes(pickle.dumps(Payload())), "expected a state dict written by torch.save"),
        (lambda: torch.save([1], path), "expected a state dict, tensors by name, got list"),
        (
            lambda: torch.save(UNet(classes=4, width=2, depth=1).state_dict(), path),
            "tensors are missing: net._conv_stem.weight",
        ),
        (
            lambda: torch.save(drawn(channels=3).state_dict(), path),
            "net._conv_stem.weight is 32x3x3x3 there and 32x1x3x3",
        ),
    ):
        write()
        with pytest.raises(UsageError, match="weights") as refused:
            load_weights(model, path)
        assert message in str(refused.value)
    assert all(torch.equal(tensor, before.state_dict()[name]) for name, tensor in model.state_dict().items())
    assert "this code was run" not in capfd.readouterr().out


def test_only_the_unet_has_masks(trained):
    assert "only the U-Net has a mask head; set it to 0" in trained(DENSITY, {**TINY, "mask_weight": 0.5}).error
