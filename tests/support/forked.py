"""Commands in processes of their own that need not import torch, Optuna and the like again: `forking` has done that.

`run` and `Popen` are subprocess's for a command line `[sys.executable, "-c", code, ...]` or `[..., "-m", module, ...]`.
A test of what is imported, or of how the interpreter starts, is for subprocess itself.
"""

from __future__ import annotations

import atexit
import json
import os
import select
import socket
import struct
import subprocess
import sys
from pathlib import Path

SERVER = Path(__file__).with_name("forking.py")
AT_START = ("PYTHON", "LC_", "LANG")
"""Variables that an interpreter or a library reads once, which is too late to change in a fork."""

_server = None


def _control():
    """Returns the socket of this process's server, which ends with this process."""
    global _server
    if _server is None or _server[0] != os.getpid():
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        command = [sys.executable, str(SERVER), str(theirs.fileno())]
        process = subprocess.Popen(command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
        theirs.close()
        _server = (os.getpid(), ours)

        def end():
            ours.close()
            process.wait()

        atexit.register(end)
    return _server[1]


class Popen(subprocess.Popen):
    """A process that was forked by the server; all else is subprocess's."""

    def _execute_child(
        self, args, executable, preexec_fn, close_fds, pass_fds, cwd, env, startupinfo, creationflags, shell,
        p2cread, p2cwrite, c2pread, c2pwrite, errread, errwrite, *others,
    ):  # fmt: skip
        assert not any((shell, preexec_fn, pass_fds, executable, startupinfo, creationflags)), "no such option here"
        python, kind, code, *arguments = map(os.fspath, args)
        assert python == sys.executable
        assert kind in ("-c", "-m")
        env = dict(os.environ if env is None else env)
        for name, value in env.items():
            if name.startswith(AT_START) and name != "PYTHONPATH":
                assert value == os.environ.get(name), f"{name} is read when the interpreter starts"
        request = {"kind": kind, "code": code, "arguments": arguments, "env": env, "cwd": os.fspath(cwd or os.getcwd())}
        self._answers, theirs = socket.socketpair()
        fds = [number if given == -1 else given for number, given in enumerate((p2cread, c2pwrite, errwrite))]
        socket.send_fds(_control(), [json.dumps(request).encode()], [*fds, theirs.fileno()])
        theirs.close()
        self.pid = struct.unpack("q", self._answers.recv(8))[0]
        self._child_created = True
        self._close_pipe_fds(p2cread, p2cwrite, c2pread, c2pwrite, errread, errwrite)

    def _try_wait(self, wait_flags):
        if wait_flags & os.WNOHANG and not select.select([self._answers], [], [], 0)[0]:
            return 0, 0
        said = self._answers.recv(8)
        self._answers.close()
        return self.pid, struct.unpack("q", said)[0] if said else 9

    def _internal_poll(self, _deadstate=None, **_):
        if self.returncode is None and self._waitpid_lock.acquire(False):
            try:
                if self.returncode is None:
                    pid, status = self._try_wait(os.WNOHANG)
                    if pid == self.pid:
                        self._handle_exitstatus(status)
            finally:
                self._waitpid_lock.release()
        return self.returncode


def run(command, *, timeout=None, check=False, capture_output=False, **options):
    """Is subprocess.run for the commands that may be forked."""
    if capture_output:
        options |= {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with Popen(command, **options) as process:
        try:
            out, err = process.communicate(timeout=timeout)
        except BaseException:
            process.kill()
            process.wait()
            raise
    done = subprocess.CompletedProcess(command, process.returncode, out, err)
    if check:
        done.check_returncode()
    return done
