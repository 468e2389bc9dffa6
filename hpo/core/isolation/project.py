"""Restores what a training changes in the project's modules, and functions of other modules that it replaces.

Global variables are restored: their values, the content of lists, dicts and sets, the state of generators, the
attributes of classes. `functools.cache` is kept, so that trainings of one process can share prepared data. A module
first imported during the training is removed, so that the next training imports it again.
"""

from __future__ import annotations

import copy
import random
import sys
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import numpy as np

PATCHABLE = (
    "builtins",
    "time",
    "random",
    "os",
    "math",
    "json",
    "numpy",
    "numpy.random",
    "torch",
    "torch.nn.functional",
)
"""Other modules whose functions are sometimes monkeypatched."""

MAX_ENTRIES = 100_000
"""Larger containers are treated as data and not restored."""

_CONTAINERS = (list, dict, set, deque, bytearray, OrderedDict, defaultdict, Counter)
_NOT_OF_PROJECTS = ("hpo", "__main__", "")
_SKIPPED = {"__builtins__", "__cached__", "__doc__", "__file__", "__loader__", "__name__", "__package__", "__path__"}


class ProjectState:
    """The state of a project's modules when a training begins.

    Args:
        root: the project's folder.
        trainable: the module of the trainable; it and the project modules that it uses are saved, but not a script
            that drives the study.
    """

    def __init__(self, root: Path, trainable: str) -> None:
        self._root = root
        self._undo: list[Callable[[], None]] = []
        self._names: list[tuple[ModuleType, dict[str, Any]]] = []
        self._imported: set[str] = set()
        seen: set[int] = set()
        for name in self._reached(trainable):
            module = sys.modules[name]
            names = {key: value for key, value in vars(module).items() if key not in _SKIPPED}
            self._names.append((module, names))
            for value in names.values():
                self._note(value, name, seen)
        self._replaceable = [(name, of, _callables(of)) for name in PATCHABLE if (of := sys.modules.get(name))]

    def imported(self, names: Iterable[str]) -> None:
        """Records modules that were first imported during the training."""
        self._imported |= {name for name in names if self._is_own(name)}

    def restore(self) -> None:
        """Restores everything that changed."""
        for name in self._imported:
            gone = sys.modules.pop(name, None)
            above, _, last = name.rpartition(".")
            if gone is not None and getattr(sys.modules.get(above), last, None) is gone:
                delattr(sys.modules[above], last)
        for module, names in self._names:
            now = vars(module)
            for key in [key for key in now if key not in names and key not in _SKIPPED]:
                if not isinstance(now[key], ModuleType):
                    del now[key]
            for key, value in names.items():
                if now.get(key, self) is not value:
                    now[key] = value
        for undo in self._undo:
            undo()
        for name, module, functions in self._replaceable:
            if sys.modules.get(name) is module:
                now = vars(module)
                for key, function in functions.items():
                    if now.get(key, function) is not function:
                        now[key] = function

    def _reached(self, trainable: str) -> list[str]:
        """Returns the names of the project's modules that the trainable's module refers to, directly or not."""
        found = [trainable] if self._is_own(trainable) else []
        for name in found:
            above = [name.rpartition(".")[0]]
            for value in list(vars(sys.modules[name]).values()):
                of = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
                above.append(of if isinstance(of, str) else "")
            found += [one for one in dict.fromkeys(above) if one not in found and self._is_own(one)]
        return found

    def _is_own(self, name: str) -> bool:
        if name.partition(".")[0] in _NOT_OF_PROJECTS:
            return False
        file = getattr(sys.modules.get(name), "__file__", None)
        return isinstance(file, str) and is_of_project(file, self._root)

    def _note(self, value: Any, module: str, seen: set[int]) -> None:
        """Records how to restore a value's content."""
        if id(value) in seen:
            return
        seen.add(id(value))
        kind = type(value)
        if kind in _CONTAINERS and len(value) <= MAX_ENTRIES:
            content = kind(value) if kind is not defaultdict else dict(value)
            self._undo.append(lambda: _refill(value, content))
        elif isinstance(value, np.random.Generator):
            state = copy.deepcopy(value.bit_generator.state)
            self._undo.append(lambda: setattr(value.bit_generator, "state", state))
        elif isinstance(value, np.random.RandomState):
            old = value.get_state()
            self._undo.append(lambda: value.set_state(old))
        elif isinstance(value, random.Random) and not isinstance(value, random.SystemRandom):
            drawn = value.getstate()
            self._undo.append(lambda: value.setstate(drawn))
        elif (torch := sys.modules.get("torch")) is not None and isinstance(value, torch.Generator):
            tensor = value.get_state()
            self._undo.append(lambda: value.set_state(tensor) and None)
        elif isinstance(value, type) and value.__module__ == module:
            self._note_class(value, module, seen)
        elif isinstance(value, FunctionType) and value.__module__ == module:
            for default in (*(value.__defaults__ or ()), *(value.__kwdefaults__ or {}).values(), *vars(value).values()):
                self._note(default, module, seen)

    def _note_class(self, cls: type, module: str, seen: set[int]) -> None:
        attributes = {key: value for key, value in vars(cls).items() if not key.startswith("__")}

        def undo() -> None:
            now = {key: value for key, value in vars(cls).items() if not key.startswith("__")}
            for key in now.keys() - attributes.keys() - {"_abc_impl"}:
                delattr(cls, key)
            for key, value in attributes.items():
                if now.get(key, undo) is not value:
                    setattr(cls, key, value)

        self._undo.append(undo)
        for value in attributes.values():
            self._note(value, module, seen)


def is_of_project(file: str, root: Path) -> bool:
    """Whether a source file belongs to the project rather than to an installed package."""
    path = Path(file)
    return path.is_relative_to(root) and not {"site-packages", "dist-packages"} & set(path.parts)


def _callables(module: ModuleType) -> dict[str, Any]:
    return {key: value for key, value in vars(module).items() if not key.startswith("_") and callable(value)}


def _refill(container: Any, content: Any) -> None:
    """Restores a container's old items by identity, without comparing or copying them."""
    if isinstance(container, bytearray):
        container[:] = content
        return
    if len(container) == len(content):
        if isinstance(container, dict):
            same = all(key in container and container[key] is value for key, value in content.items())
        elif isinstance(container, set):
            same = container == content
        else:
            same = all(one is other for one, other in zip(container, content, strict=True))
        if same:
            return
    container.clear()
    if isinstance(container, dict | set):
        container.update(content)
    else:
        container.extend(content)
