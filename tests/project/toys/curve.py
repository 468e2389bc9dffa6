"""Learning curves that cross, without torch, so that hundreds of trainings take a second."""

from __future__ import annotations

import logging
import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hpo import Context, Metrics


@dataclass(frozen=True, slots=True)
class CurveParams:
    """What the curve's shape depends on, and what goes wrong on purpose."""

    x: float
    k: int = 2
    shape: Literal["flat", "late"] = "flat"
    gain: float = 0.5
    nap: float = 0.0
    fault: str = ""
    flags: str = ""


class State:
    """Something with a state that a checkpoint has to bring back."""

    def __init__(self) -> None:
        self.total = 0.0

    def state_dict(self) -> dict[str, float]:
        return {"total": self.total}

    def load_state_dict(self, state: dict[str, float]) -> None:
        self.total = state["total"]


def train(params: CurveParams, ctx: Context) -> Iterator[Metrics]:
    """Yields `val`, higher is better, and `loss`, lower is better."""
    state = State()
    offset = float(ctx.streams.init.numpy().normal()) * 0.05
    for epoch in ctx.epochs(state=state):
        _record(params, ctx.seed, epoch)
        if params.nap:  # durations from the operating system, so that no seed decides who ends first
            time.sleep(params.nap * random.SystemRandom().random())
        _go_wrong(params, epoch)
        noise = float(ctx.streams.order.numpy(epoch).normal()) * 0.02
        late = params.gain * (epoch / ctx.budget) ** 3 if params.shape == "late" else 0.0
        state.total += noise
        value = (1 - (params.x - 0.3) ** 2) * epoch / (epoch + params.k) + late + offset + state.total
        yield {"val": value, "loss": 1 - value, "pid": os.getpid()}


def _record(params: CurveParams, seed: int, epoch: int) -> None:
    if params.flags:
        with (Path(params.flags) / f"epochs-of-{params.x}-seed-{seed}").open("a") as file:
            file.write(f"{epoch}\n")


def _go_wrong(params: CurveParams, epoch: int) -> None:
    if not params.fault or epoch < 2 or (epoch > 2 and params.fault != "kill-each-once"):
        return
    match params.fault:
        case "kill-each-once":
            flag = Path(params.flags) / f"killed-{epoch}"
            if not flag.exists():
                flag.touch()
                os.kill(os.getpid(), signal.SIGKILL)
        case "raise":
            raise ValueError("the user's own mistake")
        case "exit":
            raise SystemExit("the user's own exit")
        case "block-once" | "block-and-swallow" if not (Path(params.flags) / "blocked").exists():
            (Path(params.flags) / "blocked").touch()
            while True:
                try:
                    time.sleep(10**6)
                except BaseException:
                    if params.fault == "block-once":
                        raise
        case "kill-once":
            flag = Path(params.flags) / "killed"
            if not flag.exists():
                flag.touch()
                os.kill(os.getpid(), signal.SIGKILL)
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)


def train_nan(params: CurveParams, ctx: Context) -> Iterator[Metrics]:
    """Becomes NaN in its second epoch where x is above one half."""
    for epoch in ctx.epochs():
        yield {"val": float("nan") if params.x > 0.5 and epoch == 2 else params.x, "loss": 0.0}


def train_silent(params: CurveParams, ctx: Context) -> Iterator[Metrics]:
    """Ends without a word."""
    yield from ()


def train_slow(params: CurveParams, ctx: Context) -> Iterator[Metrics]:
    """Takes two seconds for each epoch."""
    for epoch in ctx.epochs(state=State()):
        _record(params, ctx.seed, epoch)
        time.sleep(2)
        yield {"val": params.x, "loss": 0.0}


def train_paced(params: CurveParams, ctx: Context) -> Iterator[Metrics]:
    """Takes `nap` seconds for each epoch, and its value follows from x alone."""
    for epoch in ctx.epochs(state=State()):
        time.sleep(params.nap)
        yield {"val": params.x * epoch, "loss": 0.0}


def train_talks(params: CurveParams, ctx: Context) -> Iterator[Metrics]:
    """Prints, logs and writes half lines, on both streams."""
    print("begins with", params.x)
    for epoch in ctx.epochs(state=State()):
        print("half a line, ", end="")
        print("and the rest of", epoch)
        logging.getLogger("talks").warning("only %d rows", epoch)
        for number in range(100 if epoch == 2 else 0):
            print("many", number)
        yield {"val": params.x, "loss": 0.0}


def train_unrestored(params: CurveParams, ctx: Context) -> Iterator[Metrics]:
    """Leaves a thread behind, so that its worker is given up."""
    threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
    for _ in ctx.epochs(state=State()):
        yield {"val": params.x, "loss": 0.0}
