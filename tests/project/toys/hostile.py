"""Trainings that hand over, raise and do whatever code can: values, exceptions and side effects by name."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import signal
import socket
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import optuna

from hpo import Context, Metrics, TrainableError


@dataclass
class HostileParams:
    """What goes wrong, by the names in the tables below, and in which epoch."""

    x: float = 0.5
    value: str = "plain"
    error: str = "none"
    effect: str = "none"
    fact: str = "none"
    epoch: int = 2
    loop: bool = True

    def __post_init__(self) -> None:
        if self.effect == "params-raise":
            raise StopIteration("no such params")
        if self.effect == "params-exit":
            sys.exit(3)


class Cursed:
    """Raises whatever is asked of it."""

    def __repr__(self) -> str:
        raise RuntimeError("no repr")

    __str__ = __float__ = __len__ = __bool__ = __iter__ = __repr__  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no equality")

    def __hash__(self) -> int:
        return 1


class Mine(float):
    """A float with a mind of its own."""

    def __repr__(self) -> str:
        raise RuntimeError("no repr")

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 1


class ExitsAsFloat:
    """Ends the process when its number is asked for."""

    def __float__(self) -> float:
        sys.exit("no float")


class Whole(int):
    """A whole number whose text raises."""

    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


class Dict(dict):  # type: ignore[type-arg]
    """A dict whose methods lie or raise."""

    def items(self) -> Any:
        raise RuntimeError("no items")

    def __len__(self) -> int:
        return -1


class Colour(Enum):
    """Names as people write them."""

    RED = "red"


def tensor(*values: float, **options: Any) -> Any:
    """Returns a tensor; torch is loaded only by those who want one."""
    import torch

    return torch.tensor(*values, **options)


def circle() -> dict[str, Any]:
    """Returns a dict that holds itself."""
    found: dict[str, Any] = {}
    found["again"] = found
    return found


def deep(levels: int = 5000) -> list[Any]:
    """Returns lists in lists."""
    found: list[Any] = []
    for _ in range(levels):
        found = [found]
    return found


VALUES: Mapping[str, Callable[[float], Any]] = {
    "plain": lambda x: x,
    "float32": np.float32,
    "float16": np.float16,
    "longdouble": np.longdouble,
    "numpy-bool": lambda x: np.bool_(x > 0.5),
    "bool": lambda x: x > 0.5,
    "int": lambda x: int(10 * x),
    "numpy-int": lambda x: np.int64(10 * x),
    "array-0d": np.array,
    "array-1d": lambda x: np.array([x]),
    "array-2d": lambda x: np.array([[x]]),
    "array-two": lambda x: np.array([x, x]),
    "array-none": lambda _x: np.array([]),
    "tensor": lambda x: tensor(x),
    "tensor-1d": lambda x: tensor([x]),
    "tensor-grad": lambda x: tensor(x, requires_grad=True),
    "tensor-two": lambda x: tensor([x, x]),
    "tensor-complex": lambda x: tensor(x + 1j),
    "float-subclass": Mine,
    "int-subclass": lambda x: Whole(10 * x),
    "decimal": lambda x: Decimal(x),
    "decimal-nan": lambda _x: Decimal("NaN"),
    "decimal-signalling": lambda _x: Decimal("sNaN"),
    "fraction": Fraction,
    "complex": lambda x: x + 1j,
    "none": lambda _x: None,
    "nan": lambda _x: float("nan"),
    "inf": lambda _x: -float("inf"),
    "largest": lambda _x: sys.float_info.max,
    "beyond-1e308": lambda _x: -1.5e308,
    "1e200": lambda _x: 1e200,
    "minus-zero": lambda _x: -0.0,
    "subnormal": lambda _x: 5e-324,
    "int-of-400-digits": lambda _x: 10**400,
    "int-of-5000-digits": lambda _x: -(10**5000),
    "text": lambda _x: "high",
    "number-text": str,
    "surrogate-text": lambda _x: "\ud800",
    "bytes": lambda _x: b"\x00\xff",
    "cursed": lambda _x: Cursed(),
    "exits": lambda _x: ExitsAsFloat(),
    "masked": lambda _x: np.ma.masked,
    "datetime": lambda _x: np.datetime64("2020-01-01"),
    "long-text": lambda _x: "x" * 10_000_000,
    "type": lambda _x: float,
    "generator": lambda x: (one for one in [x]),
}
"""What is yielded as the objective's metric, made of a number."""

