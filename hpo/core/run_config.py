"""Where a study is kept and run: what belongs to the machine rather than to the study."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from hpo.core.arguments import refuse_other_word, require_int, require_number, require_type
from hpo.core.errors import UsageError

STORAGE = "sqlite:///hpo.db"
"""The storage if nothing is said."""

OUTPUTS = Path("outputs")
"""The folder for results if nothing is said."""

STORAGE_WAIT = 600.0
"""Seconds to wait for a database that has gone away if nothing is said."""

STOP_WAIT = 30.0
"""Seconds that a training may take to end its epoch after a stop if nothing is said."""

JOBS_ADDRESS = "http://127.0.0.1:8265"
"""Where a cluster takes jobs if nothing is said: the dashboard of this machine's head."""

FIRST = 7
"""The number of the first results folder; 4, 5 and 6 are the reference run's."""


def default_storage() -> str:
    """Returns `HPO_STORAGE`, else what the file says that `HPO_STORAGE_FILE` names, else a file in this folder.

    Raises:
        UsageError: if that file cannot be read, or says nothing.
    """
    url, file = os.environ.get("HPO_STORAGE"), os.environ.get("HPO_STORAGE_FILE")
    if url or not file:
        return url or STORAGE
    try:
        said = Path(file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise UsageError(
            f"HPO_STORAGE_FILE names {file}, which cannot be read: {reason}; expected a file that holds the "
            "database's URL"
        ) from error
    if not said:
        raise UsageError(
            f"HPO_STORAGE_FILE names {file}, which is empty; expected a file that holds the database's URL"
        )
    return said


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """Where a study is kept and run. Nothing here changes what a trial's number, params or value are.

    Attributes:
        storage: database URL, SQLite or Postgres.
        outputs: folder that gets `<study>/results_N`.
        work: folder for checkpoints and artefacts, shared by all machines, or its URL; None: `.work` in `outputs`.
        backend: `ray`, or `local` for one job after the other in this process.
        concurrency: trainings at a time under Ray; None: as many as fit.
        ray_address: of a running Ray; None: one of our own on this machine.
        cpus_per_trial: cores and threads of one training; None: what the study says.
        storage_wait: seconds to wait for a database that has gone away, while trainings go on.
        stop_wait: seconds that a training may take to end its epoch after a stop (Ctrl-C, `hpo stop`, the end of
            `--time`), or two of its epochs where those are longer; then it is ended.
        tensorboard: whether trainings write TensorBoard's event files in their folders below `work`.
        gpus_per_trial: graphics cards of one training, a fraction shares one; None: what the study says.
    """

    storage: str = field(default_factory=default_storage, repr=False)  # it may hold a password
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
        refuse_other_word("backend", self.backend, ("ray", "local"))
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
        """The folder for checkpoints and artefacts as an absolute path, or its URL."""
        work = self.work or self.outputs / ".work"
        return str(work).rstrip("/") if "://" in str(work) else str(Path(work).absolute())
