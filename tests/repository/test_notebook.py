"""The notebook of the docs, executed in a kernel of its own."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parents[2] / "docs" / "notebook.ipynb"
PLOTLY = "application/vnd.plotly.v1+json"

pytestmark = pytest.mark.slow

EXECUTE = """
import sys
import nbclient, nbformat
notebook = nbformat.read(sys.argv[1], 4)
nbclient.NotebookClient(notebook, timeout=500, resources={"metadata": {"path": "."}}).execute()
nbformat.write(notebook, "executed.ipynb")
"""


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    """The cells after they ran, by their last line."""
    nbformat = pytest.importorskip("nbformat", reason="pip install nbclient ipykernel")
    pytest.importorskip("nbclient")
    folder = tmp_path_factory.mktemp("notebook")
    # another process, because the client starts threads and event loops that would outlive the test
    found = subprocess.run([sys.executable, "-c", EXECUTE, NOTEBOOK], cwd=folder, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr[-3000:]
    notebook = nbformat.read(folder / "executed.ipynb", 4)
    return {one.source.splitlines()[-1]: one for one in notebook.cells if one.cell_type == "code"}


def shown(cell, kind):
    """Returns what a cell shows of one kind: a MIME type, or the text of a stream."""
    texts = [one.text for one in cell.outputs if one.get("name") == kind]
    return "".join(texts) or next((one.data[kind] for one in cell.outputs if kind in one.get("data", {})), None)


def test_outcomes_are_shown_as_tables(cells):
    assert "Incumbent: trial" in shown(cells["searched"], "text/html")
    assert "<th" in shown(cells["promoted"], "text/html")
    assert shown(cells["promoted"], "text/plain").startswith("<PromotionOutcome digits-in-a-notebook: winner trial")


def test_a_bar_shows_the_progress(cells):
    if any("application/vnd.jupyter.widget-view+json" in one.get("data", {}) for one in cells["searched"].outputs):
        pytest.skip("ipywidgets is installed and draws the bar, not as text")
    bar = shown(cells["searched"], "stderr").replace("\r", "\n").strip().splitlines()[-1]
    assert " 12/12 " in bar
    assert "best: trial" in bar
    assert " 9/9 " in shown(cells["promoted"], "stderr")


def test_frames_have_their_rows(cells):
    assert shown(cells["searched.frame()"], "text/html").count("<tr") == 13
    assert shown(cells["promoted.trainings()"], "text/html").count("<tr") == 10


def test_figures_are_drawn_by_plotly(cells):
    drawn = [cell for source, cell in cells.items() if "plot" in source]
    assert len(drawn) == 4
    for cell in drawn:
        assert shown(cell, PLOTLY)["data"]
    assert shown(cells["searched.plot_history()"], PLOTLY)["layout"]["yaxis"]["title"]["text"] == "Validation accuracy"


def test_a_running_search_is_read(cells):
    counts = [int(count) for count in re.findall(r": (\d+) trials", shown(cells["stored"], "stdout"))]
    assert counts == sorted(counts)
    assert counts[0] < 24
    assert "24 trials" in shown(cells["stored"], "text/plain")
    assert "running)" in shown(cells["stored"], "stdout")


def test_the_notebook_is_stored_without_outputs(cells):
    nbformat = pytest.importorskip("nbformat")
    code = [one for one in nbformat.read(NOTEBOOK, 4).cells if one.cell_type == "code"]
    assert len(code) == len(cells)
    assert all(not one.outputs and one.execution_count is None for one in code)
