"""The base class of networks for `models.density`: outputs, stages and freezing.

Shapes: B images, T training images, H by W pixels, C classes, K features, E components of an embedding.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Self

import torch
from torch import Tensor, nn


class Outputs(NamedTuple):
    """The network's outputs for a batch.

    Attributes:
        logit_BC: logits of the classes.
        mask_logit_BHW: logits of dense tissue by pixel; None without a mask head.
    """

    logit_BC: Tensor
    mask_logit_BHW: Tensor | None


class Standardize(nn.Module):
    """Scales embeddings to mean 0 and standard deviation 1 over the training images.

    Args:
        components: components of an embedding.
    """

    mean_E: Tensor
    spread_E: Tensor

    def __init__(self, components: int) -> None:
        super().__init__()
        self.register_buffer("mean_E", torch.zeros(components))
        self.register_buffer("spread_E", torch.ones(components))

    def fit(self, vector_TE: Tensor) -> None:
        """Takes mean and standard deviation from the training images; a constant component becomes 0."""
        spread_E, mean_E = torch.std_mean(vector_TE.double(), dim=0, correction=0)
        self.mean_E.copy_(mean_E)
        self.spread_E.copy_(torch.where(spread_E > 0, spread_E, torch.ones_like(spread_E)))

    def forward(self, vector_BE: Tensor) -> Tensor:
        """Scales a batch (B, E)."""
        return (vector_BE - self.mean_E) / self.spread_E


class Grader(nn.Module, ABC):
    """A network with a backbone, which consists of stages, and a head.

    Attributes:
        vectors: scales the embeddings that are further inputs of the head; None: there are none.
    """

    _frozen: tuple[nn.Module, ...] = ()
    vectors: Standardize | None

    @abstractmethod
    def forward(self, image_B1HW: Tensor, vector_BE: Tensor | None = None) -> Outputs:
        """Grades a batch of images (B, 1, H, W) with their embeddings (B, E)."""

    def with_vectors(self, pooled_BK: Tensor, vector_BE: Tensor | None) -> Tensor:
        """Returns pooled features (B, K) with the scaled embeddings (B, E) beside them (B, K + E)."""
        if self.vectors is None or vector_BE is None:
            return pooled_BK
        return torch.cat([pooled_BK, self.vectors(vector_BE)], dim=1)

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
