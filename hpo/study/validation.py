"""Reads a study's content and lists all its problems at once, in the user's terms."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError

from hpo.core.errors import Problem, StudyInvalid, did_you_mean
from hpo.core.records import Value
from hpo.seeds.streams import STREAMS
from hpo.study import space
from hpo.study.command import command_notes, command_problems
from hpo.study.dimension import DimensionTable, Scalar
from hpo.study.fitting import fitted, on_a_grid
from hpo.study.messages import listed, shown_value
from hpo.study.objective import SECONDS, objective_problems, with_defaults
from hpo.study.options import CONSTRAINED, DEFAULT_SAMPLER, PRUNERS, SAMPLERS
from hpo.study.schema import Study
from hpo.study.table import Table, dotted

MOST_POINTS = 100_000
"""Maximum points of a grid."""

MOST_LISTED = 1_000_000
"""Maximum values of one param for Optuna's GPSampler, which uses an array of them at each proposal."""

LOSS_LIKE = re.compile(r"(^|[_\W])(loss|nll|error|err|mae|mse|rmse|perplexity)$", re.IGNORECASE)
"""Matches names of metrics that are usually minimized."""

SEED_LIKE = re.compile(r"(^|_|random|rng)seeds?($|_|\d)|random_?state", re.IGNORECASE)
"""Matches names of params that are seeds."""


def parse(content: Mapping[str, object], stem: str | None = None) -> tuple[Study | None, list[Problem]]:
    """Reads a study's content and lists every problem at once.

    Args:
        content: content of the file as tomllib gives it.
        stem: name of the file without its suffix, which must be the study's name; None: no file.

    Returns:
        The study, or None if there are problems; and the problems.
    """
    study: Study | None = None
    problems: list[Problem] = []
    try:
        study = Study.model_validate(content)
    except ValidationError as error:
        problems += listed(error, content)
    problems += _across(content, stem)
    return (None if problems else study), problems


def raise_problems(content: Mapping[str, object]) -> None:
    """Checks the content of a study made in Python.

    Args:
        content: content as in a study file; tables may be instances of the classes of `hpo.study`.

    Raises:
        StudyInvalid: if it has problems; the message lists all of them.
    """
    study, problems = parse(content)
    if study is not None:  # tables given as instances are checked too
        problems = list(_across(study.content(), None))
    if problems:
        raise StudyInvalid(f"study {content.get('name')!r}", problems)


def notes(study: Study) -> list[Problem]:
    """Returns notes on what is allowed but may be unintended."""
    found = list(command_notes(study.command_)) if study.command_ else []
    objective = study.objective
    for metric, direction in objective.by_metric.items():
        if direction == "maximize" and LOSS_LIKE.search(metric):
            change = f'{metric} = "minimize"' if objective.others else 'direction = "minimize"'
            message = f"{metric!r} is maximized; if smaller is better, set {change}"
            found.append(Problem("objective.metrics" if objective.others else "objective.direction", message))
    if plain := [str(seed) for seed in study.promotion.seeds if seed in (0, 1)]:
        message = (
            f"{' and '.join(plain)}: allowed, but libraries use 0 and 1 as defaults or for no seed at all; prefer "
            "others, such as 42, 43 and 44"
        )
        found.append(Problem("promotion.seeds", message))
    shared = [seed for seed in study.promotion.seeds if seed in study.common_seeds]
    return found + [
        Problem(
            "promotion.seeds",
            f"{seed} is also the search's seed: allowed, but the winner will look better than it is; use fresh seeds",
        )
        for seed in shared
    ]


def dimensions_of(content: Mapping[str, object]) -> dict[str, space.Dimension]:
    """Returns the valid dimensions, even if other parts of the content are invalid."""
    return {name: table.dimension() for name, table in _sound(content, "space", DimensionTable).items()}


def _sound(content: Mapping[str, object], key: str, kind: Any) -> dict[str, Any]:
    tables = content.get(key)
    adapter = TypeAdapter(kind)
    found = {}
    for name, table in tables.items() if isinstance(tables, dict) else ():
        try:
            found[name] = adapter.validate_python(table)
        except ValidationError:
            continue
    return found


def fixed_of(content: Mapping[str, object]) -> dict[str, Value]:
    """Returns the valid fixed values, even if other parts of the content are invalid."""
    return _sound(content, "fixed", Scalar)