YIELDS: Mapping[str, Callable[[float], Any]] = {
    "nothing": lambda _x: None,
    "a-list": lambda x: [("val", x)],
    "a-number": lambda x: x,
    "a-dict-of-its-own": lambda x: Dict(val=x),
    "no-objective": lambda x: {"loss": x},
    "names-collide": lambda x: {"val": x, 1: x, "1": x},
    "name-empty": lambda x: {"val": x, "": x},
    "name-blank": lambda x: {"val": x, "  ": x},
    "name-lines": lambda x: {"val": x, "a\nb": x},
    "name-nul": lambda x: {"val": x, "a\x00b": x},
    "name-surrogate": lambda x: {"val": x, "a\udcffb": x},
    "name-long": lambda x: {"val": x, "n" * 10_240: x},
    "name-cursed": lambda x: {"val": x, Cursed(): x},
    "name-slash": lambda x: {"val": x, "a/b/../c": x},
    "name-odd": lambda x: {"val": x, "=1+1|$\\frac{<b>%s{0}&": x},
    "name-none": lambda x: {"val": x, None: x},
    "name-tuple": lambda x: {"val": x, (1, 2): x},
    "name-subclass": lambda x: {np.str_("val"): x},
    "many": lambda x: {"val": x, **{f"m{n}": x for n in range(2_000)}},
    "too-many": lambda x: {"val": x, **{f"m{n}": x for n in range(20_000)}},
    "other-nan": lambda x: {"val": x, "loss": float("nan")},
    "other-huge": lambda x: {"val": x, "loss": 1e300},
}
"""What is yielded in place of the metrics."""


class Unprintable(Exception):
    """An error whose text raises."""

    def __str__(self) -> str:
        raise ValueError("no text")


class Exiting(Exception):
    """An error whose text ends the process."""

    def __str__(self) -> str:
        sys.exit("no text")


class Sentence(TrainableError):
    """A sentence of ours that cannot be said."""

    def __str__(self) -> str:
        raise KeyboardInterrupt


class Unpicklable(Exception):
    """An error that no other process can be told of."""

    def __init__(self, one: object, two: object) -> None:
        super().__init__()
        self.lock = threading.Lock()

    def __reduce__(self) -> Any:
        raise TypeError("cannot be pickled")


class Base(BaseException):
    """No Exception."""


def recursion(depth: int = 0) -> int:
    """Never ends."""
    return recursion(depth + 1) + 1


def chained() -> None:
    """Raises errors that are each other's cause."""
    one, two = ValueError("one"), ValueError("two")
    one.__cause__, two.__cause__ = two, one
    raise one


def nested() -> None:
    """Raises groups in groups."""
    group: Exception = ValueError("innermost")
    for _ in range(200):
        group = ExceptionGroup("a group", [group, KeyError("beside")])
    raise group


def raising(error: Callable[[], BaseException]) -> Callable[[], object]:
    """Returns a function that raises what another one makes."""

    def call() -> None:
        raise error()

    return call


