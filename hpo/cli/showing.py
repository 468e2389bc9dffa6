"""The commands that show studies in a browser: serve and report."""

from __future__ import annotations

import os
import webbrowser
from pathlib import Path
from typing import Annotated, Literal

import typer

from hpo.cli.options import Folders, Json, StoredAndWritten, StudyName, with_options
from hpo.cli.output import print_json, print_text
from hpo.core.errors import UsageError
from hpo.driver.options import JobsOptions

Open = Annotated[bool, typer.Option("--open", help="Open it in the browser.")]


@with_options
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on; any but this machine's own needs a token.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: a free one.")] = 8080,
    token_file: Annotated[
        Path | None,
        typer.Option(help="File with the token for access and changes; default: HPO_TOKEN.", show_default=False),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(help="Host name that reaches the server (repeatable).", show_default=False),
    ] = None,
    writable_dashboard: Annotated[
        bool, typer.Option("--writable-dashboard", help="Let Optuna's dashboard change and delete studies.")
    ] = False,
    open_: Open = False,
    studies: Folders = None,
    *,
    jobs: JobsOptions,
    config: StoredAndWritten,
) -> None:
    """Serve pages: all studies, how robust each winner is, Optuna's dashboard, an interface for programs."""
    try:
        from hpo.serve.app import serve as serve_pages
        from hpo.serve.control_routes import Cluster
        from hpo.serve.settings import Settings, read_token
    except ModuleNotFoundError as error:
        from hpo.core.installed import install_line

        raise UsageError(f"serving needs {error.name}: {install_line('web')}") from error

    token = read_token(token_file) if token_file else os.environ.get("HPO_TOKEN") or None
    settings = Settings(
        host=host,
        port=port,
        token=token,
        allowed_hosts=tuple(allow_host or ()),
        writable_dashboard=writable_dashboard,
    )

    def began(address: str) -> None:
        guarded = "asks for the token" if token else "without a token: nothing can be changed"
        typer.echo(f"{address}/robustness  the studies ({guarded})", err=True)
        typer.echo(f"{address}/dashboard   Optuna's dashboard. Ctrl-C ends it.", err=True)
        if open_:
            webbrowser.open(f"{address}/robustness")

    cluster = Cluster(jobs_address=jobs.jobs_address, folders=tuple(studies) if studies else None)
    serve_pages(config, settings, began, cluster)


@with_options
def report(
    study: StudyName,
    out: Annotated[
        Path | None, typer.Option(help="The file; default: report.html in the study's outputs.", show_default=False)
    ] = None,
    md: Annotated[bool, typer.Option("--md", help="The promotion's tables as Markdown instead.")] = False,
    latex: Annotated[bool, typer.Option("--latex", help="The promotion's tables as LaTeX instead.")] = False,
    open_: Open = False,
    *,
    config: StoredAndWritten,
    as_json: Json = False,
) -> None:
    """Write one file that shows a study and its promotion; it can be read without a network."""
    from hpo import api
    from hpo.core.formatting import near

    if md and latex:
        raise UsageError("give --md or --latex, not both: one file has one format")
    kind: Literal["html", "md", "latex"] = "md" if md else "latex" if latex else "html"
    path = api.write_report(study, config, out=out, kind=kind)
    if as_json:
        print_json({"report": str(path)})
    else:
        print_text(f"Written: {near(path)}")
    if open_:
        webbrowser.open(path.as_uri())
