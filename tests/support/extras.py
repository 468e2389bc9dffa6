"""Skips tests that need a package of an extra, without importing it: each process of the tests collects all of them."""

from __future__ import annotations

from importlib.util import find_spec

import pytest


def needs(module, extra):
    return pytest.mark.skipif(find_spec(module) is None, reason=f"{module} needs the extra {extra}")
