"""State dicts of Keras models and optimizers for `Context.epochs`. Keras is not imported here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from hpo.core.errors import TrainableError, UsageError
from hpo.core.optional_torch import require_torch

if TYPE_CHECKING:
    from torch import Tensor


class _HasVariables(Protocol):
    @property
    def variables(self) -> Sequence[Any]: ...


class KerasState:
    """A Keras model or optimizer, e.g. `ctx.epochs(model=KerasState(model), optimizer=KerasState(model.optimizer))`.

    A model's variables include the states of its dropout layers' seed generators, so that a resumed training draws the
    same numbers as an uninterrupted one.

    Args:
        keras_object: the model or the optimizer; build it first, `optimizer.build(model.trainable_variables)`.

    Raises:
        UsageError: if it has no variables yet.
    """

    def __init__(self, keras_object: _HasVariables) -> None:
        if not keras_object.variables:
            raise UsageError(f"KerasState: {type(keras_object).__name__} has no variables yet; build it first")
        self._keras_object = keras_object

    def state_dict(self) -> dict[str, Tensor]:
        """Returns copies of all variables, named by their positions.

        Keras's own names contain a counter per process, so the same model has other names when it is built again.

        Raises:
            UsageError: if torch, whose tensors they are, is not installed.
        """
        require_torch("KerasState")
        import torch

        return {name: torch.tensor(variable.numpy()) for name, variable in self._named().items()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Sets all variables.

        Args:
            state: tensors by name, as `state_dict` returns them.

        Raises:
            TrainableError: if they do not match the number and shapes of the variables.
        """
        named = self._named()
        if {name: tuple(one.shape) for name, one in named.items()} != {
            name: tuple(tensor.shape) for name, tensor in state.items()
        }:
            raise TrainableError(
                f"KerasState: the saved variables do not match this {type(self._keras_object).__name__}: expected "
                f"{len(named)} with the same shapes, got {len(state)}"
            )
        for name, variable in named.items():
            variable.assign(state[name].cpu().numpy())

    def _named(self) -> dict[str, Any]:
        return {f"{index:04d}": variable for index, variable in enumerate(self._keras_object.variables)}
