"""A training that changes all it can reach in its process, and one that shows whatever reached it."""

from __future__ import annotations

import atexit
import builtins
import decimal
import gc
import locale
import logging
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from hpo import Context, Metrics

COUNT = 0
SEEN: list[int] = []
OPTIONS = {"scale": 1.0}
DRAWN = np.random.default_rng(7)
TORCH_DRAWN = torch.Generator().manual_seed(7)


class Shared:
    """With an attribute of the class."""

    scale = 1.0


def collected(value: int, into: list[int] = field) -> list[int]:  # type: ignore[assignment]  # replaced below
    """Has a default that lasts."""
    into.append(value)
    return into


collected.__defaults__ = ([],)


@dataclass(frozen=True)
class NastyParams:
    """How nasty."""

    x: float
    nasty: bool = False
    leave: str = ""


def train(params: NastyParams, ctx: Context) -> Iterator[Metrics]:
    """Yields `val`, and what the process is like."""
    print(f"in process {os.getpid()}")
    with ctx.streams.init.as_global():
        model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for epoch in ctx.epochs(model=model, optimizer=optimizer):
        optimizer.zero_grad()
        loss = model(torch.rand(8, 4)).pow(2).mean()
        loss.backward()
        optimizer.step()
        yield {"val": loss.item(), **_like(params, ctx)}
        if params.nasty and epoch == 1:
            _leave_changes()
            model.to(torch.float64)
    if params.leave == "thread":
        threading.Thread(target=_linger, name="lingers").start()
    if params.leave == "child":
        subprocess.Popen(["sleep", "60"])


def _linger() -> None:
    time.sleep(60)


def _like(params: NastyParams, ctx: Context) -> Metrics:
    """Returns what can be seen of the process, as numbers."""
    import toys.late  # whose first import changes something

    Path("count.txt").write_text(str(len(list(Path().iterdir()))))
    mask = os.umask(0)
    os.umask(mask)
    return {
        "files": float(Path("count.txt").read_text()),
        "umask": mask,
        "variable": float(os.environ.get("NASTY", "0")),
        "dtype": torch.get_default_dtype().itemsize,
        "grad": torch.is_grad_enabled(),
        "threads": torch.get_num_threads(),
        "third": torch.tensor([1.0]).div(3).double().item(),
        "python": random.random(),
        "numpy": np.random.rand(),  # noqa: NPY002  the global generator is the matter
        "torch": torch.rand(1).item(),
        "warned": tuple(warnings.filters[0])[:3] == ("ignore", None, Warning),
        "alarm": signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL,
        "on_path": len([one for one in sys.path if one.startswith("/nasty")]),
        "arguments": "--nasty" in sys.argv,
        "recursion": sys.getrecursionlimit(),
        "collects": gc.isenabled(),
        "precision": decimal.getcontext().prec,
        "errors": np.geterr()["divide"] == "raise",
        "printed": np.get_printoptions()["precision"],
        "level": logging.getLogger().level,
        "disabled": logging.root.manager.disable,
        "handlers": len([one for one in logging.getLogger().handlers if type(one) is logging.NullHandler]),
        "quiet": logging.getLogger("toys").level,
        "start": multiprocessing.get_start_method(allow_none=True) == "spawn",
        "comma": locale.setlocale(locale.LC_NUMERIC) == "C.UTF-8",
        "count": COUNT,
        "seen": len(SEEN),
        "scale": OPTIONS["scale"] + Shared.scale,
        "drawn": DRAWN.random(),
        "torch_drawn": torch.rand(1, generator=TORCH_DRAWN).item(),
        "collected": len(collected(1)),
        "late": toys.late.SETTING,
        "print": print.__name__ == "print",
        "root": ctx.project.joinpath("toys", "nasty.py").is_file(),
    }


def _leave_changes() -> None:
    global COUNT
    COUNT += 1
    SEEN.append(1)
    OPTIONS["scale"] = 9.0
    Shared.scale = 9.0
    import toys.late

    toys.late.SETTING = 9
    Path("left.txt").write_text("left")
    os.mkdir("below")
    os.chdir("below")
    os.umask(0o077)
    os.environ["NASTY"] = "1"
    os.environ.pop("HOME", None)
    torch.set_default_dtype(torch.float64)
    torch.set_grad_enabled(True)
    torch.set_num_threads(2)
    torch.manual_seed(0)
    torch.backends.mkldnn.enabled = False  # type: ignore[assignment]  # torch's own way to turn it off
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002  likewise
    np.seterr(all="raise")
    np.set_printoptions(precision=2)
    warnings.simplefilter("ignore")
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.alarm(300)
    sys.path.insert(0, "/nasty")
    sys.argv.append("--nasty")
    sys.setrecursionlimit(5000)
    sys.excepthook = print
    gc.disable()
    decimal.getcontext().prec = 3
    locale.setlocale(locale.LC_NUMERIC, "C.UTF-8")
    logging.getLogger().setLevel(logging.DEBUG)
    logging.getLogger().addHandler(logging.NullHandler())
    logging.getLogger("toys").setLevel(logging.CRITICAL)
    logging.disable(logging.CRITICAL)
    multiprocessing.set_start_method("spawn", force=True)
    atexit.register(int)
    builtins.print = lambda *_, **__: None  # type: ignore[assignment]  # as a library that is to be quiet
    import matplotlib as mpl

    mpl.rcParams["lines.linewidth"] = 9.0
