"""Which arguments are taken off the command line."""

from __future__ import annotations

import pytest

from hpo.cli.hiding import without_storage

URL = "postgresql://user:s3cret@host/name"


@pytest.mark.parametrize(
    ("arguments", "rest", "url"),
    [
        (["run", "--storage", URL, "-s", "x"], ["run", "-s", "x"], URL),
        (["run", f"--storage={URL}"], ["run"], URL),
        (["run", "--storage", "sqlite:///a.db", "-s", "x"], ["run", "--storage", "sqlite:///a.db", "-s", "x"], None),
        (["run", "--storage=a.db"], ["run", "--storage=a.db"], None),
        (["show", "--", "--storage", URL], ["show", "--", "--storage", URL], None),
        (["status"], ["status"], None),
    ],
)
def test_only_a_server_s_url_is_taken_off_the_command_line(arguments, rest, url):
    assert without_storage(arguments) == (rest, url)