ERRORS: Mapping[str, Callable[[], object]] = {
    "none": lambda: None,
    "value": raising(lambda: ValueError("the user's own mistake")),
    "empty": raising(lambda: TrainableError("")),
    "blank": raising(lambda: TrainableError(" \n ")),
    "no-arguments": raising(lambda: Exception()),
    "sentence": raising(lambda: TrainableError("the data are gone")),
    "sentence-unprintable": raising(lambda: Sentence("x")),
    "not-a-text": raising(lambda: TrainableError(Cursed())),
    "nul": raising(lambda: ValueError("bad header a\x00b")),
    "surrogate": raising(lambda: ValueError("no file scan-\udcff.png")),
    "surrogate-sentence": raising(lambda: TrainableError("no file scan-\udcff\x00.png")),
    "ansi": raising(lambda: ValueError("\x1b[2J\x1b[31mred\x07\r")),
    "huge": raising(lambda: ValueError("x" * 10_000_000)),
    "huge-sentence": raising(lambda: TrainableError("x\x00" * 5_000_000)),
    "unprintable": raising(lambda: Unprintable("x")),
    "exiting-text": raising(lambda: Exiting("x")),
    "unpicklable": raising(lambda: Unpicklable(1, 2)),
    "group": raising(lambda: ExceptionGroup("two", [ValueError("one"), KeyError("\x00")])),
    "base-group": raising(lambda: BaseExceptionGroup("two", [KeyboardInterrupt(), SystemExit(1)])),
    "nested-groups": nested,
    "chained": chained,
    "recursion": recursion,
    "memory": raising(lambda: MemoryError()),
    "allocation": lambda: bytearray(2**62),
    "base": raising(lambda: Base("x")),
    "cancelled": raising(lambda: asyncio.CancelledError()),
    "exit": raising(lambda: SystemExit()),
    "exit-0": lambda: sys.exit(0),
    "keyboard": raising(lambda: KeyboardInterrupt()),
    "keyboard-subclass": raising(lambda: type("Mine", (KeyboardInterrupt,), {})("x")),
    "generator-exit": raising(lambda: GeneratorExit()),
    "stop-iteration": raising(lambda: StopIteration({"val": 1.0})),
    "stop-async": raising(lambda: StopAsyncIteration()),
    "pruned": raising(lambda: optuna.TrialPruned("not worth it")),
    "pruned-by-name": raising(lambda: type("TrialPruned", (Exception,), {})("not Optuna's")),
    "os": raising(lambda: FileNotFoundError(2, "No such file", "scan-\udcff.png")),
    "full-disk": raising(lambda: OSError(28, "No space left on device")),
    "unicode": lambda: b"\xff".decode(),
    "syntax": lambda: compile("def f(:\n", "\x00\udcff", "exec"),
    "assertion": raising(lambda: AssertionError()),
    "not-an-exception": lambda: (_ for _ in ()).throw(Cursed),  # type: ignore[arg-type]
    "warning": raising(lambda: DeprecationWarning("as an error")),
    "broken-pipe": raising(lambda: BrokenPipeError(32, "Broken pipe")),
}
"""What is raised."""

FACTS: Mapping[str, Callable[[], Any]] = {
    "none": lambda: 1,
    "numpy-int": lambda: np.int64(3),
    "numpy-float": lambda: np.float32(0.5),
    "numpy-bool": lambda: np.bool_(True),
    "array": lambda: np.arange(3),
    "array-large": lambda: np.zeros(10_000),
    "object-array": lambda: np.array([Cursed()], dtype=object),
    "tensor": lambda: tensor(1.5),
    "path": lambda: Path("/data/scan-\udcff"),
    "bytes": lambda: b"\x00",
    "nan": lambda: float("nan"),
    "inf": lambda: float("-inf"),
    "huge-int": lambda: 10**400,
    "hugest-int": lambda: 10**5000,
    "surrogate": lambda: "\ud800\x00",
    "huge-text": lambda: "x" * 10_000_000,
    "circle": circle,
    "deep": deep,
    "keys": lambda: {1: 2, None: 3, (1, 2): 4, "\x00": 5},
    "keys-collide": lambda: {1: 2, "1": 3},
    "set": lambda: {1, 2},
    "cursed": Cursed,
    "cursed-list": lambda: [Cursed()],
    "mine": lambda: [Mine(1.5), Whole(2), Dict(a=1)],
    "enum": lambda: Colour.RED,
    "date": lambda: [date(2020, 1, 2), timedelta(1)],
    "function": lambda: tensor,
    "module": lambda: sys,
    "complex": lambda: 1j,
    "decimal": lambda: [Decimal("1.5"), Fraction(1, 3)],
    "exits": ExitsAsFloat,
}
"""What is noted as a fact."""


def _replace(path: Path, make: Callable[[Path], object]) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    make(path)


