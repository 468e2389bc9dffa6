"""Which settings of a training keep its bits, and what each costs in speed: `unet-density`'s network on what is here.

Every setting is trained several times from one seed: the same bits or not, and whether they are those of the setting
that hpo trains with. On a graphics card the table is another than on a CPU; the one that is there is named.
"""

from __future__ import annotations

import os
import platform
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import torch
from torch.nn import functional

from hpo.seeds.streams import Streams
from hpo.training.splits import split
from hpo.training.weights import weights_digest
from models.common.loop import batch_count, optimizer_for, shuffled_batches, update
from models.common.schedule import warm_up_then_cosine
from models.density import DensityParams
from models.mammography.augment import Augmentation
from models.mammography.data import data_set
from models.mammography.listing import CLASSES
from models.mammography.unet import UNet
from tests.bench.arithmetic import Spread, paired
from tests.bench.say import Target, say, table

SEED = 41
EPOCHS = 2
"""Of each training; the second is timed, for the first compiles."""


@dataclass(frozen=True, slots=True)
class Setting:
    """How a training computes.

    Attributes:
        deterministic: whether torch is asked for deterministic algorithms, as hpo does.
        tf32: whether a card may round the factors of float32 products to ten bits.
        bf16: whether the network computes in bfloat16, its weights kept in float32.
        channels_last: whether images and weights lie in memory channel by channel of each pixel.
        compiled: whether torch compiles the network.
    """

    deterministic: bool = True
    tf32: bool = False
    bf16: bool = False
    channels_last: bool = False
    compiled: bool = False


SETTINGS = {
    "as hpo trains": Setting(),
    "any algorithm": Setting(deterministic=False),
    "TF32": Setting(tf32=True),
    "bfloat16": Setting(bf16=True),
    "channels last": Setting(channels_last=True),
    "compiled": Setting(compiled=True),
    "all of them, any algorithm": Setting(deterministic=False, tf32=True, bf16=True, channels_last=True, compiled=True),
}
FIRST = next(iter(SETTINGS))


@dataclass(slots=True)
class Found:
    """What became of a setting.

    Attributes:
        device: by name.
        digests: of the weights after each training.
        seconds: of the timed epoch of each.
        why: why it cannot be had here; empty where it can.
    """

    device: str
    digests: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    why: str = ""


def measure(repetitions: int) -> dict[str, Found]:
    """Trains each setting in turn, so often."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    named = torch.cuda.get_device_name() if device == "cuda" else f"CPU, {platform.machine()}, 1 thread"
    found = {name: Found(named, why=_missing(setting, device)) for name, setting in SETTINGS.items()}
    for repetition in range(repetitions):
        for name, setting in SETTINGS.items():
            if not found[name].why:
                with _settled(setting):
                    digest, seconds = trained(setting, device)
                found[name].digests.append(digest)
                found[name].seconds.append(seconds)
        say(f"{repetition + 1}/{repetitions} trainings of each")
    return found


def trained(setting: Setting, device: str) -> tuple[str, float]:
    """Trains the network and returns the digest of its weights, and the seconds that the last epoch took."""
    params = DensityParams(lr=0.01)
    data = data_set(params, Path("unused"))
    rows_T = torch.tensor(
        split(data.label_N, params.validation, Streams(SEED, {}).split, names=CLASSES, fold=0)[0], device=device
    )
    memory = torch.channels_last if setting.channels_last else torch.contiguous_format
    image_T1SS, label_T = torch.tensor(data.image_N1SS, device=device)[rows_T], torch.tensor(data.label_N).to(device)
    generator = torch.Generator().manual_seed(SEED)
    torch.manual_seed(SEED)
    model = UNet(classes=len(CLASSES), width=params.width, depth=params.depth).to(device, memory_format=memory)
    runs = torch.compile(model) if setting.compiled else model
    optimizer = optimizer_for(model.parameters(), "adamw", lr=0.01, momentum=0.0, weight_decay=1e-4)
    scheduler = warm_up_then_cosine(optimizer, EPOCHS * batch_count(len(rows_T), params.batch))
    seconds = 0.0
    for _ in range(EPOCHS):
        began = time.perf_counter()
        augmentation = Augmentation.draw(len(data.label_N), generator, device)
        for at_B in shuffled_batches(len(rows_T), params.batch, generator):
            at_B = at_B.to(device)
            moved_B1SS = augmentation.moved(image_T1SS[at_B], rows_T[at_B])
            image_B1SS = augmentation.brightened(moved_B1SS, rows_T[at_B]).contiguous(memory_format=memory)
            with torch.autocast(device, torch.bfloat16, enabled=setting.bf16):
                loss = functional.cross_entropy(runs(image_B1SS).logit_BC, label_T[rows_T[at_B]])
            update(loss, model, optimizer, scheduler)
        if device == "cuda":
            torch.cuda.synchronize()
        seconds = time.perf_counter() - began
    return weights_digest(model.state_dict()), seconds


def report(found: dict[str, Found]) -> list[Target]:
    """Prints the table; nothing is wanted of it but that hpo's own setting keeps its bits."""
    base = found[FIRST]
    rows = []
    for name, one in found.items():
        if one.why:
            rows.append([name, "-", "-", one.why])
            continue
        same = sum(digest == one.digests[0] for digest in one.digests)
        bits = f"{same} of {len(one.digests)}"
        as_base = "yes" if one.digests[0] == base.digests[0] else "no"
        rows.append([name, bits, as_base, paired(one.seconds, base.seconds).shown()])
    versions = f"torch {torch.__version__}" + (f", CUDA {torch.version.cuda}" if torch.version.cuda else "")
    table(
        f"{base.device}, {versions}, {datetime.now(UTC):%Y-%m-%d}; n = {len(base.digests)}",
        ["setting", "same bits again", "as hpo trains", "time / as hpo trains"],
        rows,
    )
    equal = float(len(set(base.digests)) == 1)
    return [Target("hpo's own setting gives the same bits", Spread.of([equal]), 1.0, most=False)]


def _missing(setting: Setting, device: str) -> str:
    if setting.tf32 and device == "cpu" and not setting.compiled:
        return "a card's"
    if setting.compiled and device == "cpu" and not (shutil.which("g++") or shutil.which("clang++")):
        return "no C++ compiler"
    return ""


@contextmanager
def _settled(setting: Setting) -> Iterator[None]:
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(setting.deterministic)
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = setting.deterministic, False
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = setting.tf32
    torch.compiler.reset()
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
        torch.set_num_threads(before[0])
        torch.use_deterministic_algorithms(before[1])
