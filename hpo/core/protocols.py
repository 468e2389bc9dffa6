"""What sources and backends say to each other. It knows neither of them.

A source hands out jobs and is told what became of them; a backend runs them. Workers import this module and nothing
of Optuna, SQLAlchemy or the studies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Literal, Protocol, runtime_checkable

from hpo.core.arguments import require_int, require_type
from hpo.core.code import UNKNOWN, Code
from hpo.core.records import Alert, Evaluation, Job, Objective, Value
from hpo.core.run_config import STOP_WAIT


class Idle(Enum):
    """What a source answers when it has no job."""

    WAIT = "nothing now, ask again after the next evaluation"
    DONE = "nothing ever again"


class Decision(Enum):
    """What a source answers when it is told an intermediate value."""

    CONTINUE = "go on with the training"
    STOP = "end the training: its trial is pruned"


Wait = Literal[Idle.WAIT]
Done = Literal[Idle.DONE]
WAIT: Wait = Idle.WAIT
DONE: Done = Idle.DONE


class JobSource(Protocol):
    """Hands out jobs and is told what became of them.

    Any call may raise `RetryLater`, as the database is away or the study paused: then nothing happened, and the backend
    says the same again later while its workers go on training.
    """

    def ask(self) -> Job | Wait | Done:
        """Returns the next job. `WAIT` is a fair answer only while a job is running."""

    def report(self, job: Job, step: int, value: float) -> Decision:
        """Takes the objective's value at one step; `STOP` prunes the job. A step that is known already is ignored."""

    def tell(self, evaluation: Evaluation) -> None:
        """Hears how a job ended."""


class Observer:
    """Is told of everything and decides nothing. Derive from it and override what is of interest."""

    def begins(self, total: int, done: int) -> None:
        """The work begins: how many jobs there are to be, and how many of them are over already."""

    def phase(self, message: str) -> None:
        """Something begins during which no job can be seen, e.g. `starting Ray`."""

    def advanced(self, message: str, done: int, total: int) -> None:
        """How far such a thing is, in words and in numbers."""
        self.phase(message)

    def asked(self, job: Job) -> None:
        """A job starts, or goes on after an interruption."""

    def reported(self, job: Job, step: int, value: float) -> None:
        """A job reached a step."""

    def alerted(self, job: Job, alerts: Sequence[Alert]) -> None:
        """Something was seen to go wrong at the step that a job just reached."""

    def recorded(self, evaluation: Evaluation) -> None:
        """A job was answered from the records: nothing is trained for it now."""

    def told(self, evaluation: Evaluation) -> None:
        """A job ended."""


class Tell(Protocol):
    """What a trainable's module tells how far it is while it prepares data."""

    def __call__(self, message: str, done: int = 0, total: int = 0, /) -> None:
        """Hears it in words, and in numbers where there are some."""


@runtime_checkable
class Alerted(Protocol):
    """A source that is told at once of alerts; any other finds them in the evaluation."""

    def alerted(self, job: Job, alerts: Sequence[Alert]) -> None:
        """Hears what was seen at the step that a job reported last."""


def pass_on(alerts: Sequence[Alert], job: Job, source: JobSource) -> None:
    """Tells a source what was seen to go wrong, if it wants to know."""
    if alerts and isinstance(source, Alerted):
        source.alerted(job, alerts)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainableRef:
    """Where a trainable is, so that no function is ever pickled.

    Attributes:
        path: where the function is, as `module:function`.
        root: folder that goes on the import path first.
        fixed: params that no trial changes.
        objective: which of its metrics counts.
        folds: into how many the data is divided where a job names a fold; 0: there are none.
        code: the files that it is made of, as the driver sees them; a worker that sees others trains nothing.
        defaults: of the params that are not set in every trial, as JSON values by name.
    """

    path: str
    root: str
    objective: Objective
    fixed: Mapping[str, Value] = field(default_factory=dict)
    folds: int = 0
    code: Code = UNKNOWN
    defaults: Mapping[str, object] = field(default_factory=dict)

    def known_of(self, job: Job) -> dict[str, object]:
        """Returns what is known of a training's fingerprint before it begins: its code, and the defaults that count."""
        defaults = {name: value for name, value in self.defaults.items() if name not in job.params}
        code = {"code": self.code.plain()} if self.code.digest else {}
        return {**code, **({"defaults": defaults} if defaults else {})}


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """What one training gets.

    Attributes:
        cpu: cores; also the number of threads, which is part of a result on a CPU.
        gpu: graphics cards; a fraction shares one.
        stop_wait: seconds that it may take to end its epoch after a stop, or two of its epochs where those are longer;
            then it is ended, and goes on from its last checkpoint next time.
        max_attempts: how often it is begun or resumed when what trains it dies, before it counts as failed.
        events: whether TensorBoard's event files are written in its folder.
    """

    cpu: int = 1
    gpu: float = 0.0
    max_attempts: int = 3
    events: bool = False
    stop_wait: float = STOP_WAIT

    def __post_init__(self) -> None:
        require_int("cpu", self.cpu)
        require_type("gpu", self.gpu, (int, float), "a number of GPUs")
        require_int("max_attempts", self.max_attempts, 1)
        require_type("stop_wait", self.stop_wait, (int, float), "a number of seconds")


class Stop(Protocol):
    """Asked between epochs: whether to end the work in order. A `threading.Event` is one."""

    def is_set(self) -> bool:
        """Whether to stop."""


@runtime_checkable
class EndsProcess(Protocol):
    """A stop of a process that is the command's own, so that it may be ended."""

    def end_process(self, why: str) -> None:
        """Says why and ends the process with all that it has started; does nothing where the process is another's."""


class Backend(Protocol):
    """Runs jobs until the source is done.

    Attributes:
        overdue: jobs of the last run whose training did not end its epoch in time after a stop, and was ended.
    """

    overdue: tuple[Job, ...]

    def run(self, source: JobSource, trainable: TrainableRef, resources: Resources, stop: Stop) -> None:
        """Asks, runs, reports and tells until the source is done or `stop` is set."""
