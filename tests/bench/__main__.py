"""`python -m tests.bench [PART ...]`: measures and prints; progress goes to stderr."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from tests.bench.say import Target, say, table

PARTS = {
    "price": "what a trial costs, against Optuna alone and Ray Tune's own search",
    "growth": "what it costs with 10 000 trials stored, and opening such a study",
    "slots": "how busy the workers are kept",
    "start": "from the command to the first step",
    "helping": "what hpo --help takes, in turn with optuna --help",
    "context": "what ctx costs a training",
    "watching": "what ctx.watch costs an epoch",
    "determinism": "which settings keep a training's bits, and what they cost",
    "decoding": "how fast DICOM files are decoded, and what the cache saves",
    "pages": "how long the pages of a study with 10 000 trials take",
    "reliability": "how far sigma over a few seeds predicts sigma over others, on tables of real trainings",
}

ONLY_WHEN_NAMED = {"reliability"}
"""Parts that first train tables, which takes minutes."""

REPETITIONS = {
    "price": 5,
    "growth": 3,
    "slots": 2,
    "start": 3,
    "helping": 9,
    "context": 5,
    "watching": 5,
    "determinism": 3,
    "decoding": 3,
    "pages": 5,
    "reliability": 200,
}
"""Unless another number is given; where one takes a minute there are fewer."""


def main() -> None:
    """Runs the parts that are named, or all but those that train tables."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    described = "; ".join(f"{name}: {what}" for name, what in PARTS.items())
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"[all] {described}")
    parser.add_argument("--repetitions", type=int, help="of each measurement [3 to 7]")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all numbers there")
    given = parser.parse_args()
    if unknown := set(given.parts) - set(PARTS):
        parser.error(f"no part {', '.join(sorted(unknown))}; known: {', '.join(PARTS)}")
    if given.repetitions is not None and given.repetitions < 1:
        parser.error(f"repetitions must be at least 1, not {given.repetitions}")
    numbers: dict[str, object] = {"machine": {"cores": os.cpu_count(), "python": platform.python_version()}}
    targets: list[Target] = []
    for name in given.parts or [one for one in PARTS if one not in ONLY_WHEN_NAMED]:
        repetitions = given.repetitions or REPETITIONS[name]
        say(f"{name}: {PARTS[name]}, {repetitions} times; load {os.getloadavg()[0]:.1f}")
        began = time.monotonic()
        part: Any = import_module(f"tests.bench.{name}")
        measured = part.measure(repetitions)
        reports: Callable[[Any], list[Target]] = part.report
        targets += reports(measured)
        numbers[name] = measured
        say(f"{name}: {time.monotonic() - began:.0f} s")
    table("Wanted", ["", "median (low .. high)", "wanted", ""], [target.row() for target in targets])
    if given.json:
        numbers["targets"] = targets
        given.json.write_text(json.dumps(numbers, indent=1, default=dataclasses.asdict) + "\n")


if __name__ == "__main__":
    main()