def _across(content: Mapping[str, object], stem: str | None) -> Iterable[Problem]:
    """Yields problems that involve several keys, as far as these are valid."""
    content = with_defaults(content)
    if stem is not None and isinstance(content.get("name"), str) and content["name"] != stem:
        yield Problem("name", f"{content['name']!r} differs from the file's name, {stem}.toml; rename one of them")
    dimensions, fixed = dimensions_of(content), fixed_of(content)
    table = content.get("space")
    for name in table if isinstance(table, dict) else ():
        if SEED_LIKE.search(name):
            yield Problem(
                dotted("space", name),
                "a seed is not a hyperparameter: the search would pick the luckiest one; use [search] seed and "
                "[promotion] seeds",
            )
        if not name.isidentifier():
            yield Problem(dotted("space", name), "expected a Python identifier, as the params dataclass has")
        if name in fixed:
            yield Problem(dotted("fixed", name), "is also in [space]; keep it in one of them")
    for name, dimension in dimensions.items():
        yield from _condition_problems(name, dimension, dimensions, fixed)
    try:
        list(space.in_order({name: one for name, one in dimensions.items() if name not in one.when}))
    except ValueError as error:
        yield Problem("space", str(error))
    yield from command_problems(content, dimensions)
    yield from objective_problems(content)
    validation = content.get("validation")
    if isinstance(validation, dict) and content.get("command") is not None:
        if validation.get("test") is not None:
            yield Problem(
                "validation.test",
                "a command divides its data itself, so no test part can be held out of it; remove test",
            )
        if validation.get("units") is not None:
            yield Problem(
                "validation.units",
                "a command hands over no predictions of single cases, so none can be aggregated; remove units, and let "
                "it print its own metrics over them",
            )
    search = content.get("search")
    if isinstance(search, dict):
        yield from _search_problems(search, dimensions)
        yield from _enqueued_problems(search, content, dimensions, fixed)
        yield from _prior_problems(search, content)
        yield from _cost_problems(search, content)
    streams = content.get("streams")
    for name in streams if isinstance(streams, dict) else ():
        if name not in STREAMS:
            known = f"(streams: {', '.join(STREAMS)})"
            yield Problem(dotted("streams", name), f"no such stream {known}.{did_you_mean(name, STREAMS)}")


def _search_problems(search: Mapping[str, Any], dimensions: Mapping[str, space.Dimension]) -> Iterable[Problem]:
    sampler = search.get("sampler", DEFAULT_SAMPLER)
    for problem in _option_problems(SAMPLERS, sampler, search.get("sampler_options", {}), "search", "sampler_options"):
        yield problem if "sampler" in search else _with_sampler_of_option(problem)
    pruner, options = search.get("pruner", "median"), search.get("pruner_options", {})
    yield from _option_problems(PRUNERS, pruner, options, "search", "pruner_options")
    if pruner == "patient" and isinstance(options, dict):
        wrapped, inner = options.get("wrapped", "median"), options.get("wrapped_options", {})
        if wrapped != "patient":
            yield from _option_problems(PRUNERS, wrapped, inner, "search", "pruner_options", "wrapped_options")
    if search.get("constraints") and sampler in SAMPLERS and sampler not in CONSTRAINED:
        takes = ", ".join(CONSTRAINED)
        yield Problem("search.constraints", f"sampler {sampler!r} does not support constraints; these do: {takes}")
    options, conditional = search.get("sampler_options"), any(dimension.when for dimension in dimensions.values())
    if sampler == "cmaes" and isinstance(options, dict) and options.get("with_margin") is True and conditional:
        yield Problem(
            "search.sampler_options.with_margin", "does not support conditional params; leave one of them out"
        )
    if sampler == "grid":
        yield from _grid_problems(dimensions)
    if sampler == "gp":
        yield from _gp_problems(dimensions)


def _enqueued_problems(
    search: Mapping[str, Any],
    content: Mapping[str, object],
    dimensions: Mapping[str, space.Dimension],
    fixed: Mapping[str, Value],
) -> Iterable[Problem]:
    tables, named = search.get("enqueue", []), content.get("space")
    if not isinstance(tables, list) or not isinstance(named, dict) or set(named) != set(dimensions):
        return  # reported elsewhere; a param of an invalid dimension would be called unknown
    if tables and search.get("sampler") == "grid":
        yield Problem("search.enqueue", on_a_grid("leave it out"))
    for index, table in enumerate(tables):
        if not isinstance(table, dict):
            continue  # reported by the table's own check
        _, problems = fitted(dimensions, fixed, table)
        at = dotted("search", "enqueue", index)
        yield from (Problem(f"{at}.{problem.key}", problem.message) for problem in problems)
        for earlier in range(index):
            if tables[earlier] == table:
                yield Problem(at, f"is the same as search.enqueue.{earlier}; leave one of them out")


def _prior_problems(search: Mapping[str, Any], content: Mapping[str, object]) -> Iterable[Problem]:
    if not search.get("prior"):
        return
    if search.get("sampler", DEFAULT_SAMPLER) != DEFAULT_SAMPLER:
        yield Problem(
            "search.prior", f"only sampler {DEFAULT_SAMPLER!r} starts from old studies; use it, or leave it out"
        )
    if isinstance(search["prior"], list | tuple) and content.get("name") in search["prior"]:
        yield Problem("search.prior", "names this study itself; name finished ones")
    objective = content.get("objective")
    if isinstance(objective, Mapping) and len(objective.get("metrics") or ()) > 1:
        yield Problem("search.prior", "a study with several objectives cannot start from old ones; leave it out")


