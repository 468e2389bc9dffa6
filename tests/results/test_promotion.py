"""The promotion's own files, and the plain texts that all files are made of."""

from __future__ import annotations

import csv
import io
import json
import math
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo.core.errors import OutputRefused
from hpo.results import write_promotion
from hpo.results.plain import csv_text, json_line, json_text

ROWS: list[dict[str, object]] = [
    {
        "rank": 1,
        "trial": 14,
        "params": {"lr": 3e-4, "width": 8},
        "mean": np.float64(0.7),
        "sigma": None,
        "complete": True,
    },
    {
        "rank": None,
        "trial": 3,
        "params": {"lr": 1e-3},
        "mean": math.nan,
        "sigma": 0.1,
        "complete": False,
        "why": 'a, "b"',
    },
]

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


def test_promotion_json_and_csv_are_written(tmp_path: Path) -> None:
    write_promotion(tmp_path / "out", {"study": "unet", "rule": "mean-std", "rows": "replaced"}, ROWS)
    found = json.loads((tmp_path / "out" / "promotion.json").read_text(encoding="utf-8"))
    assert (found["study"], len(found["rows"])) == ("unet", 2)
    assert found["rows"][1]["mean"] is None
    assert (tmp_path / "out" / "promotion.csv").read_text(encoding="utf-8") == (
        "rank,trial,params,mean,sigma,complete,why\n"
        '1,14,"{""lr"": 0.0003, ""width"": 8}",0.7,,True,\n'
        ',3,"{""lr"": 0.001}",,0.1,False,"a, ""b"""\n'
    )
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["promotion.csv", "promotion.json"]


def test_other_texts_are_written(tmp_path: Path) -> None:
    write_promotion(tmp_path, {}, ROWS, {"promotion.md": "| a |\n"})
    assert (tmp_path / "promotion.md").read_text(encoding="utf-8") == "| a |\n"


def test_a_later_promotion_replaces_files(tmp_path: Path) -> None:
    write_promotion(tmp_path, {}, ROWS)
    write_promotion(tmp_path, {}, [])
    assert json.loads((tmp_path / "promotion.json").read_text()) == {"rows": []}
    assert (tmp_path / "promotion.csv").read_text().strip() == ""


@pytest.mark.parametrize("name", ["", "promotion.json", "promotion.csv"])
def test_something_in_the_way_is_refused(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "out"
    if name:
        (folder / name).mkdir(parents=True)
    else:
        folder.write_text("a file")
    with pytest.raises(OutputRefused, match="cannot write the promotion in"):
        write_promotion(folder, {}, ROWS)


def without_odd_numbers(value: object) -> object:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: without_odd_numbers(item) for key, item in value.items()}
    return [without_odd_numbers(item) for item in value] if isinstance(value, list) else value


@given(VALUES)
def test_json_round_trip(value: object) -> None:
    for text in (json_text(value), json_line(value)):
        assert json.loads(text, parse_constant=pytest.fail) == without_odd_numbers(value)
    assert json_line(value).count("\n") == 1


def test_odd_objects_become_plain() -> None:
    odd = {
        1: np.float32(0.5),
        "i": np.int64(3),
        "nan": np.float64("nan"),
        "set": {2},
        "tuple": (1, None),
        "path": Path("a/b"),
        "at": datetime(2026, 1, 1, tzinfo=UTC),
        "bytes": b"x",
        "bool": np.bool_(True),
        "array": np.array([1.5, np.inf]),
    }
    assert json.loads(json_text(odd)) == {
        "1": 0.5,
        "i": 3,
        "nan": None,
        "set": [2],
        "tuple": [1, None],
        "path": "a/b",
        "at": "2026-01-01 00:00:00+00:00",
        "bytes": "b'x'",
        "bool": True,
        "array": [1.5, None],
    }


@given(
    st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1),
    st.text(st.characters(exclude_characters="\0\r", exclude_categories=["Cs"]), min_size=1),
)
def test_csv_round_trip_is_exact(numbers: list[float], text: str) -> None:
    written = csv_text(["x", "text"], [{"x": number, "text": text} for number in numbers])
    rows = list(csv.DictReader(io.StringIO(written)))
    assert [float(row["x"]) for row in rows] == numbers
    assert {row["text"] for row in rows} == {text}
