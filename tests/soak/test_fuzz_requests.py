"""Thousands of requests as raw bytes to a real server: no 5xx, no traceback, nothing written.

HPO_SOAK_SEED repeats a run; HPO_SOAK_REQUESTS says how many.
"""

from __future__ import annotations

import os
import random
import sqlite3
import sys
from collections import Counter

import pytest

pytest.importorskip("fastapi", reason="serving needs the extra web")

from served import served, status_of

import hpo
from hpo.study.loading import read
from tests.conftest import PROJECT

TOKEN = "a token of more than sixteen letters"
METHODS = ["GET"] * 10 + ["HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE", "get", "G@T", ""]
PATHS = [
    "/", "/robustness", "/robustness/curve", "/login", "/healthz", "/hpo/docs", "/hpo/openapi.json", "/dashboard",
    "/hpo/static/pages.js", "/hpo/v1/studies", "/hpo/v1/studies/curve", "/hpo/v1/studies/curve/trials",
    "/hpo/v1/studies/curve/trials/1/evaluations", "/hpo/v1/studies/curve/ranking", "/hpo/v1/studies/curve/board",
    "/hpo/v1/studies/curve/fragment", "/hpo/v1/studies/curve/results", "/hpo/v1/studies/curve/results/results_7/x",
    "/hpo/v1/studies/curve/results/results_7/summary.json", "/api/meta", "/api/studies", "/api/studies/1",
    "/api/studies/1/param_importances", "/api/studies/1/plot/contour", "/api/studies/1/plot/edf", "/csv/1",
    "/artifacts/1/x", "/static/bundle.js", "/favicon.ico", "/api/compare-studies/plot/edf", "/api/studies/1/note",
    "/api/trials/1/tell", "/incompatible-rdb-schema", "/hpo/v1/studies/curve/nothing",
]  # fmt: skip
PIECES = [
    "%00", "%2e%2e%2f", "../", "%zz", "%", "%ff", "//", "\\", "a" * 3000, "9" * 30, "-1", "%0d%0ax:y", ";", "<script>",
    "%F0%9F%98%80", "?", "&", "#", "=", "[]", "{}", "' OR 1=1--", "nan", "1e999", "|", "*", "~", "@evil.example", "é",
]  # fmt: skip
QUERIES = ["", "?after=x", "?limit=0&offset=-1", "?lambda=nan", "?rule=best&ddof=2", "?objective_id=9&study_ids[]=x"]
HEADERS = [
    "Range: bytes=0-1,5-2,99999999-", "Range: bytes=-", "If-None-Match: *", 'If-None-Match: W/"x", "y"', "Accept: */*",
    "If-Modified-Since: nonsense", "Cookie: hpo_session=\xff; ;=;", "Cookie: " + "a=b; " * 200, "Connection: upgrade",
    "Upgrade: websocket", "Expect: 100-continue", "Content-Type: application/json", "Content-Type: text/html",
    "Content-Type: application/x-www-form-urlencoded", "Origin: http://[", "Origin: null", "X-Forwarded-For: 1.2.3.4",
    "Transfer-Encoding: chunked", "Transfer-Encoding: gzip, chunked", "Content-Length: 5", "Content-Length: 99999999",
    "Content-Length: x", "Host: evil.example", "Accept-Encoding: gzip;q=x", " folded: y", "No-Colon", ": empty",
]  # fmt: skip
BODIES = [
    "",
    "",
    "",
    "{}",
    '{"trials": 1e999}',
    "{",
    "[" * 2000,
    "token=x&goal=//evil",
    "5\r\nabcde\r\n0\r\n\r\n",
    "\x00\xff",
]


def request(draw):
    """Returns the bytes of a request that is sound in most ways."""
    path = draw.choice(PATHS)
    if draw.random() < 0.4:  # wrong in one way at most
        asked = f"GET {path}{draw.choice(QUERIES)} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {TOKEN}\r\n"
        return f"{asked}{draw.choice(HEADERS[:8])}\r\nConnection: close\r\n\r\n".encode("latin-1")
    for _ in range(draw.choice([0, 0, 1, 3])):
        at = draw.randrange(len(path) + 1)
        path = path[:at] + draw.choice(PIECES) + path[at:]
    lines = [
        f"{draw.choice(METHODS)} {path}{draw.choice(QUERIES)} HTTP/{draw.choice(['1.1'] * 6 + ['1.0', '2.0', 'x'])}"
    ]
    lines += ["Host: 127.0.0.1"] * draw.choice([1] * 9 + [0, 2])
    if draw.random() < 0.8:
        lines.append(f"Authorization: Bearer {TOKEN}")
    lines += draw.sample(HEADERS, draw.choice([0, 1, 1, 2, 4]))
    body = draw.choice(BODIES)
    if body and draw.random() < 0.7:
        lines.append(f"Content-Length: {len(body)}")
    sent = bytearray("\r\n".join([*lines, "Connection: close", "", body]).encode("latin-1"))
    for _ in range(draw.choice([0] * 6 + [1, 4])):
        sent[draw.randrange(len(sent))] = draw.randrange(256)
    return bytes(sent[: draw.randrange(len(sent))] if draw.random() < 0.05 else sent)


@pytest.mark.slow
@pytest.mark.parametrize(
    "times",
    [
        pytest.param(150, id="some"),
        pytest.param(int(os.environ.get("HPO_SOAK_REQUESTS", 2000)), marks=pytest.mark.soak, id="all"),
    ],
)
def test_requests_fuzz(tmp_path, times):
    seed = int(os.environ.get("HPO_SOAK_SEED", random.SystemRandom().randrange(10**6)))
    sys.stderr.write(f"\nHPO_SOAK_SEED={seed}\n")  # shown when the test fails
    draw = random.Random(seed)
    config = promoted(tmp_path)
    found = Counter()
    with served(config, tmp_path, limits=["REQUEST_SECONDS = 0.5"], HPO_TOKEN=TOKEN) as server:
        before = state(config)
        for _ in range(times):
            sent = request(draw)
            status = status_of(server.raw(sent, timeout=30, half_close=False))
            found[status] += 1
            assert status is None or status < 500, (status, sent)
        assert server.ask("/healthz")[0] == 200
        assert state(config) == before
        assert "Traceback" not in server.log, server.log
    sys.stderr.write(f"{times} requests: {dict(found)}\n")
    assert found[200] > times / 20
    assert found[None] < times / 3, "most are answered"


def promoted(folder):
    content = read(PROJECT / "studies" / "curve.toml").study.content()
    study = hpo.Study.model_validate({**content, "search": {**content["search"], "trials": 3, "budget": 2}})
    config = hpo.RunConfig(storage=f"sqlite:///{folder / 'hpo.db'}", outputs=folder / "outputs", backend="local")
    hpo.run(study.located(PROJECT), config)
    hpo.promote(study.located(PROJECT), config, top=1)
    return config


def state(config):
    """Returns what is in the database and on disk."""
    path = config.storage.removeprefix("sqlite:///")
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
        rows = list(connection.iterdump())
    connection.close()
    files = sorted((str(one), one.stat().st_size) for one in config.outputs.rglob("*") if one.is_file())
    return rows, files
