"""The process of a training: threads, determinism settings, and its part of the fingerprint."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module

from hpo.core.errors import UsageError
from hpo.core.installed import DISTRIBUTION, version_of
from hpo.core.isolation import TORCH, make_torch_repeatable
from hpo.core.optional_torch import has_torch, require_torch

PACKAGES = {"hpo": DISTRIBUTION, "numpy": "numpy", "torch": "torch", "scikit-learn": "scikit-learn"}
"""Distributions whose versions can change the bits of a result, by their names in a fingerprint."""

IF_IMPORTED = ("tensorflow", "keras", "xgboost", "lightgbm", "lightning", "transformers", "accelerate")
"""Modules whose versions are recorded if the trainable has imported them."""


@contextmanager
def configured_torch(threads: int, *, load: bool = False) -> Iterator[None]:
    """Sets torch's threads and determinism, and restores them after the block. Does nothing if torch is not imported.

    Args:
        threads: number of threads of torch's CPU kernels.
        load: whether to import torch first, if it is installed.
    """
    if load and has_torch():
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


def configure_library(library: str, threads: int, seed: int) -> None:
    """Sets the threads, determinism and seed of torch or TensorFlow. Other libraries need no settings.

    Args:
        library: name of the imported module.
        threads: number of threads of its CPU kernels.
        seed: seed of torch's global generator; the other libraries are seeded where they are used.

    Raises:
        UsageError: if TensorFlow already runs with another number of threads in this process; it cannot change it.
    """
    if library == "torch":
        make_torch_repeatable(threads)
        sys.modules["torch"].manual_seed(seed)
    elif library == "tensorflow":
        _configure_tensorflow(threads)


def _configure_tensorflow(threads: int) -> None:
    tensorflow = sys.modules["tensorflow"]
    tensorflow.config.experimental.enable_op_determinism()
    try:
        tensorflow.config.threading.set_intra_op_parallelism_threads(threads)
        tensorflow.config.threading.set_inter_op_parallelism_threads(1)
    except RuntimeError as error:
        found = tensorflow.config.threading.get_intra_op_parallelism_threads()
        raise UsageError(
            f"TensorFlow was started with {found or 'all'} threads in this process and cannot change to {threads}, "
            "which affects results; use a new process, or the same resources.cpu"
        ) from error


def device_for(gpu: float) -> str:
    """Returns `cuda` if a GPU is requested and available, else `cpu`.

    Args:
        gpu: number or fraction of GPUs that the study requests.

    Raises:
        UsageError: if a GPU is requested and torch, which looks for it, is not installed.
    """
    if not gpu:
        return "cpu"
    require_torch(f"a training requests {gpu:g} GPU; looking for it")
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def fingerprint(device: str, threads: int, facts: Mapping[str, object]) -> dict[str, object]:
    """Returns what could change the result besides the job: versions, machine, settings, and the trainable's facts.

    Args:
        device: `cpu` or `cuda`.
        threads: number of threads of the CPU kernels.
        facts: facts that the trainable noted, by name.
    """
    torch = sys.modules.get("torch")
    found: dict[str, object] = {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "device": device,
        "threads": threads,
        "packages": {name: version_of(distribution) for name, distribution in PACKAGES.items()}
        | {name: getattr(sys.modules[name], "__version__", None) for name in IF_IMPORTED if name in sys.modules},
    }
    if torch is not None:
        found["cpu_capability"] = torch.backends.cpu.get_cpu_capability()
        found["deterministic"] = torch.are_deterministic_algorithms_enabled()
        found["float32_matmul"] = torch.get_float32_matmul_precision()
        if device == "cuda":
            found["gpu"] = torch.cuda.get_device_name()
            found["cuda"] = torch.version.cuda
    return {**found, **({"facts": dict(facts)} if facts else {})}
