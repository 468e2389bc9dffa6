from __future__ import annotations

from pathlib import Path

import pytest

from hpo.study import loading as catalog

STUDIES = Path(__file__).parents[2] / "studies"


OURS = [path for path in sorted(STUDIES.glob("*.toml")) if path.stem != "keras-conv2d"]  # see test_keras.py


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.stem)
def test_our_studies_are_valid(path):
    assert catalog.check(path).problems == ()
