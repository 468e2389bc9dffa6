"""A real `hpo serve` in a process of its own on the loopback, and raw sockets to it."""

from __future__ import annotations

import os
import re
import socket
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import forked

ROOT = Path(__file__).parents[2]
CODE = "import sys\nimport hpo.serve.limits as limits\n{}\nfrom hpo.cli import main\nmain()\n"


class Served:
    """A server, its log, and what can be sent to it."""

    def __init__(self, process, port, log):
        self.process, self.port, self._log = process, port, log

    @property
    def log(self):
        return self._log.read_text(encoding="utf-8", errors="replace")

    def connect(self, timeout=20.0):
        return socket.create_connection(("127.0.0.1", self.port), timeout=timeout)

    def raw(self, sent, timeout=20.0, *, half_close=True, first=False):
        """Sends bytes and returns all that comes back until the server closes, or falls silent; or the first of it."""
        with self.connect(timeout) as connection, suppress(OSError):
            connection.sendall(sent)
            if half_close:
                connection.shutdown(socket.SHUT_WR)
            received = bytearray()
            with suppress(OSError):
                while piece := connection.recv(65536):
                    received += piece
                    if first:
                        break
            return bytes(received)
        return b""

    def ask(self, path, method="GET", headers=(), body=b"", timeout=20.0):
        """Returns status and body of a plain request."""
        lines = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{self.port}", "Connection: close", *headers]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        answer = self.raw("\r\n".join([*lines, "", ""]).encode("latin-1") + body, timeout, half_close=False)
        return status_of(answer), answer.partition(b"\r\n\r\n")[2]


def status_of(answer):
    """Returns the status of an answer, None where there is none."""
    found = re.match(rb"HTTP/1\.[01] (\d{3}) ", answer)
    return int(found[1]) if found else None


@contextmanager
def served(config, folder, *options, limits=(), **environment):
    """Runs `hpo serve` over a place. `limits` are changes such as `REQUEST_SECONDS = 1`."""
    log = Path(folder) / f"serve-{time.monotonic_ns()}.log"
    code = CODE.format("\n".join(f"limits.{one}" for one in limits))
    arguments = ["serve", "--port", "0", "--storage", config.storage, "--outputs", str(config.outputs), *options]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    with log.open("w") as file:
        process = forked.Popen([sys.executable, "-c", code, *arguments], env=environment, stdout=file, stderr=file)
    try:
        end = time.monotonic() + 400
        while not (found := re.search(r"http://127\.0\.0\.1:(\d+)/", log.read_text())):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.05)
        yield Served(process, int(found[1]), log)
    finally:
        process.terminate()
        try:
            process.wait(20)
        finally:
            process.kill()
