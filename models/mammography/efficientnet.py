"""EfficientNet-B0 as a grader of images. The room of MONAI, an extra: `monai`.

Source: Tan and Le, EfficientNet: Rethinking model scaling for convolutional neural networks, ICML 2019. Every operation
has a deterministic backward pass on a graphics card: the pooling is to one pixel, which torch computes as a mean.

Shapes: B images, K channels, H by W pixels, C classes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from importlib.util import find_spec

import torch
from torch import Tensor, nn

from hpo import UsageError, install_line
from models.mammography.grader import Grader, Outputs
from models.mammography.unet import Norm

MODEL = "efficientnet-b0"

MEAN, SPREAD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's colours: what weights for three channels were trained with."""

GROUPS = 4
"""Of "group" normalisation; every layer's channels can be divided by it."""


def refuse_missing_package() -> None:
    """Raises where the network cannot be built at all; loads nothing.

    Raises:
        UsageError: if MONAI is not installed.
    """
    if find_spec("monai") is None:
        raise UsageError(f"arch {MODEL!r} needs MONAI: {install_line('monai')}")


def package_version() -> str:
    """Returns MONAI's version: it can change the bits of a result."""
    return version("monai")


class EfficientNetB0(Grader):
    """EfficientNet-B0, with its weights drawn at random: nothing is ever downloaded.

    Args:
        classes: number of them.
        channels: 1: grey values as they are; 3: the same in every color, normalized as ImageNet's are.
        dropout: probability, of the head's inputs.
        drop_connect: probability of the last block to be passed over by an image; of those before it, ever less.
        norm: "batch" or "group"; "group" does not mix the images of a batch.

    Raises:
        UsageError: if a value is out of range, or MONAI is not installed.
    """

    mean_K11: Tensor
    spread_K11: Tensor

    def __init__(
        self,
        *,
        classes: int,
        channels: int = 1,
        dropout: float = 0.0,
        drop_connect: float = 0.2,
        norm: Norm = "batch",
    ) -> None:
        super().__init__()
        if (
            channels not in (1, 3)
            or not 0 <= dropout < 1
            or not 0 <= drop_connect < 1
            or norm not in ("batch", "group")
        ):
            raise UsageError(
                "EfficientNet: expected 1 or 3 channels, 0 <= dropout < 1, 0 <= drop_connect < 1 and norm 'batch' or "
                f"'group', got {channels}, {dropout}, {drop_connect} and {norm!r}"
            )
        refuse_missing_package()
        from monai.networks.nets.efficientnet import EfficientNetBN, MBConvBlock  # seconds to import

        # With MONAI's momentum of 0.01 the statistics would need hundreds of updates to become those of the images.
        self.net = EfficientNetBN(
            MODEL,
            pretrained=False,
            in_channels=channels,
            num_classes=classes,
            norm=("batch", {"eps": 1e-3, "momentum": 0.1}) if norm == "batch" else ("group", {"num_groups": GROUPS}),
        )
        blocks = [module for module in self.net.modules() if isinstance(module, MBConvBlock)]
        for place, block in enumerate(blocks):
            block.drop_connect_rate = drop_connect * place / len(blocks)
        for module in self.net.modules():
            if isinstance(module, nn.Dropout):
                module.p = dropout
        # MONAI draws it as TensorFlow would for a thousand classes; for four, logits would begin in the tens.
        head = self.net.get_submodule("_fc")
        assert isinstance(head, nn.Linear)  # as its name says
        head.reset_parameters()
        mean, spread = (MEAN, SPREAD) if channels == 3 else ((0.0,), (1.0,))
        self.register_buffer("mean_K11", torch.tensor(mean).view(-1, 1, 1), persistent=False)
        self.register_buffer("spread_K11", torch.tensor(spread).view(-1, 1, 1), persistent=False)

    def forward(self, image_B1HW: Tensor) -> Outputs:
        """Grades a batch (B, 1, H, W) of any size."""
        return Outputs(self.net((image_B1HW - self.mean_K11) / self.spread_K11), None)

    @property
    def stages(self) -> Sequence[Sequence[nn.Module]]:
        """The stem, the stacks of blocks; the last one is with the convolution that makes the features."""
        part = self.net.get_submodule
        stem, *stacks = [[part("_conv_stem"), part("_bn0")], *([stack] for stack in part("_blocks").children())]
        return [stem, *stacks[:-1], [*stacks[-1], part("_conv_head"), part("_bn1")]]

    @property
    def heads(self) -> Sequence[str]:
        return ["net._fc"]

    @property
    def looked_at(self) -> nn.Module:
        return self.net.get_submodule("_bn1")

    def renamed(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Returns a file's tensors under the names that they have here, whoever wrote the file.

        MONAI's own lack the prefix; EfficientNet-PyTorch's, from which MONAI's stem, number blocks without their stack.
        """
        stacks = {re.sub(r"_blocks\.\d+\.", "_blocks.", name): name for name in self.state_dict()}
        found = {}
        for name, tensor in state.items():
            here = name if name.startswith("net.") else f"net.{name}"
            found[stacks.get(here, here)] = tensor
        return found
