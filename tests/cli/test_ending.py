"""How a command's process ends where a training has left something."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import sys, threading, time
from hpo.cli.stopping import tell_of_threads
threading.Thread(target=time.sleep, args=(float(sys.argv[1]),), name="uploader").start()
tell_of_threads(0.3)
"""


def said(seconds):
    done = subprocess.run([sys.executable, "-c", CODE, seconds], capture_output=True, text=True, check=True)
    return done.stderr


def test_what_is_waited_for_is_named():
    assert said("2") == "waiting for threads that trainings left running: uploader. Ctrl-C ends them\n"


def test_what_ends_soon_is_not():
    assert said("0") == ""
