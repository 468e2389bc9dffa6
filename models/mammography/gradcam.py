"""Where a classifier looks: Grad-CAM of chosen cases. Captum's room.

Source: Selvaraju et al., Grad-CAM: Visual explanations from deep networks via gradient-based localization, ICCV 2017.

Shapes: V cases, M of them chosen, C classes, H by W pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional


def chosen(truth_V: npt.NDArray[np.int64], probability_VC: npt.NDArray[np.float64]) -> list[int]:
    """Returns for each true class the case that is right with the most confidence, and the one that is wrong with it.

    A class whose cases are all right, or all wrong, has one.
    """
    said_V = probability_VC.argmax(axis=1)
    sure_V = probability_VC.max(axis=1)
    found = []
    for label in range(probability_VC.shape[1]):
        for is_right in (True, False):
            [places] = np.nonzero((truth_V == label) & ((said_V == label) == is_right))
            if len(places):
                found.append(int(places[sure_V[places].argmax()]))
    return found


def heat_maps(
    model: nn.Module, layer: nn.Module, image_M1HW: Tensor, label_M: Sequence[int], logits: Callable[[Tensor], Tensor]
) -> npt.NDArray[np.float32]:
    """Returns how much each pixel speaks for a class (M, H, W), from 0, its least, to 1 in each image.

    Args:
        model: is put into evaluation mode, and into training mode again.
        layer: whose output is looked at: the last one with pixels.
        image_M1HW: the images to explain, (M, 1, H, W).
        label_M: the class of each.
        logits: what of the model's answer to a batch is its (B, C) logits.
    """
    from captum.attr import LayerGradCam  # a second to import, and only a promotion needs it

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
