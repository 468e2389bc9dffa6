"""The study of a Ray Tune function and its search space."""

from __future__ import annotations

import ast
import inspect
import math
import operator
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from hpo.core.errors import Problem, StudyInvalid, UsageError, did_you_mean
from hpo.core.records import Value
from hpo.driver.conversion import UNKNOWN_BUDGET, Converted, constants_of, steps_of, write_converted
from hpo.driver.init import InitOutcome
from hpo.study.params import WHOLE
from hpo.study.space import Dimension, count
from hpo.study.table import dotted
from hpo.study.trainable import import_module_of
from hpo.study.validation import SEED_LIKE

METRIC = "loss"
"""Name of the metric where the module does not say one."""


KEYWORDS = ("param_space", "config")
"""Names of arguments that a search space is given as."""

DOMAINS = {
    *("uniform", "quniform", "loguniform", "qloguniform", "randint", "qrandint", "lograndint", "qlograndint", "randn"),
    *("qrandn", "choice", "sample_from", "grid_search"),
}
"""Functions of `ray.tune` by which a search space is told."""


OF_TUNE = ("report", "get_checkpoint", "get_context")
"""Functions of `ray.tune` for a training; older modules of Ray have functions of the same names."""

OWNERS = ("tune", "ray.tune", "ctx", "")
"""Whose functions of these names a training may call; the last ones may be imported from `ray.tune`."""

ARITHMETIC: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Pow: operator.pow,
}
"""Operations on numbers in a search space."""


def init_from_ray(path: str, folder: str | Path = ".", name: str | None = None) -> InitOutcome:
    """Writes the study of a Ray Tune function and the search space beside it.

    Args:
        path: the function or its search space, as `module:name`; the other one is found in the module.
        folder: the project's folder, which the module is imported from.
        name: name of the study; None: that of the module.

    Raises:
        StudyInvalid: if the search space has what hpo does not have; the message lists all problems.
        UsageError: if the function or the search space is not found, or the study's file exists.
        OutputRefused: if the study's file cannot be written.
    """
    root = Path(os.path.abspath(folder))
    return write_converted(read_tune(path, root), root, name)


def read_tune(path: str, root: Path) -> Converted:
    """Returns the study of a Ray Tune function.

    Args:
        path: the function or its search space, as `module:name`.
        root: the project's folder.

    Raises:
        StudyInvalid: if the search space has what hpo does not have.
        UsageError: if the function or the search space is not found.
    """
    from hpo.backends.ray.search_space import (
        dimension_of,
        is_computed,
        is_grid,
        is_search_space,
    )  # takes a second to import

    module = import_module_of(path, str(root))
    where, _, given = path.partition(":")
    functions = {key: one for key, one in vars(module).items() if _is_trainable(one, module)}
    spaces = {key: one for key, one in (*_tables_in(module), *vars(module).items()) if is_search_space(one)}
    if given not in functions and given not in spaces:
        known = [*functions, *spaces]
        raise UsageError(
            f"{path} is neither a function of config nor a search space with tune.uniform(...) and the like "
            f"(there: {', '.join(known) or 'none'}).{did_you_mean(given, known)}"
        )
    function = given if given in functions else _only(functions, "function of config", where)
    space = spaces[given if given in spaces else _only(spaces, "search space", where)]
    dimensions: dict[str, Dimension] = {}
    fixed: dict[str, Value] = {}
    problems: list[Problem] = []
    remarks: list[str] = []
    for key, value in space.items():
        if isinstance(value, ast.expr):
            remarks.append(f"{key}: is left out, as {ast.unparse(value)} is not read; put it into [space] or [fixed].")
            continue
        if is_computed(value):
            remarks.append(
                f"{key}: is left out, as sample_from is no range; give it one in [space], or let {function} compute it."
            )
            continue
        try:
            found = dimension_of(value)
        except ValueError as error:
            problems.append(Problem(dotted(str(key)), str(error)))
            continue
        if SEED_LIKE.search(str(key)):
            fixed[key] = found if isinstance(found, Value) else 0
            remarks.append(
                f"{key}: is fixed, as a search would pick the luckiest seed; write hpo.seeded(config[{key!r}]) in "
                f"{function}, which is the seed of each training."
            )
        elif isinstance(found, Value):
            fixed[key] = found
        else:
            dimensions[key] = found
    if problems:
        raise StudyInvalid(path, problems)
    grids = [key for key, value in space.items() if is_grid(value)]
    content = {
        "trainable": f"{where}:{function}",
        "objective": _objective(module, remarks),
        "space": dimensions,
        "fixed": fixed,
        "search": {
            **_trials(module, dimensions, grids, remarks),
            **_steps(functions[function], module, remarks),
        },
    }
    return Converted(content=content, name=where.rpartition(".")[2], source=path, remarks=tuple(remarks))


def _tables_in(module: ModuleType) -> Iterator[tuple[str, object]]:
    """Yields the search spaces that are written inside functions, or below `if __name__ == "__main__":`, by name."""
    for node in ast.walk(_source(module)):
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            name, value = node.targets[0].id, node.value
        elif isinstance(node, ast.keyword) and node.arg in KEYWORDS:
            name, value = node.arg, node.value
        else:
            continue
        if isinstance(value, ast.Dict) and any(_domain_in(one) for one in value.values):
            keys = [one.value if isinstance(one, ast.Constant) else "" for one in value.keys]
            yield name, {str(key): _entry(one, module) for key, one in zip(keys, value.values, strict=True) if key}


def _domain_in(node: ast.AST) -> str | None:
    """Returns which function of `ray.tune` an expression calls; None: it is something else."""
    name = ast.unparse(node.func).rpartition(".")[2] if isinstance(node, ast.Call) else ""
    return name if name in DOMAINS else None


