"""Names of the tools that trainings can be logged to. Every command imports this, so it imports little."""

from __future__ import annotations

from collections.abc import Sequence

from hpo.core.arguments import require_choice
from hpo.core.options import names_of

TOOLS = ("mlflow", "wandb")
"""The tools to which a study can be logged; each is a module here, an extra and a package of the same name."""


def check_tools(names: Sequence[str]) -> None:
    """Checks that each name is one of a tool.

    Raises:
        UsageError: if one is not; the message lists the known names.
    """
    for name in names:
        require_choice("tool to log to", name, TOOLS)


def tools_of(text: str) -> tuple[str, ...]:
    """Returns names of tools that commas separate.

    Raises:
        ValueError: if one is unknown; the message lists the known names.
    """
    names = names_of(text)
    unknown = [name for name in names if name not in TOOLS]
    if unknown or not names:
        raise ValueError(f"expected {' or '.join(TOOLS)}, or both with a comma, got {text[:100]!r}")
    return names
