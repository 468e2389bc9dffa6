"""The command that every container begins with: secrets from files, then one role or any command in its place."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ENTRYPOINT = Path(__file__).parents[2] / "docker" / "entrypoint.sh"
SHOW = ("printenv", "HPO_STORAGE", "HPO_TOKEN", "PGPASSWORD", "SSL_CERT_FILE", "HPO_STORAGE_FILE")


def begun(*arguments, **environment):
    variables = {"PATH": os.environ["PATH"], **environment}
    return subprocess.run(
        [ENTRYPOINT, *arguments], env=variables, capture_output=True, text=True, timeout=400, check=False
    )


def test_secrets_are_read_from_files(tmp_path):
    (tmp_path / "url").write_text('postgresql://hpo:it\'s a `$x` \\n "secret"@db/hpo\n')
    (tmp_path / "token").write_text("t0ken")
    files = {"HPO_STORAGE_FILE": str(tmp_path / "url"), "HPO_TOKEN_FILE": str(tmp_path / "token")}
    done = begun(*SHOW, **files, PGPASSWORD="as it is", SSL_CERT_FILE="/a.pem")
    expected = ['postgresql://hpo:it\'s a `$x` \\n "secret"@db/hpo', "t0ken", "as it is", "/a.pem"]
    assert (done.returncode, done.stdout.splitlines(), done.stderr) == (1, expected, "")  # 1: the last one is not set


def test_command_replaces_the_script():
    with subprocess.Popen([ENTRYPOINT, "sh", "-c", "echo $$"], stdout=subprocess.PIPE, text=True) as process:
        assert int(process.stdout.read()) == process.pid


WRONG = [
    (("hpo", "studies"), {"HPO_STORAGE_FILE": "/none"}, "HPO_STORAGE_FILE names /none, which user"),
    (("hpo", "studies"), {"HPO_TOKEN_FILE": "{}/empty"}, "/empty, which is empty"),
    (("web",), {"HPO_STORAGE_FILE": "{}/url", "HPO_STORAGE": "sqlite:///x.db"}, "are both set; one of them is wanted"),
    (("ray-worker",), {}, "wants the address of the head in RAY_ADDRESS, e.g. ray-head:6379"),
    ((), {}, "expected a role (ray-head, ray-worker, web) or a command"),
]


@pytest.mark.parametrize(("arguments", "environment", "message"), WRONG)
def test_bad_settings_start_nothing(tmp_path, arguments, environment, message):
    (tmp_path / "empty").touch()
    (tmp_path / "url").write_text("postgresql://hpo:s3cret@db/hpo")
    done = begun(*arguments, **{name: value.format(tmp_path) for name, value in environment.items()})
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ")
    assert message in done.stderr
    assert "s3cret" not in done.stderr
