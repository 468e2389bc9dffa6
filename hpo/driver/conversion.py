"""Writes the study file of what another tool has: a sweep, a search space, an objective."""

from __future__ import annotations

import ast
import inspect
import os
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from hpo.core.errors import UsageError
from hpo.core.files import explain_write_errors, write_text
from hpo.core.study_files import FOLDER
from hpo.core.texts import cleaned, study_name
from hpo.driver.init import InitOutcome
from hpo.study import Study
from hpo.study.writing import text_of

UNKNOWN_BUDGET = 100
"""Steps of a training that reports, where nobody knows how often."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Converted:
    """A study made of what another tool has.

    Attributes:
        content: keywords of `hpo.Study`, without the name.
        name: name of the study unless another one is given.
        source: where it is from, as the user named it.
        remarks: sentences about what differs or could not be read, and what is left to do.
        comments: what is noted in the file beside a param of the space, by its name.
    """

    content: Mapping[str, Any]
    name: str
    source: str
    remarks: tuple[str, ...]
    comments: Mapping[str, str] = field(default_factory=dict)


def write_converted(
    made: Converted, folder: Path, name: str | None = None, importances: Mapping[str, float] | None = None
) -> InitOutcome:
    """Writes a study's file into the studies folder of a project; the remarks stand at its top.

    Args:
        made: the study to be written.
        folder: the project's folder, which is made if it does not exist.
        name: name of the study; None: that of `made`.
        importances: importance of each param in the study that it is made from; None: unknown.

    Raises:
        StudyInvalid: if the study has problems; the message lists all of them.
        UsageError: if the file exists.
        OutputRefused: if it cannot be written.
    """
    folder = Path(os.path.abspath(folder))
    study = Study(name=name or study_name(made.name), **made.content)
    file = FOLDER / f"{study.name}.toml"
    lines = [f"Made by hpo init from {made.source}.", *made.remarks]
    comments = [f"# {one}" for line in lines for one in cleaned(line).splitlines()]
    with explain_write_errors(folder / file):
        if os.path.lexists(folder / file):
            raise UsageError(f"{folder / file} exists; nothing was written. Give the study another name with --study")
        (folder / FOLDER).mkdir(parents=True, exist_ok=True)
        write_text(folder / file, "\n".join([*comments, "", _commented(text_of(study), made.comments)]))
    return InitOutcome(
        folder=folder, files=(file,), study=study.name, remarks=made.remarks, importances=importances or {}
    )


def _commented(text: str, comments: Mapping[str, str]) -> str:
    """Returns the text of a study file with comments beside the params of its space."""
    lines, table = text.splitlines(), ""
    for place, line in enumerate(lines):
        table = line if line.startswith("[") else table
        name = line.partition(" = ")[0]
        if table == "[space]" and name in comments:
            lines[place] = f"{line}  # {comments[name]}"
    return "\n".join(lines) + "\n"


def constants_of(module: ModuleType, name: str) -> dict[str, Any]:
    """Returns the constants that a module's source gives to a function as keywords, where all calls give the same.

    Args:
        module: the module whose source is read.
        name: name of the called function, without what is before its last dot.
    """
    try:
        tree = ast.parse(inspect.getsource(module))
    except (OSError, TypeError, SyntaxError):
        return {}
    found: dict[str, list[Any]] = {}
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and ast.unparse(call.func).rpartition(".")[2] == name:
            for keyword in call.keywords:
                found.setdefault(str(keyword.arg), []).append(_constant(keyword.value))
    return {key: values[0] for key, values in found.items() if values[0] is not None and len(set(values)) == 1}


def _constant(node: ast.expr) -> Any:
    """Returns a constant, or a list of constants as a tuple; None for everything else."""
    if isinstance(node, ast.List | ast.Tuple):
        found = tuple(one.value for one in node.elts if isinstance(one, ast.Constant))
        return found if len(found) == len(node.elts) else None
    return node.value if isinstance(node, ast.Constant) else None


def steps_of(function: Callable[..., object], module: ModuleType) -> int | None:
    """Returns how often a function reports, as far as the source shows: 0 if nothing in its module reports.

    None: it reports in another way than once in a loop over a `range` that ends at a number.

    Args:
        function: the function of the module that is trained.
        module: the module, in which helpers of the function may report.
    """
    try:
        whole, own = ast.parse(inspect.getsource(module)), ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError):
        return None
    names = [ast.unparse(one.func).rpartition(".")[2] for one in ast.walk(whole) if isinstance(one, ast.Call)]
    if not any(name == "report" or "Report" in name or "Callback" in name for name in names):
        return 0
    loops = [one for one in ast.walk(own) if isinstance(one, ast.For | ast.While) and _reports(one)]
    if len(loops) != 1 or _reports(own) != 1 or not isinstance(loops[0], ast.For):
        return None
    match loops[0].iter:
        case ast.Call(func=ast.Name(id="range"), args=[end]):
            return _number(end, module)
        case ast.Call(func=ast.Name(id="range"), args=[start, end]):  # another start than a number is a resumed one
            steps, first = _number(end, module), start.value if isinstance(start, ast.Constant) else 0
            return None if steps is None or not isinstance(first, int) else max(0, steps - first) or None
    return None


def _reports(tree: ast.AST) -> int:
    calls = [one.func for one in ast.walk(tree) if isinstance(one, ast.Call)]
    return sum(ast.unparse(one).rpartition(".")[2] == "report" for one in calls)


def _number(node: ast.expr, module: ModuleType) -> int | None:
    """Returns a positive whole number that is written there, or that a name of the module has."""
    value = vars(module).get(node.id) if isinstance(node, ast.Name) else getattr(node, "value", None)
    return value if type(value) is int and value > 0 else None
