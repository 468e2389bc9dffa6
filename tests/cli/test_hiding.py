"""No option accepts a password on the command line."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from hpo import UsageError
from hpo.cli.main import app

URL = "postgresql://user:s3cret@127.0.0.1:1/name"


@pytest.mark.parametrize(
    ("arguments", "variable"),
    [
        (["status", "--storage", URL], "HPO_STORAGE"),
        (["run", "-s", "x", f"--storage={URL}"], "HPO_STORAGE"),
        (["run", "-s", "x", "--storage", "host=h password=s3cret"], "HPO_STORAGE"),
        (["submit", "-s", "x", "--storage", URL], "HPO_STORAGE"),
        (["import", "-s", "x", "--from", URL], "HPO_FROM"),
        (["run", "-s", "x", "--ray-address", "http://u:s3cret@h"], "RAY_ADDRESS"),
        (["logs", "-s", "x", "--jobs-address=http://u:s3cret@h"], "RAY_API_SERVER_ADDRESS"),
    ],
)
def test_password_in_option_is_refused(arguments, variable):
    error = CliRunner().invoke(app, arguments).exception
    assert isinstance(error, UsageError)
    assert (
        f"may contain a password or a token, and every user of this machine can read a command line; set {variable} "
        in (str(error))
    )
    assert ("~/.pgpass" in str(error)) == (variable in {"HPO_STORAGE", "HPO_FROM"})
    assert "s3cret" not in str(error)


@pytest.mark.parametrize(
    ("arguments", "environment"),
    [
        (["status"], {"HPO_STORAGE": URL}),
        (["status", "--storage", URL.replace(":s3cret", "")], {}),
        (["status", "--storage", "sqlite:///nowhere/x.db?unknown=1"], {}),
    ],
)
def test_url_without_password_is_opened(arguments, environment):
    error = CliRunner().invoke(app, arguments, env=environment).exception
    assert "storage" in str(error)
    assert "command line" not in str(error)
