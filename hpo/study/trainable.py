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
from functools import wraps
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
    """A trainable that was found.

    Attributes:
        train: the function, which yields its metrics, or reports or returns them.
        arguments: what the function takes.
        module: where it is; besides the trainable it may have functions that hpo calls by their names, such as
            `prepare(params, cache, tell)`.
        project: the project's folder, which relative paths mean.
        known_code: of a function of a session, as its driver sees it; empty: it is read here.
        is_of_session: whether no import gives the function.
    """

    train: Trainable
    arguments: Arguments
    module: ModuleType
    project: Path
    known_code: Code = UNKNOWN
    is_of_session: bool = False

    @property
    def params(self) -> Any:
        """The type that holds the params, or the trainable itself where each is an argument of its own."""
        return self.arguments.params

    @property
    def is_generator(self) -> bool:
        """Whether the trainable yields its metrics."""
        return inspect.isgeneratorfunction(self.train)

    def hook(self, name: HookName) -> Callable[..., Any] | None:
        """Returns one of the functions in `TrainableHooks`, if the module has it; it keeps what is promised there.

        Args:
            name: of the function.
        """
        found = getattr(self.module, name, None)
        if not callable(found):
            return None

        @wraps(found)  # so that its signature can be asked for
        def guarded(*args: object, **kwargs: object) -> object:
            try:
                with in_project(self.project), redirect_stdout(sys.stderr):  # stdout is for data, e.g. of --json
                    return found(*args, **kwargs)
            except (HpoError, KeyboardInterrupt):
                raise
            except BaseException as error:  # code of the user's own, native code that panics included
                raise UsageError(_hook_failure(name, found, error)) from error

        return guarded

    def defaults(self, given: Collection[str], root: str | Path) -> dict[str, object]:
        """Returns the defaults of the params that count where only `given` is set, as JSON values by name.

        Args:
            given: names of the params that are set.
            root: the project's folder.
        """
        return defaults_of(self.params, given, root)

    def code(self, root: str | Path) -> Code:
        """Returns the files of the project that the trainable is made of, as this process runs them.

        Of a function of a session these are its names too, and a worker takes the driver's word.
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
    """Returns what a module's function raised and where, in one sentence."""
    where = traceback.extract_tb(error.__traceback__)[-1]
    module = getattr(function, "__module__", "its module")
    place = f"{Path(where.filename).name}, line {where.lineno}"
    return f"{name}() of {module} failed: {type(error).__name__}: {error} ({place})"


def load(ref: TrainableRef) -> Loaded | LoadedCommand:
    """Imports a trainable; of a command nothing is imported.

    Raises:
        UsageError: if there is no such module or function, or hpo would not know what to call it with.
    """
    if ref.command is not None:
        return LoadedCommand(ref.command)
    module_name, _, name = ref.path.partition(":")
    if ref.function is not None:
        return _loaded(ref.function, ModuleType(module_name), ref)  # hooks are a module's
    if is_of_session(ref.path):
        raise UsageError(
            f"trainable {ref.path!r} is a function of a session, which no import gives; give hpo.Study the function "
            'itself, or put it into a module of the project: trainable = "train:train"'
        )
    module = import_module_of(ref)
    return _loaded(_function(module, name, ref), module, ref)


def import_module_of(ref: TrainableRef) -> ModuleType:
    """Imports the module of a trainable, from its project's folder.

    Args:
        ref: the trainable, whose function need not exist.

    Raises:
        UsageError: if there is no such module, or it cannot be imported.
    """
    module_name, _, name = ref.path.partition(":")
    if not all(part.isidentifier() for part in [*module_name.split("."), name]):
        raise UsageError(f"trainable {ref.path!r} must be 'module:function', e.g. 'models.density:train'")
    return _module(module_name, ref)


def _loaded(train: Trainable, module: ModuleType, ref: TrainableRef) -> Loaded:
    if inspect.isclass(train) or inspect.iscoroutinefunction(train) or inspect.isasyncgenfunction(train):
        came = "a class" if inspect.isclass(train) else "an async function"
        raise UsageError(
            f"trainable {ref.path!r} is no generator function and no plain function, but {came}; it must yield the "
            "metrics of each epoch, e.g. `yield {'val_loss': loss}`, or call `ctx.report({'val_loss': loss})`, or "
            "return them"
        )
    project, session = Path(ref.root).absolute(), ref.function is not None
    return Loaded(train, arguments_of(train, ref.path), module, project, ref.code, session)


def _module(name: str, ref: TrainableRef) -> ModuleType:
    if ref.root not in sys.path:
        sys.path.insert(0, ref.root)
        importlib.invalidate_caches()
    _prefer_folder(name.partition(".")[0], ref.root)
    try:
        # What a module sets up when it is imported lasts, but for what the driver itself stands on. Stdout is for data:
        # what a module prints must not spoil --json.
        with restored("working directory", "umask", "signal handlers"), redirect_stdout(sys.stderr):
            module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            above = name.partition(".")[0]
            _refuse_other_project(sys.modules.get(above), above, ref)
            raise UsageError(f"trainable {ref.path!r}: no module {error.name!r} in {ref.root} or installed") from error
        extra = extra_with((error.name or "").partition(".")[0])
        hint = f": {install_line(extra)}" if extra else ""
        raise UsageError(
            f"trainable {ref.path!r} cannot be imported: it needs {error.name!r}, which is not installed{hint}"
        ) from error
    except (Exception, SystemExit) as error:  # whatever a user's module raises, it cannot be imported
        raise UsageError(f"trainable {ref.path!r} cannot be imported: {type(error).__name__}: {error}") from error
    _refuse_other_project(module, name, ref)
    return module


def _prefer_folder(name: str, root: str) -> None:
    """Imports a folder of the project without an `__init__.py` as a package.

    Python itself would rather take a package of that name that is installed, e.g. one that is called models.
    """
    spec = None
    if name not in sys.modules and os.path.isdir(Path(root) / name):  # Path.is_dir raises for a name that is too long
        spec = importlib.machinery.PathFinder.find_spec(name, [root])
    if spec is not None and spec.loader is None:
        sys.modules[name] = importlib.util.module_from_spec(spec)


def _refuse_other_project(module: object, name: str, ref: TrainableRef) -> None:
    """One process can import a package name from one place only; never train another project's code by mistake."""
    top = Path(ref.root) / name.partition(".")[0]
    here = getattr(module, "__file__", None)
    if here and (top.is_dir() or top.with_suffix(".py").is_file()) and not Path(here).is_relative_to(Path(ref.root)):
        raise UsageError(
            f"trainable {ref.path!r} is in {ref.root}, but this process has imported {name!r} from {here}; "
            "use a new process"
        )


def _function(module: object, name: str, ref: TrainableRef) -> Trainable:
    function = getattr(module, name, None)
    if not callable(function):
        own = getattr(module, "__name__", "")
        known = sorted(
            key for key, value in vars(module).items() if _may_be_trainable(value) and value.__module__ == own
        )
        found = f" Trainables there: {', '.join(known)}." if known else " No function there yields, or takes a `ctx`."
        raise UsageError(
            f"trainable {ref.path!r}: no function {name!r} in its module.{found}{did_you_mean(name, known)}"
        )
    return typing.cast(Trainable, function)


def _may_be_trainable(value: object) -> bool:
    if not inspect.isfunction(value):
        return False
    takes = inspect.signature(value).parameters
    return inspect.isgeneratorfunction(value) or any(name in takes for name in (*CONTEXT, TRIAL))
