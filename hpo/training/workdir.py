"""Where the folders of a study's jobs are kept: on a disk that all machines share, or at a URL."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from hpo.core.errors import OutputRefused, UsageError, did_you_mean
from hpo.core.files import clear_temporary_files
from hpo.core.isolation import clear_working_folder, working_folder
from hpo.core.redaction import holds_secret
from hpo.training.checkpoint import NEWEST, PREVIOUS, discard

POLL_SECONDS = 2.0
"""How long what was seen at a URL is taken to hold; a server is not to be asked after every epoch."""


class WorkDir:
    """A folder on this machine's disk, or on one that all machines share. Nothing has to be copied.

    Attributes:
        scratch: for what only this machine needs.
        cache: for prepared data that all trainings of the project share.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self.scratch = root
        self.cache = root.parent / "cache"

    def open(self, place: str) -> Path:
        """Returns the folder in which a job is trained, with what is known of it."""
        return self._root / place

    def save(self, place: str) -> None:
        """Keeps the checkpoint that was just written.

        Raises:
            OSError: if it cannot be kept.
        """

    def keep(self, place: str) -> str:
        """Keeps all that a training left in its folder and returns where.

        Raises:
            OSError: if it cannot be kept.
        """
        return str(self._root / place)

    def close(self, place: str) -> None:
        """Gives back what `open` took."""

    def discard(self, place: str) -> None:
        """Deletes a job's checkpoints and its working directory, and its folder if nothing else is in it."""
        folder = self._root / place
        discard(folder)
        clear_working_folder(folder)
        with suppress(OSError):  # artefacts in it, or gone already
            folder.rmdir()

    def tidy(self, over: Mapping[str, datetime | None]) -> None:
        """Deletes checkpoints and half-written files of jobs that are over, which killed processes left.

        Args:
            over: places of those jobs; with a moment, what was written later is of another attempt and is kept.
        """
        for folder in self._root.glob("*/trial-*"):
            place = folder.relative_to(self._root).as_posix()
            if place not in over or not folder.is_dir():
                continue
            at = over[place]
            files = [folder / NEWEST, folder / PREVIOUS]
            if at is None or all(not file.exists() or file.stat().st_mtime <= at.timestamp() for file in files):
                self.discard(place)
                if folder.is_dir():
                    clear_temporary_files(folder)

    def remove(self) -> None:
        """Deletes everything."""
        shutil.rmtree(self._root, ignore_errors=True)

    def raise_flag(self, name: str) -> None:
        """Makes a flag that all who train for the study see."""
        (self._root / name).touch()

    def sees_flag(self, name: str) -> bool:
        """Whether there is such a flag."""
        return (self._root / name).exists()

    def lower_flag(self, name: str) -> None:
        """Takes a flag away."""
        (self._root / name).unlink(missing_ok=True)


class RemoteWorkDir(WorkDir):
    """A folder at a URL, by fsspec. A job is trained in a copy on this machine's disk that ends with the training.

    Args:
        url: of the study's folder.
    """

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        self._remote, self._path = _opened(self._url)
        owner = os.getuid() if hasattr(os, "getuid") else 0
        ours = Path(tempfile.gettempdir()) / f"hpo-{owner}"
        self.scratch = ours / hashlib.sha256(self._url.encode()).hexdigest()[:16]
        self.cache = ours / "cache"
        self._looked = -POLL_SECONDS

    def open(self, place: str) -> Path:
        folder = self._copy(place)
        shutil.rmtree(folder, ignore_errors=True)  # what a killed process left; the URL has the truth
        with _as_os_error(self._at(place)):
            if self._remote.exists(self._at(place)):
                for path in self._remote.find(self._at(place)):
                    target = folder / path.removeprefix(self._at(place)).lstrip("/")
                    target.parent.mkdir(parents=True, exist_ok=True)
                    self._remote.get_file(path, str(target))
        return folder

    def save(self, place: str) -> None:
        folder, remote, at = self._copy(place), self._remote, self._at(place)
        spare = f"{at}/.{NEWEST}.{uuid.uuid4().hex[:8]}"
        with _as_os_error(at):
            remote.makedirs(at, exist_ok=True)
            remote.put_file(str(folder / NEWEST), spare)
            if remote.exists(f"{at}/{NEWEST}"):
                self._replace(f"{at}/{NEWEST}", f"{at}/{PREVIOUS}")
            self._replace(spare, f"{at}/{NEWEST}")
            self._put(place, skip=(NEWEST, PREVIOUS), working=True)

    def keep(self, place: str) -> str:
        with _as_os_error(self._at(place)):
            self._put(place, skip=(NEWEST, PREVIOUS))
        return f"{self._url}/{place}"

    def close(self, place: str) -> None:
        shutil.rmtree(self._copy(place), ignore_errors=True)

    def discard(self, place: str) -> None:
        with _as_os_error(self._at(place)):
            if not self._remote.exists(self._at(place)):
                return
            left = self._remote.find(self._at(place))
            working = f"{working_folder(Path(self._at(place))).as_posix()}/"
            gone = [path for path in left if NEWEST in path or PREVIOUS in path or path.startswith(working)]
            for path in gone:
                self._remote.rm_file(path)
        if len(gone) == len(left):
            with suppress(Exception):  # an object store has no folders
                self._remote.rmdir(self._at(place))

    def tidy(self, over: Mapping[str, datetime | None]) -> None:
        with _as_os_error(self._path):
            found = self._remote.find(self._path) if self._remote.exists(self._path) else []
        for path in found:
            place, _, name = path.removeprefix(self._path).lstrip("/").rpartition("/")
            if (NEWEST in name or PREVIOUS in name) and over.get(place, datetime.max) is None:
                self.discard(place)

    def remove(self) -> None:
        with suppress(Exception):  # nothing was kept, or the server is away: it is only in the way
            self._remote.rm(self._path, recursive=True)
        shutil.rmtree(self.scratch, ignore_errors=True)

    def raise_flag(self, name: str) -> None:
        with _as_os_error(self._at(name)):
            self._remote.makedirs(self._path, exist_ok=True)
            self._remote.pipe_file(self._at(name), b"")

    def sees_flag(self, name: str) -> bool:
        if time.monotonic() - self._looked < POLL_SECONDS:
            return False
        try:
            return bool(self._remote.exists(self._at(name)))
        except Exception:  # a server that is away says nothing; the training goes on
            return False
        finally:
            self._looked = time.monotonic()

    def lower_flag(self, name: str) -> None:
        with suppress(Exception):  # never raised, or gone already
            self._remote.rm_file(self._at(name))

    def _copy(self, place: str) -> Path:
        return self.scratch / "trainings" / place

    def _at(self, place: str) -> str:
        return f"{self._path}/{place}"

    def _put(self, place: str, skip: tuple[str, ...], *, working: bool = False) -> None:
        folder = self._copy(place)
        for file in sorted(folder.rglob("*")):
            if not working and file.is_relative_to(working_folder(folder)):
                continue
            if file.is_file() and file.name not in skip:
                target = f"{self._at(place)}/{file.relative_to(folder).as_posix()}"
                self._remote.makedirs(target.rpartition("/")[0], exist_ok=True)
                self._remote.put_file(str(file), target)

    def _replace(self, source: str, target: str) -> None:
        if self._remote.exists(target):  # some servers do not rename over a file
            self._remote.rm_file(target)
        self._remote.mv(source, target)


