"""The base class of networks for `models.density`: outputs, stages and freezing.

Shapes: B images, H by W pixels, C classes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Self

from torch import Tensor, nn


class Outputs(NamedTuple):
    """The network's outputs for a batch.

    Attributes:
        logit_BC: logits of the classes.
        mask_logit_BHW: logits of dense tissue by pixel; None without a mask head.
    """

    logit_BC: Tensor
    mask_logit_BHW: Tensor | None


class Grader(nn.Module, ABC):
    """A network with a backbone, which consists of stages, and a head."""

    _frozen: tuple[nn.Module, ...] = ()

    @abstractmethod
    def forward(self, image_B1HW: Tensor) -> Outputs:
        """Grades a batch (B, 1, H, W)."""

    @property
    @abstractmethod
    def stages(self) -> Sequence[Sequence[nn.Module]]:
        """The stages of the backbone, from the input on."""

    @property
    @abstractmethod
    def heads(self) -> Sequence[str]:
        """The names of the submodules of the head; everything else is the backbone."""

    @property
    @abstractmethod
    def looked_at(self) -> nn.Module:
        """The last module whose output has pixels."""

    def is_of_head(self, name: str) -> bool:
        """Whether a parameter or buffer of that name belongs to the head."""
        return any(name.startswith(f"{head}.") for head in self.heads)

    def renamed(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Renames a file's tensors to the names of this network."""
        return dict(state)

    def freeze(self, stages: int) -> None:
        """Freezes the first `stages` stages, and makes the others trainable.

        Frozen stages stay in evaluation mode: their normalization statistics do not change, and there is no dropout.
        """
        self._frozen = tuple(module for stage in self.stages[:stages] for module in stage)
        for position, stage in enumerate(self.stages):
            for module in stage:
                module.requires_grad_(position >= stages)
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        """Sets the mode of all stages that are not frozen."""
        super().train(mode)
        for module in self._frozen:
            module.eval()
        return self
