"""Checks configurations that users enqueue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hpo.core.errors import ParamsInvalid, Problem
from hpo.core.records import Value
from hpo.study.fitting import fitted, on_a_grid
from hpo.study.schema import Study

Configuration = Mapping[str, Value]


def checked_configurations(study: Study, found: object, where: str) -> list[dict[str, Value]]:
    """Checks configurations and returns them as values of the study's space.

    The sampler draws omitted params.

    Args:
        study: the study with the space.
        found: one table of params by name, or a list of tables.
        where: name of the configurations in messages, e.g. a path.

    Raises:
        ParamsInvalid: if one does not fit the space; the message lists every problem.
    """
    tables: Sequence[object] = found if isinstance(found, list | tuple) else [found]
    problems: list[Problem] = []
    checked: list[dict[str, Value]] = []
    if study.search.sampler == "grid" and tables:
        problems.append(Problem("-", on_a_grid("leave out --enqueue")))
    for index, table in enumerate(tables):
        at = str(index) if isinstance(found, list | tuple) else ""
        if not isinstance(table, Mapping):
            problems.append(Problem(at or "-", f"expected a table of params by name, got {str(table)[:60]!r}"))
            continue
        one, wrong = fitted(study.space, study.fixed, table)
        checked.append(one)
        problems += [Problem(f"{at}.{problem.key}" if at else problem.key, problem.message) for problem in wrong]
    if problems:
        raise ParamsInvalid(where, problems)
    return checked
