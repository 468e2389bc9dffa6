"""Storage of the folders of a study's jobs: on a disk that all machines share, or at a URL."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from hpo.core.errors import OutputRefused, UsageError
from hpo.core.files import clear_temporary_files, remove, temporary_files
from hpo.core.isolation import clear_working_folder, working_folder
from hpo.core.redaction import holds_secret
from hpo.training.checkpoint import NEWEST, PREVIOUS, discard
from hpo.training.outputs.artifacts import ARTIFACTS
from hpo.training.outputs.log import LOG, LOGS
from hpo.training.panels import FILE as PANELS
from hpo.training.predictions import FILE as PREDICTIONS
from hpo.training.remote import connect, first_line, os_errors
from hpo.training.weights import MODEL_FILE

POLL_SECONDS = 2.0
"""Minimum seconds between two checks of a flag at a URL, so that the server is not asked after every epoch."""


class WorkDir:
    """A study's folder on this machine's disk, or on one that all machines share. Nothing has to be copied.

    Every method takes a job's folder relative to the study's, as `Job.folder` has it.

    Args:
        root: path of the study's folder.

    Attributes:
        scratch: folder for files that only this machine needs.
        cache: folder for prepared data that all trainings of the project share.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self.scratch = root
        self.cache = root.parent / "cache"

    def open(self, job_folder: str) -> Path:
        """Returns the local folder in which a job is trained, with the files saved so far."""
        return self._root / job_folder

    def save(self, job_folder: str) -> None:
        """Saves the checkpoint that was just written.

        Raises:
            OSError: if it cannot be saved.
        """

    def log_file(self, job_folder: str) -> Path:
        """Returns the local file of the log of a training that keeps no files."""
        return self.scratch / LOGS / f"{job_folder}.log"

    def keep_log(self, job_folder: str) -> None:
        """Saves the log of a training that keeps no files.

        Raises:
            OSError: if it cannot be saved.
        """

    def logs(self, trial: int) -> list[Path]:
        """Returns the logs of a trial's trainings as local files, those of running ones among them.

        Raises:
            OSError: if they cannot be read.
        """
        name = f"trial-{trial:05d}-*"
        return [*self._root.glob(f"*/{name}/{LOG}"), *self._root.glob(f"{LOGS}/*/{name}.log")]

    def keep(self, job_folder: str) -> str:
        """Saves all files of a finished training and returns their location.

        Raises:
            OSError: if they cannot be saved.
        """
        return str(self._root / job_folder)

    def close(self, job_folder: str) -> None:
        """Removes the local copy that `open` made, if any."""

    def discard(self, job_folder: str) -> None:
        """Deletes a job's checkpoints and its working directory, and its folder if nothing else is in it."""
        folder = self._root / job_folder
        discard(folder)
        clear_working_folder(folder)
        with suppress(OSError):  # it has artifacts, or is gone already
            folder.rmdir()

    def clean_up(self, finished: Mapping[str, datetime | None]) -> None:
        """Deletes checkpoints and partial files of finished jobs that killed processes left.

        Args:
            finished: end of each job by its folder; files written later belong to another attempt and are kept. None:
                all files are deleted.
        """
        for folder in self._finished(finished):
            self.discard(folder.relative_to(self._root).as_posix())
            clear_temporary_files(folder)

    def leftovers(self, finished: Mapping[str, datetime | None]) -> Iterator[Path]:
        """Yields what `clean_up` would delete on this machine's disks.

        Args:
            finished: end of each job by its folder, as for `clean_up`.
        """
        for folder in self._finished(finished):
            names = (NEWEST, PREVIOUS, working_folder(folder).name)
            yield from (folder / name for name in names if os.path.lexists(folder / name))
            yield from temporary_files(folder)

    def _finished(self, finished: Mapping[str, datetime | None]) -> Iterator[Path]:
        """Yields the folders of finished jobs without checkpoints of a later attempt."""
        for folder in self._root.glob("*/trial-*"):
            job_folder = folder.relative_to(self._root).as_posix()
            if job_folder not in finished or not folder.is_dir():
                continue
            end = finished[job_folder]
            files = [folder / NEWEST, folder / PREVIOUS]
            if end is None or all(not file.exists() or file.stat().st_mtime <= end.timestamp() for file in files):
                yield folder

    def kept(self, job_folder: str) -> dict[str, int]:
        """Returns the bytes of the files that a finished training keeps, by their paths in its folder."""
        folder = self._root / job_folder
        files = [path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()]
        return {name: path.lstat().st_size for path in files if _is_kept(name := path.relative_to(folder).as_posix())}

    def drop(self, job_folder: str, *, leave_log: bool = False) -> None:
        """Deletes the files that a finished training keeps, and its folder if nothing else is in it.

        Args:
            job_folder: folder of the training below this one.
            leave_log: whether its log stays, where the logs of trainings are that keep no files.
        """
        folder = self._root / job_folder
        if leave_log and (folder / LOG).is_file():
            log = self.log_file(job_folder)
            log.parent.mkdir(parents=True, exist_ok=True)
            (folder / LOG).replace(log)
        for name in {name.partition("/")[0] for name in self.kept(job_folder)}:
            remove(folder / name)
        with suppress(OSError):  # it has event files, or is gone already
            folder.rmdir()

    def remove(self) -> None:
        """Deletes everything."""
        shutil.rmtree(self._root, ignore_errors=True)

    def set_flag(self, name: str) -> None:
        """Sets a flag that all workers of the study see."""
        (self._root / name).touch()

    def has_flag(self, name: str) -> bool:
        """Whether a flag is set."""
        return (self._root / name).exists()

    def clear_flag(self, name: str) -> None:
        """Removes a flag."""
        (self._root / name).unlink(missing_ok=True)

    def clear_flags(self, prefix: str) -> None:
        """Removes every flag whose name starts with the prefix."""
        for path in self._root.glob(f"{prefix}*"):
            path.unlink(missing_ok=True)


