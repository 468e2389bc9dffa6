"""Access control, and requests of an attacker."""

from __future__ import annotations

import os
import socket

import pytest
from starlette.testclient import TestClient

from hpo.core.errors import UsageError
from hpo.serve.app import application
from hpo.serve.auth import COOKIE, MAX_BODY_BYTES, session_of
from hpo.serve.settings import Settings, read_token
from hpo.serve.views import study_views, write_report
from tests.serve.conftest import TOKEN

BEARER = {"Authorization": f"Bearer {TOKEN}"}
HTML = {"Accept": "text/html"}
CLOSED = ["/robustness", "/robustness/curve", "/hpo/v1/studies", "/hpo/docs", "/hpo/openapi.json", "/api/studies", "/"]


@pytest.mark.parametrize("path", CLOSED)
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": f"Bearer {TOKEN}x"},
        {"Cookie": f"{COOKIE}={TOKEN}"},
        {"Cookie": f"{COOKIE}={'0' * 64}"},
        {"Cookie": f"{COOKIE}="},
    ],
)
def test_no_token_no_access(token_client, path, headers):
    answer = token_client.get(path, headers=headers)
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert "curve" not in answer.text


@pytest.mark.parametrize("path", CLOSED)
def test_token_gives_access(token_client, path):
    assert token_client.get(path, headers=BEARER).status_code in (200, 302)


def test_login_redirects_to_the_page(token_client):
    redirect = token_client.get("/robustness/curve", headers=HTML)
    assert (redirect.status_code, redirect.headers["location"]) == (303, "/login?goal=/robustness/curve")
    form = {"token": TOKEN, "goal": "/robustness/curve"}
    login = token_client.post("/login", data=form)
    assert (login.status_code, login.headers["location"]) == (303, "/robustness/curve")
    cookie = login.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert TOKEN not in cookie
    assert token_client.get("/robustness/curve").status_code == 200


@pytest.mark.parametrize("sent", ["", "wrong", TOKEN[:-1], TOKEN + "x", "é" * 40])
def test_wrong_token_is_rejected(token_client, sent):
    answer = token_client.post("/login", data={"token": sent})
    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    "goal",
    [
        "/\t/evil.example",
        "/%09/x\r\nSet-Cookie: y",
        "/ /evil.example",
        "//evil.example",
        "https://evil.example",
        "/\\evil.example",
        "javascript:alert(1)",
    ],
)
def test_login_stays_on_this_site(token_client, goal):
    assert token_client.post("/login", data={"token": TOKEN, "goal": goal}).headers["location"] == "/robustness"
    assert "evil.example" not in token_client.get("/login", params={"goal": goal}).text


WRITES = [
    ("DELETE", "/api/studies/1"),
    ("POST", "/api/studies"),
    ("POST", "/api/studies/1/rename"),
    ("PUT", "/api/studies/1/note"),
    ("POST", "/api/trials/1/tell"),
    ("POST", "/api/trials/1/user-attrs"),
    ("POST", "/api/artifacts/1/1"),
    ("POST", "/incompatible-rdb-schema"),
]


@pytest.mark.parametrize(("method", "path"), WRITES)
def test_dashboard_is_read_only(client, token_client, method, path):
    assert client.request(method, path, json={}).status_code == 403
    assert token_client.request(method, path, json={}).status_code == 401
    assert token_client.request(method, path, json={}, headers=BEARER).status_code == 403
    assert [one["name"] for one in client.get("/hpo/v1/studies").json()] == ["curve", "idle"]


def test_writable_dashboard_needs_token(promoted_config):
    with pytest.raises(UsageError, match="needs a token"):
        Settings(writable_dashboard=True)
    with study_views(promoted_config) as views:
        app = application(views, Settings(token=TOKEN, writable_dashboard=True), promoted_config)
        asked = TestClient(app, base_url="http://127.0.0.1")
        assert asked.put("/api/studies/1/note", json={"body": "x", "version": 0}).status_code == 401
        assert asked.put("/api/studies/1/note", json={"body": "x", "version": 0}, headers=BEARER).status_code != 403


def test_foreign_form_is_rejected(token_client):
    cookie = {"Cookie": f"{COOKIE}={session_of(TOKEN)}"}
    for origin in ({}, {"Origin": "https://evil.example"}, {"Origin": "null"}):
        answer = token_client.post("/hpo/v1/studies/curve/stop", headers={**cookie, **origin})
        assert answer.status_code == 403
        assert "own pages" in answer.json()["detail"]


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80"])
def test_foreign_host_is_rejected(client, host):
    assert client.get("/hpo/v1/studies", headers={"Host": host}).status_code == 400


PATHS = [
    "results_7/../../../hpo.db",
    "results_7/..%2f..%2f..%2fhpo.db",
    "results_7/%2e%2e/%2e%2e/%2e%2e/hpo.db",
    "results_7//etc/passwd",
    "results_7/%2fetc%2fpasswd",
    "../curve/results_7/summary.json",
    "..%2f..%2fhpo.db",
    "results_7/summary.json%00.png",
    ".work/x",
]


@pytest.mark.parametrize("path", PATHS)
def test_paths_do_not_leave_the_results(client, path):
    answer = client.get(f"/hpo/v1/studies/curve/results/{path}")
    assert answer.status_code in (400, 404, 422)
    assert b"SQLite" not in answer.content
    assert b"root:" not in answer.content


def test_links_in_results_not_followed(client, promoted_config):
    folder = promoted_config.outputs / "curve" / "results_7"
    (folder / "leak.txt").symlink_to("/etc/passwd")
    try:
        assert "leak.txt" not in client.get("/hpo/v1/studies/curve/results").text
        assert client.get("/hpo/v1/studies/curve/results/results_7/leak.txt").status_code == 404
    finally:
        (folder / "leak.txt").unlink()


