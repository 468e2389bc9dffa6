"""The pictures in the documentation: which there are, and that the command makes them."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests.serve.screenshots import FOLDER, PICTURES, ROOT, Picture, browser, served, take

LINKED = re.compile(r"!\[[^]]+\]\((?:docs/)?images/([\w-]+)\.png\)")


def test_pictures_are_those_of_the_command():
    assert {path.stem for path in FOLDER.iterdir()} == {one.name for one in PICTURES}
    files = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    linked = {name for file in files for name in LINKED.findall(file.read_text(encoding="utf-8"))}
    assert linked == {one.name for one in PICTURES}


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("chromedriver"), reason="there is no chromium with its driver")
def test_the_command_takes_a_picture(promoted_config, tmp_path):
    picture = Picture(name="curve", path="/robustness/curve", width=800, height=600)
    with served(promoted_config) as address, browser() as driver:
        content = take(driver, address, picture, Path(tmp_path)).read_bytes()
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    assert (int.from_bytes(content[16:20]), int.from_bytes(content[20:24])) == (800, 600)
    assert len(content) > 10_000, "an empty page is smaller"
