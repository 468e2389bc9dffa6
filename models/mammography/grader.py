"""What a network that grades images has to be for `models.density`: its answer, its stages, what of it is frozen.

Shapes: B images, H by W pixels, C classes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Self

from torch import Tensor, nn


class Outputs(NamedTuple):
    """What the network says of a batch.

    Attributes:
        logit_BC: of the classes.
        mask_logit_BHW: of "this pixel is dense tissue"; None without a mask head.
    """

    logit_BC: Tensor
    mask_logit_BHW: Tensor | None


class Grader(nn.Module, ABC):
    """A network with a backbone, which consists of stages, and a head that answers."""

    _frozen: tuple[nn.Module, ...] = ()

    @abstractmethod
    def forward(self, image_B1HW: Tensor) -> Outputs:
        """Grades a batch (B, 1, H, W)."""

    @property
    @abstractmethod
    def stages(self) -> Sequence[Sequence[nn.Module]]:
        """The backbone, from the input on."""

    @property
    @abstractmethod
    def heads(self) -> Sequence[str]:
        """The names of the submodules that answer; everything else is backbone."""

    @property
    @abstractmethod
    def looked_at(self) -> nn.Module:
        """The last module whose output has pixels."""

    def is_of_head(self, name: str) -> bool:
        """Whether a parameter or buffer of that name belongs to the head."""
        return any(name.startswith(f"{head}.") for head in self.heads)

    def renamed(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Returns a file's tensors under the names that they have in this network."""
        return dict(state)

    def freeze(self, stages: int) -> None:
        """Keeps the first `stages` stages as they are, whatever mode the network is in, and lets the others learn.

        What is frozen is in evaluation mode: its normalisation statistics stay too, and nothing in it is dropped.
        """
        self._frozen = tuple(module for stage in self.stages[:stages] for module in stage)
        for position, stage in enumerate(self.stages):
            for module in stage:
                module.requires_grad_(position >= stages)
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        """Sets the mode of everything that is not frozen."""
        super().train(mode)
        for module in self._frozen:
            module.eval()
        return self