def test_linked_results_folder_is_404(client, promoted_config, tmp_path):
    folder = promoted_config.outputs / "curve" / "results_8"
    aside = folder.with_name("aside")
    (tmp_path / "secret.txt").write_text("s3cret")
    folder.rename(aside)
    folder.symlink_to(tmp_path)
    try:
        assert "secret.txt" not in client.get("/hpo/v1/studies/curve/results").text
        assert client.get("/hpo/v1/studies/curve/results/results_8/secret.txt").status_code == 404
    finally:
        folder.unlink()
        aside.rename(folder)


HOSTILE = [
    '{"confusion_matrix": [[1, "x"], [2]], "classification_report": {"a": 1}}',
    '{"confusion_matrix": [[1, 2], [3, 4]], "classification_report": {"only one": 1}}',
    '{"confusion_matrix": [[1e999]], "classification_report": 3}',
    "[" * 100_000,
    "\x00",
]


@pytest.mark.parametrize("content", HOSTILE)
def test_hostile_results_break_no_page(client, promoted_config, content):
    path = promoted_config.outputs / "curve" / "results_7" / "metrics" / "val_metrics.json"
    before = path.read_bytes() if path.exists() else None
    path.parent.mkdir(exist_ok=True)
    path.write_text(content)
    strange = promoted_config.outputs / "curve" / "decomposition-trial-1.json"
    strange.write_text('{"sd": {"init": "x"}, "advice": ["<script>"]}')
    try:
        assert client.get("/robustness/curve").status_code == 200
        path.unlink()
        os.mkfifo(path)  # opening it for reading would block
        assert client.get("/robustness/curve").status_code == 200
    finally:
        path.unlink()
        strange.unlink()
        if before is not None:
            path.write_bytes(before)


LOOKS = ["/robustness/curve", "/hpo/v1/studies/curve/board", "/hpo/v1/studies/curve/results", "/hpo/v1/studies/curve"]


def test_odd_file_names_break_no_page(client, promoted_config, tmp_path):
    outputs = promoted_config.outputs / "curve"
    odd = [os.fsencode(outputs / "results_7") + name for name in (b"/scan-\xff.png", b"/a\nb.txt")]
    strange = outputs / "decomposition-trial-1.json"
    strange.write_text('{"sd": NaN, "advice": ["\\ud800"]}')
    for path in odd:
        with open(path, "wb"):
            pass
    try:
        for path in LOOKS:
            assert client.get(path).status_code == 200
        files = client.get("/hpo/v1/studies/curve/results").json()[0]["files"]
        assert [one["path"] for one in files if not one["is_served"]] == ["a\nb.txt", r"scan-\udcff.png"]
        assert client.get(r"/hpo/v1/studies/curve/results/results_7/scan-\udcff.png").status_code == 404
        assert r"scan-\udcff.png" in write_report("curve", promoted_config, out=tmp_path / "x.html").read_text()
    finally:
        for name in odd:
            os.unlink(name)
        strange.unlink()


def test_result_files_run_no_script(client, promoted_config):
    folder = promoted_config.outputs / "curve" / "results_7"
    (folder / "page.html").write_text("<script>alert(1)</script>")
    try:
        page = client.get("/hpo/v1/studies/curve/results/results_7/page.html")
        assert "attachment" in page.headers["content-disposition"]
        assert page.headers["content-security-policy"].startswith("sandbox")
        text = client.get("/hpo/v1/studies/curve/results/results_7/summary.json")
        assert text.headers["content-type"] == "text/plain; charset=utf-8"
        assert text.content == (folder / "summary.json").read_bytes()
    finally:
        (folder / "page.html").unlink()


def test_large_body_is_rejected(token_client):
    assert token_client.post("/login", content=b"x" * (MAX_BODY_BYTES + 1)).status_code == 413

    def much():
        for _ in range(30):
            yield b"x" * (MAX_BODY_BYTES // 10)

    assert token_client.post("/login", content=much()).status_code == 413


@pytest.mark.parametrize("path", ["/robustness/curve", "/hpo/v1/studies", "/dashboard", "/api/meta", "/hpo/v1/nope"])
def test_security_headers(client, path):
    headers = client.get(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert "access-control-allow-origin" not in headers
    assert "script-src 'self'" in headers["content-security-policy"] or path == "/dashboard"


@pytest.mark.slow
def test_no_server_path_is_shown(client, promoted_config):
    for path in ("/hpo/v1/studies/curve/trials/0/evaluations", "/hpo/v1/studies/curve/board", "/robustness/curve"):
        assert str(promoted_config.outputs) not in client.get(path).text


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.7", "example.org"])
def test_network_host_needs_a_token(host):
    with pytest.raises(UsageError, match="everybody on the network could read the studies"):
        Settings(host=host)
    assert Settings(host=host, token=TOKEN).hosts == ["*"]
    assert "a.example" in Settings(host=host, token=TOKEN, allowed_hosts=("a.example",)).hosts


def test_bad_tokens_are_rejected(tmp_path):
    with pytest.raises(UsageError, match="has 5 characters, expected 16 or more"):
        Settings(token="short")
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        read_token(tmp_path / "none")
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(UsageError, match="is empty"):
        read_token(tmp_path / "empty")
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    assert read_token(tmp_path / "token") == TOKEN


def test_taken_port_is_usage_error(promoted_config):
    from hpo.serve.app import serve

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(UsageError, match="cannot listen at 127"):
            serve(promoted_config, Settings(port=taken.getsockname()[1]), print)
