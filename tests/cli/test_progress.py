import io
import threading

import pytest
from rich.console import Console

import hpo
from hpo.cli.live import LinesAbove, lines_above
from hpo.cli.progress import Phases, Progress, header
from hpo.core.records import Evaluation, Job, Status

SEVEN = {
    "lr": {"float": [1e-4, 1e-1], "log": True},
    "optimizer": {"choice": ["adamw", "sgd"]},
    "momentum": {"float": [0.8, 0.99]},
    "weight_decay": {"float": [1e-6, 1e-2]},
    "width": {"choice": [8, 16, 24]},
    "dropout": {"float": [0.0, 0.5]},
    "batch": {"int": [16, 64]},
}
VALUES = {"lr": 0.0123, "optimizer": "adamw", "momentum": 0.9, "weight_decay": 1.234e-05, "width": 8, "dropout": 0.25}

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


def job(trial, seed=41):
    return Job(trial=trial, params={**VALUES, "batch": 32}, seed=seed, budget=5)


def narrow(width):
    return Console(file=io.StringIO(), force_terminal=True, width=width, color_system=None)


def searched(study, console, count=2):
    """Returns what shows a search of a few trials, of which the last one still runs."""
    progress = Progress(study, console, threading.Event())
    progress.begins(40, 0)
    for trial in range(count):
        progress.asked(job(trial))
        progress.reported(job(trial), 1, 0.5 + 0.01 * trial)
        progress.told(Evaluation(job=job(trial), status=Status.COMPLETE, value=0.5 + 0.01 * trial, step=1))
    progress.asked(job(count))
    progress.reported(job(count), 2, 0.7471)
    console.file.seek(0)
    console.file.truncate()  # of the lines that are printed where no table is shown
    return progress


LIVE = """\
trial  state       value  epoch      lr        optimizer  momentum  +4 params
    2  running    0.7471  ██░░░ 2/5  0.0123    adamw      0.9
    1  incumbent  0.5100  0/5        0.0123    adamw      0.9
    0  complete   0.5000  0/5        0.0123    adamw      0.9
2 of 40 · 2 complete"""


def test_seven_params_at_80_columns(curve):
    console = narrow(80)
    lines = drawn(console, searched(curve(space=SEVEN), console)).splitlines()
    assert "\n".join(line.rstrip() for line in lines).startswith(LIVE)
    assert max(map(len, lines)) <= 80


def test_seven_params_at_200_columns(curve):
    console = narrow(200)
    head, first, *_ = drawn(console, searched(curve(space=SEVEN), console)).splitlines()
    assert head.split() == ["trial", "state", "value", "epoch", *SEVEN]
    assert first.split() == [
        "2",
        "running",
        "0.7471",
        "██░░░",
        "2/5",
        "0.0123",
        "adamw",
        "0.9",
        "1.23e-05",
        "8",
        "0.25",
        "32",
    ]


def test_the_trial_table_stays(curve):
    console = narrow(80)
    progress = searched(curve(space=SEVEN), console)
    with progress.shown():
        pass
    shown = console.file.getvalue().rpartition("\x1b[2K")[2]
    assert "    1  incumbent  0.5100  0/5" in shown
    assert "running" not in shown
    assert shown.rstrip().endswith("all params: hpo trials --study curve")


def test_the_best_of_many_trials_stay(curve):
    console = narrow(80)
    progress = searched(curve(space=SEVEN), console, 30)
    with progress.shown():
        pass
    shown = console.file.getvalue().rpartition("\x1b[2K")[2]
    assert "the best 20 of 30; all params: hpo trials --study curve" in shown
    assert [line.split()[0] for line in shown.splitlines()[1:21]] == [str(trial) for trial in range(10, 30)]


def test_verbose_prints_every_epoch(curve, pipe):
    progress = Progress(curve(), pipe, threading.Event(), verbose=True)
    progress.asked(job(4))
    progress.reported(job(4), 1, 0.25)
    assert pipe.file.getvalue() == "trial 4 epoch 1/5 0.2500\n"


def test_escape_codes_in_pieces_stay_codes(terminal):
    """A library may write the codes of a color one by one, and the last one when the process ends."""
    stream = io.StringIO()
    above = LinesAbove(terminal, stream)
    for piece in ("\x1b[31m", "red", "\x1b[0m", "\n", "\x1b[0m"):
        above.write(piece)
    above.end()
    above.write("\x1b[0m")
    assert terminal.file.getvalue() == "red\n", "a console without colors"
    assert stream.getvalue() == "\x1b[0m"


def test_a_progress_bar_is_one_line(terminal):
    with lines_above(terminal):
        print("\r 1 of 3", end="")
        print("\r 2 of 3", end="")
        print("\r 3 of 3")
        print("no end of line", end="")
    assert terminal.file.getvalue() == " 3 of 3\nno end of line\n"


def test_the_live_table_fits_any_width(curve):
    heads = {}
    for width in range(60, 120):
        console = narrow(width)
        heads[width] = drawn(console, searched(curve(space=SEVEN), console)).splitlines()[0].rstrip()
    assert {width: head for width, head in heads.items() if len(head) > width or "…" in head} == {}
    assert len({*heads.values()}) == 6, "a column more wherever there is room for one"
