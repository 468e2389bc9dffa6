"""Where a study is stored and run: settings of the machine rather than of the study."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from hpo.core.arguments import require_choice, require_type
from hpo.core.errors import UsageError
from hpo.core.options import check_options, flag

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
        storage: database URL, SQLite or Postgres, on a command line without a password; default: sqlite:///hpo.db.
        outputs: folder for <study>/results_N.
        work: folder or URL for checkpoints and artifacts, shared by all machines; default: .work in the outputs.
        backend: ray: on the workers of Ray Tune; local: on this machine without Ray, one training at a time in this
            process, or with concurrency in worker processes.
        concurrency: maximum concurrent trainings; default: with ray as many as fit, with local one in this process.
        cpus_per_trial: cores and threads per training; default: as in the study.
        gpus_per_trial: GPUs per training, a fraction shares one; default: as in the study.
        ray_address: address of a running Ray; default: start one on this machine.
        storage_wait: seconds to wait for a database that is away, while trainings continue.
        stop_wait: seconds that a training may take to finish its epoch after a stop, or two of its epochs if those are
            longer; then it is killed.
        tensorboard: write TensorBoard event files: curves, histograms, params; needs the extra tensorboard.
    """

    storage: str = field(  # not in the repr: it may contain a password
        default_factory=default_storage, repr=False, metadata=flag(envvar="HPO_STORAGE", kind=str, is_secret=True)
    )
    outputs: Path = field(default=OUTPUTS, metadata=flag(envvar="HPO_OUTPUTS"))
    work: Path | str | None = field(default=None, metadata=flag(name="--workdir", envvar="HPO_WORKDIR", kind=str))
    backend: Literal["ray", "local"] = field(default="ray", metadata=flag())
    concurrency: int | None = field(default=None, metadata=flag(low=1))
    cpus_per_trial: int | None = field(default=None, metadata=flag(low=1))
    gpus_per_trial: float | None = field(default=None, metadata=flag(low=0))
    ray_address: str | None = field(default=None, metadata=flag(envvar="RAY_ADDRESS", is_secret=True))
    storage_wait: float = field(default=STORAGE_WAIT, metadata=flag(low=0))
    stop_wait: float = field(default=STOP_WAIT, metadata=flag(low=0))
    tensorboard: bool = field(default=False, metadata=flag())

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
        check_options(self)

    @property
    def work_root(self) -> str:
        """The folder for checkpoints and artifacts as an absolute path, or its URL."""
        work = self.work or self.outputs / ".work"
        return str(work).rstrip("/") if "://" in str(work) else str(Path(work).absolute())
