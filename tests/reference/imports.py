"""Which packages of hpo import which, as a picture without the lines that follow from others."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]

WIDTH, ROW, BOX = 720, 56, 28
"""Of the picture, of the distance between two levels, and of a package, in pixels."""

ACROSS = {"backends": 140, "store": 200, "results": 480, "figures": 660, "seeds": 260, "stats": 460}
"""Where packages stand that share their level with others; the rest is in the middle."""


def imported() -> dict[str, set[str]]:
    """Returns the packages below `hpo` that each of them imports, `hpo.api` included; those for types do not count."""
    found: dict[str, set[str]] = {}
    for path in (ROOT / "hpo").rglob("*.py"):
        own = path.relative_to(ROOT / "hpo").parts[0].removesuffix(".py")
        if own.startswith("__"):
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        typing = {id(one) for node in ast.walk(tree) if _is_for_types(node) for one in ast.walk(node)}
        for node in (one for one in ast.walk(tree) if id(one) not in typing):
            for name in _names(node):
                if name.startswith("hpo.") and (other := name.split(".")[1]) != own:
                    found.setdefault(own, set()).add(other)
        found.setdefault(own, set())
    return {own: {one for one in others if one in found} for own, others in found.items()}


def reduced(edges: dict[str, set[str]]) -> list[tuple[str, str]]:
    """Returns the arrows that do not follow from two or more others."""
    below = {own: _reached(own, edges) for own in edges}
    return sorted(
        (own, other)
        for own, others in edges.items()
        for other in others
        if not any(other in below[between] for between in others - {other})
    )


def picture() -> str:
    """Returns the picture as SVG: each package above those that it imports."""
    edges = imported()
    levels = _levels(edges)
    height = ROW * (max(levels.values()) + 1)
    middle = {own: (ACROSS.get(own, WIDTH // 2), height - ROW * level - ROW // 2) for own, level in levels.items()}
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}">',
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        '<g stroke="#8a93a3" stroke-width="1.5">',
    ]
    for own, other in reduced(edges):
        (x, y), (to_x, to_y) = middle[own], middle[other]
        lines.append(f'<line x1="{x}" y1="{y + BOX // 2}" x2="{to_x}" y2="{to_y - BOX // 2}"/>')
    lines += ["</g>", '<g font-family="sans-serif" font-size="14" text-anchor="middle">']
    for own, (x, y) in sorted(middle.items()):
        box = f'x="{x - 55}" y="{y - BOX // 2}" width="110" height="{BOX}" rx="5"'
        lines.append(f'<rect {box} fill="#eef3fb" stroke="#3f5f95"/><text x="{x}" y="{y + 5}">{own}</text>')
    return "\n".join([*lines, "</g>", "</svg>"]) + "\n"


def _reached(own: str, edges: dict[str, set[str]]) -> set[str]:
    found: set[str] = set()
    open_ones = set(edges[own])
    while open_ones:
        one = open_ones.pop()
        if one not in found:
            found.add(one)
            open_ones |= edges[one]
    return found


def _levels(edges: dict[str, set[str]]) -> dict[str, int]:
    found: dict[str, int] = {}
    while len(found) < len(edges):
        for own in edges:
            if own not in found and edges[own] <= set(found):
                found[own] = max((found[other] + 1 for other in edges[own]), default=0)
    return found


def _is_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def _names(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [one.name for one in node.names]
    if isinstance(node, ast.ImportFrom) and node.module and not node.level:
        return [f"hpo.{one.name}" for one in node.names] if node.module == "hpo" else [node.module]
    return []
