"""Watches a model during training, with hooks that only read: no bit of the training changes.

Measurements stay on the device until the epoch ends; then there is one transfer.

Shapes: P tensors with a gradient, S steps, W weights of two dimensions or more, U units (channels) of a layer.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from hpo.core.errors import UsageError
from hpo.core.records import Metrics
from hpo.training.monitoring.alerts import Activation, EpochRecord, Layer

UPDATES_EVERY = 16
"""Steps between two measurements of updates, which cost more than norms; the first step of an epoch is measured."""

ACTIVATIONS_EVERY = 64
"""Steps between two measurements of activations, which cost most."""

SUM_EVERY = 256
"""Steps after which the layers' norms are summed, so that the memory needed does not grow with the epoch."""

CLIP_TOLERANCE = 1e-3
"""Relative tolerance below the clipping norm: rounding, and the 1e-6 that torch adds to the norm."""

RELUS = (nn.ReLU, nn.ReLU6)
"""Layers whose outputs are measured: only their units get no gradient when they output 0."""


class Watch:
    """Hooks on a model and its optimizer.

    Args:
        model: the model that is being trained.
        optimizer: optimizer whose steps are measured.
        clip: norm to which the gradient is clipped before the step; 0: no clipping.
        activations: whether the outputs of ReLU layers are measured.
        keep: whether gradients are kept for `tensors`.

    Raises:
        UsageError: if the optimizer has none of the model's parameters.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: Optimizer,
        *,
        clip: float = 0.0,
        activations: bool = False,
        keep: bool = False,
    ) -> None:
        optimized = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
        named = {name: parameter for name, parameter in model.named_parameters() if id(parameter) in optimized}
        if not named:
            raise UsageError(
                "ctx.watch: the optimizer has none of the model's parameters; create it with model.parameters()"
            )
        self._parameters = list(named.values())
        self._layers = {
            name.removesuffix(".weight"): index
            for index, (name, parameter) in enumerate(named.items())
            if parameter.ndim > 1
        }
        self._weights = [self._parameters[index] for index in self._layers.values()]
        self._clip = clip
        self._keep = keep
        self._gradients: dict[str, Tensor] = {}
        self._predicted: tuple[int, ...] = ()
        self._truth: tuple[int, ...] = ()
        self._classes: tuple[str, ...] = ()
        self.reset()
        optimizer.register_step_pre_hook(self._before_step)
        optimizer.register_step_post_hook(self._after_step)
        model.register_forward_pre_hook(self._before_forward)
        if activations:
            for name, module in model.named_modules():
                if isinstance(module, RELUS):
                    module.register_forward_hook(partial(self._after_relu, name))

    def initial_scales(self) -> dict[str, dict[str, float]]:
        """Returns the sd of each layer's weights now, and the sd of He and of Xavier initialization.
        Sources: He et al., Delving deep into rectifiers, ICCV 2015, eq. 10; Glorot and Bengio, Understanding the
        difficulty of training deep feedforward neural networks, AISTATS 2010, eq. 12.
        """
        found = {}
        for name, weight in zip(self._layers, self._weights, strict=True):
            if weight.numel() < 2:
                continue
            receptive = math.prod(weight.shape[2:])
            fan_in, fan_out = weight.shape[1] * receptive, weight.shape[0] * receptive
            found[name] = {
                "sd": float(weight.detach().float().std()),
                "he": math.sqrt(2 / fan_in),
                "xavier": math.sqrt(2 / (fan_in + fan_out)),
            }
        return found

    def tensors(self) -> dict[str, Tensor]:
        """Returns each layer's current weights, and its gradient at the last measurement of updates."""
        weights = {f"weights/{name}": weight.detach() for name, weight in zip(self._layers, self._weights, strict=True)}
        return {**weights, **{f"gradients/{name}": grad for name, grad in self._gradients.items()}}

    def reset(self) -> None:
        """Discards the measurements of the current epoch."""
        self._steps = 0
        self._lr: float | Tensor | None = None
        self._recent_SP: list[Tensor] = []
        self._globals_S: list[Tensor] = []
        self._sums_S: list[Tensor] = []
        self._layer_sums: list[Tensor] = []
        self._before: list[Tensor] | None = None
        self._ratios_W: list[Tensor] = []
        self._input: Tensor | None = None
        self._alive_U: dict[str, Tensor] = {}
        self._moments: dict[str, list[Tensor]] = {}
        self._predicted = self._truth = ()
        self._classes = ()
        self._trained: set[str] = set()

    def count_classes(self, predicted: tuple[int, ...], truth: tuple[int, ...], names: tuple[str, ...] = ()) -> None:
        """Records how many validation cases of this epoch belong to each class.

        Args:
            predicted: (C,) number of cases predicted as each class.
            truth: (C,) number of cases of each class.
            names: (C,) names of the classes; empty: none are known.
        """
        self._predicted, self._truth, self._classes = predicted, truth, names

    def end_epoch(self, epoch: int, metrics: Metrics) -> EpochRecord:
        """Returns the record of the epoch that ends, and resets the measurements.

        Args:
            epoch: number of the epoch, from 1.
            metrics: metrics that the trainable reported.
        """
        self._sum_recent()
        parts = {
            "global": torch.cat(self._globals_S) if self._globals_S else torch.empty(0),
            "sum": torch.cat(self._sums_S) if self._sums_S else torch.empty(0),
            "layers": torch.stack(self._layer_sums).sum(0) if self._layer_sums else torch.empty(0),
            "ratios": torch.stack(self._ratios_W).mean(0) if self._ratios_W else torch.empty(0),
            "input": torch.empty(0) if self._input is None else self._input,
        }
        parts |= {f"alive {name}": alive_U.float().mean()[None] for name, alive_U in self._alive_U.items()}
        parts |= {f"moments {name}": torch.stack(moments).mean(0) for name, moments in self._moments.items()}
        found = _fetch(parts)
        finite = [norm for norm in found["global"] if math.isfinite(norm)]
        sums = [norm for norm in found["sum"] if math.isfinite(norm)]
        layers = {
            name: Layer(
                grad_norm=_finite(found["layers"][index] / len(finite)) if finite else None,
                update_ratio=_finite(found["ratios"][row]) if found["ratios"] else None,
            )
            for row, (name, index) in enumerate(self._layers.items())
            if found["layers"] and name in self._trained  # a layer that was frozen all along has no gradient
        }
        clipped = [norm >= self._clip * (1 - CLIP_TOLERANCE) for norm in finite]
        record = EpochRecord(
            epoch=epoch,
            steps=self._steps,
            nonfinite_steps=len(found["global"]) - len(finite),
            lr=None if self._lr is None else _finite(float(self._lr)),
            grad_norm=_mean(finite),
            grad_norm_median=sorted(finite)[len(finite) // 2] if finite else None,
            grad_norm_max=max(finite, default=None),
            grad_norm_sum=_mean(sums),
            clipped=sum(clipped) / len(clipped) if clipped and self._clip > 0 else None,
            layers=layers,
            activations={name: _activation(name, found) for name in self._alive_U},
            input_mean=_finite(found["input"][0]) if found["input"] else None,
            input_sd=_finite(found["input"][1]) if found["input"] else None,
            train_loss=metrics.get("train_loss"),
            val_loss=metrics.get("val_loss"),
            predicted=self._predicted,
            truth=self._truth,
            classes=self._classes,
        )
        self.reset()
        return record

    @torch.no_grad()
    def _before_step(self, optimizer: Optimizer, args: object, kwargs: object) -> None:
        if len(self._trained) < len(self._layers):
            self._trained |= {
                name for name, weight in zip(self._layers, self._weights, strict=True) if weight.requires_grad
            }
        grads = [parameter.grad for parameter in self._parameters]
        present = [grad for grad in grads if grad is not None and not grad.is_sparse]
        if not present:
            return
        norms = iter(torch._foreach_norm(present))
        zero = present[0].new_zeros(())
        norm_P = torch.stack([zero if grad is None or grad.is_sparse else next(norms) for grad in grads])
        self._recent_SP.append(norm_P)
        if len(self._recent_SP) == SUM_EVERY:
            self._sum_recent()
        self._lr = max(group["lr"] for group in optimizer.param_groups)
        if self._steps % UPDATES_EVERY == 0 and self._weights:
            self._before = [weight.detach().clone() for weight in self._weights]
            if self._keep:
                grads_W = {name: weight.grad for name, weight in zip(self._layers, self._weights, strict=True)}
                self._gradients = {name: grad.clone() for name, grad in grads_W.items() if grad is not None}

    @torch.no_grad()
    def _after_step(self, optimizer: Optimizer, args: object, kwargs: object) -> None:
        if self._before is not None:
            updates = torch._foreach_sub([weight.detach() for weight in self._weights], self._before)
            norm_W = torch.stack(torch._foreach_norm(self._before))
            self._ratios_W.append(torch.stack(torch._foreach_norm(updates)) / norm_W.clamp_min(1e-12))
            self._before = None
        self._steps += 1

    @torch.no_grad()
    def _before_forward(self, module: nn.Module, args: tuple[Any, ...]) -> None:
        if self._input is not None or not module.training or not args:
            return
        if isinstance(args[0], Tensor) and args[0].is_floating_point():
            inputs = args[0].detach().float()
            self._input = torch.stack([inputs.mean(), inputs.std(correction=0)])

    @torch.no_grad()
    def _after_relu(self, name: str, module: nn.Module, args: object, output: Tensor) -> None:
        if not module.training or self._steps % ACTIVATIONS_EVERY or output.ndim < 2:
            return
        value = output.detach()
        # In a batch (B, U, ...) the units are the second dimension, as in torch's convolutions and linear layers.
        alive_U = value.amax([axis for axis in range(value.ndim) if axis != 1]) > 0
        self._alive_U[name] = self._alive_U[name] | alive_U if name in self._alive_U else alive_U
        variance, mean = torch.var_mean(value.float(), correction=0)
        moments = torch.stack([mean, variance + mean.square()])
        self._moments.setdefault(name, []).append(moments)

    def _sum_recent(self) -> None:
        if not self._recent_SP:
            return
        norm_SP = torch.stack(self._recent_SP).double()
        self._recent_SP = []
        global_S = norm_SP.square().sum(1).sqrt()
        self._globals_S.append(global_S)
        self._sums_S.append(norm_SP.sum(1))
        self._layer_sums.append(torch.where(global_S.isfinite()[:, None], norm_SP, 0.0).sum(0))


def _fetch(parts: Mapping[str, Tensor]) -> dict[str, list[float]]:
    """Returns the values of one-dimensional tensors, copied from the device in one transfer."""
    device = next((part.device for part in parts.values() if part.numel()), torch.device("cpu"))
    values = cast(list[float], torch.cat([part.to(device, torch.float64) for part in parts.values()]).tolist())
    found, begin = {}, 0
    for name, part in parts.items():
        found[name] = values[begin : begin + part.numel()]
        begin += part.numel()
    return found


def _activation(name: str, found: Mapping[str, list[float]]) -> Activation:
    mean, square = found[f"moments {name}"]
    sd = math.sqrt(max(0.0, square - mean**2)) if math.isfinite(square) else None
    return Activation(mean=_finite(mean), sd=sd, dead=1 - found[f"alive {name}"][0])


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None
