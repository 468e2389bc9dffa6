"""What every command that trains accepts, and how the API takes options: as one value or as keywords."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import MISSING, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, Protocol, TypeVar, cast, overload

from hpo.core.arguments import require_int, require_known, require_type
from hpo.core.errors import UsageError
from hpo.core.options import check_options, count, deadline_of, flag
from hpo.core.records import LARGEST_SEED, LAST_TRIAL, MAX_TRIALS
from hpo.core.run_config import JOBS_ADDRESS
from hpo.integrations.tool_names import check_tools, tools_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hpo.core.protocols import Observer, Stop, Tell
    from hpo.core.run_config import RunConfig
    from hpo.driver.workers import Workers
    from hpo.study import Study


@dataclass(frozen=True, kw_only=True)  # without slots, like all options: a class may derive from two
class CommandOptions:
    """Options of every command that trains.

    Attributes:
        observers: told of every job, intermediate value and evaluation.
        stop: ends the command in order when it is set; open trainings continue next time. None: only `hpo stop`
            ends it.
        workers: keep the backend running after the command; None: it ends with the command.
        progress: show a progress bar; None: in a notebook, if there are no observers.
    """

    observers: Sequence[Observer] = ()
    stop: Stop | None = None
    workers: Workers | None = None
    progress: bool | None = None

    def __post_init__(self) -> None:
        check_options(self)
        require_type("progress", self.progress, (bool, type(None)), "True or False")


@dataclass(frozen=True, kw_only=True)
class RecordOptions(CommandOptions):
    """Options of every command that adds to a study's records.

    Attributes:
        accept_code_change: continue although the code has changed; results of other code are marked, and
            replicates are trained again.
    """

    accept_code_change: bool = field(default=False, metadata=flag())


@dataclass(frozen=True, kw_only=True)
class LoggedOptions(RecordOptions):
    """Options of every command whose trainings can be logged to other tools.

    Attributes:
        log_to: also log trainings and promotions to mlflow, wandb, or both with a comma.
    """

    log_to: Sequence[str] = field(default=(), metadata=flag(parse=tools_of, metavar="<tool,...>"))

    def __post_init__(self) -> None:
        super().__post_init__()
        require_type("log_to", self.log_to, (list, tuple), "a list of tools, e.g. ['mlflow']")
        check_tools(self.log_to)


@dataclass(frozen=True, kw_only=True)
class LimitedOptions(LoggedOptions):
    """Options of every command whose costs can be limited; what the study has used before counts too.

    Attributes:
        gpu_hours: most GPU hours of all trainings of the study together.
        cost: most money for all trainings of the study together, at the study's price_per_hour of one training.
        deadline: moment by which all trainings end, e.g. 2026-12-01T08:00; local time unless it has an offset: +01:00.
        reserve: number of trainings for which the limits leave enough, because a promotion follows.
    """

    gpu_hours: float | None = field(default=None, metadata=flag())
    cost: float | None = field(default=None, metadata=flag())
    deadline: datetime | str | None = field(default=None, metadata=flag(parse=deadline_of, metavar="<date>", kind=str))
    reserve: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, value in (("gpu_hours", self.gpu_hours), ("cost", self.cost)):
            if value is not None and value <= 0:
                raise UsageError(f"{name} must be more than 0, not {value:g}")
        require_int("reserve", self.reserve, 0, MAX_TRIALS)
        object.__setattr__(self, "deadline", _checked_deadline(self.deadline))

    @property
    def ends_at(self) -> datetime | None:
        """The deadline with its offset; None: there is none."""
        return self.deadline if isinstance(self.deadline, datetime) else None


def _checked_deadline(deadline: object) -> datetime | None:
    require_type("deadline", deadline, (datetime, str, type(None)), "a date with a time, such as '2026-12-01T08:00'")
    if isinstance(deadline, datetime):
        return deadline if deadline.tzinfo else deadline.astimezone()
    try:
        return deadline_of(deadline) if isinstance(deadline, str) else None
    except ValueError as error:
        raise UsageError(f"deadline: {error}") from None


@dataclass(frozen=True, kw_only=True)
class JobsOptions:
    """Options of every command that talks to a cluster's jobs.

    Attributes:
        jobs_address: address of the cluster's dashboard, which accepts jobs.
    """

    jobs_address: str = field(default=JOBS_ADDRESS, metadata=flag(envvar="RAY_API_SERVER_ADDRESS", is_secret=True))

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True, kw_only=True)
class SubmitOptions(JobsOptions):
    """What a cluster is to run, and which cluster.

    Attributes:
        arguments: options of `hpo run`, as on its command line.
        folders: folders to look for study files in; None: HPO_STUDIES, else ./studies.
    """

    arguments: Sequence[str] = ()
    folders: Iterable[Path] | None = None


@dataclass(frozen=True, kw_only=True)
class LogsOptions(JobsOptions):
    """Which output is read, and how.

    Attributes:
        trial: number of a trial, whose trainings' logs are printed; default: the output of the study's newest job.
        follow: continue until the job ends.
    """

    trial: int | None = field(default=None, metadata=flag(low=0, high=LAST_TRIAL))
    follow: bool = field(default=False, metadata=flag(short="-f"))


@dataclass(frozen=True, kw_only=True)
class StopOptions(JobsOptions):
    """How a study's driver is stopped.

    Attributes:
        now: terminate it at once, kill it after 3 s; epochs under way are lost.
    """

    now: bool = field(default=False, metadata=flag())


@dataclass(frozen=True, kw_only=True)
class DeleteOptions:
    """What is deleted with a study.

    Attributes:
        checkpoints: remove its work folder too: checkpoints and artifacts.
        results: remove its folder in the outputs too, with every results_N.
    """

    checkpoints: bool = field(default=False, metadata=flag())
    results: bool = field(default=False, metadata=flag())

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True, kw_only=True)
class CleanOptions:
    """How the files of a search are removed.

    Attributes:
        dry_run: only tell what would be removed.
    """

    dry_run: bool = field(default=False, metadata=flag())

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True, kw_only=True)
class AuditOptions:
    """Which data are audited.

    Attributes:
        data: a folder or CSV file, instead of the study's fixed param `data`.
        archive: folder of its examinations, instead of the study's fixed param `archive`.
        out: file to write the manifest to, as JSON.
        tell: called with the progress of the work; None: progress is printed.
    """

    data: Path | None = field(default=None, metadata=flag())
    archive: Path | None = field(default=None, metadata=flag())
    out: Path | None = field(default=None, metadata=flag())
    tell: Tell | None = None

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True, kw_only=True)
class PhantomOptions:
    """Which synthetic data are written.

    Attributes:
        n: number of examinations, or of pictures.
        dicom: DICOM files with a CSV file, rather than pictures.
        size: pixels along each side.
        seed: seed of the phantoms; the same seed writes the same files.
    """

    n: int = field(default=200, metadata=count())
    dicom: bool = field(default=False, metadata=flag())
    size: int = field(default=256, metadata=flag(low=1, high=100_000))
    seed: int = field(default=0, metadata=flag(low=0, high=LARGEST_SEED))

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True, kw_only=True)
class EmbedOptions:
    """What computes the embeddings of a study's images.

    Attributes:
        weights: file with the weights of the backbone; None: the study's fixed param `weights`.
        data: a folder or CSV file, instead of the study's fixed param `data`.
        archive: folder of its examinations, instead of the study's fixed param `archive`.
        tell: called with the progress of the work; None: progress is printed.
    """

    weights: Path | None = field(default=None, metadata=flag())
    data: Path | None = field(default=None, metadata=flag())
    archive: Path | None = field(default=None, metadata=flag())
    tell: Tell | None = None

    def __post_init__(self) -> None:
        check_options(self)


Keywords = ParamSpec("Keywords")
Options = TypeVar("Options")
OptionsIn = TypeVar("OptionsIn", contravariant=True)
Outcome = TypeVar("Outcome", covariant=True)


class Verb(Protocol[Keywords, OptionsIn, Outcome]):
    """A function of the API that takes a study, a `RunConfig` and options."""

    @overload
    def __call__(self, study: Study | str, config: RunConfig | None, options: OptionsIn) -> Outcome: ...
    @overload
    def __call__(
        self, study: Study | str, config: RunConfig | None = None, *args: Keywords.args, **kwargs: Keywords.kwargs
    ) -> Outcome: ...


def accepts_options(
    make: Callable[Keywords, Options],
) -> Callable[[Callable[[Study | str, RunConfig | None, Options], Outcome]], Verb[Keywords, Options, Outcome]]:
    """Lets a function take its options as one value or as keywords.

    Args:
        make: class of the options, a dataclass whose fields are the keywords.
    """
    kind = cast("type", make)

    def wrap(function: Callable[[Study | str, RunConfig | None, Options], Outcome]) -> Verb[Keywords, Options, Outcome]:
        name, own = function.__name__, dataclasses.fields(kind)
        names = [one.name for one in sorted(own, key=lambda one: "flag" not in one.metadata)]  # the command's own first

        required = [one.name for one in own if one.default is MISSING and one.default_factory is MISSING]

        @functools.wraps(function)
        def called(
            study: Study | str, config: RunConfig | None = None, options: Options | None = None, **given: object
        ) -> Outcome:
            require_known(given, names, f"{name}() takes")
            if options is not None and given:
                raise UsageError(f"{name}() takes options as one value or as keywords, not both: {', '.join(given)}")
            require_type("options", options, (kind, type(None)), f"a {kind.__name__}")
            missing = [one for one in required if one not in given]
            if options is None and missing:
                raise UsageError(f"{name}() needs {' and '.join(missing)}. It takes: {', '.join(names)}.")
            return function(study, config, kind(**given) if options is None else options)

        first, second, _ = inspect.signature(function).parameters.values()
        keywords = inspect.signature(kind).parameters.values()
        called.__signature__ = inspect.Signature([first, second.replace(default=None), *keywords])  # type: ignore[attr-defined]
        return cast("Verb[Keywords, Options, Outcome]", called)

    return wrap
