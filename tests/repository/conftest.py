"""What the tests of pages share."""

from __future__ import annotations

import sys

import pytest


@pytest.fixture(autouse=True)
def own_train(monkeypatch):
    """Lets each page have a `train.py` of its own: a process that has imported another one refuses it."""
    monkeypatch.delitem(sys.modules, "train", raising=False)
