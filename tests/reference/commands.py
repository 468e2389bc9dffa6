"""The page of all commands, from the tree of commands."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from typer.main import get_command

from hpo.cli.main import app
from tests.reference.markdown import cell, code, mark, table

BEGIN = """# Commands

Every command of `hpo` with its arguments and options, for looking up. `hpo COMMAND --help` prints the same. What
the commands do, and in which order, is in the [guides](../README.md).

Every command also has `--help`. Exit status: 0 done; 1 failed, or something is still open (also after `--time`); 2
invalid arguments, and nothing was written; 130 or 143 ended by a signal. With `--json` one JSON object goes to
stdout; progress and messages go to stderr.
"""


def commands() -> str:
    """Returns the page."""
    return "\n".join([mark(), BEGIN, *_of_all(get_command(app))]).rstrip() + "\n"


def _of_all(root: Any) -> Iterator[str]:
    panels: dict[str, list[tuple[str, Any]]] = {}
    for name, command in root.commands.items():
        for words, one in _leaves(name, command):
            panels.setdefault(command.rich_help_panel or "Commands", []).append((words, one))
    for panel, found in panels.items():
        yield f"## {panel}\n"
        for words, command in found:
            yield f"### hpo {words}\n"
            yield f"{' '.join((command.help or '').split())}\n"
            yield from _parameters([one for one in command.params if not one.hidden and one.name != "help"])


def _leaves(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    if hasattr(command, "commands"):
        for inner, one in command.commands.items():
            yield from _leaves(f"{name} {inner}", one)
    else:
        yield name, command


def _parameters(found: list[Any]) -> Iterator[str]:
    arguments = [one for one in found if one.param_type_name == "argument"]
    options = [one for one in found if one.param_type_name == "option"]
    if arguments:
        rows = (
            (code((one.metavar or one.name).strip("[]").upper()), cell(one.help or ""), _default(one))
            for one in arguments
        )
        yield from table(("argument", "what it is", "default"), rows)
    if options:
        rows = ((_written(one), cell(one.help or ""), _default(one)) for one in options)
        yield from table(("option", "what it is", "default"), rows)


def _written(option: Any) -> str:
    names = sorted(option.opts, key=lambda name: not name.startswith("--")) + option.secondary_opts
    value = "" if option.is_flag else f" {code(_value(option))}"
    return f"{', '.join(map(code, names))}{value}"


def _value(option: Any) -> str:
    if option.metavar:
        return str(option.metavar)
    wanted = option.type_descriptor.annotation
    if get_origin(wanted) is Literal:
        return f"<{'|'.join(map(str, get_args(wanted)))}>"
    return {int: "<whole number>", float: "<number>", Path: "<path>"}.get(wanted, "<text>")


def _default(one: Any) -> str:
    if one.required:
        return "required"
    envvar = f", or {code(str(one.envvar))}" if getattr(one, "envvar", None) else ""
    if one.show_default is False or one.default in (None, False, ()):
        return envvar.removeprefix(", or ")
    value = one.default
    if isinstance(value, (list, tuple)):
        value = ",".join(str(inner) for inner in value)
    return code(str(getattr(value, "value", value))) + envvar
