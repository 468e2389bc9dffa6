"""Tables that fit a width."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hpo.core.shown import Grid


def made(**options):
    grid = Grid("rank", "trial", "seed 42", "mean", "score", "lr", "batch", **options)
    grid.add_row("1", "4", "0.9095", "0.9105", "0.9062", "0.175", "32")
    grid.add_row("2", "11", "0.8843", "0.8984", "0.8882", "0.0217", "16")
    return grid


def shown(tables):
    return [[*table.columns] for table in tables]


def test_a_table_that_fits_stays_whole():
    grid = made(spare=[["seed 42"]], below=["lr", "batch"])
    assert grid.fitted(grid.width) == ([grid], [])
    assert grid.width == max(map(len, str(grid).splitlines()))


def test_spare_columns_go_first():
    grid = made(keys=2, spare=[["mean"], ["seed 42"]])
    tables, lacking = grid.fitted(grid.width - 1)
    assert shown(tables) == [["rank", "trial", "mean", "score", "lr", "batch"]]
    assert lacking == ["seed 42"]


def test_a_group_stays_or_goes_whole():
    tables, lacking = made(spare=[["seed 42", "mean"], ["batch"]]).fitted(34)
    assert shown(tables) == [["rank", "trial", "score", "lr", "batch"]]
    assert lacking == ["seed 42", "mean"]


def test_other_columns_continue_below():
    tables, lacking = made(keys=2, below=["lr", "batch"]).fitted(40)
    assert shown(tables) == [["rank", "trial", "seed 42", "mean", "score"], ["rank", "trial", "lr", "batch"]]
    assert str(tables[1]).splitlines()[1:] == ["   1      4   0.175     32", "   2     11  0.0217     16"]
    assert lacking == []


def test_a_cell_is_never_cut():
    tables, _ = made(keys=2).fitted(5)
    assert shown(tables) == [["rank", "trial", name] for name in ("seed 42", "mean", "score", "lr", "batch")]


def test_keys_alone_are_a_table():
    grid = Grid("name", "number", spare=[["number"]])
    grid.add_row("a long name", "12345")
    assert shown(grid.fitted(8)[0]) == [["name"]]


@given(st.lists(st.text("ab", min_size=1, max_size=9), min_size=3, max_size=9), st.integers(1, 60), st.data())
def test_nothing_is_lost_or_too_wide(cells, width, data):
    names = [f"c{place}" for place in range(len(cells))]
    spare = data.draw(st.lists(st.sampled_from(names[1:]), unique=True))
    below = data.draw(st.lists(st.sampled_from(names[1:]), unique=True))
    below = [name for name in below if name not in spare]
    grid = Grid(*names, spare=[[name] for name in spare], below=below)
    grid.add_row(*cells)
    tables, lacking = grid.fitted(width)
    found = [pair for table in tables for pair in zip(table.columns[1:], table.rows[0][1:], strict=True)]
    assert sorted([*found, *((name, cells[names.index(name)]) for name in lacking)]) == sorted(
        zip(names[1:], cells[1:], strict=True)
    )
    assert {*lacking} <= {*spare}
    assert all(table.width <= width or len(table.columns) <= 2 for table in tables)
