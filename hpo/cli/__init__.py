"""The command line over `hpo.api`. The only package that uses typer and rich."""

from hpo.cli.main import main

__all__ = ["main"]