def _socket(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # a socket's path has to be short
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(here)


THINGS: Mapping[str, Callable[[Path], object]] = {
    "folder": Path.mkdir,
    "full-folder": lambda path: (path / "inner").mkdir(parents=True),
    "pipe": os.mkfifo,
    "socket": _socket,
    "link": lambda path: path.symlink_to("/etc/hostname"),
    "loop": lambda path: path.symlink_to(path.name),
    "dangling": lambda path: path.symlink_to("nowhere"),
    "locked": lambda path: (path.write_text("x"), path.chmod(0)),
    "rubbish": lambda path: path.write_bytes(b"\x00rubbish"),
    "empty": Path.touch,
}
"""What can be in the place of a file."""

FILES = (
    "checkpoint.pt",
    "checkpoint-previous.pt",
    "run.log",
    "best_model.pt",
    "predictions.npz",
    "panels.npz",
    "attempts",
    "artifacts",
    "artifacts/thing",
    "artifacts/checkpoint.pt",
    "artifacts/summary.json",
)
"""Names of ours in a training's folder."""


def _placing(name: str, thing: str) -> Callable[[Context], object]:
    return lambda ctx: _replace(ctx.folder / name, THINGS[thing])


def _folder_is_a_file(ctx: Context) -> None:
    shutil.rmtree(ctx.folder, ignore_errors=True)
    ctx.folder.parent.mkdir(parents=True, exist_ok=True)
    ctx.folder.write_text("a file")


def _predict(ctx: Context, truth: Any, probabilities: Any, **more: Any) -> None:
    given = {"labels": (0, 1), "names": ("no", "yes"), **more}
    loop, before = ctx._loop, ctx._loop.is_running
    loop.is_running = False  # the call belongs after the loop; what it is given is what is tried
    try:
        ctx.save_predictions(truth=truth, probabilities=probabilities, **given)
    finally:
        loop.is_running = before


PREDICTIONS: Mapping[str, Callable[[Context], object]] = {
    "right": lambda ctx: _predict(ctx, [0, 1], [[0.9, 0.1], [0.2, 0.8]]),
    "tensors": lambda ctx: _predict(ctx, tensor([0, 1]), tensor([[0.9, 0.1], [0.2, 0.8]], requires_grad=True)),
    "odd-cases": lambda ctx: _predict(
        ctx, [0, 1], [[0.9, 0.1], [0.2, 0.8]], cases={"path": ["scan-\udcff.png", "b\x00.png"], "n": [1, None]}
    ),
    "case-cursed": lambda ctx: _predict(ctx, [0], [[0.9, 0.1]], cases={"path": [Cursed()]}),
    "case-column": lambda ctx: _predict(ctx, [0], [[0.9, 0.1]], cases={"a/../b\x00": ["x"]}),
    "case-long": lambda ctx: _predict(ctx, [0], [[0.9, 0.1]], cases={"path": ["x" * 1_000_000]}),
    "shape": lambda ctx: _predict(ctx, [0, 1], [[0.9, 0.1, 0.0]]),
    "nan": lambda ctx: _predict(ctx, [0, 1], [[np.nan, 0.1], [0.2, 0.8]]),
    "negative": lambda ctx: _predict(ctx, [0, -1], [[0.9, 0.1], [0.2, 0.8]]),
    "ragged": lambda ctx: _predict(ctx, [0, 1], [[0.9, 0.1], [0.2]]),
    "text": lambda ctx: _predict(ctx, ["a", "b"], [["x", "y"], ["z", "w"]]),
    "none": lambda ctx: _predict(ctx, None, None),
    "cursed": lambda ctx: _predict(ctx, Cursed(), Cursed()),
    "labels": lambda ctx: _predict(ctx, [0], [[0.5, 0.5]], labels=("a", Cursed())),
    "scalar": lambda ctx: _predict(ctx, 0, 0.5),
    "empty": lambda ctx: _predict(ctx, [], np.zeros((0, 2))),
    "huge": lambda ctx: _predict(ctx, [0, 1], [[1e300, -1e300], [0.2, 0.8]]),
}
"""What is given as predictions."""


def _in_thread(target: Callable[[], object]) -> None:
    thread = threading.Thread(target=target, daemon=True)
    thread.start()
    thread.join(5)


def _raise_in_thread() -> None:
    threading.excepthook, before = lambda _args: None, threading.excepthook
    try:
        _in_thread(raising(lambda: SystemError("in a thread")))
    finally:
        threading.excepthook = before


def _own_reports(ctx: Context) -> None:
    ctx.reports.clear()
    ctx.reports.append("not a report")  # type: ignore[arg-type]


def _own_facts(ctx: Context) -> None:
    ctx._progress.facts["mine"] = Cursed()
    ctx._progress.digests["weights"] = Cursed()  # type: ignore[assignment]
    ctx._progress.remarks.append(Cursed())  # type: ignore[arg-type]


EFFECTS: Mapping[str, Callable[[Context], object]] = {
    "none": lambda _ctx: None,
    "params-raise": lambda _ctx: None,
    "params-exit": lambda _ctx: None,
    "log-odd": lambda ctx: ctx.log("\x1b[2J\x00\udcff\r\n\u2028" + "x" * 100_000),
    "log-not-a-text": lambda ctx: ctx.log(b"\xff"),  # type: ignore[arg-type]
    "log-cursed": lambda ctx: ctx.log(Cursed()),  # type: ignore[arg-type]
    "print-odd": lambda _ctx: print("\x1b[31m\ud800\x00", file=sys.stdout),
    "print-much": lambda _ctx: print("x" * 10_000, file=sys.stderr),
    "logging": lambda _ctx: logging.getLogger("mine").critical("bad %s %d", Cursed()),
    "thread-raises": lambda _ctx: _raise_in_thread(),
    "own-reports": _own_reports,
    "own-facts": _own_facts,
    "folder-gone": lambda ctx: shutil.rmtree(ctx.folder, ignore_errors=True),
    "parents-gone": lambda ctx: shutil.rmtree(ctx.folder.parent, ignore_errors=True),
    "folder-is-a-file": _folder_is_a_file,
    "folder-locked": lambda ctx: (ctx.folder.mkdir(parents=True, exist_ok=True), ctx.folder.chmod(0)),
    "warns": lambda _ctx: warnings.warn("mine", stacklevel=1),
    "stop-odd": lambda ctx: ctx.stop("\x00\udcff"),
    "stop-cursed": lambda ctx: ctx.stop(Cursed()),  # type: ignore[arg-type]
    **{f"predict-{name}": call for name, call in PREDICTIONS.items()},
    **{f"{thing}-at-{name}": _placing(name, thing) for name in FILES for thing in THINGS},
}
"""What else is done, in the epoch in which it is done."""

TAKES_THE_PROCESS: Mapping[str, Callable[[Context], object]] = {
    "os-exit": lambda _ctx: os._exit(0),
    "kill": lambda _ctx: os.kill(os.getpid(), signal.SIGKILL),
    "abort": lambda _ctx: os.abort(),
}
"""What ends the process it is done in."""


def train(params: HostileParams, ctx: Context) -> Iterator[Metrics]:
    """Goes wrong in one epoch, in the loop over the epochs or in one of its own."""
    if params.value == "innocent":
        yield from innocent(params, ctx)
        return
    epochs = ctx.epochs() if params.loop else range(1, ctx.budget + 1)
    for epoch in epochs:
        value: Any = params.x + epoch / 10
        if epoch == params.epoch:
            if params.fact != "none":
                ctx.note(fact=FACTS[params.fact]())
            {**EFFECTS, **TAKES_THE_PROCESS}[params.effect](ctx)
            ERRORS[params.error]()
            if params.value in YIELDS:
                yield YIELDS[params.value](value)
                continue
            value = VALUES[params.value](value)
        yield {"val": value}


def ignores_close(params: HostileParams, ctx: Context) -> Iterator[Metrics]:
    """Yields on when it is to end, and raises in the end."""
    try:
        for epoch in ctx.epochs():
            yield {"val": params.x + epoch / 10}
    finally:
        for _ in range(3):
            with suppress(GeneratorExit):
                yield {"val": 0.0}
        raise KeyboardInterrupt


def catches_everything(params: HostileParams, ctx: Context) -> Iterator[Metrics]:
    """Catches what it must not catch, and goes on."""
    while True:
        try:
            for epoch in ctx.epochs():
                yield {"val": params.x + epoch / 10}
            return
        except BaseException:  # on purpose
            yield {"val": -1.0}


def changes_predictions(params: HostileParams, ctx: Context) -> Iterator[Metrics]:
    """Writes its own file over one of hpo's, by a name that suggests itself."""
    for epoch in ctx.epochs():
        yield {"val": params.x + epoch / 10}
    ctx.save_predictions(truth=[0, 1], probabilities=[[0.9, 0.1], [0.2, 0.8]], labels=(0, 1), names=("no", "yes"))
    np.savez(ctx.folder / "predictions.npz", mine=[1, 2])


def swallows(params: HostileParams, ctx: Context) -> Iterator[Metrics]:
    """Makes another error of whatever ends it."""
    try:
        yield from train(params, ctx)
    except BaseException as error:
        raise ValueError("something went wrong") from error


def innocent(params: HostileParams, ctx: Context) -> Iterator[Metrics]:
    """Does as it should, and draws from every stream, so that its digest says whether anything was changed for it."""
    import torch

    with ctx.streams.init.as_global():
        model = torch.nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    data = torch.randn(16, 4, generator=ctx.streams.split.torch())
    for epoch in ctx.epochs(model=model, optimizer=optimizer):
        loss = (torch.nn.functional.dropout(model(data), 0.1) - data.sum(1, keepdim=True)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        yield {"val": params.x + loss.item() + random_noise() + 0 * epoch}


def random_noise() -> float:
    """Returns a number of NumPy's own global generator."""
    return float(np.random.rand())  # noqa: NPY002  what ported code uses
