"""The study of an Optuna objective: its space is what the objective suggests."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from hpo.core.errors import Problem, StudyInvalid, UsageError
from hpo.core.protocols import TrainableRef
from hpo.core.records import Objective, Value
from hpo.core.texts import as_identifier, shown
from hpo.driver.conversion import UNKNOWN_BUDGET, Converted, constants_of, steps_of, write_converted
from hpo.driver.init import InitOutcome
from hpo.search.tracing import Trace, condition_of, describe_ends, traces_of
from hpo.study.space import Choice, Dimension, Float, Int, choice_value
from hpo.study.table import dotted
from hpo.study.trainable import Loaded, load

METRIC = "value"
"""Name of what an objective returns."""


def init_from_optuna(objective: str, folder: str | Path = ".", name: str | None = None) -> InitOutcome:
    """Writes the study of an Optuna objective, which is called with random values to learn its space.

    Args:
        objective: where the objective is, as `module:function`.
        folder: the project's folder, which the module is imported from.
        name: name of the study; None: that of `create_study` in the module, or the module's.

    Raises:
        StudyInvalid: if the objective suggests what hpo does not have; the message lists all problems.
        UsageError: if it is no objective, suggests nothing, or the study's file exists.
        OutputRefused: if the study's file cannot be written.
    """
    root = Path(os.path.abspath(folder))
    loaded = load(TrainableRef(path=objective, root=str(root), objective=Objective(metric=METRIC)))
    if not isinstance(loaded, Loaded) or not loaded.arguments.is_objective:
        raise UsageError(
            f"{objective} is no objective of Optuna's; expected a function objective(trial) or objective(trial, seed)"
        )
    return write_converted(read_objective(loaded, objective, root), root, name)


def read_objective(loaded: Loaded, path: str, root: Path) -> Converted:
    """Returns the study of an objective.

    Args:
        loaded: the objective function, as it was loaded.
        path: where it is, as `module:function`.
        root: the project's folder.

    Raises:
        StudyInvalid: if it suggests what hpo does not have; the message lists all problems.
        UsageError: if it suggests nothing.
    """
    traces = traces_of(loaded.train, root)
    names = list(dict.fromkeys(name for trace in traces for name in trace.params))
    if not names:
        first = traces[0].error
        why = f"; it raised {shown(first)}" if first else ""
        raise UsageError(f"{path} suggested no param in {len(traces)} calls{why}. Let it call trial.suggest_*")
    remarks, problems = list(describe_ends(traces)), []
    dimensions: dict[str, Dimension] = {}
    for name in names:
        own = as_identifier(name)
        if own in dimensions:
            problems.append(Problem(dotted("space", name), f"is {own} in a study, as another param is; rename one"))
            continue
        try:
            dimensions[own], more = _dimension(name, traces)
        except ValueError as error:
            problems.append(Problem(dotted("space", name), str(error)))
            continue
        remarks += more
    if problems:
        raise StudyInvalid(path, problems)
    said = constants_of(loaded.module, "create_study")
    several = max(trace.returned for trace in traces)
    if several > 1:
        remarks.append(f"metrics: what the objective returns, in this order; name {METRIC}_0 and so on as you like.")
    direction = said.get("direction")
    if several == 1 and direction not in ("minimize", "maximize"):
        direction = None
        remarks.append("direction: is minimize, as Optuna's own default; the module does not say another one.")
    steps, reported = steps_of(loaded.train, loaded.module), any(trace.end == "reported" for trace in traces)
    reports = reported or (steps != 0 and any(trace.end == "timed out" for trace in traces))
    budget = (steps + 1 if steps else UNKNOWN_BUDGET) if reports else 1
    if not reports:
        remarks.append("budget: 1 step, as the objective reports nothing and returns its value; so there is no pruner.")
    elif steps:
        remarks.append(
            f"budget: {budget} steps, as the objective reports {steps} times, and what it returns is the last."
        )
    else:
        remarks.append(
            f"budget: {UNKNOWN_BUDGET} steps are the most; say one more than the objective reports, since what it "
            "returns is its last step. The pruner goes by it."
        )
    content = {
        "trainable": path,
        "objective": _several(path, said.get("directions"), several)
        if several > 1
        else {"metric": METRIC, "direction": direction or "minimize", "epoch": "last"},
        "space": dimensions,
        "search": {"budget": budget, "pruner": "median" if reports else "none"},
    }
    name = said.get("study_name", path.partition(":")[0].rpartition(".")[2])
    return Converted(content=content, name=str(name), source=path, remarks=tuple(remarks))


def _several(path: str, directions: object, count: int) -> dict[str, object]:
    """Returns the table of several objectives; raises StudyInvalid if the module does not say their directions."""
    known = directions if isinstance(directions, tuple) else ()
    if len(known) != count or not set(known) <= {"minimize", "maximize"}:
        came = f"it says {', '.join(map(str, known))}" if known else "it says none as texts"
        message = f'returns {count} values, so the module has to say create_study(directions=["maximize", ...]); {came}'
        raise StudyInvalid(path, [Problem("objective", message)])
    return {"metrics": {f"{METRIC}_{place}": one for place, one in enumerate(known)}, "epoch": "last"}


def _dimension(name: str, traces: Sequence[Trace]) -> tuple[Dimension, list[str]]:
    """Returns the dimension of a param with its condition, and remarks; raises ValueError where hpo has none."""
    found = list(dict.fromkeys(one.distributions[name] for one in traces if name in one.params))
    remarks = []
    if len(found) > 1:
        remarks.append(
            f"{name}: is suggested from different ranges; the study has the widest, and a trial whose value is outside "
            "its own fails. Give the ranges names of their own."
        )
    when, remark = condition_of(name, traces)
    condition = {as_identifier(parent): values for parent, values in when.items()}
    return _merged(found, condition), [*remarks, *([remark] if remark else [])]


def _merged(found: Sequence[BaseDistribution], when: dict[str, Value | list[Value]]) -> Dimension:
    first = found[0]
    if all(isinstance(one, CategoricalDistribution) for one in found):
        choices = [choice for one in found if isinstance(one, CategoricalDistribution) for choice in one.choices]
        values = [choice_value(choice) for choice in choices]
        if None in values:
            raise ValueError(f"hpo has no text for the choice {shown(choices[values.index(None)])}; suggest its name")
        kinds = dict.fromkeys((type(value), value) for value in values)
        return Choice([value for _, value in kinds if value is not None], when=when)
    ranges = [one for one in found if isinstance(one, IntDistribution | FloatDistribution)]
    if len(ranges) < len(found):
        raise ValueError("is a choice in some calls and a number in others; give them two names")
    low, high = min(one.low for one in ranges), max(one.high for one in ranges)
    log = all(one.log for one in ranges)
    if all(isinstance(one, IntDistribution) for one in ranges):
        step = ranges[0].step if len(ranges) == 1 and ranges[0].step != 1 else None
        return Int(int(low), int(high), log=log, step=None if step is None else int(step), when=when)
    step = first.step if len(ranges) == 1 and isinstance(first, FloatDistribution) else None
    return Float(low, high, log=log, step=step, when=when)
