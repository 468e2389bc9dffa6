"""How fast DICOM files are decoded, and what the cache saves a training that begins."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.mammography.archive import FOLDER, write_phantoms
from models.mammography.cache import prepared
from models.mammography.data import DataParams, data_set
from models.mammography.listing import listing
from models.mammography.pixels import Pixels
from tests.bench.arithmetic import Spread, paired
from tests.bench.say import Target, say, table

EXAMINATIONS = 32
SIDE = 2048
"""Pixels of a file along each side; a third of the files each uncompressed, run-length encoded and JPEG 2000."""

SIZE = 512
"""Pixels of a prepared image along each side."""

BATCH = 16


@dataclass(frozen=True, slots=True)
class Decoding:
    """Seconds, repetition by repetition.

    Attributes:
        files: decoded in each of them.
        by_processes: for each number of processes.
        again: to the first batch of a training that has to decode.
        cached: the same from the cache.
    """

    files: int
    by_processes: dict[int, list[float]]
    again: list[float]
    cached: list[float]


def measure(repetitions: int) -> Decoding:
    """Decodes the same archive with one process, with two, and not at all, in turn."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = write_phantoms(folder / "in", EXAMINATIONS, dicom=True, size=SIDE, seed=0, tell=say)
        cases = listing(source, folder / "in" / FOLDER, views="all").cases
        found = Decoding(len(cases), {1: [], 2: []}, [], [])
        params = DataParams(data=str(source), views="all", size=SIZE)
        for repetition in range(repetitions):
            for processes, seconds in found.by_processes.items():
                cache = folder / f"{repetition}-{processes}"
                began = time.perf_counter()
                prepared(cases, size=SIZE, crop=True, cache=cache, processes=processes)
                seconds.append(time.perf_counter() - began)
            cache = folder / f"{repetition}"
            found.again.append(_first_batch(params, cache))
            found.cached.append(_first_batch(params, cache))
            say(f"decoding: {repetition + 1} of {repetitions}")
    return found


def _first_batch(params: DataParams, cache: Path) -> float:
    began = time.perf_counter()
    pixels = Pixels(data_set(params, cache), "cpu", with_dense=False)
    next(iter(pixels.batches(np.arange(BATCH))))
    return time.perf_counter() - began


def report(found: Decoding) -> list[Target]:
    """Prints the rates."""
    rows = [
        [f"{count} process{'es' * (count > 1)}", Spread.of([found.files / one for one in seconds]).shown(digits=1)]
        for count, seconds in found.by_processes.items()
    ]
    table(f"{found.files} files of {SIDE} x {SIDE} pixels to {SIZE} x {SIZE}", ["", "images/s"], rows)
    first = [
        ["decoding again", Spread.of(found.again).shown()],
        ["from the cache", Spread.of(found.cached).shown(digits=3)],
    ]
    table("Seconds to the first batch", ["", "median (low .. high)"], first)
    return [
        Target(
            "two processes, images/s over one's", paired(found.by_processes[1], found.by_processes[2]), 1.5, most=False
        ),
        Target("first batch, cached / decoding again", paired(found.cached, found.again), 0.05),
    ]
