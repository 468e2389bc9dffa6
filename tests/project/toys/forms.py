"""One training in every form that a trainable may have; all forms give the same bits."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from signal import SIGKILL
from tempfile import TemporaryDirectory
from threading import Thread
from time import sleep
from types import SimpleNamespace
from typing import Any

import numpy as np
from optuna import TrialPruned

from hpo import Context, Metrics, seeded
from hpo.seeds.streams import Streams


@dataclass(frozen=True)
class FormParams:
    """What is trained, what goes wrong in the second epoch, and where is written what was run."""

    x: float
    fault: str = ""
    log: str = ""


class State:
    """Something with a state that a checkpoint has to bring back."""

    def __init__(self) -> None:
        self.total = 0.0

    def state_dict(self) -> dict[str, float]:
        return {"total": self.total}

    def load_state_dict(self, state: dict[str, float]) -> None:
        self.total = state["total"]


def _said(log: str, text: object) -> None:
    with Path(log).open("a") as file:
        file.write(f"{text}\n")


def _epoch(params: FormParams, ctx: Context, state: State, epoch: int) -> dict[str, float]:
    _said(params.log, epoch)
    state.total += float(np.random.rand())  # noqa: NPY002  the process-wide generator, as ported code uses it
    value = params.x + state.total + float(ctx.streams.order.numpy(epoch).normal())
    if epoch == 2:
        if params.fault == "raise":
            raise ValueError("the user's own mistake")
        if params.fault == "exit":
            raise SystemExit("the user's own exit")
        if params.fault == "pruned":
            raise TrialPruned
        if params.fault == "stop-iteration":
            next(iter(()))
        if params.fault == "nan":
            value = float("nan")
        if params.fault == "kill" and Path(params.log).read_text().count("2") == 1:
            os.kill(os.getpid(), SIGKILL)
        if params.fault == "stop":
            ctx.stop("enough")
    return {"val": value, "loss": -value}


def generator(params: FormParams, ctx: Context) -> Iterator[Metrics]:
    """Yields its metrics."""
    state = State()
    try:
        for epoch in ctx.epochs(state=state) if params.fault != "silent" else ():
            yield _epoch(params, ctx, state, epoch)
        if params.fault == "second-loop":
            for epoch in ctx.epochs(state=state):
                yield _epoch(params, ctx, state, epoch)
    finally:
        _said(params.log, "finally")


def function(params: FormParams, ctx: Context) -> None:
    """Reports its metrics in the loop over `ctx.epochs`."""
    state = State()
    try:
        for epoch in ctx.epochs(state=state) if params.fault != "silent" else ():
            ctx.report(_epoch(params, ctx, state, epoch))
        if params.fault == "second-loop":
            for epoch in ctx.epochs(state=state):
                ctx.report(_epoch(params, ctx, state, epoch))
    finally:
        _said(params.log, "finally")


class Trainer:
    """A framework with a loop of its own, which goes on whatever its callbacks raise."""

    def __init__(self, callback: Callable[[dict[str, float]], None]) -> None:
        self._callback = callback

    def fit(self, epochs: Iterable[int], train: Callable[[int], dict[str, float]]) -> None:
        for epoch in epochs:
            metrics = train(epoch)
            with suppress(Exception):
                self._callback(metrics)


def named(x: float, fault: str = "", log: str = "", *, ctx: Context) -> None:
    """Reports from a callback of a framework that has a loop of its own, and saves its state with each report."""
    params, state = FormParams(x, fault, log), State()
    saved = ctx.load()
    if saved is not None:
        state.load_state_dict(saved["state"])

    def callback(metrics: dict[str, float]) -> None:
        ctx.report(metrics, checkpoint={"state": state.state_dict()})

    try:
        if fault != "silent":
            epochs = range(len(ctx.reports) + 1, 3 if fault == "stop" else ctx.budget + 1)
            train = FormParams(x, "" if fault == "stop" else fault, log)
            Trainer(callback).fit(epochs, lambda epoch: _epoch(train, ctx, state, epoch))
    finally:
        _said(params.log, "finally")


def tuned(config: dict[str, Any]) -> None:
    """Reports by Ray Tune, which knows no context, and restores its state from Ray's checkpoint."""
    from ray import tune  # as late as possible: also then hpo is its session

    params, state, start = FormParams(**config), State(), 1
    context: Any = SimpleNamespace(streams=Streams(seeded(0)), stop=str)
    if (checkpoint := tune.get_checkpoint()) is not None:
        with checkpoint.as_directory() as folder:
            saved = json.loads((Path(folder) / "state.json").read_text())
        state.load_state_dict(saved["state"])
        start = saved["epoch"] + 1
    try:
        last = {"silent": 0, "stop": 2}.get(params.fault, 4)
        for epoch in range(start, last + 1):
            metrics = _epoch(params, context, state, epoch)
            with TemporaryDirectory() as folder:
                saved = {"state": state.state_dict(), "epoch": epoch}
                (Path(folder) / "state.json").write_text(json.dumps(saved))
                tune.report(metrics, checkpoint=tune.Checkpoint.from_directory(folder))
    finally:
        _said(params.log, "finally")


