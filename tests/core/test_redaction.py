"""Secrets in URLs, texts and environments."""

from __future__ import annotations

import re
import traceback
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpo.core.errors import HpoError
from hpo.core.redaction import driver_variables, holds_secret, known_secrets, masked, redacted, secrets_in, without
from hpo.store import Store, normalize_url

LETTERS = "QXZJ"
"""Letters that occur only in passwords here, so two in a row belong to a password."""

SPECIAL = st.text(alphabet="@/:?#&=%+ '\"\\;[]{}<>~!$^*(),.|", max_size=3)
PARTS = st.tuples(SPECIAL, st.text(alphabet=LETTERS, min_size=2, max_size=6))
PASSWORDS = st.tuples(st.lists(PARTS, min_size=1, max_size=3), SPECIAL).map(
    lambda made: "".join(special + letters for special, letters in made[0]) + made[1]
)
FORMS = [
    "postgresql://user:{}@127.0.0.1:1/name",
    "postgresql+psycopg://user:{}@/name?host=/tmp&port=1",
    "postgresql://127.0.0.1:1/name?user=me&password={}",
    "postgresql://127.0.0.1:1/name?sslpassword={}&user=me",
    "postgresql://127.0.0.1:1/name?user=me@corp&password={}",
    "postgresql:///user:{}@127.0.0.1/name",
    "mysql://user:{}@127.0.0.1/name",
    "ftp://user:{}@127.0.0.1/folder",
    "https://{}@127.0.0.1/folder",
    "az://box/folder?sig={}",
    "simplecache::sftp://user:{}@127.0.0.1/folder",
    "https://127.0.0.1/x?token={}",
    "http://user:{}@127.0.0.1:8265",
]


def fragments(password):
    return re.findall(f"[{LETTERS}]{{2,}}", password)


@pytest.mark.parametrize("form", FORMS)
@given(password=PASSWORDS, written=st.sampled_from([str, lambda text: quote(text, safe=""), quote_plus]))
def test_masked_urls_hide_passwords(form, password, written):
    url = form.format(written(password))
    for shown in (masked(url), without(f"cannot open {url}", secrets_in(url)), redacted(f"x {url}", secrets_in(url))):
        assert not [one for one in fragments(password) if one in shown], shown
    assert holds_secret(url)
    assert holds_secret(f"--storage={url}")


def shown_by(call, url):
    """Returns the text that a user sees for a URL; only our own errors are expected."""
    try:
        found = call(url)
    except HpoError as error:
        return "".join(traceback.format_exception_only(error))
    return masked(found)


DATABASES = [form for form in FORMS if form.startswith(("postgres", "mysql"))]


@pytest.mark.parametrize("form", DATABASES)
@given(password=PASSWORDS)
def test_wrong_urls_hide_passwords(form, password):
    said = shown_by(normalize_url, form.format(password))
    assert not [one for one in fragments(password) if one in said], said


@pytest.mark.parametrize("form", DATABASES)
@settings(max_examples=25)
@given(password=PASSWORDS)
def test_connection_errors_hide_passwords(form, password):
    said = shown_by(lambda url: Store(url, create=False), form.format(password))
    assert not [one for one in fragments(password) if one in said], said


SHOWN = [
    ("postgresql://user@host/name", "postgresql://user@host/name"),
    ("postgresql://user@host:5432/name?sslmode=require", "postgresql://user@host:5432/name?sslmode=require"),
    ("postgresql://host/name?user=me@corp", "postgresql://host/name?user=me@corp"),
    ("postgresql://[::1]:5432/name", "postgresql://[::1]:5432/name"),
    ("sqlite:////data/me:you@home/hpo.db?timeout=9", "sqlite:////data/me:you@home/hpo.db?timeout=9"),
    ("http://127.0.0.1:8265/x#part", "http://127.0.0.1:8265/x#part"),
    ("postgresql://u:pass@w0rd@127.0.0.1:1/db", "postgresql://u:***@127.0.0.1:1/db"),
    ("postgresql://u:p/w:#@h/db", "postgresql://u:***@h/db"),
    ("postgresql://user:password/name", "postgresql://user:***/name"),
    ("postgresql://u:p?w@h/db", "postgresql://u***"),
    (
        "postgresql://h/db?user=me&password=a&b&sslmode=require",
        "postgresql://h/db?user=me&password=***&***&sslmode=require",
    ),
    ("https://token@host/x", "https://***@host/x"),
    ("abfs://box@account.dfs.core.windows.net/x", "abfs://box@account.dfs.core.windows.net/x"),
    ("sftp://me@host/x", "sftp://me@host/x"),
    ("host=h password=x", "(not a URL)"),
]


@pytest.mark.parametrize(("url", "shown"), SHOWN)
def test_harmless_parts_are_shown(url, shown):
    assert masked(url) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("host=h user=me password=s3cret", "host=h user=me password=***"),
        ("host=h password='a b \\' c' user=u", "host=h password=*** user=u"),
        ('{"api_key": "abc", "size": 3}', '{"api_key": ***, "size": 3}'),
        ("Authorization: Bearer abcdef123", "Authorization: Bearer ***"),
        ("AWS_SECRET_ACCESS_KEY=abc", "AWS_SECRET_ACCESS_KEY=***"),
        ("max_tokens=512 monkey=3 token_file=/run/x passfile=/y", None),
        ("KeyError: 'x'; the token has 5 characters", None),
    ],
)
def test_secret_pairs_are_hidden(text, shown):
    assert redacted(text) == (shown or text)


def test_known_secrets_are_hidden():
    known = {"ab", "a-long-s3cret"}
    assert redacted("fab ab 'a-long-s3creta-long-s3cret'", known) == "fab *** '******'"


def test_harmless_options_hold_no_secret():
    for word in ("--trials", "5", "--storage=sqlite:////a@b/x.db", "s3://bucket/x", "postgresql://me@db/hpo", "a@b"):
        assert not holds_secret(word)


def test_known_secrets_are_collected(tmp_path):
    (tmp_path / "url").write_text("postgresql://u:of%40file@h/db\n")
    environment = {
        "HPO_STORAGE_FILE": str(tmp_path / "url"),
        "HPO_TOKEN": "of the pages",
        "PGPASSWORD": "of libpq",
        "MAX_TOKENS": "512",
        "PWD": "/home/me/project",
        "GIT_ASKPASS": "/usr/bin/ask",
        "HPO_TOKEN_FILE": "/none",
        "SOME_URL": "mysql://u:of-ftp@h",
    }
    assert known_secrets(environment, ["--from", "postgresql://u:of-from@h/db"]) == {
        "of%40file",
        "of@file",
        "of the pages",
        "of libpq",
        "of-ftp",
        "of-from",
    }


def test_driver_variables_are_recognized():
    driver = ["HPO_STORAGE", "HPO_STORAGE_FILE", "HPO_FROM", "HPO_TOKEN", "HPO_TOKEN_FILE", "PGPASSWORD", "PGHOST"]
    ray = ["RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"]
    trainings = ["AWS_SECRET_ACCESS_KEY", "WANDB_API_KEY", "HF_TOKEN", "RAY_AUTH_MODE", "HPO_WORKDIR", "PATH", "PG_X"]
    assert driver_variables([*driver, *ray, *trainings]) == driver
    assert driver_variables([*driver, *ray, *trainings], of_ray=True) == [*driver, *ray]
