"""The pages as a site, and the picture of its packages."""

from __future__ import annotations

import html
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.reference.imports import reduced
from tests.support.extras import needs

ROOT = Path(__file__).parents[2]


def build(folder, *options):
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "true"}
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder), *options]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


@needs("mkdocs", "docs")
@pytest.mark.slow
def test_the_site_is_built_strictly(tmp_path):
    done = build(tmp_path)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    links = 0
    for path in tmp_path.rglob("*.html"):
        text = path.read_text()
        assert 'src="http' not in text  # nothing is loaded from other servers
        for target in re.findall(r'href="([^"#:]*)#([^"]+)"', text):
            page = (path.parent / target[0]).resolve()
            page = page / "index.html" if page.is_dir() else page
            assert f'id="{html.unescape(target[1])}"' in page.read_text(), (path, target)
            links += 1
    assert links > 100


def test_lines_that_follow_are_left_out():
    edges = {"a": {"b", "c", "d"}, "b": {"c"}, "c": set(), "d": {"c"}}
    assert reduced(edges) == [("a", "b"), ("a", "d"), ("b", "c"), ("d", "c")]
