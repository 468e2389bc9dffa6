"""Grad-CAM heat maps of selected cases, with Captum.

Source: Selvaraju et al., Grad-CAM: Visual explanations from deep networks via gradient-based localization, ICCV 2017.

Shapes: V cases, M of them chosen, C classes, H by W pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from hpo import UsageError, install_line


def chosen(truth_V: npt.NDArray[np.int64], probability_VC: npt.NDArray[np.float64]) -> list[int]:
    """Returns for each true class the most confident correct case and the most confident wrong case.

    One case of each class comes first, the correct one if there is one, and then the others: a report that shows only
    the first cases shows all classes. A class without correct or without wrong cases has only one.
    """
    predicted_V = probability_VC.argmax(axis=1)
    sure_V = probability_VC.max(axis=1)
    firsts, others = [], []
    for label in range(probability_VC.shape[1]):
        found = []
        for is_right in (True, False):
            [places] = np.nonzero((truth_V == label) & ((predicted_V == label) == is_right))
            if len(places):
                found.append(int(places[sure_V[places].argmax()]))
        firsts += found[:1]
        others += found[1:]
    return firsts + others


def require_heat_maps() -> None:
    """Checks before any training that heat maps can be drawn after it.

    Raises:
        UsageError: if Captum is not installed.
    """
    if find_spec("captum") is None:
        raise UsageError(f"the heat maps of the results need captum: {install_line('mammography')}")


def heat_maps(
    model: nn.Module, layer: nn.Module, image_M1HW: Tensor, label_M: Sequence[int], logits: Callable[[Tensor], Tensor]
) -> npt.NDArray[np.float32]:
    """Returns how much each pixel supports a class (M, H, W), scaled to 0 .. 1 in each image.

    Args:
        model: the model; switched to evaluation mode and back to training mode.
        layer: the layer to explain: the last one with pixels.
        image_M1HW: the images to explain, (M, 1, H, W).
        label_M: the class to explain for each image.
        logits: returns the model's (B, C) logits of a batch.
    """
    from captum.attr import LayerGradCam  # takes a second, needed only by a promotion

    model.eval()
    try:
        found = LayerGradCam(logits, layer).attribute(
            image_M1HW, target=torch.tensor(list(label_M), device=image_M1HW.device), relu_attributions=True
        )
        heat_MHW = functional.interpolate(found, image_M1HW.shape[2:], mode="bilinear")[:, 0].detach().cpu().numpy()
    finally:
        model.zero_grad(set_to_none=True)
        model.train()
    least_M11, most_M11 = (found(axis=(1, 2), keepdims=True) for found in (heat_MHW.min, heat_MHW.max))
    return np.asarray((heat_MHW - least_M11) / np.where(most_M11 > least_M11, most_M11 - least_M11, 1), np.float32)