def _cost_problems(search: Mapping[str, Any], content: Mapping[str, object]) -> Iterable[Problem]:
    cost, objective = search.get("cost"), content.get("objective")
    if cost is None:
        return
    if search.get("sampler", DEFAULT_SAMPLER) != DEFAULT_SAMPLER:
        yield Problem("search.cost", f"only sampler {DEFAULT_SAMPLER!r} considers costs; use it, or leave it out")
    if not isinstance(objective, Mapping):
        return
    metrics = objective.get("metrics") or ()
    if len(metrics) > 1:
        yield Problem("search.cost", "a study with several objectives has the cost as one of them; leave it out")
    elif cost == objective.get("metric") or cost in metrics:
        yield Problem("search.cost", f"{cost!r} is the objective; name another metric, or {SECONDS!r}")


def _with_sampler_of_option(problem: Problem) -> Problem:
    """Returns the problem of an option in a study that names no sampler, with a hint if it is one of TPE's."""
    option = problem.key.rpartition(".")[2]
    if option not in SAMPLERS["tpe"].model_fields or option in SAMPLERS[DEFAULT_SAMPLER].model_fields:
        return problem
    return Problem(problem.key, f'no such option of {DEFAULT_SAMPLER!r}, the default sampler; sampler = "tpe" has it')


def _option_problems(known: Mapping[str, type[Table]], name: object, options: object, *at: str) -> Iterable[Problem]:
    if not isinstance(name, str) or name not in known or not isinstance(options, dict):
        return  # reported elsewhere
    try:
        known[name].model_validate(options)
    except ValidationError as error:
        for problem in listed(error, options, at, known[name]):
            yield problem if problem.key != dotted(*at) else Problem(dotted(*at), problem.message)


def _grid_problems(dimensions: Mapping[str, space.Dimension]) -> Iterable[Problem]:
    size = 1
    for name, dimension in dimensions.items():
        count = space.count(dimension)
        size *= count or 1
        if count is None:
            yield Problem(dotted("space", name), "a grid needs countable values: give the float a step")
        if dimension.when:
            yield Problem(dotted("space", name, "when"), "a grid does not support conditions; use another sampler")
    if size > MOST_POINTS:
        yield Problem("search.sampler", f"the grid has {size} points; at most {MOST_POINTS} are allowed")


def _gp_problems(dimensions: Mapping[str, space.Dimension]) -> Iterable[Problem]:
    """Yields a problem for each dimension with more values than Optuna's GPSampler can list in an array."""
    for name, dimension in dimensions.items():
        count = space.count(dimension)
        if count is not None and count > MOST_LISTED:
            yield Problem(
                dotted("space", name),
                f"has {count} values, and sampler 'gp' lists them all: at most {MOST_LISTED} are allowed; "
                "use a float without a step, a larger step, or sampler 'tpe' or 'tpe+gp'",
            )


def _condition_problems(
    name: str, dimension: space.Dimension, dimensions: Mapping[str, space.Dimension], fixed: Mapping[str, Value]
) -> Iterable[Problem]:
    for parent, values in space.conditions(dimension.when).items():
        key = dotted("space", name, "when", parent)
        if parent == name:
            yield Problem(key, "a param cannot depend on itself")
        elif parent in dimensions:
            yield from (Problem(key, message) for message in _never_met(parent, dimensions[parent], values))
        elif parent in fixed:
            yield Problem(
                key, f"{parent} is fixed, so the condition never changes; leave it out or move {parent} to [space]"
            )
        else:
            yield Problem(key, f"no such param in [space] ({', '.join(dimensions)}).{did_you_mean(parent, dimensions)}")


def _never_met(parent: str, dimension: space.Dimension, values: Iterable[Value]) -> Iterable[str]:
    for value in values:
        unknown = f"{shown_value(value)} is not a value of {parent}"
        if limits := space.comparisons(value):
            is_named = isinstance(dimension, space.Choice) and space.same(value, dimension.values)
            if not is_named and not space.is_reachable(dimension, limits):
                yield f"no value of {parent} ({dimension}) is {value}"
        elif isinstance(dimension, space.Choice):
            if not space.same(value, dimension.values):
                yield f"{unknown} ({', '.join(map(shown_value, dimension.values))}){_hint(value)}"
        elif isinstance(dimension, space.Int):
            if type(value) is not int or value not in range(dimension.low, dimension.high + 1, dimension.step or 1):
                yield f"{unknown} ({dimension}){_hint(value)}"
        else:
            yield (
                f"{parent} is a float range, which equals a single value only by chance; make it a choice or an int, "
                'or write a range, such as ">= 0.5"'
            )


def _hint(value: Value) -> str:
    return '; a range is written ">= 2" or "> 2, < 5"' if str(value).strip()[:1] in ("<", ">") else ""
