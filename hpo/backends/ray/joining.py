"""Starting a Ray of our own or joining one that runs; neither gets what is only the driver's."""

from __future__ import annotations

import logging
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from hpo.backends.machine import cores, require_resources
from hpo.backends.ray.starting import describe_token, joined_with_token, started_safely
from hpo.core.errors import UsageError
from hpo.core.protocols import Resources
from hpo.core.redaction import driver_variables
from hpo.training import gpu_info

ASK_SECONDS = 120.0
"""How long a machine may take to say which cards torch sees; one that is busy until then is not asked."""

JOIN_SECONDS = 60.0
"""How long a cluster without a machine to train on may take until one joins, e.g. after its head was restarted."""


@contextmanager
def connected(
    address: str | None,
    resources: Resources,
    concurrency: int | None,
    told: Callable[[str], None] | None = None,
) -> Iterator[int]:
    """Starts Ray on this machine, or joins it at `address`, and gives the number of trainings that run at a time.

    A Ray that this process has joined before is used and left running.

    Args:
        address: of a running cluster, `auto` for the one of this machine, None for one of our own.
        resources: of one training.
        concurrency: trainings at a time; None: as many as fit.
        told: called with a phase, e.g. that machines have yet to join; None: do not wait for them.

    Raises:
        UsageError: if there is no Ray at the address, or not a single training fits.
    """
    ours = not ray.is_initialized()
    with ExitStack() as stack:
        if ours:
            _join(address, resources, concurrency, stack)
            stack.callback(ray.shutdown)
            if address and told is not None:
                _wait_for_machines(resources, told)
        yield _slots(resources, concurrency)


def machines() -> int:
    """Returns how many machines the Ray has that this process has joined."""
    return sum(bool(node["Alive"]) for node in ray.nodes())  # type: ignore[no-untyped-call]  # Ray's


def check_nodes_have_gpu(resources: Resources) -> None:
    """Raises where a machine of the Ray that is joined offers graphics cards and torch sees none there.

    A training would use its CPU, and nobody would know. Each machine is asked, as a worker of it would ask.

    Raises:
        UsageError: if there is one.
    """
    if not resources.gpu:
        return
    alive = [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("GPU", 0) > 0]  # type: ignore[no-untyped-call]  # Ray's
    task = ray.remote(num_cpus=0, num_gpus=min(1.0, resources.gpu), max_retries=0)(_torch_sees)
    asked = {
        task.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)).remote(): node
        for node in alive
    }
    ready, _ = ray.wait(list(asked), num_returns=len(asked), timeout=ASK_SECONDS) if asked else ([], [])
    blind = []
    for each in ready:
        with suppress(RayError):  # a machine that has gone away meanwhile trains nothing
            if (seen := ray.get(each)) is not None:
                blind.append(f"{asked[each]['NodeManagerAddress']} ({seen})")
    if blind:
        raise UsageError(
            f"one training requests {resources.gpu:g} GPU; Ray offers cards on {', '.join(blind)}, where torch sees "
            "none, and the CPU would be used without a word. Install a torch that was built for the card there, start "
            "Ray there with --num-gpus 0, or use --gpus-per-trial 0"
        )


def _torch_sees() -> str | None:
    """Returns what is wrong with the graphics cards of this process, None if torch sees one."""
    try:
        seen = gpu_info()
    except Exception as error:  # a torch that does not fit the machine fails in many ways
        return f"torch cannot be imported: {type(error).__name__}"
    return None if seen.cards else f"torch {seen.torch}, built for {seen.built_for or 'no card'}"


