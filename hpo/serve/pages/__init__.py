"""Studies as web pages: those that are served, and the one file of a report. The only package that uses jinja2."""

from hpo.serve.pages.render import (
    STATIC,
    board_fragment,
    board_page,
    interface_page,
    login_page,
    studies_fragment,
    studies_page,
)

__all__ = ["STATIC", "board_fragment", "board_page", "interface_page", "login_page", "studies_fragment", "studies_page"]
