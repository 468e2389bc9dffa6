"""Saves and restores what a training may change in NumPy, torch and other libraries, including thread pools.

A library that is first imported during a training is configured at that moment, as if it had been imported before.
"""

from __future__ import annotations

import copy
import importlib.abc
import importlib.util
import os
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from types import ModuleType
from typing import Any

import numpy as np
from threadpoolctl import ThreadpoolController

from hpo.core.isolation.interpreter import State

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)
"""Read by libraries when they are imported, which may happen during a training."""

COMPILER = "torch._inductor.config"
"""The module with the determinism switch of torch's compiler."""

COMPILER_VARIABLE = "TORCHINDUCTOR_DETERMINISTIC"
"""Sets that switch; read when the module is imported."""


def _restore_numpy(saved: tuple[Any, ...]) -> None:
    generator, errors, call, printed = saved
    np.random.set_state(generator)  # noqa: NPY002  user code draws from the legacy global generator
    np.seterr(**errors)
    np.seterrcall(call)
    if np.get_printoptions() != printed:
        np.set_printoptions(**printed)


def _save_numpy() -> tuple[Any, ...]:
    return np.random.get_state(), np.geterr(), np.geterrcall(), np.get_printoptions()  # noqa: NPY002  see above


def step_states() -> tuple[State, ...]:
    """Returns the states that are swapped at each step."""
    return (State("NumPy", _save_numpy, _restore_numpy), State("torch's generator", _save_draws, _restore_draws))


def _save_draws() -> Any:
    torch: Any = sys.modules.get("torch")
    return torch.get_rng_state() if hasattr(torch, "get_rng_state") else None  # not while it is being imported


def _restore_draws(saved: Any) -> None:
    if saved is not None:
        sys.modules["torch"].set_rng_state(saved)


def _torch_flags(torch: Any) -> dict[str, tuple[Any, str]]:
    backends = torch.backends
    return {
        "cudnn.enabled": (backends.cudnn, "enabled"),
        "cudnn.benchmark": (backends.cudnn, "benchmark"),
        "cudnn.deterministic": (backends.cudnn, "deterministic"),
        "cudnn.allow_tf32": (backends.cudnn, "allow_tf32"),
        "mkldnn.enabled": (backends.mkldnn, "enabled"),
        "matmul.allow_fp16": (backends.cuda.matmul, "allow_fp16_reduced_precision_reduction"),
        "matmul.allow_bf16": (backends.cuda.matmul, "allow_bf16_reduced_precision_reduction"),
    }


def _save_torch() -> dict[str, Any]:
    torch: Any = sys.modules["torch"]
    return {
        "threads": torch.get_num_threads(),
        "deterministic": (
            torch.are_deterministic_algorithms_enabled(),
            torch.is_deterministic_algorithms_warn_only_enabled(),
        ),
        "compiler": os.environ.get(COMPILER_VARIABLE),
        "dtype": torch.get_default_dtype(),
        "device": torch.get_default_device(),
        "grad": torch.is_grad_enabled(),
        "anomaly": (torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled()),
        "matmul": torch.get_float32_matmul_precision(),
        "autocast": {name: (torch.is_autocast_enabled(name), torch.get_autocast_dtype(name)) for name in _AUTOCAST},
        "flags": {name: getattr(place, flag) for name, (place, flag) in _torch_flags(torch).items()},
    }


_AUTOCAST = ("cpu", "cuda")


def _restore_torch(saved: dict[str, Any]) -> None:
    torch: Any = sys.modules["torch"]
    torch.set_num_threads(saved["threads"])
    _set_determinism(*saved["deterministic"])
    if saved["compiler"] is None:
        os.environ.pop(COMPILER_VARIABLE, None)
    else:
        os.environ[COMPILER_VARIABLE] = saved["compiler"]
    torch.set_default_dtype(saved["dtype"])
    if torch.get_default_device() != saved["device"]:
        torch.set_default_device(None if saved["device"] == torch.device("cpu") else saved["device"])
    torch.set_grad_enabled(saved["grad"])
    torch.autograd.set_detect_anomaly(*saved["anomaly"])
    if torch.get_float32_matmul_precision() != saved["matmul"]:
        torch.set_float32_matmul_precision(saved["matmul"])
    for name, (enabled, dtype) in saved["autocast"].items():
        torch.set_autocast_enabled(name, enabled)
        torch.set_autocast_dtype(name, dtype)
    for name, (place, flag) in _torch_flags(torch).items():
        if getattr(place, flag) != saved["flags"][name]:
            setattr(place, flag, saved["flags"][name])
    torch.set_flush_denormal(False)  # it cannot be read; hpo never turns it on


def make_torch_repeatable(threads: int) -> None:
    """Sets torch's thread count and deterministic mode.

    The thread count changes the bits of a convolution on a CPU, and torch keeps the count of a process's first task
    unless it is set again, so it is set for each training.
    """
    torch: Any = sys.modules["torch"]
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when CUDA starts; harmless without it
    torch.set_num_threads(threads)
    os.environ[COMPILER_VARIABLE] = "1"
    _set_determinism(True)
    torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = False, True


