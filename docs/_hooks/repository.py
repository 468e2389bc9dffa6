"""A hook of MkDocs: pages of the repository outside docs/ become pages of the site, links to other files plain text.

On a forge, pages link to files of the repository, such as `../studies/digits.toml`, which a site does not have.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]

TAKEN = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "CODE_OF_CONDUCT.md": "code-of-conduct.md",
}
"""Pages of the repository, and their addresses in the site."""

LINK = re.compile(r"(!?)\[((?:[^\[\]]|`[^`]*`)*)\]\(([^)\s]+)\)")


def on_files(files: Files, config: Any) -> Files:
    """Adds the pages from outside docs/."""
    for name, address in TAKEN.items():
        files.append(File.generated(config, address, content=(ROOT / name).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Resolves links that leave docs/."""
    origins = {address: name for name, address in TAKEN.items()}
    source = origins.get(page.file.src_uri, f"docs/{page.file.src_uri}")

    def resolved(match: re.Match[str]) -> str:
        image, text, target = match.groups()
        path, _, anchor = target.partition("#")
        if "://" in target or not path:
            return match[0]
        wanted = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
        address = _address(wanted)
        if address is None:
            return text if f"`{wanted}`" in text or wanted in text else f"{text} (`{wanted}`)"
        relative = posixpath.relpath(address, posixpath.dirname(page.file.src_uri) or ".")
        return f"{image}[{text}]({relative}{'#' if anchor else ''}{anchor})"

    return LINK.sub(resolved, markdown)


def _address(path: str, taken: Mapping[str, str] = TAKEN) -> str | None:
    """Returns the address of a file of the repository in the site; None if the site does not have it."""
    if path == "SECURITY.md":
        return "security.md"
    return taken.get(path) or (path.removeprefix("docs/") if path.startswith("docs/") else None)
