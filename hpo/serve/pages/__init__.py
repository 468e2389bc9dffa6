"""Web pages of studies: the served ones, and the single file of a report. Only this package uses jinja2."""

from hpo.serve.pages.render import (
    STATIC,
    api_page,
    compare_page,
    login_page,
    studies_fragment,
    studies_page,
    study_fragment,
    study_page,
)

__all__ = [
    "STATIC",
    "api_page",
    "compare_page",
    "login_page",
    "studies_fragment",
    "studies_page",
    "study_fragment",
    "study_page",
]