def _set_determinism(enabled: bool, warn_only: bool = False) -> None:
    """Like torch.use_deterministic_algorithms, but does not import torch's compiler.

    That import takes as long as that of torch itself, and a trainable without a torch optimizer does not need it.
    """
    torch: Any = sys.modules["torch"]
    if COMPILER in sys.modules or not hasattr(torch._C, "_set_deterministic_algorithms"):
        torch.use_deterministic_algorithms(enabled, warn_only=warn_only)
    else:
        torch._C._set_deterministic_algorithms(enabled, warn_only=warn_only)


def _save_matplotlib() -> tuple[Any, dict[str, Any]]:
    params = dict(sys.modules["matplotlib"].rcParams.copy())
    return params.pop("backend"), params


def _restore_matplotlib(saved: tuple[Any, dict[str, Any]]) -> None:
    matplotlib: Any = sys.modules["matplotlib"]
    if (pyplot := sys.modules.get("matplotlib.pyplot")) is not None:
        pyplot.close("all")
    backend, params = saved
    if dict.get(matplotlib.rcParams, "backend") != backend and isinstance(backend, str):
        matplotlib.use(backend, force=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some params raise deprecation warnings
        matplotlib.rcParams.update(params)


def _save_sklearn() -> dict[str, Any]:
    return dict(sys.modules["sklearn"].get_config())


def _restore_sklearn(saved: dict[str, Any]) -> None:
    sys.modules["sklearn"].set_config(**saved)


def _pandas_options() -> dict[str, Any]:
    # there is no public list of all options
    return getattr(sys.modules.get("pandas._config.config"), "_global_config", {})


def _save_pandas() -> dict[str, Any]:
    return copy.deepcopy(_pandas_options())


def _restore_pandas(saved: dict[str, Any]) -> None:
    options = _pandas_options()
    for group, values in saved.items():
        options[group] = values


def _save_keras() -> tuple[Any, ...]:
    config: Any = sys.modules["keras"].config
    return config.floatx(), config.image_data_format(), config.dtype_policy()


def _restore_keras(saved: tuple[Any, ...]) -> None:
    config: Any = sys.modules["keras"].config
    config.set_floatx(saved[0])
    config.set_image_data_format(saved[1])
    config.set_dtype_policy(saved[2])


TORCH = State("torch", _save_torch, _restore_torch)
"""Threads, determinism, default dtype, default device and modes of torch; used only if torch is imported."""

BY_MODULE: Mapping[str, State] = {
    "torch": TORCH,
    "matplotlib": State("matplotlib", _save_matplotlib, _restore_matplotlib),
    "sklearn": State("scikit-learn", _save_sklearn, _restore_sklearn),
    "pandas": State("pandas", _save_pandas, _restore_pandas),
    "keras": State("Keras", _save_keras, _restore_keras),
}
"""The states that are restored when the training is over, by module."""


def is_imported(name: str) -> bool:
    """Whether a module has been imported completely."""
    module = sys.modules.get(name)
    return module is not None and not getattr(getattr(module, "__spec__", None), "_initializing", False)


def broken_imports(names: Sequence[str]) -> list[str]:
    """Returns the modules whose import has failed halfway: their submodules are there, and importing again fails.

    Args:
        names: names of the modules.
    """
    parents = {name.partition(".")[0] for name in tuple(sys.modules) if "." in name}
    return [name for name in names if name in parents and name not in sys.modules]


class Imports(importlib.abc.MetaPathFinder):
    """Calls a function after certain modules have been imported.

    Args:
        names: names of the modules.
        loaded: called with the name of each, after its code has run.
    """

    def __init__(self, names: Sequence[str], loaded: Callable[[str], None]) -> None:
        self._names = {name for name in names if name not in sys.modules}
        self._loaded = loaded

    def find_spec(self, fullname: str, path: object, target: object = None) -> Any:
        """Lets the other finders find the module, and adds the call to its loader."""
        if fullname not in self._names:
            return None
        self._names.discard(fullname)
        spec = importlib.util.find_spec(fullname)
        if spec is None or spec.loader is None:
            return None
        run = spec.loader.exec_module

        def run_and_tell(module: ModuleType) -> None:
            run(module)
            spec.loader.exec_module = run  # type: ignore[union-attr,method-assign]  # as it was
            self._loaded(fullname)

        spec.loader.exec_module = run_and_tell  # type: ignore[method-assign]  # for this loader only
        return spec


class ThreadPools:
    """The thread pools of BLAS and OpenMP in this process, of NumPy, SciPy, scikit-learn and others.

    Their thread count affects results, as torch's does.

    Args:
        threads: threads per pool while limited.
    """

    _scanned = 0
    _pools: ThreadpoolController | None = None

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._limit: Any = None

    def limit(self) -> None:
        """Limits the pools of all imported libraries."""
        self._limit = self._found().limit(limits=self._threads)

    def unlimit(self) -> None:
        """Restores the pools' thread counts."""
        limit, self._limit = self._limit, None
        if limit is not None:
            with suppress(Exception):  # a library was unloaded
                limit.restore_original_limits()

    @classmethod
    def _found(cls) -> ThreadpoolController:
        """Scans for pools again after new imports, which takes about 20 ms."""
        if cls._pools is None or cls._scanned != len(sys.modules):
            cls._pools, cls._scanned = ThreadpoolController(), len(sys.modules)
        return cls._pools
