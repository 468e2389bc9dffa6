"""The protocols between sources and backends.

A source hands out jobs and receives their evaluations; a backend runs them. Workers import this module, which imports
nothing of Optuna, SQLAlchemy or the studies.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Literal, Protocol, runtime_checkable

from hpo.core.arguments import require_int, require_type
from hpo.core.code import UNKNOWN, Code
from hpo.core.command import Command
from hpo.core.errors import UsageError
from hpo.core.limits import MEMORY, TIME, describe_exceeded, memory_of, time_of
from hpo.core.records import Alert, Evaluation, Job, Objective, Value
from hpo.core.run_config import STOP_WAIT


class NoJob(Enum):
    """The answer of a source without a job."""

    WAIT = "no job now, ask again after the next evaluation"
    DONE = "no more jobs"


class Decision(Enum):
    """The answer of a source to an intermediate value."""

    CONTINUE = "continue the training"
    STOP = "end the training: its trial is pruned"


Wait = Literal[NoJob.WAIT]
Done = Literal[NoJob.DONE]
WAIT: Wait = NoJob.WAIT
DONE: Done = NoJob.DONE


class JobSource(Protocol):
    """Hands out jobs and receives their evaluations.

    Any call may raise `RetryLater`, e.g. because the database is away or the study is paused. Then nothing happened,
    and the backend repeats the call later while its workers continue.
    """

    def ask(self) -> Job | Wait | Done:
        """Returns the next job. `WAIT` is allowed only while a job is running."""

    def report(self, job: Job, step: int, value: float) -> Decision:
        """Receives the objective's value at one step; `STOP` prunes the trial. A repeated step is ignored."""

    def tell(self, evaluation: Evaluation) -> None:
        """Receives the evaluation of a job that ended."""


class Observer:
    """Is notified of all events and decides nothing. Derive from it and override the methods you need."""

    def opened(self, finished: Callable[[], Sequence[Evaluation]]) -> None:
        """A command drives the study from now on; `finished` reads the evaluations that are stored already."""

    def begins(self, total: int, done: int) -> None:
        """The work begins: total number of jobs, and how many of them are already done."""

    def phase(self, message: str) -> None:
        """A phase without jobs begins, e.g. `starting Ray`."""

    def advanced(self, message: str, done: int, total: int) -> None:
        """Progress of such a phase, in words and numbers."""
        self.phase(message)

    def asked(self, job: Job) -> None:
        """A job starts, or resumes after an interruption."""

    def reported(self, job: Job, step: int, value: float) -> None:
        """A job reached a step."""

    def alerted(self, job: Job, alerts: Sequence[Alert]) -> None:
        """Alerts were raised at the step that a job just reached."""

    def recorded(self, evaluation: Evaluation) -> None:
        """A job was answered from a stored evaluation: nothing is trained."""

    def told(self, evaluation: Evaluation) -> None:
        """A job ended."""

    def promoted(self, report: Mapping[str, object]) -> None:
        """A promotion chose a winner and was recorded: the plain values of its report, as in promotion.json."""

    def ended(self) -> None:
        """The command is done with the study, also after an error; another one may begin."""


class Tell(Protocol):
    """Reports progress while a trainable's module prepares data."""

    def __call__(self, message: str, done: int = 0, total: int = 0, /) -> None:
        """Reports progress in words, and in numbers if there are any."""


@runtime_checkable
class AlertReceiver(Protocol):
    """A source that receives alerts immediately; other sources find them in the evaluation."""

    def alerted(self, job: Job, alerts: Sequence[Alert]) -> None:
        """Receives the alerts of the step that a job reported last."""


