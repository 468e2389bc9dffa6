"""Contrast of the pages' colors in both schemes, by WCAG 2.2: 4.5 for text, 3 for marks."""

from __future__ import annotations

import re

import pytest

from hpo.serve.pages import STATIC

CSS = (STATIC / "pages.css").read_text(encoding="utf-8")
SCHEMES = {
    "light": re.findall(r":root \{(.*?)\}", CSS, re.DOTALL)[0],
    "dark": re.findall(r":root \{(.*?)\}", CSS, re.DOTALL)[1],
}
TEXT = ("ink", "faint", "accent", "win", "bad")
MARKS = ("other", *(f"seed-{number}" for number in range(7)))


def luminance(color):
    parts = [int(color[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    red, green, blue = (one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(scheme, one, other):
    colors = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", SCHEMES[scheme]))
    dark, light = sorted(luminance(colors[name]) for name in (one, other))
    return (light + 0.05) / (dark + 0.05)


def test_contrast_of_black_and_white():
    assert (luminance("#ffffff") + 0.05) / (luminance("#000000") + 0.05) == pytest.approx(21)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("ground", ["paper", "raised", "win-ground"])
@pytest.mark.parametrize("name", TEXT)
def test_text_is_readable(scheme, ground, name):
    assert contrast(scheme, name, ground) >= 4.5


@pytest.mark.parametrize("scheme", SCHEMES)
def test_warnings_are_readable(scheme):
    assert contrast(scheme, "ink", "warn-ground") >= 4.5


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("name", MARKS)
def test_marks_are_seen(scheme, name):
    assert contrast(scheme, name, "paper") >= 3
