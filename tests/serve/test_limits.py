"""A server whose clients send slowly, read slowly, guess tokens, or send something other than HTTP."""

from __future__ import annotations

import select
import socket
import time
from contextlib import suppress

import pytest
from served import served, status_of

from tests.serve.conftest import TOKEN

BEARER = f"Authorization: Bearer {TOKEN}"
SHORT = ("REQUEST_SECONDS = 2", "STALLED_SECONDS = 2", "MAX_CONNECTIONS = 60")


@pytest.fixture(scope="module")
def server(promoted_config, tmp_path_factory):
    with served(promoted_config, tmp_path_factory.mktemp("log"), limits=SHORT, HPO_TOKEN=TOKEN) as found:
        yield found
        assert "Traceback" not in found.log, found.log


@pytest.fixture(scope="module")
def writable(promoted_config, tmp_path_factory):
    folder = tmp_path_factory.mktemp("log")
    with served(promoted_config, folder, "--writable-dashboard", limits=SHORT, HPO_TOKEN=TOKEN) as found:
        yield found
        assert "Traceback" not in found.log, found.log


def head(path, *headers, method="GET"):
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", BEARER, *headers, "", ""]).encode()


def is_closed(connection, seconds=2.0):
    """Whether the server has closed the connection; data that it sent before are read."""
    connection.settimeout(seconds)
    try:
        while connection.recv(1 << 20):
            pass
    except TimeoutError:
        return False
    except OSError:
        pass
    return True


@pytest.mark.slow
def test_slow_requests_are_ended(server):
    slow = [server.connect() for _ in range(40)]
    try:
        for one in slow:
            one.sendall(b"GET /robustness HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ")
        end = time.monotonic() + 5
        while time.monotonic() < end:
            assert server.ask("/hpo/v1/studies", headers=[BEARER])[0] == 200
            for one in slow:
                with suppress(OSError):  # ended already
                    one.sendall(b"x")
            time.sleep(0.3)
        assert all(map(is_closed, slow))
    finally:
        for one in slow:
            one.close()


def test_missing_bodies_hold_no_thread(writable):
    slow = [writable.connect() for _ in range(30)]
    try:
        for one in slow:
            sent = head("/api/studies/1/note", "Content-Type: application/json", "Content-Length: 900", method="PUT")
            one.sendall(sent + b"{")
        before = time.monotonic()
        assert writable.ask("/api/meta", headers=[BEARER])[0] == 200
        assert writable.ask("/hpo/v1/studies", headers=[BEARER])[0] == 200
        assert time.monotonic() - before < 20
        time.sleep(4)
        assert all(map(is_closed, slow))
    finally:
        for one in slow:
            one.close()


@pytest.mark.slow
def test_slow_readers_are_ended(server):
    slow = []
    try:
        for _ in range(30):
            one = socket.socket()
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            one.connect(("127.0.0.1", server.port))
            one.sendall(head("/static/bundle.js", "Accept-Encoding: identity"))
            slow.append(one)
        for path in ("/api/meta", "/robustness", "/hpo/v1/studies/curve/board"):
            assert server.ask(path, headers=[BEARER])[0] == 200
        time.sleep(6)
        readable, *_ = select.select(slow, [], [], 0)
        assert len(readable) == len(slow), "the server has begun each answer"
        assert all(map(is_closed, slow))
    finally:
        for one in slow:
            one.close()


def test_idle_connections_make_way(server):
    many = [server.connect() for _ in range(150)]
    try:
        assert server.ask("/hpo/v1/studies", headers=[BEARER])[0] == 200
        time.sleep(0.5)
        assert sum(is_closed(one, 0.1) for one in many[:100]) >= 80
    finally:
        for one in many:
            one.close()


