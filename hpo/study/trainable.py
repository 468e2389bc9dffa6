"""Imports a trainable by its dotted path, and reads its signature."""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import inspect
import os
import sys
import traceback
import typing
from collections.abc import Callable, Collection, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import partial, wraps
from pathlib import Path
from types import ModuleType
from typing import Any

from hpo.core.code import UNKNOWN, Code
from hpo.core.errors import HpoError, UsageError, did_you_mean
from hpo.core.installed import extra_with, install_line
from hpo.core.isolation import in_project, restored
from hpo.core.protocols import TrainableRef
from hpo.study.annotations import hints_of
from hpo.study.command import LoadedCommand
from hpo.study.defaults import defaults_of
from hpo.study.functions import is_of_session, session_code
from hpo.study.hooks import HookName
from hpo.study.params import CONTEXT, TRIAL, Arguments, arguments_of, call
from hpo.study.project_code import code_of
from hpo.study.relative_paths import located

Trainable = Callable[..., object]


@dataclass(frozen=True, slots=True)
class Loaded:
    """An imported trainable.

    Attributes:
        train: the function, which yields, reports or returns its metrics.
        arguments: the arguments of the function.
        module: its module, which may also have hooks that hpo calls by name, such as `prepare(params, cache, tell)`.
        project: the project's folder, to which relative paths refer.
        known_code: code of a function of a session, from the driver; empty: it is read here.
        is_of_session: whether the function exists only in a session and cannot be imported.
    """

    train: Trainable
    arguments: Arguments
    module: ModuleType
    project: Path
    known_code: Code = UNKNOWN
    is_of_session: bool = False

    @property
    def params(self) -> Any:
        """The type that holds the params, or the trainable itself if each param is an argument."""
        return self.arguments.params

    @property
    def is_generator(self) -> bool:
        """Whether the trainable yields its metrics."""
        return inspect.isgeneratorfunction(self.train)

    def hook(self, name: HookName) -> Callable[..., Any] | None:
        """Returns a function of `TrainableHooks`, wrapped as described there; None if the module does not have it.

        Args:
            name: name of the hook.
        """
        found = getattr(self.module, name, None)
        if not callable(found):
            return None

        @wraps(found)  # keeps its signature readable
        def guarded(*args: object, **kwargs: object) -> object:
            try:
                with in_project(self.project), redirect_stdout(sys.stderr):  # stdout is for data, e.g. of --json
                    return found(*args, **kwargs)
            except (HpoError, KeyboardInterrupt):
                raise
            except BaseException as error:  # user code, including panics of native code
                raise UsageError(_hook_failure(name, found, error)) from error

        return guarded

    def defaults(self, given: Collection[str], root: str | Path) -> dict[str, object]:
        """Returns the defaults that apply if only `given` is set, as JSON values by name.

        Args:
            given: names of the params that are set.
            root: the project's folder.
        """
        return defaults_of(self.params, given, root)

    def code(self, root: str | Path) -> Code:
        """Returns the files of the project that the trainable is made of, as this process runs them.

        For a function of a session it also has the names that the function uses, and a worker uses the driver's digest.
        """
        if self.is_of_session:
            return self.known_code if self.known_code.digest else session_code(self.train, root)
        return code_of(self.module, root)

    def start(self, params: Mapping[str, object], context: object) -> object:
        """Calls the trainable. A generator function has run nothing yet when it returns its generator.

        Args:
            params: values of the params by name.
            context: the training's Context.
        """
        if self.arguments.is_objective:
            return typing.cast(Any, context).trial.train(self.train)
        given = located(params, self.params, hints_of(self.params), self.project)
        return call(self.train, self.arguments.of(given, context))


def _hook_failure(name: str, function: Callable[..., Any], error: BaseException) -> str:
    """Returns a sentence on the exception of a module's function and where it was raised."""
    where = traceback.extract_tb(error.__traceback__)[-1]
    module = getattr(function, "__module__", "its module")
    place = f"{Path(where.filename).name}, line {where.lineno}"
    return f"{name}() of {module} failed: {type(error).__name__}: {error} ({place})"


def load(ref: TrainableRef) -> Loaded | LoadedCommand:
    """Imports a trainable; nothing is imported for a command.

    Raises:
        UsageError: if there is no such module or function, or hpo cannot tell how to call it.
    """
    if ref.command is not None:
        return LoadedCommand(ref.command)
    module_name, _, name = ref.path.partition(":")
    if ref.function is not None:
        return _loaded(ref.function, ModuleType(module_name), ref)  # a function without a module has no hooks
    if is_of_session(ref.path):
        raise UsageError(
            f"trainable {ref.path!r} is a function of a session and cannot be imported; give hpo.Study the function "
            'itself, or put it into a module of the project: trainable = "train:train"'
        )
    module = import_module_of(ref.path, ref.root)
    return _loaded(_function(module, name, ref), module, ref)


