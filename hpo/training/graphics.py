"""Which graphics cards torch can use here."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Graphics:
    """What torch says of graphics cards.

    Attributes:
        cards: their names, in torch's order; none where it sees none.
        built_for: the CUDA, or ROCm, that this torch was built for; None: it knows of none.
        torch: version of torch.
    """

    cards: tuple[str, ...]
    built_for: str | None
    torch: str


def graphics() -> Graphics:
    """Asks torch, which takes a second or two to import."""
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    cards = tuple(torch.cuda.get_device_name(card) for card in range(count))
    return Graphics(cards=cards, built_for=torch.version.cuda or torch.version.hip, torch=torch.__version__)
