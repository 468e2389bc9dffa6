"""The state of Keras's models and optimizers as `Context.epochs` wants it. Keras itself is not imported here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from hpo.core.errors import TrainableError, UsageError

if TYPE_CHECKING:
    from torch import Tensor


class _Holder(Protocol):
    @property
    def variables(self) -> Sequence[Any]: ...


class KerasState:
    """A Keras model or optimizer, e.g. `ctx.epochs(model=KerasState(model), optimizer=KerasState(model.optimizer))`.

    A model's variables include the states of its dropout layers' seed generators, so that a resumed training draws what
    an uninterrupted one would.

    Args:
        holder: it; build it first, `optimizer.build(model.trainable_variables)`.

    Raises:
        UsageError: if it has no variables yet.
    """

    def __init__(self, holder: _Holder) -> None:
        if not holder.variables:
            raise UsageError(f"KerasState: {type(holder).__name__} has no variables yet; build it first")
        self._holder = holder

    def state_dict(self) -> dict[str, Tensor]:
        """Returns copies of all variables.

        They are named by their places: Keras numbers layers, and names an optimizer's variables after them, through a
        whole process, so that the same model has other names when it is made again.
        """
        import torch

        return {name: torch.tensor(variable.numpy()) for name, variable in self._named().items()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Sets all variables.

        Raises:
            TrainableError: if these are another model's.
        """
        named = self._named()
        if {name: tuple(one.shape) for name, one in named.items()} != {
            name: tuple(tensor.shape) for name, tensor in state.items()
        }:
            raise TrainableError(
                f"KerasState: the saved variables are not those of this {type(self._holder).__name__}: there are "
                f"{len(state)}, expected {len(named)}, of the same shapes"
            )
        for name, variable in named.items():
            variable.assign(state[name].cpu().numpy())

    def _named(self) -> dict[str, Any]:
        return {f"{place:04d}": one for place, one in enumerate(self._holder.variables)}
