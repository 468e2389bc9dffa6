"""What `ctx` costs a training: the study unet-density under it, and the same loop as one writes it without."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.nn import functional

import hpo
from hpo.core.records import Job, Status
from hpo.seeds.streams import Streams
from hpo.study.loading import read
from hpo.training import TrainingRun, discard_checkpoint
from hpo.training.splits import split
from models.common.loop import (
    EVALUATION_BATCH,
    Running,
    batch_count,
    optimizer_for,
    probabilities,
    shuffled_batches,
    update,
)
from models.common.metrics import classification_metrics
from models.common.schedule import warm_up_then_cosine
from models.density import DensityParams
from models.mammography.augment import Augmentation
from models.mammography.data import data_set
from models.mammography.listing import CLASSES
from models.mammography.unet import UNet
from tests.bench.arithmetic import Spread, paired
from tests.bench.channel import ROOT
from tests.bench.say import Target, say, table

SEED = 41
PARAMS = {"lr": 0.01, "optimizer": "adamw", "weight_decay": 1e-4, "width": 6, "dropout": 0.1, "mask_weight": 0.0}


@dataclass(frozen=True, slots=True)
class Spent:
    """Seconds of one training."""

    wall: float
    cpu: float


def bare(params: DensityParams, epochs: int) -> float:
    """Trains as `models.density` does, without context, checkpoints, reports or a way to resume; one seed for all.

    Model, data, split, batches, augmentation, optimizer, schedule and validation are the same, and the model grades the
    held-out images once more at the end.
    """
    torch.manual_seed(SEED)
    generator = torch.Generator().manual_seed(SEED)
    data = data_set(params, Path("unused"))
    train_T, held_out_V = split(data.label_N, params.validation, Streams(SEED, {}).split, names=CLASSES, fold=0)
    image_T1SS, label_T = torch.tensor(data.image_N1SS[train_T]), torch.tensor(data.label_N[train_T])
    number_T = torch.tensor(train_T)
    held_out_B1SS = torch.split(torch.tensor(data.image_N1SS[held_out_V]), EVALUATION_BATCH)
    model = UNet(classes=len(CLASSES), width=params.width, depth=params.depth, norm=params.norm, dropout=params.dropout)
    optimizer = optimizer_for(
        model.parameters(), params.optimizer, lr=params.lr, momentum=params.momentum, weight_decay=params.weight_decay
    )
    scheduler = warm_up_then_cosine(optimizer, epochs * batch_count(len(train_T), params.batch))
    kappa = 0.0
    for _epoch in range(epochs):
        running = Running("cpu")
        augmentation = Augmentation.draw(len(data.label_N), generator, "cpu")
        for at_B in shuffled_batches(len(train_T), params.batch, generator):
            moved_B1SS = augmentation.moved(image_T1SS[at_B], number_T[at_B])
            outputs = model(augmentation.brightened(moved_B1SS, number_T[at_B]))
            loss = functional.cross_entropy(outputs.logit_BC, label_T[at_B])
            update(loss, model, optimizer, scheduler, params.clip)
            running.add(loss, outputs.logit_BC, label_T[at_B])
        running.metrics()
        graded_VC = probabilities(model, held_out_B1SS, lambda image_B1SS: model(image_B1SS).logit_BC)
        kappa = classification_metrics(data.label_N[held_out_V], graded_VC)["val_kappa"] or 0.0
    probabilities(model, held_out_B1SS, lambda image_B1SS: model(image_B1SS).logit_BC)
    return kappa


def measure(repetitions: int, epochs: int | None = None) -> dict[str, list[Spent]]:
    """Trains with and without in turn, so often, after one of each that does not count."""
    study = read(ROOT / "studies" / "unet-density.toml").study
    assert study is not None
    budget = epochs or study.search.budget
    params = {**study.fixed, **PARAMS}
    before = torch.get_num_threads()
    found: dict[str, list[Spent]] = {"bare": [], "ctx": []}
    with tempfile.TemporaryDirectory(prefix="hpo-bench-") as folder:
        work = Path(folder) / "work"
        job = Job(trial=0, params=PARAMS, seed=SEED, budget=budget)

        def with_context() -> None:
            training = TrainingRun(job, study.ref, hpo.Resources(), work)
            while (update := training.advance()).status is None:
                pass
            assert update.status is Status.COMPLETE, update.error
            training.close()
            discard_checkpoint(work, job)

        def without() -> None:
            bare(DensityParams(**params), budget)  # type: ignore[arg-type]  # checked by `hpo check`

        torch.set_num_threads(1)
        kinds: list[tuple[str, Callable[[], None]]] = [("bare", without), ("ctx", with_context)]
        try:
            for repetition in range(repetitions + 1):
                for name, train in kinds if repetition % 2 else reversed(kinds):
                    wall, cpu = time.perf_counter(), time.process_time()
                    train()
                    spent = Spent(time.perf_counter() - wall, time.process_time() - cpu)
                    if repetition:
                        found[name].append(spent)
                        say(f"{repetition}/{repetitions}  {name:5s} {spent.wall:.2f} s wall  {spent.cpu:.2f} s cpu")
        finally:
            torch.set_num_threads(before)
    return found


def report(found: dict[str, list[Spent]]) -> list[Target]:
    """Prints what was measured and returns how it compares with what was wanted."""
    table(
        "A training of unet-density",
        ["", "s wall", "s cpu"],
        [
            [name, Spread.of([s.wall for s in spent]).shown(), Spread.of([s.cpu for s in spent]).shown()]
            for name, spent in found.items()
        ],
    )
    return [
        Target(
            f"ctx / bare loop, {clock}",
            paired([getattr(s, clock) for s in found["ctx"]], [getattr(s, clock) for s in found["bare"]]),
            1.03,
        )
        for clock in ("wall", "cpu")
    ]
