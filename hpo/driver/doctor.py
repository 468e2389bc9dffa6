"""`doctor`: what is there, what is missing, and what to do about it. Everything is really tried out."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from packaging.requirements import Requirement

from hpo.backends.machine import cores, folder_for_sockets, require_reachable, require_resources
from hpo.core.disks import disk_of
from hpo.core.errors import HpoError, UsageError
from hpo.core.installed import (
    InstalledPackage,
    Requirements,
    declared_requirements,
    install_line,
    installed_packages,
    python_fits,
)
from hpo.core.optional_torch import has_torch
from hpo.core.protocols import Resources
from hpo.core.redaction import masked
from hpo.core.run_config import RunConfig
from hpo.driver.resources import resources
from hpo.results import MIN_FREE_BYTES, require_writable
from hpo.store import Tables, health, normalize_url, sqlite_file
from hpo.store.optuna_storage.tables import OPTUNA
from hpo.study import Study, require_package
from hpo.study import loading as catalog
from hpo.training import check_writable_url, gpu_info, is_url

State = Literal["ok", "attention", "missing"]

SHOWN_PACKAGES = ("optuna", "ray", "torch")
"""Packages whose versions are shown when nothing is wrong."""

LOW_DISK_SPACE = 1_000_000_000
"""Free bytes below which a disk will soon be full; below `MIN_FREE_BYTES` nothing is started."""

FEW_OPEN_FILES = 1024
"""Limit on open files below which Ray's processes run into errors."""

SHORT_JOB_SECONDS = 3600.0
"""Seconds left to a Slurm job below which they are reported."""

GPU_DRIVER_FILES = (Path("/dev/nvidiactl"), Path("/dev/kfd"))
"""Device files of NVIDIA's and AMD's drivers."""

TABLES: Mapping[Tables, tuple[State, str, str]] = {
    "none": ("ok", "empty; the first hpo run creates its tables", ""),
    "current": ("ok", "migration {}", ""),
    "old": (
        "attention",
        "created by an older version of hpo, migration {}",
        "the next command that opens it migrates it; keep a copy if the older version must read it again",
    ),
    "newer": ("missing", "created by a newer version of hpo, migration {}", "use that version, or another --storage"),
    "optuna": (
        "attention",
        "has Optuna's tables but not hpo's",
        "the first hpo run adds hpo's tables; or choose another with --storage",
    ),
    "others": (
        "attention",
        "has tables of another program but not hpo's",
        "choose another with --storage; in Postgres hpo run adds its tables if their names are free",
    ),
}
"""State, description (with the migration) and advice for each kind of tables that a database may have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Result of one check.

    Attributes:
        what: name of what was checked.
        state: `ok`; `attention`, it works but may surprise; `missing`, it is not there or cannot be used.
        found: what the check found.
        advice: what to do; empty if nothing needs doing or `found` says it.
        essential: whether nothing can run without it.
    """

    what: str
    state: State
    found: str
    advice: str = ""
    essential: bool = True

    @property
    def is_fatal(self) -> bool:
        """Whether nothing can run until this is fixed."""
        return self.essential and self.state == "missing"


def doctor(
    study: str | None = None,
    config: RunConfig | None = None,
    *,
    folders: Iterable[Path] | None = None,
    tell: Callable[[str], None] = lambda _what: None,
) -> list[Finding]:
    """Checks everything that a search under this `RunConfig` needs.

    Args:
        study: name of a study to check, with the resources that it asks for; None: no study.
        config: where the study would run.
        folders: folders to look for studies in.
        tell: called with the name of each group of checks.
    """
    config = config or RunConfig()
    tell("packages")
    findings = [*_packages(declared_requirements())]
    loaded = None
    if study is not None:
        tell("the study")
        finding, loaded = _study(study, folders)
        findings.append(finding)
    own = Resources(cpu=config.cpus_per_trial or 1, gpu=config.gpus_per_trial or 0.0)
    wanted = resources(loaded, config) if loaded else own
    tell("the machine")
    findings += [_cores(wanted, config), _gpus(wanted, config)]
    tell("Ray")
    ray, machines = _ray(wanted, config)
    findings.append(ray)
    tell("the storage")
    findings.append(_storage(config.storage))
    tell("the disks")
    return [*findings, _folder("outputs", config.outputs), check_work_folder(config.work_root, machines), _limits()]


def _packages(wanted: Requirements | None) -> Iterator[Finding]:
    python = platform.python_version()
    if wanted is None:
        yield Finding(what="python", state="ok", found=python)
        unknown = "hpo is not installed and its pyproject.toml is not beside it, so its requirements are not known"
        yield Finding(what="packages", state="attention", found=unknown, advice="install it with pip")
        return
    yield _python(wanted.python, python)
    yield _required(wanted.packages, installed=wanted.installed)
    for name, packages in wanted.extras.items():
        yield _extra(name, packages)


