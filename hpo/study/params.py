"""How a trainable takes its params: as one object or as one argument each; and their defaults."""

from __future__ import annotations

import dataclasses
import inspect
import sys
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass, is_dataclass
from typing import Any, cast, get_origin

from hpo.core.errors import UsageError
from hpo.study.annotations import hints_of

NONE = inspect.Parameter.empty
"""Marks a missing default, because None may be a default."""

WHOLE = ("params", "config", "cfg", "hparams")
"""Names of an argument that, without a type annotation, gets all params as a dict."""

CONTEXT = ("ctx", "context")
"""Names of an argument that gets the Context even without an annotation."""

TRIAL = "trial"
"""Name of the argument of an Optuna objective, which may also take a `seed`."""

FORMS = (
    "`def train(params: Params, ctx)` with a dataclass, a pydantic model, an attrs class or a dict, "
    "or `def train(lr: float, width: int = 16, *, ctx)` with an argument for each param"
)


@dataclass(frozen=True, slots=True)
class Field:
    """One param of a trainable.

    Attributes:
        default: value if the param is not set; `NONE` if there is none, or if a factory makes it.
        factory: makes a new default for each training; None: there is no factory.
    """

    default: object = NONE
    factory: Callable[[], object] | None = None

    @property
    def is_required(self) -> bool:
        """Whether the param must be set."""
        return self.default is NONE and self.factory is None


@dataclass(frozen=True, slots=True)
class Arguments:
    """The arguments that a trainable is called with.

    Attributes:
        params: the type that holds all params, or the trainable itself if each param is an argument.
        whole: name of the argument that gets an object of that type; empty if each param is an argument.
        context: name of the argument that gets the Context; empty if the trainable does not take it.
        is_objective: whether it is an Optuna objective, which gets the Context's trial.
        is_config: whether the whole is a config of OmegaConf, which is made of a dict.
    """

    params: Any
    whole: str
    context: str
    is_objective: bool = False
    is_config: bool = False

    def of(self, params: Mapping[str, object], context: object) -> dict[str, object]:
        """Returns the arguments of one training by name.

        Args:
            params: values of the params by name.
            context: the training's Context.
        """
        given = {self.whole: self.params(**params)} if self.whole else dict(params)
        if self.is_config:
            given = {self.whole: sys.modules["omegaconf"].OmegaConf.create(given[self.whole])}
        return {**given, **({self.context: context} if self.context else {})}


def arguments_of(train: Callable[..., object], path: str) -> Arguments:
    """Reads a trainable's signature.

    Args:
        train: the trainable's function.
        path: its path `module:function`, for messages.

    Raises:
        UsageError: if hpo cannot tell how to call it.
    """
    try:
        arguments = inspect.signature(train).parameters
        hints = hints_of(train)
    except Exception as error:
        raise UsageError(f"trainable {path!r}: its annotations cannot be read: {error}") from error
    for name, one in arguments.items():
        if one.kind is one.VAR_POSITIONAL:
            raise UsageError(f"trainable {path!r} takes *{name}, but params have names: {FORMS}")
    if _is_objective(arguments, hints):
        return Arguments(dict, "", "", is_objective=True)
    names = [name for name, one in arguments.items() if one.kind is not one.VAR_KEYWORD]
    untyped = [name for name in WHOLE if name in names and hints.get(name, Any) in (Any, object)]
    whole = next((name for name in names if name in untyped or _is_whole(hints.get(name))), "")
    context = next((name for name in names if _is_context(hints.get(name))), "")
    context = context or next((name for name in CONTEXT if name in names and name != whole), "")
    others = [name for name in names if name not in (whole, context)]
    if whole and not context and len(others) == 1:  # the second of two arguments is the Context, whatever its name
        context = others.pop()
    if whole and others:
        raise UsageError(
            f"trainable {path!r} takes {', '.join(others)} besides {whole}, which holds all params; it must be {FORMS}"
        )
    if not whole:
        return Arguments(train, "", context)
    is_config = _is_config(hints.get(whole))
    is_dict = whole in untyped or _is_mapping(hints[whole]) or is_config
    return Arguments(dict if is_dict else hints[whole], whole, context, is_config=is_config)


