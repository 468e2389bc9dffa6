"""Links of all Markdown files of the repository: to files and headings that exist, as a forge names them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = [
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    ROOT / "docker" / "README.md",
    ROOT / "examples" / "README.md",
]
LINK = re.compile(r"\[(?:[^\[\]]|`[^`]*`)*\]\(([^)\s]+)\)")


def prose(path):
    """Returns the text of a page without its blocks of code."""
    return re.sub(r"^```.*?^```$", "", path.read_text(), flags=re.DOTALL | re.MULTILINE)


def anchors(path):
    """Returns the anchors of a page: headings as GitHub writes them, and the names that mkdocstrings adds."""
    text = prose(path)
    headings = [
        re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", one) for one in re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    ]
    found = {re.sub(r"[^\w\- ]", "", one.strip().lower()).replace(" ", "-") for one in headings}
    return found | set(re.findall(r"^::: (\S+)$", text, re.MULTILINE))


def problems(path):
    """Returns the links of a page that lead nowhere."""
    found = []
    for target in LINK.findall(prose(path)):
        if "://" in target or target.startswith("mailto:"):
            continue
        name, _, anchor = target.partition("#")
        file = (path.parent / name).resolve() if name else path
        if not file.exists() or (anchor and anchor not in anchors(file)):
            found.append(target)
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(path):
    assert problems(path) == []


def test_broken_links_are_found(tmp_path):
    (tmp_path / "other.md").write_text("# Other\n\n## The `lag`, and more\n")
    (tmp_path / "page.md").write_text(
        "[a](other.md) [b](other.md#the-lag-and-more) [c](#here) [d](missing.md) [e](other.md#gone)\n\n## Here\n"
    )
    assert problems(tmp_path / "page.md") == ["missing.md", "other.md#gone"]


def test_every_page_can_be_reached():
    """From the start page of docs/, which a forge shows with the folder, and which is the site's first page."""
    start = ROOT / "docs" / "README.md"
    listed = {(start.parent / target.partition("#")[0]).resolve() for target in LINK.findall(prose(start))}
    assert set((ROOT / "docs").rglob("*.md")) - {start} - listed == set()


def test_pages_begin_with_their_purpose():
    for path in sorted((ROOT / "docs").rglob("*.md")):
        text = re.sub(r"^<!--.*?-->\n+", "", path.read_text())
        title, _, rest = text.partition("\n\n")
        assert re.fullmatch(r"# .+", title), path
        assert re.match(r"(?!```)[^#|\-!]", rest), f"{path} begins without a paragraph that says what it is for"
