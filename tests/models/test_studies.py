from __future__ import annotations

from pathlib import Path

import pytest

from hpo.study import loading as catalog

STUDIES = Path(__file__).parents[2] / "studies"


OTHERS = ("bert-digits", "keras-conv2d", "lightning-digits")  # see test_digits_trainers.py, test_keras.py
OURS = [path for path in sorted(STUDIES.glob("*.toml")) if path.stem not in OTHERS]


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.stem)
def test_our_studies_are_valid(path):
    assert catalog.check(path).problems == ()
