"""What `ctx.watch` costs: the same training with and without it, one epoch of each in turn."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.nn import functional

from hpo.seeds.streams import Streams
from hpo.training.monitoring.watch import Watch
from hpo.training.splits import split
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
WANTED = 1.03
EPOCHS = 4
"""Pairs of epochs for each repetition."""


@dataclass(frozen=True, slots=True)
class Spent:
    """Seconds of one epoch."""

    wall: float
    cpu: float


class Trained:
    """A U-Net on phantoms, as `models.density` trains it, an epoch at a time."""

    def __init__(self, epochs: int, *, watched: bool, activations: bool) -> None:
        params = DensityParams(lr=0.01)
        self.data = data_set(params, Path("unused"))
        self.rows_T = torch.tensor(
            split(self.data.label_N, params.validation, Streams(SEED, {}).split, names=CLASSES, fold=0)[0]
        )
        self.image_T1SS = torch.tensor(self.data.image_N1SS)[self.rows_T]
        self.label_T = torch.tensor(self.data.label_N)[self.rows_T]
        self.generator = torch.Generator().manual_seed(SEED)
        torch.manual_seed(SEED)
        self.batch = params.batch
        self.model = UNet(classes=len(CLASSES), width=params.width, depth=params.depth)
        self.optimizer = optimizer_for(self.model.parameters(), "adamw", lr=0.01, momentum=0.0, weight_decay=1e-4)
        steps = epochs * batch_count(len(self.rows_T), self.batch)
        self.scheduler = warm_up_then_cosine(self.optimizer, steps)
        self.watch = Watch(self.model, self.optimizer, activations=activations) if watched else None
        self.epoch = 0

    def train(self) -> Spent:
        """Trains one epoch; what is recorded of it is fetched within the time that is taken."""
        wall, cpu = time.perf_counter(), time.process_time()
        self.epoch += 1
        augmentation = Augmentation.draw(len(self.data.label_N), self.generator, "cpu")
        for at_B in shuffled_batches(len(self.rows_T), self.batch, self.generator):
            image_B1SS = augmentation.brightened(
                augmentation.moved(self.image_T1SS[at_B], self.rows_T[at_B]), self.rows_T[at_B]
            )
            loss = functional.cross_entropy(self.model(image_B1SS).logit_BC, self.label_T[at_B])
            update(loss, self.model, self.optimizer, self.scheduler)
        if self.watch is not None:
            self.watch.end_epoch(self.epoch, {})
        return Spent(time.perf_counter() - wall, time.process_time() - cpu)


KINDS = {"bare": (False, False), "watch": (True, False), "watch, activations": (True, True)}


def measure(repetitions: int) -> dict[str, list[Spent]]:
    """Trains each kind an epoch in turn, then the other way round, after one of each that does not count."""
    count = repetitions * EPOCHS + 1
    found: dict[str, list[Spent]] = {name: [] for name in KINDS}
    with _one_thread():
        trained = {name: Trained(count, watched=on, activations=more) for name, (on, more) in KINDS.items()}
        for epoch in range(count):
            for name in KINDS if epoch % 2 else reversed(KINDS):
                spent = trained[name].train()
                if epoch:
                    found[name].append(spent)
            if epoch % EPOCHS == 0:
                say(f"{epoch}/{count - 1} epochs")
    return found


@contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def report(found: dict[str, list[Spent]]) -> list[Target]:
    """Prints what was measured and returns how it compares with what was wanted."""
    table(
        f"An epoch of unet-density's network, {len(found['bare'])} of each",
        ["", "s wall", "s cpu"],
        [
            [name, Spread.of([s.wall for s in spent]).shown(), Spread.of([s.cpu for s in spent]).shown()]
            for name, spent in found.items()
        ],
    )
    return [
        Target(
            f"{name} / bare, {clock}",
            paired([getattr(s, clock) for s in found[name]], [getattr(s, clock) for s in found["bare"]]),
            WANTED,
        )
        for name in KINDS
        if name != "bare"
        for clock in ("wall", "cpu")
    ]
