"""Runs in a process of its own, which has imported the large libraries and forks for each command of `forked`."""

from __future__ import annotations

import gc
import importlib
import json
import os
import selectors
import socket
import struct
import sys
import types

LIBRARIES = (
    "alembic.config", "fsspec", "jinja2", "matplotlib.backends.backend_agg", "matplotlib.figure", "numpy", "optuna",
    "optuna.pruners", "optuna.samplers", "optuna.storages", "packaging.requirements", "pandas", "PIL.Image",
    "plotly.graph_objects", "plotly.io", "psutil", "pydantic.json_schema", "pydantic.main", "pydantic.type_adapter",
    "rich.console", "rich.table", "scipy.linalg", "scipy.stats", "sklearn.metrics", "sqlalchemy.orm",
    "sqlalchemy.dialects.sqlite", "statistics", "tabulate", "threadpoolctl", "torch", "typer.core", "webbrowser",
    "_plotly_utils.basevalidators", "plotly.graph_objs._figure", "plotly.graph_objs._scatter", "plotly.offline",
    "PIL.JpegImagePlugin", "PIL.PngImagePlugin", "alembic.migration", "hpo.api", "hpo.cli.main",
)  # fmt: skip
"""What takes long to import and behaves the same whenever it is imported. Ray starts threads and is not among them."""


def serve(control: socket.socket) -> dict[str, object]:
    """Forks for each request until the other side closes; returns in each child, with its request."""
    waiting = selectors.DefaultSelector()
    waiting.register(control, selectors.EVENT_READ)
    children: dict[int, tuple[int, socket.socket]] = {}
    while True:
        for key, _ in waiting.select():
            if key.fileobj is control:
                data, fds, _, _ = socket.recv_fds(control, 2**20, 4)
                if not data:
                    os._exit(0)
                answer = socket.socket(fileno=fds[3])
                pid = os.fork()
                if pid == 0:
                    control.close()
                    waiting.close()
                    for descriptor, other in children.values():
                        os.close(descriptor)
                        other.close()
                    answer.close()
                    for number, descriptor in enumerate(fds[:3]):
                        os.dup2(descriptor, number)
                    for descriptor in fds[:3]:
                        os.close(descriptor)
                    return json.loads(data)
                for descriptor in fds[:3]:
                    os.close(descriptor)
                answer.send(struct.pack("q", pid))
                watched = os.pidfd_open(pid)
                children[pid] = (watched, answer)
                waiting.register(watched, selectors.EVENT_READ, pid)
            else:
                _, status = os.waitpid(key.data, 0)
                waiting.unregister(key.fileobj)
                descriptor, answer = children.pop(key.data)
                os.close(descriptor)
                answer.send(struct.pack("q", status))
                answer.close()


def become(request: dict[str, object]) -> types.CodeType:
    """Makes this process look as a new interpreter would with the request's command line; returns its code."""
    import numpy as np

    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["cwd"])
    own = [entry for entry in request["env"].get("PYTHONPATH", "").split(os.pathsep) if entry]
    sys.path[:] = [os.getcwd() if request["kind"] == "-m" else "", *own, *INSTALLED]
    sys.argv[:] = [request["kind"], *request["arguments"]]
    sys.orig_argv[:] = [sys.executable, request["kind"], request["code"], *request["arguments"]]
    np.random.seed(None)  # noqa: NPY002  a fork has the state of the process that it was forked from
    sys.modules["__main__"] = types.ModuleType("__main__")
    code = request["code"]
    if request["kind"] == "-m":
        code = f"import runpy; runpy._run_module_as_main({code!r})"
    return compile(code, "<string>", "exec")


if __name__ == "__main__":
    _own = {os.path.dirname(os.path.abspath(__file__)), *os.environ.get("PYTHONPATH", "").split(os.pathsep)}
    INSTALLED = [entry for entry in sys.path if entry not in _own]
    for _name in LIBRARIES:
        importlib.import_module(_name)
    gc.collect()
    gc.freeze()
    _code = become(serve(socket.socket(fileno=int(sys.argv[1]))))
    exec(_code, sys.modules["__main__"].__dict__)