def forward_alerts(alerts: Sequence[Alert], job: Job, source: JobSource) -> None:
    """Forwards alerts to a source that receives them."""
    if alerts and isinstance(source, AlertReceiver):
        source.alerted(job, alerts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Holdout:
    """The test part of a study's data: which cases no training sees.

    Attributes:
        share: share of the cases, between 0 and 1.
        seed: seed that chooses them; it belongs to the study, not to a training.
    """

    share: float
    seed: int


Aggregate = Literal["mean", "max"]
"""How the probabilities of a unit's cases become one: see `hpo.training.units`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Units:
    """What several cases belong to, e.g. the views of a patient, and how their predictions become one.

    Attributes:
        name: what `Context.split` calls the units, `group`, or the column of cases that names them.
        aggregate: how the probabilities of a unit's cases become one.
    """

    name: str
    aggregate: Aggregate


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainableRef:
    """A reference to a trainable, so that no function that can be imported is pickled.

    Attributes:
        path: the function as `module:function`.
        root: folder that comes first on the import path.
        objective: the objective among its metrics.
        fixed: params that are the same in all trials.
        folds: number of folds if a job names one; 0: no cross-validation.
        code: its code as the driver sees it; a worker with other code trains nothing.
        defaults: defaults of params that not every trial sets, as JSON values by name.
        function: the function itself if no import gives it, such as one of a notebook; None: the path is imported.
        command: a program that trains in the place of a function; None: there is a function.
        holdout: the test part that `Context.split` holds out; None: there is none.
        units: what several cases belong to, for metrics over units; None: there are only those over cases.
    """

    path: str
    root: str
    objective: Objective
    fixed: Mapping[str, Value] = field(default_factory=dict)
    folds: int = 0
    code: Code = UNKNOWN
    defaults: Mapping[str, object] = field(default_factory=dict)
    function: Callable[..., object] | None = field(default=None, repr=False)
    command: Command | None = None
    holdout: Holdout | None = None
    units: Units | None = None

    def initial_fingerprint(self, job: Job) -> dict[str, object]:
        """Returns the part of a training's fingerprint that is known before it starts: code and applied defaults."""
        defaults = {name: value for name, value in self.defaults.items() if name not in job.params}
        code = {"code": self.code.plain()} if self.code.digest else {}
        return {**code, **({"defaults": defaults} if defaults else {})}


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """The resources of one training.

    Attributes:
        cpu: number of cores and threads; the thread count affects results on a CPU.
        gpu: number of GPUs; a fraction shares one.
        max_attempts: how often it is started or resumed if its process dies, before it counts as failed.
        events: whether TensorBoard event files are written to its folder.
        stop_wait: seconds that it may take to finish its epoch after a stop, or two of its epochs if those are longer;
            then it is killed, and resumes from its last checkpoint next time.
        time: how long it may run in one process, such as `2h`, until it fails; None: no limit.
        keep: whether a training of a search keeps its files, as a replicate of a promotion always does.
        memory: how much memory it may add to its process and the child processes, such as `8 GiB`, until it fails;
            None: no limit.
    """

    cpu: int = 1
    gpu: float = 0.0
    max_attempts: int = 3
    events: bool = False
    stop_wait: float = STOP_WAIT
    time: str | None = None
    memory: str | None = None
    keep: bool = False

    def __post_init__(self) -> None:
        require_int("cpu", self.cpu)
        require_type("gpu", self.gpu, (int, float), "a number of GPUs")
        require_int("max_attempts", self.max_attempts, 1)
        require_type("stop_wait", self.stop_wait, (int, float), "a number of seconds")
        for name, value, parse in (("time", self.time, time_of), ("memory", self.memory, memory_of)):
            if value is not None:
                require_type(name, value, str, "a text")
                try:
                    parse(value)
                except ValueError as error:
                    raise UsageError(f"{name}: {error}") from None

    @property
    def limited(self) -> bool:
        """Whether a training has a limit of time or memory."""
        return self.time is not None or self.memory is not None

    def exceeded(self, seconds: float, memory: float) -> str | None:
        """Returns which limit a training exceeds, `time` or `memory`; None if it is within its limits.

        Args:
            seconds: how long it has run in this process.
            memory: bytes that it has added to its process and the child processes.
        """
        if self.time is not None and seconds > time_of(self.time):
            return TIME
        if self.memory is not None and memory > memory_of(self.memory):
            return MEMORY
        return None

    def describe_exceeded(self, kind: str) -> str:
        """Returns the reason for which a training failed that exceeded a limit.

        Args:
            kind: which limit it was, `time` or `memory`.
        """
        return describe_exceeded(kind, str(self.time if kind == TIME else self.memory))


class Stop(Protocol):
    """Checked between epochs to stop the work gracefully; e.g. a `threading.Event`."""

    def is_set(self) -> bool:
        """Whether to stop."""


@runtime_checkable
class EndsProcess(Protocol):
    """A stop that may also end the process, because the process belongs to the command."""

    def end_process(self, why: str) -> None:
        """Prints why and ends the process with its children; does nothing if the process belongs to other code."""


class Backend(Protocol):
    """Runs jobs until the source is done.

    Attributes:
        overdue: jobs of the last run that were killed because they did not finish their epoch in time after a stop.
    """

    overdue: tuple[Job, ...]

    def run(self, source: JobSource, trainable: TrainableRef, resources: Resources, stop: Stop) -> None:
        """Runs the source's jobs until it is done or `stop` is set."""
