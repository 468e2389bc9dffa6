"""Images decoded in processes of their own, for a damaged file may end or hang the one that decodes it.

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
"""What the grey value 1 is in an array of whole numbers."""

BATCH = 4
"""Images that a process is given at a time."""

AHEAD = 4
"""Batches for each process that are given out before the first of them is waited for."""

SECONDS = 60.0
"""For one image. A mammogram takes one or two, on a busy machine a few more; a decoder that needs more hangs."""

SECONDS_TO_START = 300.0
"""For a process."""

MOST_PROCESSES = 8

Work = tuple[Path, int, bool]
"""A file, the pixels along each side that are wanted, and whether it is cut to the breast."""

Decode = Callable[[Work], Picture | str]


def decode(work: Work) -> Picture | str:
    """Returns an image, its grey values as whole numbers, 0 .. `WHITE` (S, S); or why it cannot be read."""
    path, size, crop = work
    try:
        found = read_image(path, size, crop=crop)
    except Unreadable as error:
        return str(error)
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"
    return found._replace(grey_SS=np.rint(np.clip(found.grey_SS, 0, 1) * WHITE).astype(np.uint16))


def decoded(work: Sequence[Work], decode: Decode, processes: int | None = None) -> Iterator[Picture | str]:
    """Yields every image, or why it cannot be read, in order.

    Args:
        work: what is to be read.
        decode: reads one; it is sent to the processes.
        processes: how many; 1: this one itself; None: one for each core that may be used, at most `MOST_PROCESSES`.
    """
    if processes == 1:
        yield from map(decode, work)
        return
    count = max(1, min(processes or min(joblib.cpu_count(), MOST_PROCESSES), len(work)))
    done = 0
    while done < len(work):
        for found in _together(work[done:], decode, count):
            yield found
            done += 1
        # What is left was stopped by one of those that were under way.
        for found in _one_by_one(work[done : done + AHEAD * BATCH * count], decode):
            yield found
            done += 1


def _together(work: Sequence[Work], decode: Decode, count: int) -> Iterator[Picture | str]:
    """Yields until all is done, a process ends, or one hangs."""
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
                    yield "ended the process that decoded it: the decoder's fault, or more memory than there is"
                    break
                except TimeoutError:
                    yield f"cannot be decoded: it was not ready after {SECONDS:.0f} s"
                    break


class _Processes:
    """Processes started afresh, for one that has threads, as torch and Ray do, must not be copied.

    They are loky's, which do not run the user's own script again in each of them.
    """

    def __init__(self, count: int) -> None:
        self._executor = ProcessPoolExecutor(count, initializer=_be_quiet)

    def __enter__(self) -> _Processes:
        try:
            self._executor.submit(os.getpid).result(timeout=SECONDS_TO_START)  # so that no image's time goes on it
        except (BrokenProcessPool, TimeoutError) as error:
            self._executor.shutdown(wait=True, kill_workers=True)
            raise UsageError(f"no process that decodes images can be started: {error or 'it was not ready'}") from error
        return self

    def __exit__(self, *_: object) -> None:
        self._executor.shutdown(wait=True, kill_workers=True)

    def submit(self, decode: Decode, batch: Sequence[Work]) -> Any:
        """Returns a future of loky's, which has no types."""
        return self._executor.submit(_each, decode, batch)


def _each(decode: Decode, batch: Sequence[Work]) -> list[Picture | str]:
    return [decode(work) for work in batch]


def _be_quiet() -> None:
    """Lets nothing that a decoder prints, also from C, come among a command's own words."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for place in (1, 2):
        os.dup2(nowhere, place)
    os.close(nowhere)
