"""What outcomes look like in a terminal and in a notebook."""

from __future__ import annotations

from hpo.cli.output import print_text
from hpo.core.shown import Dim, Grid, Page


def page():
    grid = Grid("trial", "name", left=("name",))
    grid.add_row("10", "a<b>")
    grid.add_row("3", "longer & [bold]")
    return Page(["! a <script> warns", "", grid, Dim("noted\ntwice")])


def test_columns_are_aligned():
    assert str(page()).splitlines() == [
        "! a <script> warns",
        "trial  name",
        "   10  a<b>",
        "    3  longer & [bold]",
        "noted",
        "twice",
    ]


def test_html_is_escaped():
    html = page()._repr_html_()
    assert "&lt;script&gt;" in html
    assert "a&lt;b&gt;" in html
    assert not {"<script>", "<b>"} & {html[at : at + 8] for at in range(len(html))}
    assert html.count("<td") == 4


def test_the_command_line_prints_the_same(capsys):
    print_text(page())
    printed = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert printed == str(page()).splitlines()
