"""The GPUs that torch can use on this machine."""

from __future__ import annotations

from dataclasses import dataclass

from hpo.core.optional_torch import require_torch


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuInfo:
    """The GPUs that torch sees.

    Attributes:
        cards: names of the GPUs in torch's order; empty if there are none.
        built_for: version of CUDA or ROCm that this torch was built for; None: a CPU build.
        torch: version of torch.
    """

    cards: tuple[str, ...]
    built_for: str | None
    torch: str


def gpu_info() -> GpuInfo:
    """Returns the GPUs that torch sees; importing torch takes a second or two.

    Raises:
        UsageError: if torch is not installed.
    """
    require_torch("looking for GPUs")
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    cards = tuple(torch.cuda.get_device_name(card) for card in range(count))
    return GpuInfo(cards=cards, built_for=torch.version.cuda or torch.version.hip, torch=torch.__version__)
