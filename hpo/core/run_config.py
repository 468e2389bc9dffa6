"""Where a study is stored and run: settings of the machine rather than of the study."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from hpo.core.arguments import require_choice, require_int, require_number, require_type
from hpo.core.errors import UsageError

STORAGE = "sqlite:///hpo.db"
"""The default storage."""

OUTPUTS = Path("outputs")
"""The default folder for results."""

STORAGE_WAIT = 600.0
"""Default seconds to wait for a database that is away."""

STOP_WAIT = 30.0
"""Default seconds that a training may take to finish its epoch after a stop."""

JOBS_ADDRESS = "http://127.0.0.1:8265"
"""The default address for Ray Jobs: the dashboard of this machine's head node."""

FIRST = 7
"""The number of the first results folder; 4, 5 and 6 belong to the reference run."""


def default_storage() -> str:
    """Returns `HPO_STORAGE`, or the content of the file `HPO_STORAGE_FILE`, or a file in this folder.

    Raises:
        UsageError: if `HPO_STORAGE_FILE` cannot be read, or is empty.
    """
    url, file = os.environ.get("HPO_STORAGE"), os.environ.get("HPO_STORAGE_FILE")
    if url or not file:
        return url or STORAGE
    try:
        content = Path(file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise UsageError(
            f"HPO_STORAGE_FILE names {file}, which cannot be read: {reason}; expected a file that contains the "
            "database's URL"
        ) from error
    if not content:
        raise UsageError(
            f"HPO_STORAGE_FILE names {file}, which is empty; expected a file that contains the database's URL"
        )
    return content


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """Where a study is stored and run. Nothing here changes the number, params or value of a trial.

    Attributes:
        storage: database URL, SQLite or Postgres.
        outputs: folder for `<study>/results_N`.
        work: folder or URL for checkpoints and artifacts, shared by all machines; None: `.work` in `outputs`.
        backend: `ray`, or `local` for one job at a time in this process.
        concurrency: maximum concurrent trainings under Ray; None: as many as fit.
        ray_address: address of a running Ray; None: start one on this machine.
        cpus_per_trial: cores and threads per training; None: as in the study.
        gpus_per_trial: GPUs per training, a fraction shares one; None: as in the study.
        storage_wait: seconds to wait for a database that is away, while trainings continue.
        stop_wait: seconds that a training may take to finish its epoch after a stop (Ctrl-C, `hpo stop`, the end of
            `--time`), or two of its epochs if those are longer; then it is killed.
        tensorboard: whether trainings write TensorBoard event files to their folders below `work`.
    """

    storage: str = field(default_factory=default_storage, repr=False)  # may contain a password
    outputs: Path = OUTPUTS
    work: Path | str | None = None
    backend: Literal["ray", "local"] = "ray"
    concurrency: int | None = None
    ray_address: str | None = None
    cpus_per_trial: int | None = None
    gpus_per_trial: float | None = None
    storage_wait: float = STORAGE_WAIT
    stop_wait: float = STOP_WAIT
    tensorboard: bool = False

    def __post_init__(self) -> None:
        require_type("storage", self.storage, str, "the URL of a database as a text, e.g. 'sqlite:///hpo.db'")
        require_type("outputs", self.outputs, (str, Path), "a folder")
        for name in ("storage", "outputs", "work", "ray_address"):
            if isinstance(given := getattr(self, name), str) and not given.strip():
                raise UsageError(f"{name} is empty; name one, or leave it out")
        object.__setattr__(self, "outputs", Path(self.outputs))
        require_type("work", self.work, (str, Path, type(None)), "a folder or its URL")
        require_choice("backend", self.backend, ("ray", "local"))
        require_type("ray_address", self.ray_address, (str, type(None)), "the address of a running Ray as a text")
        for name in ("concurrency", "cpus_per_trial"):
            if getattr(self, name) is not None:
                require_int(name, getattr(self, name), 1)
        if self.gpus_per_trial is not None:
            require_number("gpus_per_trial", self.gpus_per_trial, 0.0)
        require_number("storage_wait", self.storage_wait, 0.0)
        require_number("stop_wait", self.stop_wait, 0.0)
        require_type("tensorboard", self.tensorboard, bool, "True or False")

    @property
    def work_root(self) -> str:
        """The folder for checkpoints and artifacts as an absolute path, or its URL."""
        work = self.work or self.outputs / ".work"
        return str(work).rstrip("/") if "://" in str(work) else str(Path(work).absolute())
