"""An option is declared once: the command line, its help and the API's keywords come from one field."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field

import pytest
import typer
from typer.testing import CliRunner

import hpo
from hpo import api
from hpo.cli.main import app
from hpo.cli.options import only, with_options
from hpo.core.errors import UsageError
from hpo.core.options import count, declared, flag, numbers_of


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What is wanted.

    Attributes:
        shots: how many
            in all.
        seeds_: those that
            count.
        hidden: of the API alone.
    """

    shots: int = field(default=3, metadata=count())
    seeds_: tuple[int, ...] = field(default=(), metadata=flag(name="--seeds", parse=numbers_of))
    hidden: int = 0


def made(*arguments, annotation=Wanted):
    got = []

    def command(wanted: annotation) -> None:
        got.append(wanted)

    command.__annotations__["wanted"] = annotation
    single = typer.Typer()
    single.command()(with_options(command))
    done = CliRunner().invoke(single, arguments)
    return got[0] if got else done.output


def test_help_is_the_docstrings():
    assert [one.help for one in declared(Wanted)] == ["How many in all.", "Those that count."]
    assert "How many in all." in made("--help")


def test_a_command_gets_the_value():
    assert made() == Wanted()
    assert made("--shots", "5", "--seeds", "1,2") == Wanted(shots=5, seeds_=(1, 2))


@pytest.mark.parametrize("arguments", [("--shots", "0"), ("--seeds", "x"), ("--hidden", "1")])
def test_a_command_refuses_the_rest(arguments):
    assert isinstance(made(*arguments), str)


def test_only_some_of_the_options():
    from typing import Annotated

    one = Annotated[Wanted, only("shots")]
    assert made("--shots", "5", annotation=one) == Wanted(shots=5)
    assert isinstance(made("--seeds", "1", annotation=one), str)


@pytest.mark.parametrize(
    ("verb", "kind"),
    [
        (hpo.run, api.SearchOptions),
        (hpo.promote, api.PromotionOptions),
        (api.verify, api.VerifyOptions),
        (api.decompose, api.DecomposeOptions),
        (api.replay, api.ReplayOptions),
        (api.rank_stored, api.RuleOptions),
        (api.import_trials, api.ImportOptions),
        (api.diagnose, api.DiagnoseOptions),
        (api.assets, api.AssetsOptions),
        (api.audit, api.AuditOptions),
        (api.delete, api.DeleteOptions),
        (api.stop, api.StopOptions),
        (api.submit, api.SubmitOptions),
        (api.logs, api.LogsOptions),
    ],
)
def test_keywords_are_the_fields(verb, kind):
    _, _, *keywords = inspect.signature(verb).parameters.values()
    assert keywords == list(inspect.signature(kind).parameters.values())


@pytest.mark.parametrize(
    "command", ["run", "promote", "verify", "rank", "import", "diagnose", "assets", "delete", "stop", "submit", "logs"]
)
def test_every_option_has_a_help(command):
    group = typer.main.get_command(app).commands[command]
    assert [one.name for one in group.params if not one.help] == []


def test_options_as_value_or_keywords(curve, config):
    value = hpo.run(curve(), config, api.SearchOptions(trials=1))
    keywords = hpo.run(curve(), config, trials=1)
    assert [one.value for one in value.trials] == [one.value for one in keywords.trials]
    assert len(value.trials) == 1


def test_run_takes_no_other_tools_trials():
    group = typer.main.get_command(app).commands
    assert "source" in {one.name for one in group["promote"].params}
    assert "source" not in {one.name for one in group["run"].params}


def test_zero_is_a_default_that_is_shown():
    assert "[default: 0]" in CliRunner().invoke(app, ["data", "phantoms", "--help"]).output


def test_value_and_keywords_together(curve, config):
    with pytest.raises(UsageError, match="as one value or as keywords, not both: trials"):
        hpo.run(curve(), config, api.SearchOptions(), trials=1)
    with pytest.raises(UsageError, match="options must be a SearchOptions"):
        hpo.run(curve(), config, api.VerifyOptions())
    with pytest.raises(UsageError, match=r"run.. takes no 'trails'.* Did you mean trials"):
        hpo.run(curve(), config, trails=1)
    with pytest.raises(UsageError, match=r"^diagnose\(\) needs trial. It takes: trial, seeds"):
        hpo.diagnose(curve(), config)
