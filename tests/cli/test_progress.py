import io
import threading

import pytest
from rich.console import Console

import hpo
from hpo.cli.progress import Phases, Progress, header

FULL, WORDS = "━" * 6, "reading images: 5 of 20"


@pytest.fixture
def terminal():
    return Console(file=io.StringIO(), force_terminal=True, width=160, color_system=None)


@pytest.fixture
def pipe():
    return Console(file=io.StringIO(), force_terminal=False, width=40)


def drawn(console, what):
    console.print(what)
    return console.file.getvalue()


def test_preparation_has_a_bar_on_a_terminal(curve, terminal):
    progress = Progress(curve(), terminal, threading.Event())
    with progress.shown():
        progress.phase("starting Ray")
        assert FULL not in drawn(terminal, progress)
        progress.advanced(WORDS, 5, 20)
        assert FULL in drawn(terminal, progress)
        assert WORDS in terminal.file.getvalue()
        progress.phase("starting 2 workers")
        terminal.file.truncate(0)
        assert FULL not in drawn(terminal, progress)


def test_preparation_prints_lines_elsewhere(curve, pipe):
    progress = Progress(curve(), pipe, threading.Event())
    with progress.shown():
        progress.advanced(WORDS, 5, 20)
        progress.advanced(WORDS.replace("5", "9"), 9, 20)
    assert pipe.file.getvalue().splitlines() == [WORDS, "reading images: 9 of 20"]


def test_other_commands_show_a_bar(terminal, pipe):
    for console in (terminal, pipe):
        with Phases(console) as tell:
            tell("looking")
            tell(WORDS, 5, 20)
    assert FULL in terminal.file.getvalue()
    assert pipe.file.getvalue().splitlines() == ["looking ...", WORDS]


def test_observer_with_phase_only():
    class Listener(hpo.Observer):
        def __init__(self):
            self.heard = []

        def phase(self, message):
            self.heard.append(message)

    listener = Listener()
    listener.advanced(WORDS, 5, 20)
    assert listener.heard == [WORDS]


def test_header_has_the_notes_of_check(curve):
    made = curve(objective={"metric": "val_loss", "direction": "maximize"})
    assert "note: objective.direction  'val_loss' is maximized" in header(made, "sqlite:///x.db", "2 trials")
    assert "note" not in header(curve(), "sqlite:///x.db", "2 trials")