class RemoteWorkDir(WorkDir):
    """A study's folder at a URL, by fsspec. A job is trained in a local copy that is deleted with the training.

    Args:
        url: URL of the study's folder.
    """

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        self._remote, self._path = connect(self._url)
        owner = os.getuid() if hasattr(os, "getuid") else 0
        local = Path(tempfile.gettempdir()) / f"hpo-{owner}"
        self.scratch = local / hashlib.sha256(self._url.encode()).hexdigest()[:16]
        self.cache = local / "cache"
        self._checked_at = -POLL_SECONDS

    def open(self, job_folder: str) -> Path:
        folder = self._local(job_folder)
        shutil.rmtree(folder, ignore_errors=True)  # files of a killed process; those at the URL count
        with os_errors(self._remote_path(job_folder)):
            if self._remote.exists(self._remote_path(job_folder)):
                for path in self._remote.find(self._remote_path(job_folder)):
                    target = folder / path.removeprefix(self._remote_path(job_folder)).lstrip("/")
                    target.parent.mkdir(parents=True, exist_ok=True)
                    self._remote.get_file(path, str(target))
        return folder

    def save(self, job_folder: str) -> None:
        folder, remote, target = self._local(job_folder), self._remote, self._remote_path(job_folder)
        temporary = f"{target}/.{NEWEST}.{uuid.uuid4().hex[:8]}"
        with os_errors(target):
            remote.makedirs(target, exist_ok=True)
            remote.put_file(str(folder / NEWEST), temporary)
            if remote.exists(f"{target}/{NEWEST}"):
                self._replace(f"{target}/{NEWEST}", f"{target}/{PREVIOUS}")
            self._replace(temporary, f"{target}/{NEWEST}")
            self._upload(job_folder, skip=(NEWEST, PREVIOUS), working=True)

    def keep_log(self, job_folder: str) -> None:
        file = self.log_file(job_folder)
        if file.is_file():
            with os_errors(self._path):
                target = self._remote_path(f"{LOGS}/{job_folder}.log")
                self._remote.makedirs(target.rpartition("/")[0], exist_ok=True)
                self._remote.put_file(str(file), target)
            file.unlink()

    def logs(self, trial: int) -> list[Path]:
        name, found = f"trial-{trial:05d}-*", []
        with os_errors(self._path):
            for pattern in (f"*/{name}/{LOG}", f"{LOGS}/*/{name}.log"):
                for path in sorted(map(str, self._remote.glob(self._remote_path(pattern)))):
                    local = self.scratch / "read" / path.removeprefix(self._path).lstrip("/")
                    local.parent.mkdir(parents=True, exist_ok=True)
                    self._remote.get_file(path, str(local))
                    found.append(local)
        return found

    def keep(self, job_folder: str) -> str:
        with os_errors(self._remote_path(job_folder)):
            self._upload(job_folder, skip=(NEWEST, PREVIOUS))
        return f"{self._url}/{job_folder}"

    def close(self, job_folder: str) -> None:
        shutil.rmtree(self._local(job_folder), ignore_errors=True)

    def discard(self, job_folder: str) -> None:
        with os_errors(self._remote_path(job_folder)):
            if not self._remote.exists(self._remote_path(job_folder)):
                return
            found = self._remote.find(self._remote_path(job_folder))
            working = f"{working_folder(Path(self._remote_path(job_folder))).as_posix()}/"
            unneeded = [path for path in found if NEWEST in path or PREVIOUS in path or path.startswith(working)]
            for path in unneeded:
                self._remote.rm_file(path)
        if len(unneeded) == len(found):
            with suppress(Exception):  # an object store has no folders
                self._remote.rmdir(self._remote_path(job_folder))

    def clean_up(self, finished: Mapping[str, datetime | None]) -> None:
        with os_errors(self._path):
            found = self._remote.find(self._path) if self._remote.exists(self._path) else []
        for path in found:
            job_folder, _, name = path.removeprefix(self._path).lstrip("/").rpartition("/")
            if (NEWEST in name or PREVIOUS in name) and finished.get(job_folder, datetime.max) is None:
                self.discard(job_folder)

    def kept(self, job_folder: str) -> dict[str, int]:
        target = self._remote_path(job_folder)
        with os_errors(target):
            found = self._remote.find(target, detail=True) if self._remote.exists(target) else {}
        names = {path.removeprefix(target).lstrip("/"): one for path, one in found.items()}
        return {name: int(one.get("size") or 0) for name, one in names.items() if _is_kept(name)}

    def drop(self, job_folder: str, *, leave_log: bool = False) -> None:
        with os_errors(self._remote_path(job_folder)):
            files = self.kept(job_folder)
            if leave_log and LOG in files:
                log = self._remote_path(f"{LOGS}/{job_folder}.log")
                self._remote.makedirs(log.rpartition("/")[0], exist_ok=True)
                self._remote.pipe_file(log, self._remote.cat_file(f"{self._remote_path(job_folder)}/{LOG}"))
            for name in files:
                self._remote.rm_file(f"{self._remote_path(job_folder)}/{name}")

    def leftovers(self, finished: Mapping[str, datetime | None]) -> Iterator[Path]:
        yield from ()

    def remove(self) -> None:
        with suppress(Exception):  # nothing was saved, or the server is unavailable
            self._remote.rm(self._path, recursive=True)
        shutil.rmtree(self.scratch, ignore_errors=True)

    def set_flag(self, name: str) -> None:
        with os_errors(self._remote_path(name)):
            self._remote.makedirs(self._path, exist_ok=True)
            self._remote.pipe_file(self._remote_path(name), b"")

    def has_flag(self, name: str) -> bool:
        if time.monotonic() - self._checked_at < POLL_SECONDS:
            return False
        try:
            return bool(self._remote.exists(self._remote_path(name)))
        except Exception:  # the server is unavailable; the training continues
            return False
        finally:
            self._checked_at = time.monotonic()

    def clear_flag(self, name: str) -> None:
        with suppress(Exception):  # it was never set, or is gone already
            self._remote.rm_file(self._remote_path(name))

    def clear_flags(self, prefix: str) -> None:
        with suppress(Exception):  # as above
            for path in self._remote.glob(self._remote_path(f"{prefix}*")):
                self._remote.rm_file(path)

    def _local(self, job_folder: str) -> Path:
        return self.scratch / "trainings" / job_folder

    def _remote_path(self, job_folder: str) -> str:
        return f"{self._path}/{job_folder}"

    def _upload(self, job_folder: str, skip: tuple[str, ...], *, working: bool = False) -> None:
        folder = self._local(job_folder)
        for file in sorted(folder.rglob("*")):
            if not working and file.is_relative_to(working_folder(folder)):
                continue
            if file.is_file() and file.name not in skip:
                target = f"{self._remote_path(job_folder)}/{file.relative_to(folder).as_posix()}"
                self._remote.makedirs(target.rpartition("/")[0], exist_ok=True)
                self._remote.put_file(str(file), target)

    def _replace(self, source: str, target: str) -> None:
        if self._remote.exists(target):  # some servers do not rename over a file
            self._remote.rm_file(target)
        self._remote.mv(source, target)


