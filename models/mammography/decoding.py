"""Decodes images in separate processes, because a damaged file may crash or hang its decoder.

Shapes: S pixels along each side.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from joblib.externals.loky import ProcessPoolExecutor
from joblib.externals.loky.process_executor import BrokenProcessPool

from hpo import UsageError
from models.mammography.dicom import Unreadable
from models.mammography.images import Picture, read_image

WHITE = 65535
"""The integer that represents the gray value 1."""

BATCH = 4
"""Images per task of a process."""

AHEAD = 4
"""Tasks per process that are submitted in advance."""

SECONDS = 60.0
"""Timeout per image. A mammogram takes one or two seconds, a few more on a busy machine."""

SECONDS_TO_START = 300.0
"""Timeout for the start of a process."""

MAX_PROCESSES = 8

Work = tuple[Path, int, bool]
"""A file, the pixels along each side of the result, and whether to crop to the breast."""

Decode = Callable[[Work], Picture | str]


def decode(work: Work) -> Picture | str:
    """Returns an image with integer gray values (S, S) 0 .. `WHITE`, or why it cannot be read."""
    path, size, crop = work
    try:
        found = read_image(path, size, crop=crop)
    except Unreadable as error:
        return str(error)
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"
    return found._replace(grey_SS=np.rint(np.clip(found.grey_SS, 0, 1) * WHITE).astype(np.uint16))


def decoded(work: Sequence[Work], decode: Decode, processes: int | None = None) -> Iterator[Picture | str]:
    """Yields every image in order, or why it cannot be read.

    Args:
        work: files to read.
        decode: function that reads one file; it is sent to the processes.
        processes: number of processes; 1: this process; None: one per available core, at most `MAX_PROCESSES`.
    """
    if processes == 1:
        yield from map(decode, work)
        return
    count = max(1, min(processes or min(joblib.cpu_count(), MAX_PROCESSES), len(work)))
    done = 0
    while done < len(work):
        for found in _together(work[done:], decode, count):
            yield found
            done += 1
        # A file in progress crashed or blocked the pool; these are decoded one by one.
        for found in _one_by_one(work[done : done + AHEAD * BATCH * count], decode):
            yield found
            done += 1


def _together(work: Sequence[Work], decode: Decode, count: int) -> Iterator[Picture | str]:
    """Yields images until all are done, a process crashes, or one hangs."""
    batches = deque(work[at : at + BATCH] for at in range(0, len(work), BATCH))
    with _Processes(count) as processes:
        waiting = deque(processes.submit(decode, batches.popleft()) for _ in range(min(AHEAD * count, len(batches))))
        while waiting:
            try:
                found = waiting.popleft().result(timeout=BATCH * SECONDS)
            except (BrokenProcessPool, TimeoutError):
                return
            if batches:
                waiting.append(processes.submit(decode, batches.popleft()))
            yield from found


def _one_by_one(work: Sequence[Work], decode: Decode) -> Iterator[Picture | str]:
    left = deque(work)
    while left:
        with _Processes(1) as processes:
            while left:
                try:
                    yield from processes.submit(decode, [left.popleft()]).result(timeout=SECONDS)
                except BrokenProcessPool:
                    yield "crashed the process that decoded it: a bug in the decoder, or not enough memory"
                    break
                except TimeoutError:
                    yield f"cannot be decoded within {SECONDS:.0f} s"
                    break


class _Processes:
    """Newly started processes, because a process with threads, as of torch and Ray, must not be forked.

    They are loky's, which do not run the user's script again.
    """

    def __init__(self, count: int) -> None:
        self._executor = ProcessPoolExecutor(count, initializer=_be_quiet)

    def __enter__(self) -> _Processes:
        try:
            # so that no image's timeout includes the start
            self._executor.submit(os.getpid).result(timeout=SECONDS_TO_START)
        except (BrokenProcessPool, TimeoutError) as error:
            self._executor.shutdown(wait=True, kill_workers=True)
            raise UsageError(
                f"no process to decode images can be started: {error or 'it did not start in time'}"
            ) from error
        return self

    def __exit__(self, *_: object) -> None:
        self._executor.shutdown(wait=True, kill_workers=True)

    def submit(self, decode: Decode, batch: Sequence[Work]) -> Any:
        """Returns an untyped future of loky."""
        return self._executor.submit(_each, decode, batch)


def _each(decode: Decode, batch: Sequence[Work]) -> list[Picture | str]:
    return [decode(work) for work in batch]


def _be_quiet() -> None:
    """Discards everything that decoders print, also from C."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for place in (1, 2):
        os.dup2(nowhere, place)
    os.close(nowhere)
