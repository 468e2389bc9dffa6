"""The standard streams stay open if user code closes them."""

from __future__ import annotations

import subprocess
import sys

import pytest

CLOSES = {
    "stdout": "sys.stdout.close()",
    "stderr": "sys.stderr.close()",
    "buffer": "sys.stderr.buffer.close()",
    "context": "with sys.stdout: pass",
    "descriptors": "os.close(1); os.close(2)",
    "another file in its place": "os.close(2); kept.append(open(sys.argv[1], 'w'))",
    "redirected": "os.dup2(os.open(os.devnull, os.O_WRONLY), 1)",
    "its own stream": "sys.stdout = io.StringIO(); sys.stderr = None",
    "kept for later": "kept.append(sys.stdout); sys.stdout = io.StringIO(); sys.stdout = kept[0]",
    "detached": "kept.append(sys.stdout.detach())",
}


@pytest.mark.parametrize("closes", CLOSES.values(), ids=CLOSES)
def test_printing_works_afterwards(tmp_path, closes):
    code = f"""
import io, os, sys
from contextlib import suppress
from hpo.core.isolation import protect_streams
kept, mine = [], (sys.stdout, sys.stderr)
for _ in range(2):
    with suppress(io.UnsupportedOperation), protect_streams():
        {closes}
    sys.stdout, sys.stderr = mine if sys.stderr is None else (sys.stdout, sys.stderr)
    assert (sys.stdout, sys.stderr) == mine
print("out"), print("err", file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "mine.txt")], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("out\n", "err\n")


def test_no_descriptor_is_left_open(tmp_path):
    code = """
import os
from hpo.core.isolation import protect_streams
before = len(os.listdir("/proc/self/fd"))
for _ in range(100):
    with protect_streams():
        pass
print(len(os.listdir("/proc/self/fd")) - before)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "0\n"


def test_printing_threads_do_not_crash():
    code = """
import os, sys, threading, time
from hpo.core.isolation import protect_streams
def talk():
    while True:
        print("x" * 100)
sys.setswitchinterval(1e-6)
threading.Thread(target=talk, daemon=True).start()
end = time.monotonic() + 2
while time.monotonic() < end:
    with protect_streams():
        time.sleep(1e-4)
    objects = [bytearray(64) for _ in range(100)]  # reuses freed memory
os._exit(0)
"""
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL, check=False)
    assert done.returncode == 0
