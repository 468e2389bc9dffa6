"""Rendering of views as HTML. The templates escape every value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from hpo.core.costs import amount
from hpo.core.formatting import duration, number, param, params, percent
from hpo.figures.report import add_content_policy
from hpo.figures.svg.search import sparkline
from hpo.serve.listing import ListedStudy
from hpo.serve.pages.comparing import contest_of
from hpo.serve.pages.study_values import study_values
from hpo.serve.study_view import StudyView

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
        scripts = ((STATIC / "pages.js").read_text(encoding="utf-8"),)
        shared = {"styles": (STATIC / "pages.css").read_text(encoding="utf-8"), "scripts": scripts}
    page = _rendered("study.html", **study_values(view), live=live, **shared)
    return page if live else add_content_policy(page)


def study_fragment(view: StudyView) -> str:
    """Returns the part of a study's page that is updated while the study runs."""
    return _rendered("study_fragment.html", **study_values(view), live=True)


def studies_page(studies: Sequence[ListedStudy], storage: str, can_change: bool = False) -> str:
    """Returns the page of all studies in a storage.

    Args:
        studies: the studies, the oldest first.
        storage: URL of the storage without its password.
        can_change: whether the server has a token, so that studies may be renamed, archived and deleted.
    """
    return _rendered("studies.html", **_list_values(studies, storage, can_change))


def studies_fragment(studies: Sequence[ListedStudy], storage: str, can_change: bool = False) -> str:
    """Returns the part of the studies page that is updated; see `studies_page`."""
    return _rendered("studies_fragment.html", **_list_values(studies, storage, can_change))


def _list_values(studies: Sequence[ListedStudy], storage: str, can_change: bool) -> dict[str, Any]:
    sparks = {one.progress.name: sparkline(one.trials, one.study) for one in studies if not one.progress.objectives}
    states = sorted({one.progress.state for one in studies})
    archived = sum(one.archived for one in studies)
    return {
        "studies": studies,
        "storage": storage,
        "can_change": can_change,
        "sparks": sparks,
        "states": states,
        "archived": archived,
        "live": True,
    }


def compare_page(names: Sequence[str], views: Sequence[StudyView], trials: Sequence[int]) -> str:
    """Returns the page that compares two studies, or two trials of one study.

    Args:
        names: names of all studies, to choose from.
        views: views of the chosen studies; empty: none is chosen yet.
        trials: numbers of the chosen trials.

    Raises:
        UsageError: if the choice is not two studies, or one study and two of its trials.
    """
    contest = contest_of(views, trials) if views or trials else None
    chosen = [*(view.study.name for view in views), *names, "", ""]
    if not views and len(names) > 1:
        chosen = [names[-2], names[-1]]
    return _rendered("compare.html", names=names, contest=contest, chosen=chosen, trials=trials, live=True)


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
    environment.filters |= {"param": param, "params": params, "duration": duration, "amount": amount}
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
