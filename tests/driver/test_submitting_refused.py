"""Submissions that are refused before the cluster is contacted; and where the database's URL is read from."""

from __future__ import annotations

import sys

import pytest

import hpo
from hpo import api
from hpo.cli.main import main
from hpo.core.run_config import default_storage

NOBODY = "http://127.0.0.1:1"


@pytest.fixture
def studies(tmp_path, monkeypatch):
    """A folder of study files in the current folder."""
    (tmp_path / "studies").mkdir()
    (tmp_path / "refused_of_jobs.py").write_text(
        "from dataclasses import dataclass\n"
        "@dataclass\nclass Params:\n    x: float\n"
        "def train(params: Params, ctx):\n    yield {'val': 1.0}\n"
    )
    (tmp_path / "studies" / "small.toml").write_text(
        'name = "small"\ntrainable = "refused_of_jobs:train"\n[objective]\nmetric = "val"\n'
        "[space]\nx = { float = [0.0, 1.0] }\n[search]\ntrials = 2\nbudget = 1\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield tmp_path
    sys.modules.pop("refused_of_jobs", None)


def test_no_job_server_writes_nothing(studies, config):
    with pytest.raises(hpo.UsageError, match=r"no Ray takes jobs at http://127.0.0.1:1 .*--jobs-address"):
        api.submit("small", config, jobs_address=NOBODY)
    with pytest.raises(hpo.UsageError, match=r"is no address for jobs; expected the dashboard's, as http://"):
        api.submit("small", config, jobs_address="127.0.0.1:6379")
    assert not (studies / "hpo.db").exists()
    assert not (studies / "outputs").exists()


SECRETS = [
    "--workdir=s3://me:s3cret@bucket/work",
    "postgresql://db.example/hpo?user=me&password=s3cret",
    "--storage=postgresql://db.example/hpo?user=me&sslpassword=s3cret",
    "postgresql://me:pass@s3cret/word@db.example/hpo",
    "--workdir=az://box/x?sv=2&sig=s3cret",
    "simplecache::ftp://me:s3cret@host/x",
    "host=db.example user=me password='s3cret'",
]


@pytest.mark.parametrize("option", SECRETS)
def test_password_in_options_is_refused(studies, config, option):
    with pytest.raises(hpo.UsageError, match="which everyone who can see") as refused:
        api.submit("small", config, arguments=["--storage", option], jobs_address=NOBODY)
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize(
    "address", ["http://me:s3cret@127.0.0.1:1", "http://me:pass@s3cret@127.0.0.1:1", "me:s3cret@h"]
)
def test_password_of_jobs_address_is_hidden(studies, config, address):
    with pytest.raises(hpo.UsageError) as refused:
        api.submit("small", config, jobs_address=address)
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize("wrong", [["--trialz", "5"], ["--trials", "five"], ["--time", "soon"]])
def test_invalid_run_options_are_refused(studies, monkeypatch, capsys, wrong):
    monkeypatch.setattr(sys, "argv", ["hpo", "submit", "--study", "small", "--jobs-address", NOBODY, *wrong])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert wrong[0] in capsys.readouterr().err


def test_never_submitted_study_has_no_log(curve, config):
    api.run(curve(search={"trials": 1}), config)
    with pytest.raises(hpo.UsageError, match=r"never submitted.*hpo submit --study curve"):
        next(api.logs("curve", config))


def test_other_database_writes_nothing(curve, config, tmp_path, monkeypatch):
    monkeypatch.setenv("HPO_JOB", "hpo-curve-12345678-1")
    with pytest.raises(hpo.UsageError, match=r"job hpo-curve-12345678-1 .* was submitted with another database"):
        api.run(curve(search={"trials": 1}), config)
    monkeypatch.delenv("HPO_JOB")
    with pytest.raises(hpo.UsageError, match="Stored there: none"):
        api.status("curve", config)


def test_database_url_may_be_in_a_file(tmp_path, monkeypatch):
    monkeypatch.delenv("HPO_STORAGE", raising=False)
    file = tmp_path / "storage"
    monkeypatch.setenv("HPO_STORAGE_FILE", str(file))
    with pytest.raises(hpo.UsageError, match="cannot be read: No such file"):
        default_storage()
    file.write_text("\n")
    with pytest.raises(hpo.UsageError, match="which is empty"):
        default_storage()
    file.write_text("postgresql://me:s3cret@db/hpo\n")
    assert default_storage() == "postgresql://me:s3cret@db/hpo"
    monkeypatch.setenv("HPO_STORAGE", "sqlite:///nearer.db")
    assert default_storage() == "sqlite:///nearer.db"
    monkeypatch.delenv("HPO_STORAGE")
    monkeypatch.delenv("HPO_STORAGE_FILE")
    assert default_storage() == "sqlite:///hpo.db"