def test_token_guessing_is_slowed(promoted_config, tmp_path):
    with served(promoted_config, tmp_path, HPO_TOKEN=TOKEN) as server:
        form = ["Content-Type: application/x-www-form-urlencoded"]
        entered = server.raw(login(server, TOKEN), half_close=False)
        cookie = entered.partition(b"set-cookie: ")[2].partition(b";")[0].decode()
        assert cookie.startswith("hpo_session=")
        statuses = [server.ask("/login", "POST", form, f"token=wrong-{number}".encode())[0] for number in range(8)]
        assert statuses[:5] == [401] * 5
        assert 429 in statuses[5:]
        assert server.ask("/hpo/v1/studies", headers=["Authorization: Bearer wrong"])[0] == 429
        assert server.ask("/hpo/v1/studies", headers=[BEARER])[0] == 429
        assert server.ask("/hpo/v1/studies", headers=[f"Cookie: {cookie}"])[0] == 200, "who is in stays in"


def login(server, token):
    body = f"token={token.replace(' ', '+')}".encode()
    lines = ["POST /login HTTP/1.1", f"Host: 127.0.0.1:{server.port}", "Connection: close"]
    lines += ["Content-Type: application/x-www-form-urlencoded", f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body


H = b"Host: 127.0.0.1\r\n"
A = b"Authorization: Bearer " + TOKEN.encode() + b"\r\n"
FORM = b"Content-Type: application/x-www-form-urlencoded\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
STOP = b"POST /hpo/v1/studies/curve/stop HTTP/1.1\r\n" + H + A
SUBMIT = b"POST /hpo/v1/studies/curve/submit HTTP/1.1\r\n" + H + A
REQUESTS = [
    (b"POST /login HTTP/1.1\r\n" + H + FORM + b"Content-Length: 23\r\n\r\na=1&b=1&c=1&d=1&e=1&f=1", 400),
    (b"POST /login HTTP/1.1\r\n" + H + FORM + CHUNKED + b"\r\nFFFFF\r\n" + b"0" * 0xFFFFF + b"\r\n0\r\n\r\n", 413),
    (b"POST /login HTTP/1.1\r\n" + H + FORM + b"Content-Length: 99999999999999999999\r\n\r\n", 413),
    (b"POST /login HTTP/1.1\r\n" + H + FORM + b"Content-Length: -1\r\n\r\n", 400),
    (b"POST /login HTTP/1.1\r\n" + H + b"Content-Type: multipart/form-data\r\nContent-Length: 1\r\n\r\nx", 415),
    (b"POST /login HTTP/1.1\r\n" + H + b"Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}", 415),
    (b"POST /login HTTP/1.1\r\n" + H + FORM + b"Origin: http://evil.example\r\nContent-Length: 1\r\n\r\nx", 403),
    (b"POST /login HTTP/1.1\r\n" + H + FORM + b"Origin: http://[\r\nContent-Length: 1\r\n\r\nx", 403),
    (b"POST /login HTTP/1.1\r\n" + H + FORM + CHUNKED + b"\r\nzz\r\n", 400),
    (b"DELETE /login HTTP/1.1\r\n" + H + b"\r\n", 401),
    (b"GET / HTTP/1.1\r\n" + H + A + b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
     b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", 302),
    (b"TRACE / HTTP/1.1\r\n" + H + A + b"\r\n", 405),
    (b"CONNECT 127.0.0.1:80 HTTP/1.1\r\n" + H + A + b"\r\n", 405),
    (b"BREW / HTTP/1.1\r\n" + H + A + b"\r\n", 405),
    (b"OPTIONS * HTTP/1.1\r\n" + H + b"\r\n", 400),
    (b"OPTIONS /hpo/v1/studies HTTP/1.1\r\n" + H + b"\r\n", 204),
    (b"HEAD /robustness HTTP/1.1\r\n" + H + A + b"\r\n", 200),
    (b"HEAD /hpo/v1/studies/curve HTTP/1.1\r\n" + H + A + b"\r\n", 200),
    (b"GET /robustness HTTP/1.0\r\n" + H + A + b"\r\n", 200),
    (b"GET /robustness HTTP/1.0\r\n" + A + b"\r\n", 400),
    (b"GET /robustness HTTP/1.1\r\n" + A + b"\r\n", 400),
    (b"GET /robustness HTTP/1.1\r\n" + H + H + A + b"\r\n", 400),
    (b"GET /robustness HTTP/1.1\r\nHost: evil.example\r\n" + A + b"\r\n", 400),
    (b"GET /robustness HTTP/1.1\r\nHost: 127.0.0.1@evil.example\r\n" + A + b"\r\n", 400),
    (b"GET /robustness HTTP/1.1\r\nHost: [::1]:8080\r\n" + A + b"\r\n", 200),
    (b"GET /robustness HTTP/1.1\r\nHost: LOCALHOST.:8080\r\n" + A + b"\r\n", 200),
    (b"GET http://evil.example/robustness HTTP/1.1\r\n" + H + A + b"\r\n", 400),
    (b"GET /robustness/%00 HTTP/1.1\r\n" + H + A + b"\r\n", 400),
    (b"GET /robustness/%0d%0aSet-Cookie:x HTTP/1.1\r\n" + H + A + b"\r\n", 400),
    (b"GET /robustness/%zz%f HTTP/1.1\r\n" + H + A + b"\r\n", 422),
    (b"GET /robustness/%ff%fe HTTP/1.1\r\n" + H + A + b"\r\n", 422),
    (b"GET /robustness/" + b"a" * 12000 + b" HTTP/1.1\r\n" + H + A + b"\r\n", 422),
    (b"GET /" + b"a" * 100000 + b" HTTP/1.1\r\n" + H + A + b"\r\n", 0),
    (b"GET / HTTP/1.1\r\n" + H + A + b"X: " + b"a" * 100000 + b"\r\n\r\n", 0),
    (b"GET / HTTP/1.1\r\n" + H + A + b"".join(b"X%d: y\r\n" % n for n in range(5000)) + b"\r\n", 0),
    (b"GET /api/studies/99999999999999999999999 HTTP/1.1\r\n" + H + A + b"\r\n", 404),
    (b"GET /api/studies/1?after=x HTTP/1.1\r\n" + H + A + b"\r\n", 400),
    (b"GET /api/studies/1/plot/contour?objective_id=-9 HTTP/1.1\r\n" + H + A + b"\r\n", None),
    (b"GET /static/../../etc/passwd HTTP/1.1\r\n" + H + A + b"\r\n", None),
    (b"GET /static/%2e%2e/%2e%2e/_app.py HTTP/1.1\r\n" + H + A + b"\r\n", None),
    (b"GET /hpo/static/%2e%2e/render.py HTTP/1.1\r\n" + H + A + b"\r\n", None),
    (STOP + b"Content-Type: text/plain\r\nContent-Length: 1\r\n\r\nx", 415),
    (SUBMIT + b"Content-Type: application/json\r\nContent-Length: 1\r\n\r\n{", 422),
    (b"GET / HTTP/9.9\r\n" + H + A + b"\r\n", 302),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    (b"\x00" * 50000, 0),
]  # fmt: skip


@pytest.mark.parametrize(("sent", "status"), REQUESTS, ids=range(len(REQUESTS)))
def test_raw_requests_get_an_answer(server, sent, status):
    answer = server.raw(sent, half_close=False, timeout=8, first=True)
    found = status_of(answer)
    if status == 0:  # too large: the server closes the connection early, so the answer may be lost
        assert found in (None, 400, 431)
    else:
        assert found is not None
        assert found < 500, answer
        assert status in (None, found), answer[:500]
    assert b"root:" not in answer
    assert b"Traceback" not in answer
    assert server.ask("/healthz") == (200, b"ok")


def test_pipelined_requests_in_order(server):
    paths = [f"/hpo/v1/studies/curve/trials/{number}" for number in range(6)]
    sent = b"".join(head(path) for path in paths[:-1]) + head(paths[-1], "Connection: close")
    answer = server.raw(sent, half_close=False)
    assert answer.count(b"HTTP/1.1 200 ") == 6
    places = [answer.index(b'"number":%d' % number) for number in range(6)]
    assert places == sorted(places)


def test_garbage_closes_the_connection(server):
    sent = head("/hpo/v1/studies/curve/stop", "Transfer-Encoding: chunked", method="BREW")
    assert status_of(server.raw(sent + b"zz\r\nnonsense\r\n", half_close=False)) == 400
    with server.connect() as connection:
        connection.sendall(sent)
        assert status_of(connection.recv(4096)) == 405
        connection.sendall(b"zz\r\nnonsense\r\n")
        assert is_closed(connection)
    assert "Traceback" not in server.log