def import_module_of(path: str, root: str, what: str = "trainable") -> ModuleType:
    """Imports the module of a trainable, or of another object, from the project's folder.

    Args:
        path: the object as `module:name`; the module need not have that name.
        root: the project's folder, which is added to the import path.
        what: what the object is, for messages.

    Raises:
        UsageError: if there is no such module, or it cannot be imported.
    """
    module_name, _, name = path.partition(":")
    if not all(part.isidentifier() for part in [*module_name.split("."), name]):
        raise UsageError(f"{what} {path!r} must be 'module:function', e.g. 'models.density:train'")
    return _module(module_name, root, f"{what} {path!r}")


def _loaded(train: Trainable, module: ModuleType, ref: TrainableRef) -> Loaded:
    is_async = inspect.iscoroutinefunction(train) or inspect.isasyncgenfunction(train)
    if inspect.isclass(train) or isinstance(train, partial) or is_async:
        kind = "an async function" if is_async else "a class" if inspect.isclass(train) else "a functools.partial"
        raise UsageError(
            f"trainable {ref.path!r} must be a function or a generator function, not {kind}; it must yield the "
            "metrics of each epoch, e.g. `yield {'val_loss': loss}`, or call `ctx.report({'val_loss': loss})`, or "
            "return them"
        )
    project, session = Path(ref.root).absolute(), ref.function is not None
    return Loaded(train, arguments_of(train, ref.path), module, project, ref.code, session)


def _module(name: str, root: str, who: str) -> ModuleType:
    if root not in sys.path:
        sys.path.insert(0, root)
        importlib.invalidate_caches()
    _prefer_folder(name.partition(".")[0], root)
    try:
        # What a module changes on import stays, except what the driver itself needs. Stdout is for data: the output of
        # a module must not end up in --json.
        with restored("working directory", "umask", "signal handlers"), redirect_stdout(sys.stderr):
            module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            above = name.partition(".")[0]
            _refuse_other_project(sys.modules.get(above), above, root, who)
            raise UsageError(f"{who}: no module {error.name!r} in {root} or installed") from error
        extra = extra_with((error.name or "").partition(".")[0])
        hint = f": {install_line(extra)}" if extra else ""
        raise UsageError(f"{who} cannot be imported: it needs {error.name!r}, which is not installed{hint}") from error
    except (Exception, SystemExit) as error:  # a user's module may raise anything
        raise UsageError(f"{who} cannot be imported: {type(error).__name__}: {error}") from error
    _refuse_other_project(module, name, root, who)
    return module


def _prefer_folder(name: str, root: str) -> None:
    """Imports a folder of the project without an `__init__.py` as a package.

    Python itself would prefer an installed package of that name, e.g. `models`.
    """
    spec = None
    if name not in sys.modules and os.path.isdir(Path(root) / name):  # Path.is_dir raises if the name is too long
        spec = importlib.machinery.PathFinder.find_spec(name, [root])
    if spec is not None and spec.loader is None:
        sys.modules[name] = importlib.util.module_from_spec(spec)


def _refuse_other_project(module: object, name: str, root: str, who: str) -> None:
    """Raises if another project's package of that name is imported: a process can import a name from one place only."""
    top = Path(root) / name.partition(".")[0]
    here = getattr(module, "__file__", None)
    if here and (top.is_dir() or top.with_suffix(".py").is_file()) and not Path(here).is_relative_to(Path(root)):
        raise UsageError(f"{who} is in {root}, but this process has imported {name!r} from {here}; use a new process")


def _function(module: object, name: str, ref: TrainableRef) -> Trainable:
    function = getattr(module, name, None)
    if not callable(function):
        own = getattr(module, "__name__", "")
        known = sorted(
            key for key, value in vars(module).items() if _may_be_trainable(value) and value.__module__ == own
        )
        found = f" Trainables in it: {', '.join(known)}." if known else " No function in it yields, or takes a `ctx`."
        raise UsageError(
            f"trainable {ref.path!r}: no function {name!r} in its module.{found}{did_you_mean(name, known)}"
        )
    is_object = inspect.isfunction(
        inspect.getattr_static(type(function), "__call__", None)
    )  # one that holds e.g. the data
    return typing.cast(Trainable, function.__call__ if is_object else function)


def _may_be_trainable(value: object) -> bool:
    if not inspect.isfunction(value):
        return False
    takes = inspect.signature(value).parameters
    return inspect.isgeneratorfunction(value) or any(name in takes for name in (*CONTEXT, TRIAL))
