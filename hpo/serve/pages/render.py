"""Rendering of views as HTML. The templates escape every value."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from hpo.core.formatting import number, percent
from hpo.driver.status import Progress
from hpo.figures.fronts import front_figure
from hpo.figures.report import add_content_policy, curves_figure, decomposition_figure, optimism_figure, script
from hpo.promotion.front_shown import front_rows
from hpo.promotion.fronts import FrontReport
from hpo.serve.pages.strip import strips

if TYPE_CHECKING:
    from hpo.serve.views import StudyView

HERE = Path(__file__).parent
STATIC = HERE / "static"


def study_page(view: StudyView, *, live: bool = True) -> str:
    """Returns the robustness page of a study.

    Args:
        view: view of the study.
        live: whether the page is served and updates itself; otherwise it is a self-contained file.
    """
    shared: dict[str, object] = {"styles": None, "scripts": ()}
    if not live:
        scripts = (script(), (STATIC / "pages.js").read_text(encoding="utf-8"))
        shared = {"styles": (STATIC / "pages.css").read_text(encoding="utf-8"), "scripts": scripts}
    page = _rendered("study.html", **_study_values(view), live=live, **shared)
    return page if live else add_content_policy(page)


def study_fragment(view: StudyView) -> str:
    """Returns the part of a study's page that is updated while the study runs."""
    return _rendered("study_fragment.html", **_study_values(view), live=True)


def studies_page(studies: Sequence[Progress], storage: str) -> str:
    """Returns the page of all studies in a storage.

    Args:
        studies: progress of each study.
        storage: URL of the storage without its password.
    """
    return _rendered("studies.html", studies=studies, storage=storage, live=True)


def studies_fragment(studies: Sequence[Progress], storage: str) -> str:
    """Returns the part of the studies page that is updated.

    Args:
        studies: progress of each study.
        storage: URL of the storage without its password.
    """
    return _rendered("studies_fragment.html", studies=studies, storage=storage, live=True)


def login_page(wrong: bool, goal: str) -> str:
    """Returns the page that asks for the token.

    Args:
        wrong: whether a wrong token was sent.
        goal: path to redirect to after the login.
    """
    return _rendered("login.html", wrong=wrong, goal=goal, live=False)


def api_page(schema: Mapping[str, Any]) -> str:
    """Returns the page that describes the HTTP API.

    Args:
        schema: OpenAPI schema of the API.
    """
    routes = [
        {"path": path, "method": method.upper(), **operation}
        for path, methods in schema["paths"].items()
        for method, operation in methods.items()
    ]
    return _rendered("api.html", routes=routes, live=True)


def _study_values(view: StudyView) -> dict[str, Any]:
    values: dict[str, Any] = view.values()
    values["spent"] = str(view.progress.spent) if view.progress.spent.seconds else None
    promotion, report = values["promotion"], view.report
    figures: dict[str, Any] = {}
    if promotion:
        metric, winner = view.study.objective.metric, promotion["winner"]
        candidates = promotion["candidates"]
        if values["curves"]:
            figures["curves"] = curves_figure(values["curves"], winner, metric)
        if isinstance(report, FrontReport):
            figures["front"] = front_figure(candidates, view.study.objective.by_metric, "", report.ranking.seeds)
        elif any(one["mean"] is not None and one["search_value"] is not None for one in candidates):
            figures["optimism"] = optimism_figure(candidates, metric, promotion["searched_on"])
    if values["decomposition"] and values["decomposition"].get("sd") is not None:
        # The file in the outputs may have been written by something else than hpo.
        with suppress(AttributeError, LookupError, TypeError, ValueError):
            figures["decomposition"] = decomposition_figure(values["decomposition"])
    data = {
        "figures": {name: json.loads(figure.to_json()) for name, figure in figures.items()},
        "unbiasing": values["unbiasing"],
        "promotion": promotion and {name: promotion[name] for name in ("direction", "rule", "lambda", "ddof", "seeds")},
        "candidates": [
            {"trial": row.candidate.trial, "values": [row.candidate.values.get(seed) for seed in report.ranking.seeds]}
            for row in report.ranking.rows
        ]
        if report
        else [],
    }
    by_seed = {row.candidate.trial: row.candidate.values for row in report.ranking.rows} if report else {}
    drawings = {"strips": strips(report.ranking) if report else {}, "by_seed": by_seed, "figures": list(figures)}
    drawings["front_rows"] = front_rows(report) if isinstance(report, FrontReport) else []
    return {**values, **drawings, "metrics": report.metrics if report else (), "data": data}


@lru_cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "chance": percent, "time": _time, "bytes": _bytes}
    return environment


def _rendered(template: str, **values: object) -> str:
    return _environment().get_template(template).render(**values)


def _time(text: str) -> str:
    return text.replace("T", " ").replace("+00:00", " UTC")


def _bytes(count: int) -> str:
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count = count // 1000
    return f"{count} GB"
