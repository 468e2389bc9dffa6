"""The process a training runs in: threads, determinism switches, and what of it belongs in the fingerprint."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module

from hpo.core.errors import UsageError
from hpo.core.installed import DISTRIBUTION, version_of
from hpo.core.isolation import TORCH, make_torch_repeatable

PACKAGES = {"hpo": DISTRIBUTION, "numpy": "numpy", "torch": "torch", "scikit-learn": "scikit-learn"}
"""By the name that stands in a fingerprint, the distributions whose versions can change the bits of a result."""

OTHERS = ("tensorflow", "keras", "xgboost", "lightgbm")
"""Modules whose versions matter too where a trainable has imported them."""


@contextmanager
def prepared(threads: int, *, load: bool = False) -> Iterator[None]:
    """Sets torch's threads and determinism and puts them back. Does nothing where torch is neither loaded nor to be.

    Args:
        threads: of torch's CPU kernels.
        load: whether torch is imported for this.
    """
    if load:
        import_module("torch")
    if "torch" not in sys.modules:
        yield
        return
    before = TORCH.save()
    make_torch_repeatable(threads)
    try:
        yield
    finally:
        TORCH.restore(before)


def settle(library: str, threads: int, seed: int) -> None:
    """Tells a library of a training's threads, determinism and seed. Other libraries need nothing.

    Args:
        library: name of its module, which has been imported.
        threads: of its CPU kernels.
        seed: of its global generator; torch's, as the others are seeded where they are used.

    Raises:
        UsageError: if TensorFlow runs with another number of threads in this process; it has no way back.
    """
    if library == "torch":
        make_torch_repeatable(threads)
        sys.modules["torch"].manual_seed(seed)
    elif library == "tensorflow":
        _settle_tensorflow(threads)


def _settle_tensorflow(threads: int) -> None:
    tensorflow = sys.modules["tensorflow"]
    tensorflow.config.experimental.enable_op_determinism()
    try:
        tensorflow.config.threading.set_intra_op_parallelism_threads(threads)
        tensorflow.config.threading.set_inter_op_parallelism_threads(1)
    except RuntimeError as error:
        found = tensorflow.config.threading.get_intra_op_parallelism_threads()
        raise UsageError(
            f"TensorFlow has begun with {found or 'all'} threads in this process and cannot change to {threads}, which"
            " is part of a result; use a new process, or the same resources.cpu"
        ) from error


def device_for(gpu: float) -> str:
    """Returns `cuda` if a graphics card was asked for and is there, else `cpu`."""
    if not gpu:
        return "cpu"
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def fingerprint(device: str, threads: int, facts: Mapping[str, object]) -> dict[str, object]:
    """Returns what besides the job could change the result: versions, machine, switches, and the trainable's facts."""
    torch = sys.modules.get("torch")
    found: dict[str, object] = {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "device": device,
        "threads": threads,
        "packages": {name: version_of(distribution) for name, distribution in PACKAGES.items()}
        | {name: getattr(sys.modules[name], "__version__", None) for name in OTHERS if name in sys.modules},
    }
    if torch is not None:
        found["cpu_capability"] = torch.backends.cpu.get_cpu_capability()
        found["deterministic"] = torch.are_deterministic_algorithms_enabled()
        found["float32_matmul"] = torch.get_float32_matmul_precision()
        if device == "cuda":
            found["gpu"] = torch.cuda.get_device_name()
            found["cuda"] = torch.version.cuda
    return {**found, **({"facts": dict(facts)} if facts else {})}