def _python(wanted: str, found: str) -> Finding:
    text = f"{found}, wanted {wanted}"
    if python_fits(wanted, found):
        return Finding(what="python", state="ok", found=text)
    return Finding(what="python", state="missing", found=text, advice="install hpo in another Python")


def _required(wanted: Iterable[Requirement], *, installed: bool) -> Finding:
    found = installed_packages(wanted)
    if wrong := [one for one in found if not one.fits]:
        packages = " ".join(f"'{one.requirement.name}{one.requirement.specifier}'" for one in wrong)
        text = ", ".join(map(str, wrong))
        return Finding(what="packages", state=_worst(wrong), found=text, advice=f"pip install {packages}")
    named = ", ".join(str(one) for one in found if one.requirement.name in SHOWN_PACKAGES)
    note = "" if installed else "; hpo itself is not installed, it runs from its folder"
    return Finding(what="packages", state="ok", found=f"all {len(found)} in their ranges: {named}, ...{note}")


def _extra(name: str, wanted: Iterable[Requirement]) -> Finding:
    found = installed_packages(wanted)
    wrong = [one for one in found if not one.fits]
    advice = f"if you need it: {install_line(name)}" if wrong else ""
    text = ", ".join(map(str, wrong or found))
    return Finding(what=f"extra {name}", state=_worst(wrong), found=text, advice=advice, essential=False)


def _worst(wrong: Iterable[InstalledPackage]) -> State:
    """Returns `missing` if a package is missing, `attention` if its version differs, which may still work."""
    versions = [one.found for one in wrong]
    return "ok" if not versions else "missing" if None in versions else "attention"


def _study(name: str, folders: Iterable[Path] | None) -> tuple[Finding, Study | None]:
    try:
        found = catalog.check(catalog.find(name, folders))
    except UsageError as error:
        return Finding(what="study", state="missing", found=str(error)), None
    if found.study is None:
        count = f"{len(found.problems)} problem{'s' if len(found.problems) != 1 else ''} in {found.path}"
        return Finding(what="study", state="missing", found=count, advice=f"hpo check --study {name}"), None
    try:
        require_package(found.study.search.sampler)
    except UsageError as error:
        return Finding(what="study", state="missing", found=str(error)), found.study
    return Finding(what="study", state="ok", found=f"{found.study.name}, no problems in {found.path}"), found.study


def _cores(wanted: Resources, config: RunConfig) -> Finding:
    if config.backend == "ray" and not config.ray_address:
        try:
            require_resources(Resources(cpu=wanted.cpu))
        except UsageError as error:
            return Finding(what="cores", state="missing", found=str(error))
    return Finding(what="cores", state="ok", found=f"{cores()} here, {wanted.cpu} for a training")


def _gpus(wanted: Resources, config: RunConfig) -> Finding:
    what = "graphics card"
    if not has_torch():
        found, line = "torch, which looks for GPUs, is not installed", install_line("torch")
        if wanted.gpu:
            found = f"one training needs {wanted.gpu:g}; {found}"
        return Finding(
            what=what, state="missing" if wanted.gpu else "ok", found=found, advice=line if wanted.gpu else ""
        )
    try:
        seen = gpu_info()
    except Exception as error:  # a torch build that does not fit the machine fails in many ways; report all of them
        found = f"torch cannot be imported: {type(error).__name__}: {error}"
        return Finding(what=what, state="missing", found=found, advice="install torch again")
    if seen.cards:
        return Finding(what=what, state="ok", found=f"{', '.join(seen.cards)}; torch {seen.torch}")
    none = f"torch {seen.torch} sees none" + ("" if seen.built_for else " and was built without GPU support")
    if wanted.gpu and (config.backend == "local" or not config.ray_address):
        advice = "use --gpus-per-trial 0, or install a torch that was built for this machine's GPU"
        return Finding(what=what, state="missing", found=f"one training needs {wanted.gpu:g}, {none}", advice=advice)
    if any(driver.exists() for driver in GPU_DRIVER_FILES):
        advice = "install a torch that was built for this GPU"
        return Finding(what=what, state="attention", found=f"{none}, but a GPU driver is loaded", advice=advice)
    return Finding(what=what, state="ok", found=f"{none}; trainings use the CPU")