def as_dict(params: dict[str, Any], ctx: Context) -> None:
    """Gets its params as a dict."""
    named(**params, ctx=ctx)


def wrapped(train: Callable[..., Iterator[Metrics]]) -> Callable[..., object]:
    """Wraps a generator function so that it no longer looks like one."""

    @wraps(train)
    def called(*args: Any, **kwargs: Any) -> object:
        return train(*args, **kwargs)

    return called


decorated = wrapped(generator)


def forgetful(params: FormParams, ctx: Context) -> None:
    """Reports without a checkpoint: it begins anew."""
    state = State()
    for epoch in range(1, ctx.budget + 1):
        ctx.streams.dropout.seed_global(epoch)
        ctx.report(_epoch(params, ctx, state, epoch))


def boosted(params: FormParams, ctx: Context) -> None:
    """Reports from a callback of XGBoost."""
    import xgboost

    class Callback(xgboost.callback.TrainingCallback):  # type: ignore[misc]
        def after_iteration(self, model: object, epoch: int, evals_log: Mapping[str, Any]) -> bool:
            _said(params.log, epoch + 1)
            ctx.report({"val": evals_log["train"]["rmse"][-1]})
            return False

    split = ctx.streams.split.numpy()
    data = xgboost.DMatrix(split.random((40, 3)), split.random(40))
    settings = {"nthread": 1, "seed": ctx.streams.init.random_state(), "eta": params.x}
    try:
        xgboost.train(settings, data, ctx.budget, evals=[(data, "train")], callbacks=[Callback()], verbose_eval=False)
    finally:
        _said(params.log, "finally")


RETURNED: Mapping[str, object] = {
    "float": 0.5,
    "array": np.array([0.5]),
    "metrics": {"val": 0.5, "loss": 1.0},
    "nothing": None,
    "text": "good",
    "nan": float("nan"),
    "other": {"loss": 1.0},
}
"""What a function may return, and what it may not."""


def returns(what: str) -> object:
    """Only returns."""
    return RETURNED[what]


def reports_and_returns(what: str, ctx: Context) -> object:
    """Reports 0.5 and 0.25, and returns."""
    ctx.report({"val": 0.5})
    ctx.report({"val": 0.25})
    return RETURNED[what]


def misuses(how: str, ctx: Context) -> None:
    """Does what a function may not do."""
    match how:
        case "epochs-and-checkpoint":
            for _ in ctx.epochs():
                ctx.report({"val": 1.0}, checkpoint={})
        case "no-load":
            ctx.report({"val": 1.0}, checkpoint={})
        case "late-load":
            ctx.report({"val": 1.0})
            ctx.load()
        case "no-mapping":
            ctx.load()
            ctx.report({"val": 1.0}, checkpoint=[1])  # type: ignore[arg-type]
        case "unsavable":
            ctx.load()
            ctx.report({"val": 1.0}, checkpoint={"state": ctx})
        case "too-many":
            for _ in range(9):
                ctx.report({"val": 1.0})
        case "thread":
            found: list[BaseException] = []

            def report() -> None:
                try:
                    ctx.report({"val": 1.0})
                except Exception as error:
                    found.append(error)

            thread = Thread(target=report)
            thread.start()
            thread.join()
            raise found[0]


def yields_and_reports(params: FormParams, ctx: Context) -> Iterator[Metrics]:
    """A generator that reports as functions do."""
    ctx.report({"val": 1.0})
    yield {"val": 1.0}


def blocks(params: FormParams, ctx: Context) -> None:
    """Blocks once in its second epoch."""
    state = State()
    for epoch in ctx.epochs(state=state):
        ctx.report(_epoch(params, ctx, state, epoch))
        if epoch == 2 and Path(params.log).read_text().count("2") == 1:
            sleep(10**6)


def stubborn(params: FormParams, ctx: Context) -> None:
    """Catches what ends it, and goes on."""
    while True:
        with suppress(BaseException):
            ctx.report({"val": params.x})