def _entry(node: ast.expr, module: ModuleType) -> object:
    """Returns what an expression says as far as it can be read without running it, else the expression itself."""
    from hpo.backends.ray.search_space import domain  # takes a second to import

    def value(one: ast.expr) -> Any:
        known = isinstance(one, ast.Name) and one.id in vars(module)
        return vars(module)[one.id] if known and isinstance(one, ast.Name) else _evaluated(one)

    try:
        if isinstance(node, ast.Call) and (name := _domain_in(node)) is not None:
            given = [] if name == "sample_from" else node.args
            keywords = {str(one.arg): value(one.value) for one in node.keywords}
            return domain(name, [value(one) for one in given], keywords)
        return value(node)
    except (ValueError, TypeError, SyntaxError, AssertionError, ArithmeticError):
        return node


def _evaluated(node: ast.expr, drawn: Mapping[str, object] | None = None) -> Any:
    """Returns the value of a literal, or of numbers that are computed from `range`, as in `[2**i for i in range(9)]`.

    Args:
        node: the expression as it is written.
        drawn: values of the names that a comprehension defines.

    Raises:
        ValueError: if it is something else.
    """
    drawn = drawn or {}
    match node:
        case ast.Name(id=name) if name in drawn:
            return drawn[name]
        case ast.List(elts=parts) | ast.Tuple(elts=parts):
            return [_evaluated(part, drawn) for part in parts]
        case ast.BinOp(left=left, op=sign, right=right) if type(sign) in ARITHMETIC:
            ends = _evaluated(left, drawn), _evaluated(right, drawn)
            if all(isinstance(end, int | float) for end in ends):
                return ARITHMETIC[type(sign)](*ends)
        case ast.Call(func=ast.Name(id="range"), args=ends, keywords=[]):
            return range(*(_evaluated(end, drawn) for end in ends))
        case ast.ListComp(elt=part, generators=[ast.comprehension(target=ast.Name(id=name), iter=values, ifs=[])]):
            return [_evaluated(part, {**drawn, name: value}) for value in _evaluated(values, drawn)]
    return ast.literal_eval(node)


def _is_trainable(value: object, module: ModuleType) -> bool:
    """Whether this is a function of the module itself that takes all params as one argument."""
    if not inspect.isfunction(value) or value.__module__ != module.__name__:
        return False
    arguments = inspect.signature(value).parameters.values()
    needed = [one.name for one in arguments if one.default is one.empty and one.kind is one.POSITIONAL_OR_KEYWORD]
    return bool(needed) and needed[0] in WHOLE


def _only(found: Mapping[str, object], what: str, where: str) -> str:
    if len(found) != 1:
        raise UsageError(f"{where} has {len(found)} of what could be the {what} ({', '.join(found)}); expected one")
    return next(iter(found))


def _objective(module: ModuleType, remarks: list[str]) -> dict[str, str]:
    said = constants_of(module, "TuneConfig")
    metric, mode = said.get("metric", METRIC), said.get("mode", "min")
    if "metric" not in said or "mode" not in said:
        remarks.append(
            f"objective: no TuneConfig(metric=..., mode=...) in the module says both; it is to {mode}imize {metric!r} "
            "here: change it if that is not so."
        )
    return {"metric": str(metric), "direction": "maximize" if mode == "max" else "minimize", "epoch": "last"}


def _trials(
    module: ModuleType, dimensions: Mapping[str, Dimension], grids: list[str], remarks: list[str]
) -> dict[str, Any]:
    samples = constants_of(module, "TuneConfig").get("num_samples")
    if grids and len(grids) == len(dimensions):
        return {"sampler": "grid", "trials": math.prod(count(one) or 1 for one in dimensions.values())}
    if grids:
        remarks.append(
            f"{', '.join(grids)}: grid_search is a choice here, of which the sampler draws; not all are tried."
        )
    remarks.append(
        "The search algorithm and the scheduler of the Tuner are not read; see sampler and pruner in [search]."
    )
    return {"trials": samples} if type(samples) is int and samples > 0 else {}


def _steps(function: Callable[..., object], module: ModuleType, remarks: list[str]) -> dict[str, Any]:
    """Returns budget and pruner: those of a function that reports, or of one that returns its metrics."""
    name, steps = function.__name__, steps_of(function, module)
    if steps == 0:
        remarks.append(f"budget: 1 step, as {name} reports nothing and returns its metrics; so there is no pruner.")
        return {"budget": 1, "pruner": "none"}
    if steps is None:
        remarks.append(f"budget: {UNKNOWN_BUDGET} steps are the most; say how often {name} reports.")
    else:
        remarks.append(f"budget: {steps} steps, as {name} reports in a loop of that length.")
    calls = [ast.unparse(one.func) for one in ast.walk(_source(function)) if isinstance(one, ast.Call)]
    for owner, _, called in dict.fromkeys(one.rpartition(".") for one in calls):
        if called in OF_TUNE and owner not in OWNERS:
            remarks.append(
                f"Change {name}: write tune.{called}(...) in the place of {owner}.{called}(...), unless it is the "
                "same; Ray refuses its older functions in a function of Ray Tune."
            )
    return {"budget": steps or UNKNOWN_BUDGET}


def _source(of: object) -> ast.AST:
    """Returns the source of a function or a module, which is empty if there is none."""
    try:
        return ast.parse(inspect.getsource(of))  # type: ignore[arg-type]  # TypeError: it has none
    except (OSError, TypeError, SyntaxError):
        return ast.Module([], [])