def _ray(wanted: Resources, config: RunConfig) -> tuple[Finding, int]:
    """Returns the state of Ray, and its number of machines."""
    if config.backend == "local":
        return Finding(what="ray", state="ok", found="not used: --backend local"), 1
    if not config.ray_address:
        try:
            folder_for_sockets(os.environ.get("RAY_TMPDIR"))
        except UsageError as error:
            return Finding(what="ray", state="missing", found=str(error)), 1
        return Finding(what="ray", state="ok", found="not running; a search starts it on this machine"), 1
    try:
        require_reachable(config.ray_address)
        from hpo.backends.ray import connected, machines  # a second to import

        with connected(config.ray_address, wanted, config.concurrency) as slots:
            count = machines()
    except HpoError as error:
        return Finding(what="ray", state="missing", found=str(error)), 1
    found = f"answers at {config.ray_address}: {count} machine{'s' if count != 1 else ''}, {slots} trainings at a time"
    return Finding(what="ray", state="ok", found=found), count


def _storage(url: str) -> Finding:
    what = "storage"
    try:
        found, path = health(url, OPTUNA, thorough=True), sqlite_file(normalize_url(url))
        disk = disk_of(path) if path is not None else None
    except (HpoError, OSError) as error:
        return Finding(what=what, state="missing", found=str(error))
    said = masked(url)
    if disk is not None and disk.is_shared:
        said += f" is on a network disk ({disk.kind} at {disk.mount}), where SQLite's locks cannot be relied on"
        advice = "keep it on a disk of this machine, or use Postgres"
        return Finding(what=what, state="attention", found=said, advice=advice)
    if found is None:
        return Finding(what=what, state="ok", found=f"{said} is not there yet; the first hpo run makes it")
    said += f", {found.server}"
    if found.damage is not None:
        advice = "go on with a copy from before, or save what can be read: sqlite3 OLD.db .recover | sqlite3 NEW.db"
        return Finding(what=what, state="missing", found=f"{said}, is damaged: {found.damage}", advice=advice)
    if found.unwritable is not None:
        busy = "locked" in found.unwritable
        advice = "somebody writes there for long; who drives: hpo status" if busy else "choose another with --storage"
        state: State = "attention" if busy else "missing"
        return Finding(what=what, state=state, found=f"{said}, cannot be written: {found.unwritable}", advice=advice)
    if found.lacking:
        lacks = f"{said}, lacks {', '.join(found.lacking)}: a command was killed while it created its tables"
        return Finding(what=what, state="attention", found=lacks, advice="the next command that opens it repairs it")
    state, tables, advice = TABLES[found.tables]
    return Finding(what=what, state=state, found=f"{said}, {tables.format(found.migration)}", advice=advice)


def check_work_folder(root: str, machines: int) -> Finding:
    """Checks whether a folder or URL can be written, and whether all of Ray's machines can see it."""
    what = "workdir"
    if is_url(root):
        try:
            check_writable_url(root)
        except HpoError as error:
            return Finding(what=what, state="missing", found=str(error))
        return Finding(what=what, state="ok", found=f"{root} can be written")
    found = _folder(what, Path(root))
    if machines > 1 and found.state == "ok" and not (disk := disk_of(Path(root))).is_shared:
        text = f"{found.found}; this is a local disk ({disk.kind}), and Ray has {machines} machines"
        advice = "every machine has to see the same folder: name a shared folder or a URL with --workdir"
        return Finding(what=what, state="attention", found=text, advice=advice)
    return found


def _folder(what: str, folder: Path) -> Finding:
    try:
        require_writable(folder)
        disk = disk_of(folder)
    except (HpoError, OSError) as error:
        return Finding(what=what, state="missing", found=str(error))
    found = f"{folder} can be written, {disk.free / 1e9:,.1f} GB free ({disk.kind})"
    if disk.free < LOW_DISK_SPACE:
        advice = f"free some space; below {MIN_FREE_BYTES / 1e6:.0f} MB nothing is started"
        return Finding(what=what, state="attention", found=found, advice=advice)
    return Finding(what=what, state="ok", found=found)


def _limits() -> Finding:
    """Returns the limits of the system that could end a long search."""
    import resource  # does not exist on Windows

    seconds, _ = resource.getrlimit(resource.RLIMIT_CPU)
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    limits, advice, short = [], [], False
    if seconds != resource.RLIM_INFINITY:
        short = True
        limits.append(f"a process is killed after {seconds} s of CPU time")
        advice.append("raise it with ulimit -t")
    if files != resource.RLIM_INFINITY and files < FEW_OPEN_FILES:
        short = True
        limits.append(f"a process may open {files} files, and Ray opens hundreds")
        advice.append(f"raise it with ulimit -n {4 * FEW_OPEN_FILES}")
    end = os.environ.get("SLURM_JOB_END_TIME", "")
    if end.isdecimal():
        left = int(end) - time.time()
        short = short or left < SHORT_JOB_SECONDS
        limits.append(f"Slurm ends this job in {max(0.0, left) / 60:.0f} min")
        advice.append("stop before that with --time, and continue in the next job with the same command")
    state: State = "attention" if short else "ok"
    return Finding(what="limits", state=state, found="; ".join(limits) or "none that matters", advice="; ".join(advice))
