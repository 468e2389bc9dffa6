"""The small network, which also writes a file of its own if its files are kept."""

from __future__ import annotations

from collections.abc import Iterator

from hpo import Context, Metrics
from toys import net


def train(params: net.NetParams, ctx: Context) -> Iterator[Metrics]:
    """Trains as `toys.net` does."""
    yield from net.train(params, ctx)
    if ctx.keeps:
        (ctx.artifacts / "note.txt").write_text(f"width {params.width}\n")
