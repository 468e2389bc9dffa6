"""The command line: verbs over `hpo.api`; typer's and rich's room."""

from hpo.cli.main import main

__all__ = ["main"]