def _is_kept(name: str) -> bool:
    return name.partition("/")[0] in (MODEL_FILE, PREDICTIONS, PANELS, LOG, ARTIFACTS)


def is_url(work: str) -> bool:
    """Whether a work folder is a URL."""
    return "://" in work


def work_dir(work: str | Path) -> WorkDir:
    """Returns the work folder of a study.

    Args:
        work: path or URL of the study's folder.

    Raises:
        UsageError: if the URL's protocol is unknown, or a package for it is missing.
    """
    return RemoteWorkDir(str(work)) if is_url(str(work)) else WorkDir(Path(work).absolute())


def find_folder(root: str, name: str, mark: str) -> str:
    """Returns the name of a study's folder, which keeps its old name if the study was renamed.

    Args:
        root: path or URL of the folder that contains those of all studies.
        name: name of the folder if it does not exist yet.
        mark: part of the study's uid that ends the folder's name.
    """
    if not is_url(root):
        if os.path.isdir(f"{root}/{name}") or not os.path.isdir(root):
            return name
        found = sorted(path.name for path in Path(root).glob(f"*-{mark}") if path.is_dir())
        return found[0] if found else name
    remote, path = connect(root)
    with suppress(Exception):  # if the server is unavailable, the first read or write reports it
        if not remote.exists(f"{path}/{name}") and remote.exists(path):
            names = sorted(str(found).rstrip("/").rpartition("/")[2] for found in remote.ls(path, detail=False))
            return next((found for found in names if found.endswith(f"-{mark}")), name)
    return name