def is_url(work: str) -> bool:
    """Whether a work folder is at a URL."""
    return "://" in work


def work_dir(work: str | Path) -> WorkDir:
    """Returns the work folder of a study.

    Args:
        work: the study's folder, or its URL.

    Raises:
        UsageError: if there is no such kind of URL, or a package for it is missing.
    """
    return RemoteWorkDir(str(work)) if is_url(str(work)) else WorkDir(Path(work).absolute())


def named_like(root: str, name: str, mark: str) -> str:
    """Returns the name of a study's folder: another one that ends with its mark, where the study was renamed since.

    Args:
        root: the folder that has those of all studies, or its URL.
        name: of the folder if there is none yet.
        mark: the part of the study's uid with which its folder's name ends.
    """
    if not is_url(root):
        if os.path.isdir(f"{root}/{name}") or not os.path.isdir(root):
            return name
        found = sorted(path.name for path in Path(root).glob(f"*-{mark}") if path.is_dir())
        return found[0] if found else name
    remote, path = _opened(root)
    with suppress(Exception):  # a server that is away: whoever reads or writes there says so
        if not remote.exists(f"{path}/{name}") and remote.exists(path):
            listed = sorted(str(one).rstrip("/").rpartition("/")[2] for one in remote.ls(path, detail=False))
            return next((one for one in listed if one.endswith(f"-{mark}")), name)
    return name


def local_copy(files: str) -> Path:
    """Returns a folder that a training kept as one on this machine's disk; it is missing if it is gone.

    Args:
        files: as `WorkDir.keep` returned it.
    """
    if not is_url(files):
        return Path(files)
    url, _, place = files.rpartition("/")
    return work_dir(url).open(place)


def refuse_unusable_url(url: str) -> None:
    """Raises where trainings could not keep anything at a URL, before anything is trained.

    Raises:
        UsageError: if there is no such kind of URL, a package for it is missing, or it holds a password.
        OutputRefused: if nothing can be written there.
    """
    if holds_secret(url):
        raise UsageError(
            f"the work folder's URL holds a password or a token, and it is recorded with every training; leave it "
            f"out and give {url.partition('://')[0]} its credentials where fsspec looks for them, e.g. in its "
            "configuration file"
        )
    remote, path = _opened(url)
    probe = f"{path}/.probe-{uuid.uuid4().hex[:8]}"
    try:
        remote.makedirs(path, exist_ok=True)
        remote.pipe_file(probe, b"0")
        remote.rm_file(probe)
    except Exception as error:  # every file system has its own kinds
        raise OutputRefused(f"cannot write at {url}: {_said(error)}") from error


def _opened(url: str) -> tuple[Any, str]:
    import fsspec  # takes a tenth of a second, and a plain folder needs none

    protocol = url.partition("://")[0]
    known = sorted(fsspec.available_protocols())
    if protocol not in known:
        raise UsageError(
            f"there is no kind of URL {protocol}://; a work folder is a path, or one of {', '.join(known)}."
            f"{did_you_mean(protocol, known)}"
        )
    try:
        remote, path = fsspec.url_to_fs(url, use_listings_cache=False)
    except ImportError as error:
        raise UsageError(f"a work folder at {protocol}:// needs a package: {_said(error)}") from error
    except Exception as error:  # every file system has its own kinds
        raise OutputRefused(f"cannot reach {url}: {_said(error)}") from error
    return remote, str(path).rstrip("/")


@contextmanager
def _as_os_error(where: str) -> Iterator[None]:
    """Turns a file system's own kinds of errors into the one that a full disk gives."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        raise OSError(f"{where}: {_said(error)}") from error


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0].rstrip(": ")
