"""How commands are read and shown: a study with or without `--study`, flags without a type, `--studies` everywhere."""

from __future__ import annotations

import pytest
import typer
from typer.testing import CliRunner

from hpo.cli.main import app

GROUP = typer.main.get_command(app)


def commands():
    """Returns every command by its words: `run`, `seeds replay`."""
    found = {}
    for name, one in GROUP.commands.items():
        found |= {f"{name} {inner}": two for inner, two in one.commands.items()} if hasattr(one, "commands") else {}
        found |= {} if hasattr(one, "commands") else {name: one}
    return found


COMMANDS = commands()
OF_A_STUDY = sorted(
    name
    for name, one in COMMANDS.items()
    if "--study" in [text for param in one.params for text in param.opts] and name not in ("init", "data phantoms")
)


def read(name, *words):
    return COMMANDS[name].make_context(name, list(words)).params


@pytest.mark.parametrize(
    ("name", "words", "expected"),
    [
        ("run", ["digits"], {"study": "digits"}),
        ("run", ["--trials", "5", "digits", "--promote"], {"study": "digits", "trials": 5, "promote": True}),
        ("run", ["--backend", "local", "local"], {"study": "local", "backend": "local"}),
        ("run", ["-s", "digits"], {"study": "digits"}),
        ("show", ["digits", "4"], {"study": "digits", "trial": 4}),
        ("show", ["4", "--study", "digits"], {"study": "digits", "trial": 4}),
        ("compare", ["digits", "4", "7"], {"study": "digits", "first": "4", "second": "7"}),
        ("compare", ["a.csv", "b.csv"], {"study": None, "first": "a.csv", "second": "b.csv"}),
        ("status", ["digits"], {"study": "digits"}),
        ("status", [], {"study": None}),
        ("submit", ["digits", "--trials", "5"], {"study": "digits", "arguments": ["--trials", "5"]}),
        ("submit", ["--study", "digits", "--promote"], {"study": "digits", "arguments": ["--promote"]}),
        ("seeds replay", ["digits", "--trial", "4", "--replays", "2"], {"study": "digits", "replays": 2}),
        ("init", ["folder"], {"study": None}),
    ],
)
def test_a_study_needs_no_option(name, words, expected):
    found = read(name, *words)
    assert {key: found[key] for key in expected} == expected


@pytest.mark.parametrize(
    ("name", "words", "message"),
    [
        ("run", [], "Missing option '--study' / '-s'"),
        ("run", ["digits", "other"], "unexpected extra argument(s) (other)"),
        ("run", ["digits", "--study", "other"], "unexpected extra argument(s) (digits)"),
        ("run", ["digits", "--trails", "5"], "No such option"),
        ("rank", ["--studies"], "requires an argument"),
    ],
)
def test_wrong_words_are_named(name, words, message):
    done = CliRunner().invoke(app, [*name.split(), *words], env={"COLUMNS": "200"})
    assert done.exit_code == 2
    assert message in done.stderr


@pytest.mark.parametrize("name", OF_A_STUDY)
def test_every_study_may_stand_alone(name):
    command = COMMANDS[name]
    context = command.context_class(command)
    assert "[STUDY]" in command.collect_usage_pieces(context)
    assert "--studies" in [text for param in command.params for text in param.opts]


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_flags_show_no_type(name):
    command = COMMANDS[name]
    context = command.context_class(command)
    flags = [one for one in command.get_params(context) if getattr(one, "is_flag", False)]
    assert flags
    assert [one.display_type_rich(context) for one in flags] == [""] * len(flags)