def _join(address: str | None, resources: Resources, concurrency: int | None, stack: ExitStack) -> None:
    """Joins Ray; what it needs for as long as it is joined goes on the stack."""
    folder: Path | None = None
    if address:
        stack.enter_context(joined_with_token())
    else:
        require_resources(resources)
        folder = stack.enter_context(started_safely())
    logging.getLogger("ray").setLevel(logging.ERROR)
    logging.getLogger("ray.tune.tune").setLevel(logging.CRITICAL)  # it takes a job that failed for an error of its own
    try:
        with _secrets_hidden(), _signals_kept(), _own_package_found():
            ray.init(
                address=address or "local",
                num_cpus=None if address else max(cores(), (concurrency or 1) * resources.cpu),
                include_dashboard=None if address else False,
                log_to_driver=False,
                logging_level=logging.ERROR,
                configure_logging=True,
                _temp_dir=str(folder) if folder else None,
            )
    except SystemExit:  # by Ray's handler of SIGTERM: what it was sent for is for ours to say
        ray.shutdown()
        signal.raise_signal(signal.SIGTERM)
        _join(address, resources, concurrency, stack)  # ours has only taken note
    except Exception as error:  # Ray raises a dozen kinds here, plain Exception among them; all mean the same
        ray.shutdown()
        reason = next(iter(str(error).strip().splitlines()), "") or type(error).__name__
        if address:
            raise UsageError(f"cannot join Ray at {address}: {reason}. {describe_token()}") from error
        raise UsageError(
            f"cannot start Ray here: {reason} Without Ray: --backend local, with --concurrency N for N trainings at a "
            "time"
        ) from error


@contextmanager
def _secrets_hidden() -> Iterator[None]:
    """Takes the secrets out of the environment: all processes of Ray, workers included, inherit it as it is now."""
    hidden = {name: os.environ.pop(name) for name in driver_variables()}
    try:
        yield
    finally:
        os.environ.update(hidden)


@contextmanager
def _own_package_found() -> Iterator[None]:
    """Lets workers find this package where the current folder has another of its name.

    Ray puts the folder in which it is joined on the import path of all workers, before everything that is installed.
    """
    here, ours = Path.cwd(), Path(__file__).parents[2]
    if all((here / name).resolve() == ours for name in ("hpo", "hpo.py") if (here / name).exists()):
        yield
        return
    os.chdir(ours.parent)
    try:
        yield
    finally:
        os.chdir(here)


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Puts the handler of SIGTERM back: Ray sets its own when it is joined, which ends the process on the spot."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _wait_for_machines(resources: Resources, told: Callable[[str], None]) -> None:
    """Waits while no machine of the cluster has any of what a training requests.

    A cluster whose head trains nothing is empty while it starts, and again after its head was restarted. A machine that
    has too little is no reason to wait.
    """
    names = ["CPU", *(["GPU"] if resources.gpu else [])]

    def lacking() -> list[str]:
        return [name for name in names if not any(node.get(name, 0) for node in _alive())]

    if missing := lacking():
        told(f"waiting up to {JOIN_SECONDS:g} s for a machine with {' and '.join(missing)} to join the cluster")
    end = time.monotonic() + JOIN_SECONDS
    while lacking() and time.monotonic() < end:
        time.sleep(0.5)


def _alive() -> list[dict[str, float]]:
    """Returns the resources of each machine, by name."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]  # Ray's


def _slots(resources: Resources, concurrency: int | None) -> int:
    nodes = _alive()
    fit = sum(_fitting(node, resources) for node in nodes)
    if not fit:
        most: dict[str, float] = max(nodes, key=lambda node: (node.get("GPU", 0), node.get("CPU", 0)), default={})
        raise UsageError(
            f"one training requests {resources.cpu} CPU and {resources.gpu:g} GPU, Ray's largest machine has "
            f"{most.get('CPU', 0):g} CPU and {most.get('GPU', 0):g} GPU; "
            "ask for less with --cpus-per-trial, --gpus-per-trial"
        )
    return min(fit, concurrency or fit)


def _fitting(node: dict[str, float], resources: Resources) -> int:
    """Returns how many trainings fit on a machine; one is never spread over two."""
    fit = math.floor(node.get("CPU", 0.0) / resources.cpu)
    if resources.gpu:
        cards, share = node.get("GPU", 0.0), resources.gpu
        fit = min(fit, math.floor(cards / share) if share >= 1 else int(cards) * math.floor(1 / share))
    return fit
