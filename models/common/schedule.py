"""Learning rate schedules: linear warm-up, then cosine, steps, plateaus, or constant."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau

from hpo import UsageError

SchedulerName = Literal["cosine", "plateau", "step", "none"]

WARM_UP = 0.1
"""Default share of updates in the warm-up."""


def warm_up_then_cosine(optimizer: Optimizer, steps: int, rising: int | None = None) -> LambdaLR:
    """Returns a schedule for `steps` updates: linear warm-up, then cosine decay to 0.

    The decay is eq. 5 of Loshchilov and Hutter, SGDR (ICLR 2017), with one cycle and a lowest rate of 0.

    Args:
        optimizer: optimizer with the peak learning rates.
        steps: total number of updates.
        rising: updates of the warm-up; None: a tenth.
    """
    up = _rising(steps) if rising is None else max(1, rising)

    def factor(step: int) -> float:
        if step < up:
            return (step + 1) / up
        return 0.5 * (1 + math.cos(math.pi * (step - up) / max(1, steps - up)))

    return LambdaLR(optimizer, factor)


class Schedule:
    """The learning rates of one training.

    Call `step` after every update and `judge` after every epoch, and pass it to `ctx.epochs`.

    Args:
        optimizer: optimizer with the peak learning rates.
        name: name of the schedule.
        epochs: the training's budget.
        batches: updates per epoch.
        direction: whether higher or lower values are better for `judge`.
        warmup_epochs: epochs of the linear warm-up; None: a tenth of the budget.
        step_size: epochs between two reductions of "step".
        gamma: factor of each reduction of "step".
        reduce_patience: epochs without improvement before "plateau" reduces the rates.
        reduce_factor: factor of each reduction of "plateau".
        reduce_cooldown: epochs that "plateau" waits after a reduction.
        reduce_min_lr: lowest learning rate of "plateau".

    Raises:
        UsageError: if a value is out of range.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        name: SchedulerName,
        *,
        epochs: int,
        batches: int,
        direction: Literal["maximize", "minimize"],
        warmup_epochs: float | None = None,
        step_size: int = 5,
        gamma: float = 0.1,
        reduce_patience: int = 2,
        reduce_factor: float = 0.5,
        reduce_cooldown: int = 0,
        reduce_min_lr: float = 0.0,
    ) -> None:
        _refuse(
            warmup_epochs is not None and not 0 <= warmup_epochs < epochs,
            "warmup_epochs",
            warmup_epochs,
            f"0 or more, and fewer than the budget of {epochs}",
        )
        _refuse(step_size < 1, "scheduler_step_size", step_size, "at least 1 epoch")
        _refuse(not 0 < gamma <= 1, "scheduler_gamma", gamma, "a factor above 0, at most 1")
        _refuse(not 0 < reduce_factor < 1, "lr_reduce_factor", reduce_factor, "a factor between 0 and 1")
        _refuse(
            min(reduce_patience, reduce_cooldown) < 0,
            "lr_reduce_patience and lr_reduce_cooldown",
            f"{reduce_patience} and {reduce_cooldown}",
            "no fewer than 0 epochs",
        )
        _refuse(reduce_min_lr < 0, "lr_reduce_min_lr", reduce_min_lr, "no less than 0")
        steps = epochs * batches
        self._up = _rising(steps) if warmup_epochs is None else max(1, round(warmup_epochs * batches))
        self._plateau: ReduceLROnPlateau | None = None
        match name:
            case "cosine":
                self._by_update = warm_up_then_cosine(optimizer, steps, self._up)
            case "step":
                self._by_update = LambdaLR(
                    optimizer, self._rises_then(lambda step: gamma ** (step // batches // step_size))
                )
            case "plateau" | "none":
                self._by_update = LambdaLR(optimizer, self._rises_then(lambda _: 1.0))
            case _:
                raise UsageError(f"scheduler: expected 'cosine', 'plateau', 'step' or 'none', got {name!r}")
        if name == "plateau":
            self._plateau = ReduceLROnPlateau(
                optimizer,
                mode="max" if direction == "maximize" else "min",
                factor=reduce_factor,
                patience=reduce_patience,
                threshold=0.0,
                threshold_mode="abs",
                cooldown=reduce_cooldown,
                min_lr=reduce_min_lr,
            )

    def step(self) -> None:
        """Advances by one update. After the warm-up, only `judge` changes the rates of "plateau"."""
        if self._plateau is None or self._is_rising:
            self._by_update.step()

    def judge(self, value: float) -> None:
        """Receives the objective's value after an epoch, which is ignored during the warm-up."""
        if self._plateau is not None and not self._is_rising:
            self._plateau.step(value)

    def state_dict(self) -> dict[str, Any]:
        """Returns the state; except for "plateau", it is that of torch's LambdaLR."""
        by_update = self._by_update.state_dict()
        return by_update if self._plateau is None else {"warm_up": by_update, "plateau": self._plateau.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores a state; the rates themselves are in the optimizer's state."""
        if self._plateau is None:
            self._by_update.load_state_dict(state)
        else:
            self._by_update.load_state_dict(state["warm_up"])
            self._plateau.load_state_dict(state["plateau"])

    @property
    def _is_rising(self) -> bool:
        return self._by_update.last_epoch < self._up - 1  # last_epoch counts updates here

    def _rises_then(self, factor: Callable[[int], float]) -> Callable[[int], float]:
        return lambda step: (step + 1) / self._up if step < self._up else factor(step)


def _rising(steps: int) -> int:
    return max(1, round(WARM_UP * steps))


def _refuse(wrong: bool, name: str, came: object, wanted: str) -> None:
    if wrong:
        raise UsageError(f"{name}: expected {wanted}, got {came}")
