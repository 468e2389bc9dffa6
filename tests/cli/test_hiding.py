"""Which arguments are taken off the command line."""

from __future__ import annotations

import pytest

from hpo.cli.hiding import without_urls

URL = "postgresql://user:s3cret@host/name"


@pytest.mark.parametrize(
    ("arguments", "rest", "urls"),
    [
        (["run", "--storage", URL, "-s", "x"], ["run", "-s", "x"], {"HPO_STORAGE": URL}),
        (["run", f"--storage={URL}"], ["run"], {"HPO_STORAGE": URL}),
        (
            ["import", "--from", URL + "1", "--storage", URL],
            ["import"],
            {"HPO_FROM": URL + "1", "HPO_STORAGE": URL},
        ),
        (["import", "--from", "old.log"], ["import", "--from", "old.log"], {}),
        (["run", "--storage", "sqlite:///a.db", "-s", "x"], ["run", "--storage", "sqlite:///a.db", "-s", "x"], {}),
        (["run", "--storage=a.db"], ["run", "--storage=a.db"], {}),
        (["show", "--", "--storage", URL], ["show", "--", "--storage", URL], {}),
        (["status"], ["status"], {}),
        (["run", "--storage", "host=h password=s3cret"], ["run"], {"HPO_STORAGE": "host=h password=s3cret"}),
        (["run", "--workdir", "ftp://u:s3cret@h/x"], ["run"], {"HPO_WORKDIR": "ftp://u:s3cret@h/x"}),
        (["run", "--workdir", "s3://bucket/x"], ["run", "--workdir", "s3://bucket/x"], {}),
        (["submit", "--workdir", "ftp://u:s3cret@h"], ["submit", "--workdir", "ftp://u:s3cret@h"], {}),
        (["logs", "--jobs-address=http://u:s3cret@h"], ["logs"], {"RAY_API_SERVER_ADDRESS": "http://u:s3cret@h"}),
    ],
)
def test_only_servers_urls_are_taken_off_the_command_line(arguments, rest, urls):
    assert without_urls(arguments) == (rest, urls)