def call(train: Callable[..., object], arguments: Mapping[str, object]) -> object:
    """Calls a trainable.

    Args:
        train: the trainable's function.
        arguments: its arguments by name, including positional-only ones.
    """
    named = dict(arguments)
    kinds = {name: one.kind for name, one in inspect.signature(train).parameters.items()}
    unnamed = [name for name, kind in kinds.items() if kind is inspect.Parameter.POSITIONAL_ONLY and name in named]
    return train(*[named.pop(name) for name in unnamed], **named)


def fields_of(params: Any) -> dict[str, Field]:
    """Returns the params by name with their defaults; empty for a dict, whose params are unknown.

    Args:
        params: the type that holds the params, or the trainable itself; see `Arguments`.
    """
    if params is dict:
        return {}
    if is_dataclass(params):
        return {one.name: _of_dataclass(one) for one in dataclasses.fields(params) if one.init}
    if _is_pydantic(params):
        return {one.alias or name: _of_pydantic(one) for name, one in params.model_fields.items()}
    if _is_attrs(params):
        return {one.alias: _of_attrs(one.default) for one in params.__attrs_attrs__ if one.init}
    arguments, context = inspect.signature(params).parameters, arguments_of(params, "").context
    return {
        name: Field(one.default)
        for name, one in arguments.items()
        if name != context and one.kind is not one.VAR_KEYWORD
    }


def takes_any(params: Any) -> bool:
    """Whether any param name is accepted.

    Args:
        params: the type that holds the params, or the trainable itself; see `Arguments`.
    """
    if _is_pydantic(params):
        return bool(params.model_config.get("extra") == "allow")
    if isinstance(params, type):
        return params is dict
    return any(one.kind is one.VAR_KEYWORD for one in inspect.signature(params).parameters.values())


def _is_objective(arguments: Mapping[str, inspect.Parameter], hints: Mapping[str, Any]) -> bool:
    """Whether a function takes an Optuna trial, and requires at most a seed besides."""
    needed = [name for name, one in arguments.items() if one.default is NONE and one.kind is not one.VAR_KEYWORD]
    hint = hints.get(TRIAL, Any)
    of_optuna = hint in (Any, object) or str(getattr(hint, "__module__", "")).split(".")[0] == "optuna"
    return needed in ([TRIAL], [TRIAL, "seed"]) and next(iter(arguments)) == TRIAL and of_optuna


def _is_whole(hint: Any) -> bool:
    """Whether an annotation is a type that holds all params."""
    is_type = isinstance(hint, type) and (is_dataclass(hint) or _is_pydantic(hint) or _is_attrs(hint))
    return (is_type and not _is_context(hint)) or _is_mapping(hint) or _is_config(hint)


def _is_mapping(hint: Any) -> bool:
    return (get_origin(hint) or hint) in (dict, Mapping, MutableMapping)


def _is_context(hint: Any) -> bool:
    return isinstance(hint, type) and (hint.__module__, hint.__name__) == ("hpo.training.context", "Context")


def _of_dataclass(one: Any) -> Field:
    if one.default_factory is not dataclasses.MISSING:
        return Field(factory=one.default_factory)
    return Field() if one.default is dataclasses.MISSING else Field(one.default)


# None of these libraries is imported here: code that has a class of it has already imported it.


def _is_pydantic(params: Any) -> bool:
    return hasattr(params, "model_fields") and hasattr(params, "model_validate")


def _of_pydantic(one: Any) -> Field:
    if one.default_factory is not None:
        return Field(factory=one.default_factory)
    return Field() if one.is_required() else Field(one.default)


def _is_config(hint: Any) -> bool:
    name = getattr(hint, "__name__", "")
    return name == "DictConfig" and getattr(hint, "__module__", "").split(".")[0] == "omegaconf"


def _is_attrs(params: Any) -> bool:
    return isinstance(params, type) and hasattr(params, "__attrs_attrs__")


def _of_attrs(default: Any) -> Field:
    attr = cast(Any, sys.modules["attr"])
    if isinstance(default, attr.Factory):
        return Field(factory=default.factory)
    return Field() if default is attr.NOTHING else Field(default)
