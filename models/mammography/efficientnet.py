"""EfficientNet-B0 as a grader of images, with MONAI from the extra `monai`.

Source: Tan and Le, EfficientNet: Rethinking model scaling for convolutional neural networks, ICML 2019. Every operation
has a deterministic backward pass on a GPU: the pooling is to one pixel, which torch computes as a mean.

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
from models.mammography.grader import Grader, Outputs, Standardize
from models.mammography.unet import Norm

MODEL = "efficientnet-b0"

MEAN, SPREAD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""ImageNet's color statistics, with which three-channel weights were trained."""

GROUPS = 4
"""Groups of "group" normalization; every layer's channels are divisible by it."""


def require_package() -> None:
    """Checks that MONAI is installed, without importing it.

    Raises:
        UsageError: if MONAI is not installed.
    """
    if find_spec("monai") is None:
        raise UsageError(f"arch {MODEL!r} needs MONAI: {install_line('monai')}")


def package_version() -> str:
    """Returns MONAI's version, which can change the bits of a result."""
    return version("monai")


class EfficientNetB0(Grader):
    """EfficientNet-B0 with random initial weights: nothing is ever downloaded.

    Args:
        classes: number of classes.
        channels: 1: unchanged gray values; 3: the same in every color, normalized as for ImageNet.
        dropout: dropout probability of the head's inputs.
        drop_connect: probability that an image skips the last block, decreasing towards the first block.
        norm: "batch" or "group"; "group" does not mix the images of a batch.
        vectors: components of the embeddings that are further inputs of the head; 0: there are none.

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
        vectors: int = 0,
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
        require_package()
        from monai.networks.nets.efficientnet import EfficientNetBN, MBConvBlock  # takes seconds to import

        # With MONAI's momentum of 0.01, the statistics would need hundreds of updates to fit the images.
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
        # MONAI initializes it as TensorFlow does for 1000 classes; for four, initial logits would be in the tens.
        head = self.net.get_submodule("_fc")
        assert isinstance(head, nn.Linear)  # as its name says
        if vectors:
            self.net._fc = nn.Linear(head.in_features + vectors, classes)
        else:
            head.reset_parameters()
        self.vectors = Standardize(vectors) if vectors else None
        mean, spread = (MEAN, SPREAD) if channels == 3 else ((0.0,), (1.0,))
        self.register_buffer("mean_K11", torch.tensor(mean).view(-1, 1, 1), persistent=False)
        self.register_buffer("spread_K11", torch.tensor(spread).view(-1, 1, 1), persistent=False)

    def forward(self, image_B1HW: Tensor, vector_BE: Tensor | None = None) -> Outputs:
        """Grades a batch of images (B, 1, H, W) of any size with their embeddings (B, E)."""
        if self.vectors is None:
            return Outputs(self.net((image_B1HW - self.mean_K11) / self.spread_K11), None)
        part = self.net.get_submodule
        pooled_BK = part("_dropout")(self.pooled(image_B1HW))
        return Outputs(part("_fc")(self.with_vectors(pooled_BK, vector_BE)), None)

    def pooled(self, image_B1HW: Tensor) -> Tensor:
        """Returns the features before dropout and head (B, K): means over the pixels of the last convolution."""
        part = self.net.get_submodule
        feature_BKHW = (image_B1HW - self.mean_K11) / self.spread_K11
        for names in (("_conv_stem", "_bn0"), ("_blocks",), ("_conv_head", "_bn1")):
            for name in names:
                if name.startswith("_conv"):
                    feature_BKHW = part(f"{name}_padding")(feature_BKHW)
                feature_BKHW = part(name)(feature_BKHW)
            if len(names) > 1:
                feature_BKHW = part("_swish")(feature_BKHW)
        pooled: Tensor = part("_avg_pooling")(feature_BKHW).flatten(start_dim=1)
        return pooled

    @property
    def stages(self) -> Sequence[Sequence[nn.Module]]:
        """The stem and the stacks of blocks; the last one includes the final convolution."""
        part = self.net.get_submodule
        stem, *stacks = [[part("_conv_stem"), part("_bn0")], *([stack] for stack in part("_blocks").children())]
        return [stem, *stacks[:-1], [*stacks[-1], part("_conv_head"), part("_bn1")]]

    @property
    def heads(self) -> Sequence[str]:
        return ["net._fc", "vectors"]

    @property
    def looked_at(self) -> nn.Module:
        return self.net.get_submodule("_bn1")

    def renamed(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Renames a file's tensors to the names of this network.

        MONAI's own names lack the prefix; EfficientNet-PyTorch's, on which MONAI's are based, number blocks without
        their stack.
        """
        stacks = {re.sub(r"_blocks\.\d+\.", "_blocks.", name): name for name in self.state_dict()}
        found = {}
        for name, tensor in state.items():
            here = name if name.startswith("net.") else f"net.{name}"
            found[stacks.get(here, here)] = tensor
        return found