def local_copy(files: str) -> Path:
    """Returns the saved files of a training as a folder on this machine's disk, which may not exist any more.

    Args:
        files: location that `WorkDir.keep` returned.
    """
    if not is_url(files):
        return Path(files)
    url, _, job_folder = files.rpartition("/")
    return work_dir(url).open(job_folder)


def check_writable_url(url: str) -> None:
    """Checks before the first training that files can be saved at a URL.

    Args:
        url: URL of the work folder.

    Raises:
        UsageError: if the URL's protocol is unknown, a package for it is missing, or the URL contains a password.
        OutputRefused: if nothing can be written there.
    """
    if holds_secret(url):
        raise UsageError(
            f"the work folder's URL contains a password or a token, and the URL is recorded with every training; "
            f"remove it, and put the credentials for {url.partition('://')[0]} where fsspec looks for them, e.g. in "
            "its configuration file"
        )
    remote, path = connect(url)
    probe = f"{path}/.probe-{uuid.uuid4().hex[:8]}"
    try:
        remote.makedirs(path, exist_ok=True)
        remote.pipe_file(probe, b"0")
        remote.rm_file(probe)
    except Exception as error:  # every file system has its own kinds of errors
        raise OutputRefused(f"cannot write to {url}: {first_line(error)}") from error
