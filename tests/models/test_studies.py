from __future__ import annotations

from pathlib import Path

import pytest

from hpo import catalog

STUDIES = Path(__file__).parents[2] / "studies"


@pytest.mark.parametrize("path", sorted(STUDIES.glob("*.toml")), ids=lambda path: path.stem)
def test_our_studies_are_sound(path):
    assert catalog.check(path).problems == ()
